"""Objects one a step: symmetric best Dice and difference in count on drawn leaves and on rendered clutter.

    python benchmarks/instances.py [--sets leaves] [--seeds 1] [--steps 4000] [--jobs 2] [--folder FOLDER]

A set is a config, configs/NAME_instances.yaml, trained with several seeds and scored on its images for testing, which
training never saw: by the most likely answer, and by one draw an image. Intervals are over images, resampled, with
scores averaged over seeds. An image without an object has no symmetric best Dice, but a difference in count. Images a
second are of the most likely answer, from bytes to labels, by the median of repeated calls after warm ones, without
loading; they are measured at the end, when nothing else runs here.

Rendered clutter must be collected first: embodied-gen collect configs/tabletop_images.yaml. With --folder the images of
another benchmark will do, such as data/embodied/tabletop/images-5000, into which benchmarks/detection.py collects.

Writes benchmarks/results/instances.json after every run, and docs/images/instances.png of the last set's first seed.
Rows that the file holds of the same config and versions are kept, and so are those of sets that are not named: take the
file away to measure all anew. Runs lie in RUNS, and one that was killed goes on where it was.
"""

import time
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import records
import scored
import torch
import tyro
from image_speed import BATCHES, images_a_second
from PIL import Image
from torch import Tensor

from embodied_gen import draws, experiment
from embodied_gen.blocks import ImageSetBlock, InstancesControl, LeavesBlock
from embodied_gen.commands import together
from embodied_gen.commands.console import console
from embodied_gen.commands.lessons import lessons_of
from embodied_gen.commands.memory import keep_freed
from embodied_gen.commands.train import teach
from embodied_gen.experiment import Experiment, Run
from embodied_gen.heads import RecurrentAttentionHead
from embodied_gen.images import sets
from embodied_gen.images.examples import InstanceExamples
from embodied_gen.statistics import InstanceScores, instance_scores
from embodied_gen.training import files
from embodied_gen.training.processes import joined, resolve_device

CONFIGS = Path(__file__).parents[1] / "configs"
TOGETHER = 64  # images that are segmented at once
Cell = tuple[str, int]  # set and seed
SHOWN, ENLARGED = 8, 3  # images of the picture, and how many times they are enlarged


@dataclass
class Arguments:
    """Symmetric best Dice and difference in count by set and seed."""

    sets: tuple[str, ...] = ("leaves", "tabletop")
    """Names of configs."""
    seeds: int = 3
    """Trainings on each set."""
    steps: int | None = None
    """Steps of each training, in place of the config's."""
    folder: str | None = None
    """Folder of the rendered images; that of the config where not given."""
    runs: str = "runs/instances"
    """Folder of the runs."""
    device: str = "cpu"
    """Where to train: auto, cpu, cuda."""
    jobs: int = 1
    """Trainings at once."""
    out: str = "benchmarks/results/instances.json"
    """Record to write."""
    picture: str = "docs/images/instances.png"
    """Picture to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    keep_freed()
    target, cells = Path(arguments.out), list(product(arguments.sets, range(arguments.seeds)))
    record = _begun(target, arguments.device)
    for cell in cells:
        _check_collected(_config(cell, arguments))
    due = [cell for cell in cells if not _is_measured(record, cell, arguments)]
    for (name, seed), row in together.done(partial(_measured, arguments), due, jobs=arguments.jobs):
        rows = records.replaced(record["rows"], row, ("set", "seed"))
        record["rows"] = sorted(rows, key=lambda r: (r["set"], r["seed"]))
        files.write_json(target, record)
        sbd = np.mean(np.array(row["likely"]["sbd"])[np.array(row["objects"]) > 0])
        error = np.abs(row["likely"]["difference"]).mean()
        console.print(f"{name}, seed {seed}: SBD {sbd:.3f}, |DiC| {error:.2f}; {row['training_seconds']:.0f} s")
    for cell in cells:
        row = _row(record, cell, arguments)
        if row is not None and "images_per_second" not in row:
            row["images_per_second"] = _speeds(cell, arguments)
            files.write_json(target, record)
    _draw((arguments.sets[-1], 0), arguments)
    console.print(f"written: {target}")


def _begun(target: Path, device: str) -> dict[str, Any]:
    """The record at the target where it was made with these versions, or one without rows."""
    what = "symmetric best Dice and difference in count of each image for testing; images a second"
    return records.begun(target, what, same={"device": device}, kept={"rows": []})


def _config(cell: Cell, arguments: Arguments) -> Experiment:
    """The config of a cell, with the folder that is given where its images are rendered."""
    name, seed = cell
    config = experiment.read(CONFIGS / f"{name}_instances.yaml").model_copy(update={"seed": seed})
    if arguments.steps is not None:
        warmup = min(config.train.warmup, arguments.steps // 10)
        train = config.train.model_copy(update={"steps": arguments.steps, "warmup": warmup})
        config = config.model_copy(update={"name": f"{config.name}-{arguments.steps}", "train": train})
    if arguments.folder is None or not isinstance(config.data, ImageSetBlock):
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"folder": arguments.folder})})


def _check_collected(config: Experiment) -> None:
    """Raises `FileNotFoundError` before any work where rendered images are missing."""
    if isinstance(config.data, ImageSetBlock) and not sets.exists(Path(config.data.folder)):
        raise FileNotFoundError(
            f"there is no whole set of images in {config.data.folder}. Collect it (embodied-gen collect "
            f"configs/tabletop_images.yaml --data.folder {config.data.folder}), or name another one with --folder."
        )


def _key(cell: Cell, arguments: Arguments) -> dict[str, Any]:
    """What a row is of: a set, a seed and all that decides the course of a run; images by what they are, not where."""
    config, digest = _config(cell, arguments), ""
    if isinstance(config.data, ImageSetBlock):
        digest = records.digest(Path(config.data.folder) / "images.json")
        config = config.model_copy(update={"data": config.data.model_copy(update={"folder": ""})})
    return {"set": cell[0], "seed": cell[1], "course": config.fingerprint(digest, 1)}


def _row(record: dict[str, Any], cell: Cell, arguments: Arguments) -> dict[str, Any] | None:
    return next((row for row in record["rows"] if _key(cell, arguments).items() <= row.items()), None)


def _is_measured(record: dict[str, Any], cell: Cell, arguments: Arguments) -> bool:
    """Whether a cell has all its numbers, or its run lies there to be timed."""
    row = _row(record, cell, arguments)
    return row is not None and ("images_per_second" in row or _run(cell, arguments).is_dir())


def _run(cell: Cell, arguments: Arguments) -> Path:
    """Folder of a cell's run."""
    return Path(arguments.runs) / f"{_config(cell, arguments).name}-{cell[1]}"


