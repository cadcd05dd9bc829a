"""Objects one a step: symmetric best Dice and difference in count on drawn leaves and on rendered clutter.

    python benchmarks/instances.py [--sets leaves] [--seeds 1] [--jobs 2]

A set is a config, configs/NAME_instances.yaml, trained with several seeds and scored on its images for testing, which
training never saw: by the most likely answer, and by one draw an image. Intervals are over images, resampled, with
scores averaged over seeds. Rendered clutter must be collected first: embodied-gen collect configs/tabletop_images.yaml.

Writes benchmarks/results/instances.json after every run, and docs/images/instances.png of the last set. Rows that the
file holds of the same config and versions are kept: take the file away to measure all anew. Runs lie in RUNS, and one
that was killed goes on where it was.
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
from PIL import Image
from torch import Tensor

from embodied_gen import draws, experiment
from embodied_gen.blocks import ImageSetBlock, InstancesControl, LeavesBlock
from embodied_gen.commands import together
from embodied_gen.commands.console import console
from embodied_gen.commands.lessons import lessons_of
from embodied_gen.commands.train import learn
from embodied_gen.experiment import Experiment, Run
from embodied_gen.heads import RecurrentAttentionHead
from embodied_gen.images.examples import InstanceExamples
from embodied_gen.statistics import InstanceScores, instance_scores
from embodied_gen.training import files
from embodied_gen.training.processes import joined

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
    target = Path(arguments.out)
    record = _begun(target)
    cells = list(product(arguments.sets, range(arguments.seeds)))
    due = [cell for cell in cells if not any(_key(cell).items() <= row.items() for row in record["rows"])]
    for (name, seed), row in together.done(partial(_measured, arguments), due, jobs=arguments.jobs):
        rows = records.replaced(record["rows"], row, ("set", "seed"))
        record["rows"] = sorted(rows, key=lambda r: (r["set"], r["seed"]))
        files.write_json(target, record)
        sbd, error = np.mean(row["likely"]["sbd"]), np.abs(row["likely"]["difference"]).mean()
        console.print(f"{name}, seed {seed}: SBD {sbd:.3f}, |DiC| {error:.2f}; {row['training_seconds']:.0f} s")
    console.print(f"written: {arguments.out} and {arguments.picture}")


def _begun(target: Path) -> dict[str, Any]:
    """The record at the target where it was made with these versions, or one without rows."""
    what = "symmetric best Dice and difference in count of each image for testing"
    return records.begun(target, what, same={}, kept={"rows": []})


def _config(cell: Cell) -> Experiment:
    name, seed = cell
    return experiment.read(CONFIGS / f"{name}_instances.yaml").model_copy(update={"seed": seed})


def _key(cell: Cell) -> dict[str, Any]:
    return {"set": cell[0], "seed": cell[1], "course": _config(cell).fingerprint("", 1)}


def _measured(arguments: Arguments, cell: Cell) -> dict[str, Any]:
    """Trains a segmenter, or takes up its run, scores it and draws some of its answers."""
    config = _config(cell)
    folder = Path(arguments.runs) / f"{config.name}-{config.seed}"
    trained = scored.seconds_of(folder, lambda: _train(config, folder, arguments.device), time.process_time)
    run = experiment.load(folder)
    assert isinstance(config.control, InstancesControl) and isinstance(config.data, LeavesBlock | ImageSetBlock)
    test = config.data.examples("test", config.control.size)
    started = time.process_time()
    likely, drawn = _answers(run, test)
    seconds = (time.process_time() - started) / (2 * len(test))
    _draw(Path(arguments.picture), test, likely)
    return _key(cell) | {
        "images": len(test),
        "likely": _plain(instance_scores(likely, test.instances)),
        "drawn": _plain(instance_scores(drawn, test.instances)),
        "steps": config.train.steps,
        "training_seconds": trained,
        "seconds_an_image": seconds,
    }


def _train(config: Experiment, folder: Path, device: str) -> None:
    with joined(device) as processes:
        learn(config, lessons_of(config, processes.device), folder, resume=True, processes=processes)


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


def _plain(scores: InstanceScores) -> dict[str, list[float]]:
    return {"sbd": np.round(scores.sbd, 4).tolist(), "difference": scores.difference.tolist()}


def _draw(path: Path, test: InstanceExamples, labels: Tensor) -> None:
    """Images, true objects and answers, one row each."""
    most = int(max(labels.max(), test.instances.max()))
    palette = np.vstack([[40, 44, 52], np.random.default_rng(3).uniform(90, 255, (most, 3))]).astype(np.uint8)
    rows = [test.images[:SHOWN].numpy(), *(palette[maps[:SHOWN].numpy()] for maps in (test.instances, labels))]
    framed = [np.pad(row, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255) for row in rows]
    panels = np.concatenate([np.concatenate(list(row), axis=1) for row in framed])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(panels.repeat(ENLARGED, 0).repeat(ENLARGED, 1)).save(path, optimize=True)


if __name__ == "__main__":
    main()
