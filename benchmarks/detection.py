"""Detectors with one backbone and equal training time: boxes from noise, learned boxes, a box for each pixel.

    python benchmarks/detection.py [--images 5000] [--seconds 7200] [--seeds 3] [--jobs 2] [--bccd FOLDER]

The images are those of configs/tabletop_images.yaml, collected where they are missing; detectors are those of
configs/boxes_KIND.yaml. How long a step of training takes is measured for the kinds in turns, as CPU time of one thread
(on an accelerator as wall time), over steps that come after the first ones, which take longer. Every kind takes as many
steps as fit into SECONDS, learns from all training images, with none held out, and is scored on the test part. What its
training took in the end stands in the record, too.

A detector that draws boxes from noise is scored with other numbers of boxes and of steps, too, and with guides that say
what is true of every image: that things are in it, that no two are in one place, how many they are; beside the last one
stands what it is worth to take so many of the likeliest boxes that are found without a guide.

Images a second, of the first seed, are medians over repeated calls of one thread after warm ones, without loading; they
are measured at the end, when nothing else runs here.

With --bccd FOLDER (the photographs of the BCCD data set: images, boxes.csv, trainval.txt, test.txt) the same detectors
are trained on those, too, from scratch.

Writes benchmarks/results/detection.json after every cell, which is a kind on some images with a seed, and
docs/images/detection.png. Cells that the file holds of the same config and versions are kept, but for those whose
images a second are due and whose run is gone: take the file away to measure all anew. Runs lie in RUNS, and one that
was killed goes on where it was.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import numpy as np
import records
import scored
import torch
import tyro
from detection_picture import picture
from image_speed import BATCHES, images_a_second

from embodied_gen import detection, draws, statistics
from embodied_gen.commands import images, together
from embodied_gen.commands.console import console
from embodied_gen.commands.detectors import teach
from embodied_gen.commands.memory import keep_freed
from embodied_gen.commands.offscreen import prefer_egl
from embodied_gen.demos.boxed_images import BoxedImages
from embodied_gen.detection.data import Boxed, PhotosBlock, RenderedBlock
from embodied_gen.predictor import Predictor
from embodied_gen.training import files
from embodied_gen.training.processes import joined, resolve_device
from planners import BoxCount, BoxesApart, BoxesWithin, guide_of

CONFIGS = Path(__file__).parents[1] / "configs"
KINDS = ("denoising", "queries", "dense")
BOXES, STEPS = (50, 100, 300, 1000), (1, 2, 4, 8)
PHOTO_SIZE = (320, 240)
FIRST, PACED, TURNS = 50, 100, 2  # steps that are taken before those that are timed, these, and how often
GUIDED, TOLD = (100, 4), 5.0  # boxes and steps of a detector that is told something, and the scale of guides
TIMED = 0  # the seed whose detectors are timed: weights change how long an answer takes by little


@dataclass
class Arguments:
    """Detectors with one backbone and equal training time."""

    images: int = 5000
    """Tabletop images to train on."""
    seconds: float = 7200.0
    """Of each training."""
    seeds: int = 3
    """Trainings of each kind."""
    kinds: tuple[str, ...] = KINDS
    """Names of configs."""
    folder: str | None = None
    """Folder of the Tabletop images; data/embodied/tabletop/images-IMAGES where not given."""
    bccd: str | None = None
    """Folder of the BCCD photographs; left out where not given."""
    boxes: tuple[int, ...] = BOXES
    """Numbers of boxes from noise."""
    steps: tuple[int, ...] = STEPS
    """Numbers of steps of their sampler."""
    runs: str = "runs/detection"
    """Folder of the runs."""
    device: str = "cpu"
    """Where to train and to score: auto, cpu, cuda."""
    jobs: int = 1
    """Cells that are measured at once."""
    out: str = "benchmarks/results/detection.json"
    """Record to write."""
    picture: str = "docs/images/detection.png"
    """Picture to write."""


@final
@dataclass(frozen=True)
class Cell:
    """What is measured: a kind on some images, told by a digest, with a seed, trained for a number of steps."""

    data: str
    kind: str
    seed: int
    folder: str
    digest: str
    steps: int

    def config(self) -> detection.Detection:
        """The config, with its warm-up within the steps."""
        config = detection.read(CONFIGS / f"boxes_{self.kind}.yaml")
        block: PhotosBlock | RenderedBlock = config.data.model_copy(update={"folder": self.folder, "held_out": 0.0})
        if self.data == "bccd":
            block = PhotosBlock(folder=self.folder, size=PHOTO_SIZE, train="trainval", held_out=0.0, mirrors=("x", "y"))
        train = {"steps": self.steps, "warmup": min(config.train.warmup, self.steps // 10)}
        changes = {"seed": self.seed, "data": block, "train": config.train.model_copy(update=train)}
        return config.model_copy(update=changes)

    def run(self, runs: str) -> Path:
        """Folder of its run."""
        return Path(runs) / f"{self.data}-{self.kind}-{self.seed}-{_course(self.config())}"


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    keep_freed()
    record, folder = _begun(arguments), _collected(arguments)
    sources = {"tabletop": folder} | ({} if arguments.bccd is None else {"bccd": arguments.bccd})
    cells = []
    for data, source in sources.items():
        kinds = [Cell(data, kind, 0, source, _digest(data, Path(source)), 0) for kind in arguments.kinds]
        _pace(record, kinds, arguments)
        kinds = [replace(cell, steps=max(1, round(arguments.seconds / _paced(record, cell)[0]))) for cell in kinds]
        cells += [replace(cell, seed=seed) for seed, cell in product(range(arguments.seeds), kinds)]
    due = [cell for cell in cells if not _is_measured(record, cell, arguments.runs)]
    for cell, row in together.done(partial(_measured, arguments), due, jobs=arguments.jobs):
        places = ("data", "kind", "seed")
        rows = records.replaced(record["rows"], row, places)
        record["rows"] = sorted(rows, key=lambda r: [r[place] for place in places])
        files.write_json(Path(arguments.out), record)
        said = ", ".join(f"{name} {row['scores'][name] or 0:.3f}" for name in ("ap", "ap50", "ap75"))
        console.print(f"{cell.kind} on {cell.data}, seed {cell.seed}: {said}; {row['seconds']:.0f} s", soft_wrap=True)
    for cell in cells:
        row = _row(record, cell)
        if row is not None and _is_to_be_timed(row):
            _time(row, cell, arguments)
            files.write_json(Path(arguments.out), record)
    _draw([cell for cell in cells if (cell.data, cell.seed) == ("tabletop", 0)], arguments)
    console.print(f"written: {arguments.out}")


def _begun(arguments: Arguments) -> dict[str, Any]:
    """The record at the target where it was made with these versions, or one without rows."""
    return records.begun(
        Path(arguments.out),
        "average precision of detectors by kind, images and seed; images a second",
        same={"images": arguments.images, "device": arguments.device, "seconds": arguments.seconds},
        kept={"paces": [], "rows": []},
    )


def _collected(arguments: Arguments) -> str:
    """The folder of the Tabletop images, which are rendered where they are missing."""
    folder = arguments.folder or f"data/embodied/tabletop/images-{arguments.images}"
    config = str(CONFIGS / "tabletop_images.yaml")
    prefer_egl()
    number = str(arguments.images)
    images.collect(config, [config, "--data.folder", folder, "--data.train", number, "--if-missing"])
    found = files.read_json(Path(folder) / "images.json")["recipe"]["train"]
    if found != arguments.images:
        raise ValueError(f"{folder} has {found} images to train on, not {arguments.images}. Name another folder.")
    return folder


def _digest(data: str, folder: Path) -> str:
    """A hash of what images are learned from and judged by, wherever they lie."""
    if data == "tabletop":
        return records.digest(folder / "images.json")
    return records.digest(*(folder / name for name in ("boxes.csv", "trainval.txt", "test.txt")))


def _pace(record: dict[str, Any], cells: list[Cell], arguments: Arguments) -> None:
    """Measures how long a step of each kind takes on some images, where the record lacks it."""
    if all(_paced(record, cell) for cell in cells):
        return
    boxed_images, turns = cells[0].config().data.training(), []
    for turn in range(TURNS):
        turns.append([_seconds_a_step(cell, boxed_images, arguments.device) for cell in cells])
        said = ", ".join(f"{cell.kind} {own:.3f} s" for cell, own in zip(cells, turns[-1], strict=True))
        console.print(f"a step on {cells[0].data}, {turn + 1} of {TURNS}: {said}", soft_wrap=True)
    for cell, own in zip(cells, np.mean(turns, 0), strict=True):
        record["paces"] = records.replaced(record["paces"], _key(cell) | {"seconds": float(own)}, ("data", "kind"))
    files.write_json(Path(arguments.out), record)


def _paced(record: dict[str, Any], cell: Cell) -> list[float]:
    """Seconds a step of a kind on some images, where the record has them."""
    return [pace["seconds"] for pace in record["paces"] if _key(cell).items() <= pace.items()]


def _is_measured(record: dict[str, Any], cell: Cell, runs: str) -> bool:
    """Whether a cell has all its numbers, or its run lies there to be timed."""
    row = _row(record, cell)
    return row is not None and (not _is_to_be_timed(row) or cell.run(runs).is_dir())


def _is_to_be_timed(row: dict[str, Any]) -> bool:
    return row["seed"] == TIMED and "speeds" not in row


def _row(record: dict[str, Any], cell: Cell) -> dict[str, Any] | None:
    return next((row for row in record["rows"] if _key(cell).items() <= row.items()), None)


def _key(cell: Cell) -> dict[str, Any]:
    return {
        "data": cell.data,
        "kind": cell.kind,
        "seed": cell.seed,
        "course": _course(cell.config()),
        "digest": cell.digest,
    }


def _course(config: detection.Detection) -> str:
    """Hash of all that decides a cell but where its images lie."""
    return config.model_copy(update={"data": config.data.model_copy(update={"folder": ""})}).fingerprint("", 1)


def _seconds_a_step(cell: Cell, boxed_images: Boxed, device: str) -> float:
    """Of training, without start, held-out losses and checkpoints."""
    clock, times = _clock(device), []
    for steps in (FIRST, FIRST + PACED):
        config = replace(cell, steps=steps).config()
        started = clock()
        with TemporaryDirectory() as run, joined(device) as processes:
            teach(config, boxed_images, Path(run), resume=False, processes=processes)
        times.append(clock() - started)
    return max(times[1] - times[0], 1e-3) / PACED


def _clock(device: str) -> Callable[[], float]:
    """CPU time, which other processes do not change; wall time where an accelerator computes."""
    return time.process_time if resolve_device(device).type == "cpu" else time.perf_counter


def _measured(arguments: Arguments, cell: Cell) -> dict[str, Any]:
    """Trains a detector, or takes up its run, and scores it."""
    clock, config, run = _clock(arguments.device), cell.config(), cell.run(arguments.runs)
    started = clock()
    trained = scored.seconds_of(run, lambda: _train(config, run, arguments.device), clock)
    examples, classes = config.data.testing()
    device = resolve_device(arguments.device)
    predictor, examples = detection.load(run, device).predictor, examples.to(device)
    found = _key(cell) | {"steps": cell.steps, "scores": asdict(_scored(predictor, examples, classes, cell.seed))}
    if (cell.data, cell.kind) == ("tabletop", "denoising"):
        found["table"] = [
            {"boxes": boxes, "steps": steps} | _adjusted(predictor, examples, classes, cell.seed, boxes, steps)
            for boxes, steps in product(arguments.boxes, arguments.steps)
        ]
        found["guided"] = _guided(predictor, examples, classes, cell.seed)
    return found | {"training_seconds": trained, "seconds": clock() - started}


def _train(config: detection.Detection, run: Path, device: str) -> None:
    with joined(device) as processes:
        teach(config, config.data.training(), run, resume=True, processes=processes)


def _scored(predictor: Predictor, examples: BoxedImages, classes: tuple[str, ...], seed: int) -> detection.Scored:
    return detection.score(detection.detections(predictor, examples, seed=seed), examples, classes)


def _guided(predictor: Predictor, examples: BoxedImages, classes: tuple[str, ...], seed: int) -> list[dict[str, Any]]:
    """Scores by what the detector is told."""
    detection.adjust(predictor, boxes=GUIDED[0], steps=GUIDED[1])
    counts = (examples.values()[..., 5] > 0).sum(1)
    within, apart = BoxesWithin((0.0, 0.0), (1.0, 1.0)), BoxesApart(0.5)
    guides = {"nothing": None, "things are in the image": [within], "no two are in one place": [apart]}
    told = {
        name: detection.detections(
            predictor, examples, seed=seed, guide=None if known is None else guide_of(known, [], scale=TOLD)
        )
        for name, known in guides.items()
    }
    told["their number"] = torch.zeros_like(told["nothing"])
    for count in counts.unique().tolist():
        own, guide = (counts == count).nonzero()[:, 0], guide_of([], [BoxCount(count)], scale=TOLD)
        told["their number"][own] = detection.detections(predictor, examples, seed=seed, guide=guide, images=own)
    told["nothing, so many of the likeliest"] = _likeliest(told["nothing"], counts)
    return [{"told": name} | _judged(rows, examples, classes) for name, rows in told.items()]


def _likeliest(rows: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Rows of which so many of each image, which have falling scores, are things, and no others, in the same order."""
    some = torch.arange(rows.shape[1]) < counts.unsqueeze(1)
    half = rows[..., 5] / 2
    return torch.cat([rows[..., :5], torch.where(some, 0.5 + half, 0.99 * half).unsqueeze(-1)], -1)


