"""Scores of segmenters: what `embodied-gen evaluate` does with the run of one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from pydantic import Field
from rich.table import Table

from embodied_gen import experiment, provenance
from embodied_gen.blocks import LabelledImagesBlock, LabelledSetBlock, LabelsBlock, SegmentationControl
from embodied_gen.commands.console import console, parse
from embodied_gen.commands.task import check_run
from embodied_gen.heads import HasMarginals
from embodied_gen.images.segmenter import Judged, Segmenter, judge
from embodied_gen.training import files
from embodied_gen.training.processes import resolve_device

Labels = Annotated[LabelsBlock, Field(discriminator="kind")]


@dataclass
class Arguments:
    """Scores a segmenter on the test part of its images and writes eval.json into its run.

    A segmenter acts in no environment: it is scored by mean IoU, accuracy, the F1 of boundaries and by how far its
    probabilities can be believed. Where its head has no marginals of pixels, several maps of each image are drawn, and
    the class of a pixel is the one that most of them have.

    The images can be others with the same classes, --data.folder FOLDER.
    """

    run: tyro.conf.Positional[str]
    """Folder of a segmenter's run."""
    data: Annotated[tyro.conf.AvoidSubcommands[Labels], tyro.conf.arg(name="data")]
    """The images, the run's own where not given."""
    drawn: int = 16
    """Maps drawn of each image where the head has no marginals."""
    seed: int = 0
    """Of the draws."""
    batch: int = 8
    """Images that are looked at together; changes the speed, and nothing else but rounding."""
    json: str | None = None
    """Write the record here instead of RUN/eval.json."""
    device: str = "auto"
    """Where the segmenter computes: auto, cpu, cuda."""
    threads: int = 1
    """Threads of its products on a CPU."""


def is_run(folder: Path) -> bool:
    """Whether a folder is the run of a segmenter; see `experiment.load_config` for what is raised."""
    return isinstance(experiment.load_config(folder)[0].control, SegmentationControl)


def evaluate(folder: Path, arguments: list[str]) -> None:
    """Scores the run in a folder, which is among the arguments."""
    data = experiment.load_config(folder)[0].data
    parsed = parse(Arguments, "evaluate", arguments, run=str(folder), data=data)
    check_run(folder, parsed.run)
    if parsed.threads < 1:
        raise ValueError(f"--threads must be at least 1; got {parsed.threads}.")
    torch.set_num_threads(parsed.threads)
    record = _record(folder, parsed)
    target = Path(parsed.json) if parsed.json else folder / "eval.json"
    files.write_json(target, record)
    console.print(_table(record))
    console.print(f"written: {target}", soft_wrap=True)


def _record(folder: Path, parsed: Arguments) -> dict[str, Any]:
    run = experiment.load(folder, resolve_device(parsed.device))
    control = run.experiment.control
    assert isinstance(control, SegmentationControl)
    assert isinstance(run.experiment.data, LabelledImagesBlock | LabelledSetBlock)
    segmenter = Segmenter(run.predictor, batch=parsed.batch, drawn=parsed.drawn, seed=parsed.seed)
    if parsed.data.classes != run.experiment.data.classes:
        raise ValueError(
            f"the run has the classes {', '.join(run.experiment.data.classes)}; data.classes are "
            f"{', '.join(parsed.data.classes)}. Name images with the run's classes, in their order."
        )
    found = parsed.data.testing(control.size)
    drawn = None if isinstance(run.predictor.head, HasMarginals) else parsed.drawn
    return {
        "schema": files.SCHEMA,
        "run": run.experiment.name,
        "head": run.experiment.head.kind,
        "step": run.step,
        "images": {"source": found.source, "count": len(found)},
        "drawn": drawn,
        "seed": parsed.seed,
        "scores": _scores(judge(segmenter, found), parsed.data.classes),
        "versions": provenance.versions(),
    }


def _scores(judged: Judged, classes: tuple[str, ...]) -> dict[str, Any]:
    """Plain numbers, null where there is none."""
    scores = judged.scores()
    names = ("mean_iou", "accuracy", "class_accuracy", "boundary")
    found: dict[str, Any] = {name: _plain(getattr(scores, name)) for name in names}
    found["calibration_error"] = _plain(judged.calibration_error)
    return found | {"classes": {name: _plain(iou) for name, iou in zip(classes, scores.iou.tolist(), strict=True)}}


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _table(record: dict[str, Any]) -> Table:
    """The scores of a record."""
    scores, images = record["scores"], record["images"]
    shown = Table("", "value", title=f"{record['run']} on {images['count']} images of {images['source']}")
    names = {
        "mean_iou": "mean IoU",
        "accuracy": "accuracy",
        "class_accuracy": "class average",
        "boundary": "boundary F1",
        "calibration_error": "calibration error",
    }
    for key, name in names.items():
        shown.add_row(name, _number(scores[key]))
    for name, value in scores["classes"].items():
        shown.add_row(f"IoU of {name}", _number(value))
    if record["drawn"] is not None:
        shown.add_row("maps drawn", str(record["drawn"]))
    return shown


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
