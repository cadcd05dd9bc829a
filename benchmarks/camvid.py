"""CamVid: one network without a CRF, with a dense CRF chosen by grid search, and with a CRF-RNN trained end to end.

    python benchmarks/camvid.py FOLDER [--seeds 3] [--unary camvid_unet] [--learned camvid_crf] [--jobs 2]

FOLDER holds train.txt, val.txt and test.txt, and the folders images and labels (see docs/segmentation.md). The arms,
for each seed:

    unary      the network, every pixel on its own
    further    its training goes on from there for as many steps as that of the CRF-RNN: what the steps alone bring
    searched   the network with a dense CRF whose weights and widths are the best of a grid on val, by mean IoU
    learned    the network with a CRF-RNN, trained end to end from the weights of the network

All are scored on test. Intervals are those of a bootstrap over blocks of successive images of test, which are frames of
videos (`camvid_summary`), of the mean over seeds, of its difference to the network alone, and of what the CRF-RNN has
more than the training that goes on. Images per second are of one process on one thread, without reading: bytes in,
labels out; they are measured at the end, when nothing else runs here.

Writes benchmarks/results/camvid.json after every cell, which is an arm with a seed; runs and what they answered lie in
RUNS, and a benchmark that was killed goes on where it was. A picture of some images of test is written to RUNS, not to
the documents, as the images are not ours to give away.
"""

import dataclasses
import time
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import records
import torch
import tyro
from camvid_search import GRID, Point, best, with_crf
from camvid_summary import Answer, difference, summary, videos
from image_speed import BATCHES, images_a_second
from scored import train
from torch import Tensor

from embodied_gen import experiment, pictures
from embodied_gen.blocks import LabelledImagesBlock, SegmentationControl
from embodied_gen.commands import together
from embodied_gen.commands.console import console
from embodied_gen.commands.memory import keep_freed
from embodied_gen.experiment import Experiment
from embodied_gen.images.labelled import VOID, LabelledImages
from embodied_gen.images.segmenter import Segmenter, judge
from embodied_gen.predictor import Predictor
from embodied_gen.training import files

CONFIGS = Path(__file__).parents[1] / "configs"
ARMS = ("unary", "further", "searched", "learned")
Cell = tuple[int, str]  # seed and arm


@dataclass
class Arguments:
    """Segmentation of CamVid without a CRF, with a searched one and with a learned one."""

    folder: tyro.conf.Positional[str]
    """Folder of the images."""
    seeds: int = 3
    """Trainings of each arm."""
    unary: str = "camvid_unet"
    """Config of the network alone."""
    learned: str = "camvid_crf"
    """Config of the network with a CRF."""
    steps: int | None = None
    """Steps of the network's training, in place of the config's."""
    further: int | None = None
    """Steps of the training that goes on, with a CRF and without, in place of the config's."""
    runs: str = "runs/camvid"
    """Folder of the runs."""
    device: str = "cpu"
    """Where to train and to score: cpu, cuda."""
    jobs: int = 1
    """Cells that are measured at once."""
    out: str = "benchmarks/results/camvid.json"
    """Record to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    keep_freed()
    target = Path(arguments.out)
    unary, learned = (experiment.read(CONFIGS / f"{name}.yaml") for name in (arguments.unary, arguments.learned))
    test = _images(unary, arguments.folder, "test")
    record = _begun(target, unary, learned, arguments)
    for arms in (ARMS[:1], ARMS[1:]):  # the others begin with the first one's weights
        _fill(record, target, list(product(range(arguments.seeds), arms)), arguments)
    for row in record["rows"]:
        if "images_per_second" not in row:
            row["images_per_second"] = _speeds(row, test.images, arguments)
            files.write_json(target, record)
    _draw(test, arguments)
    console.print(f"written: {target}")


def _fill(record: dict[str, Any], target: Path, cells: list[Cell], arguments: Arguments) -> None:
    """Measures what the record lacks of some cells."""
    known = {(row["seed"], row["arm"]) for row in record["rows"]}
    due = [cell for cell in cells if cell not in known]
    for (seed, arm), row in together.done(partial(_measured, arguments), due, jobs=arguments.jobs):
        rows = records.replaced(record["rows"], row, ("seed", "arm"))
        record["rows"] = sorted(rows, key=lambda r: (r["seed"], ARMS.index(r["arm"])))
        record |= _summary(record, Path(arguments.runs))
        files.write_json(target, record)
        shown = ", ".join(f"{name} {value:.3f}" for name, value in row["scores"].items())
        console.print(f"{arm}, seed {seed}: {shown}; {row['seconds']:.0f} s", soft_wrap=True)


def _begun(target: Path, unary: Experiment, learned: Experiment, arguments: Arguments) -> dict[str, Any]:
    """The record at the target where it was made with these configs and versions, or one without rows.

    Rows whose answers are gone are left out: summaries are made of answers.
    """
    same = {
        "configs": {arguments.unary: unary.fingerprint("", 1), arguments.learned: learned.fingerprint("", 1)},
        "steps": [arguments.steps or unary.train.steps, arguments.further or learned.train.steps],
        "size": list(_control(unary).size),
        "grid": len(GRID),
        "videos": videos((Path(arguments.folder) / "test.txt").read_text().split()),
    }
    what = "scores of label maps on CamVid's test part by arm and seed"
    record = records.begun(target, what, same=same, kept={"rows": [], "summary": [], "beyond_steps": {}})
    record["rows"] = [row for row in record["rows"] if _answer((row["seed"], row["arm"]), arguments).exists()]
    return record


def _images(config: Experiment, folder: str, part: str) -> LabelledImages:
    assert isinstance(config.data, LabelledImagesBlock)
    return config.data.model_copy(update={"folder": folder}).part(part, _control(config).size)


def _control(config: Experiment) -> SegmentationControl:
    assert isinstance(config.control, SegmentationControl)
    return config.control


def _answer(cell: Cell, arguments: Arguments) -> Path:
    seed, arm = cell
    return Path(arguments.runs) / f"{arm}-{seed}.safetensors"


def _measured(arguments: Arguments, cell: Cell) -> dict[str, Any]:
    """Trains an arm, or takes up its run, and scores it on test."""
    seed, arm = cell
    found: dict[str, Any] = {"arm": arm, "seed": seed}
    unary = experiment.read(CONFIGS / f"{arguments.unary}.yaml")
    images = {part: _images(unary, arguments.folder, part) for part in ("val", "test")}
    trained = _trained(arm, seed, arguments)
    predictor = _network(arm, seed, arguments)
    started = time.perf_counter()
    if arm == "searched":
        chosen, found["search"] = best(Segmenter(predictor), images["val"])
        predictor = with_crf(predictor, chosen)
        found["chosen"] = dataclasses.asdict(chosen)
    search = time.perf_counter() - started
    scores = _scored(Segmenter(predictor), images["test"], _answer(cell, arguments))
    return found | {
        "scores": scores,
        "training_seconds": trained,
        "search_seconds": search if arm == "searched" else 0.0,
        "seconds": trained + time.perf_counter() - started,
    }


def _trained(arm: str, seed: int, arguments: Arguments) -> float:
    """Seconds of an arm's own training; none for the searched one."""
    if arm == "searched":
        return 0.0
    config = CONFIGS / f"{arguments.learned if arm == 'learned' else arguments.unary}.yaml"
    steps = arguments.steps
    flags = ["--data.folder", arguments.folder, "--device", arguments.device]
    if arm == "learned":
        steps = arguments.further
    if arm != "unary":
        flags += ["--start-from", str(_run("unary", seed, arguments))]
    if arm == "further":  # the settings of the CRF-RNN's training without the CRF
        settings = experiment.read(CONFIGS / f"{arguments.learned}.yaml").train
        steps = arguments.further or settings.steps
        flags += ["--train.rate", str(settings.rate), "--train.batch", str(settings.batch)]
        flags += ["--train.warmup", str(settings.warmup), "--train.average", str(settings.average)]
    if steps is not None:
        flags += ["--train.steps", str(steps)]
    return train(config, _run(arm, seed, arguments), seed=seed, flags=flags)