def _judged(rows: torch.Tensor, examples: BoxedImages, classes: tuple[str, ...]) -> dict[str, float]:
    truth = examples.values().numpy()
    found = statistics.answers(rows.numpy(), truth, len(classes))
    ap = statistics.detection_scores(rows.numpy(), truth, len(classes)).ap
    return {"ap": ap, "precision": found.precision, "recall": found.recall, "f1": found.f1}


def _adjusted(
    predictor: Predictor, examples: BoxedImages, classes: tuple[str, ...], seed: int, boxes: int, steps: int
) -> dict[str, Any]:
    """Scores with other numbers of boxes and steps."""
    detection.adjust(predictor, boxes=boxes, steps=steps)
    return {"scores": asdict(_scored(predictor, examples, classes, seed))}


def _time(row: dict[str, Any], cell: Cell, arguments: Arguments) -> None:
    """Adds images a second to a row, with other numbers of boxes and steps too."""
    device = resolve_device(arguments.device)
    predictor = detection.load(cell.run(arguments.runs), device).predictor
    examples = cell.config().data.testing()[0].to(device)
    console.print(f"images a second: {cell.kind} on {cell.data}", soft_wrap=True)
    speeds = _speeds(predictor, examples)
    for entry in row.get("table", ()):
        detection.adjust(predictor, boxes=entry["boxes"], steps=entry["steps"])
        entry["speeds"] = _speeds(predictor, examples)
    row["speeds"] = speeds


def _speeds(predictor: Predictor, examples: BoxedImages) -> list[dict[str, float]]:
    """Images a second by the number of images at once."""
    found = []
    for batch in BATCHES:
        seen = examples.batch(torch.arange(batch, device=examples.device) % examples.images).observations
        answer = partial(_answer, predictor, seen)
        found.append({"batch": batch, "images_a_second": images_a_second(answer, batch)})
    return found


def _answer(predictor: Predictor, seen: torch.Tensor, call: int) -> torch.Tensor:
    return predictor.predict(seen, generator=draws.generator(call, device=seen.device))


def _draw(cells: list[Cell], arguments: Arguments) -> None:
    """Boxes of some detectors on test images, beside the true ones."""
    runs = {cell.kind: cell.run(arguments.runs) for cell in cells}
    gone = [run for run in runs.values() if not run.is_dir()]
    if gone:
        console.print(f"no picture, for the run {gone[0]} is gone", soft_wrap=True)
        return
    picture(runs, *cells[0].config().data.testing(), Path(arguments.picture))


if __name__ == "__main__":
    main()