def _measured(arguments: Arguments, cell: Cell) -> dict[str, Any]:
    """Trains a segmenter, or takes up its run, and scores it."""
    config, folder = _config(cell, arguments), _run(cell, arguments)
    trained = scored.seconds_of(folder, lambda: _train(config, folder, arguments.device), time.process_time)
    test = _testing(config)
    likely, drawn = _answers(experiment.load(folder), test)
    return _key(cell, arguments) | {
        "objects": [len(torch.unique(one[one > 0])) for one in test.instances],
        "likely": _plain(instance_scores(likely, test.instances)),
        "drawn": _plain(instance_scores(drawn, test.instances)),
        "steps": config.train.steps,
        "training_seconds": trained,
    }


def _train(config: Experiment, folder: Path, device: str) -> None:
    with joined(device) as processes:
        teach(config, lessons_of(config, processes.device), folder, resume=True, processes=processes)


def _testing(config: Experiment) -> InstanceExamples:
    assert isinstance(config.control, InstancesControl) and isinstance(config.data, LeavesBlock | ImageSetBlock)
    return config.data.examples("test", config.control.size)


def _answers(run: Run, test: InstanceExamples) -> tuple[Tensor, Tensor]:
    """The most likely instance maps, and one draw of each."""
    head, parts = run.predictor.head, []
    assert isinstance(head, RecurrentAttentionHead)
    for at in range(0, len(test), TOGETHER):
        with torch.no_grad():
            c = run.predictor.encoder(test.images[at : at + TOGETHER])
        streams = [draws.generator(run.experiment.seed, at + row) for row in range(len(c))]
        parts.append((head.segment(c).labels, head.event.decode(head.sample(c, generator=streams)[:, 0])))
    likely, drawn = (torch.cat(each) for each in zip(*parts, strict=True))
    return likely, drawn


def _speeds(cell: Cell, arguments: Arguments) -> dict[str, float]:
    """Images a second of the most likely answer, by the number of images at once."""
    device = resolve_device(arguments.device)
    run = experiment.load(_run(cell, arguments), device)
    images = _testing(_config(cell, arguments)).images
    console.print(f"images a second: {cell[0]}, seed {cell[1]}", soft_wrap=True)
    found = {}
    for batch in BATCHES:
        seen = images[torch.arange(batch) % len(images)].to(device)
        found[f"batch_{batch}"] = images_a_second(partial(_likely, run, seen), batch)
    return found


def _likely(run: Run, seen: Tensor, call: int) -> Tensor:
    """The most likely instance maps, which no call draws."""
    head = run.predictor.head
    assert isinstance(head, RecurrentAttentionHead)
    return head.segment(run.predictor.encoder(seen)).labels


def _plain(scores: InstanceScores) -> dict[str, list[float]]:
    return {"sbd": np.round(scores.sbd, 4).tolist(), "difference": scores.difference.tolist()}


def _draw(cell: Cell, arguments: Arguments) -> None:
    """Images, true objects and the most likely answers of a cell's run, one row each."""
    folder = _run(cell, arguments)
    if not folder.is_dir():
        console.print(f"no picture, for the run {folder} is gone", soft_wrap=True)
        return
    test = _testing(_config(cell, arguments))
    with torch.no_grad():
        labels = _likely(experiment.load(folder), test.images[:SHOWN], 0)
    most = int(max(labels.max(), test.instances[:SHOWN].max()))
    palette = np.vstack([[40, 44, 52], np.random.default_rng(3).uniform(90, 255, (most, 3))]).astype(np.uint8)
    rows = [test.images[:SHOWN].numpy(), *(palette[maps.numpy()] for maps in (test.instances[:SHOWN], labels))]
    framed = [np.pad(row, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255) for row in rows]
    panels = np.concatenate([np.concatenate(list(row), axis=1) for row in framed])
    path = Path(arguments.picture)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(panels.repeat(ENLARGED, 0).repeat(ENLARGED, 1)).save(path, optimize=True)
    console.print(f"written: {path}")


if __name__ == "__main__":
    main()