def _network(arm: str, seed: int, arguments: Arguments) -> Predictor:
    """What an arm has learned; the searched one, the network that its CRF is put behind."""
    folder = _run("unary" if arm == "searched" else arm, seed, arguments)
    return experiment.load(folder, arguments.device).predictor


def _run(arm: str, seed: int, arguments: Arguments) -> Path:
    return Path(arguments.runs) / f"{arm}-{seed}"


def _scored(segmenter: Segmenter, test: LabelledImages, answer: Path) -> dict[str, float]:
    """Scores on test; what they are made of, image by image, is kept for intervals."""
    judged = judge(segmenter, test)
    kept = {"confusions": torch.from_numpy(judged.confusions), "boundary": torch.from_numpy(judged.boundary)}
    files.write_tensors(answer, kept, {"images": len(test)})
    return Answer.read(answer).scores() | {"calibration_error": judged.calibration_error}


def _speeds(row: dict[str, Any], images: Tensor, arguments: Arguments) -> dict[str, float]:
    """Images per second of an arm, from bytes to labels, by the number of images at once."""
    predictor = _network(row["arm"], row["seed"], arguments)
    if row["arm"] == "searched":
        predictor = with_crf(predictor, Point(**row["chosen"]))
    found = {}
    for size in BATCHES:
        segmenter, seen = Segmenter(predictor, batch=size), images[:size].to(arguments.device)
        found[f"batch_{size}"] = images_a_second(partial(_labels, segmenter, seen), size)
    return found


def _labels(segmenter: Segmenter, images: Tensor, call: int) -> Tensor:
    """Labels, which no call draws."""
    return segmenter.labels(images)


def _summary(record: dict[str, Any], runs: Path) -> dict[str, Any]:
    """Means over seeds with intervals, of arms that have as many seeds as the network alone, and what a CRF adds."""
    seeds = {arm: sorted(row["seed"] for row in record["rows"] if row["arm"] == arm) for arm in ARMS}
    whole = [arm for arm in ARMS if seeds[arm] and seeds[arm] == seeds["unary"]]
    answers = {arm: [Answer.read(runs / f"{arm}-{seed}.safetensors") for seed in seeds[arm]] for arm in whole}
    both = {"learned", "further"} <= answers.keys()
    beyond = difference(answers["learned"], answers["further"], record["videos"]) if both else {}
    return {"summary": summary(answers, record["videos"]), "beyond_steps": beyond}


def _draw(test: LabelledImages, arguments: Arguments) -> None:
    """Some images of test, their truth, and what the network says alone and with a CRF-RNN."""
    chosen = np.linspace(0, len(test) - 1, 6).round().astype(int)[1:-1]
    images, labels = test.images[chosen], test.labels[chosen]
    columns = {"image": images.permute(0, 2, 3, 1).numpy(), "truth": labels.numpy()}
    for arm in ("unary", "learned"):
        predictor = experiment.load(_run(arm, 0, arguments)).predictor
        columns[arm] = Segmenter(predictor).labels(images).numpy()
    target = Path(arguments.runs) / "camvid.png"
    pictures.save(pictures.label_maps(columns, void=VOID), target)
    console.print(f"written: {target}")


if __name__ == "__main__":
    main()
