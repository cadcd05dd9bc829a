"""Scores of detectors: what `embodied-gen evaluate` does with the run of one."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.table import Table

from embodied_gen import detection, provenance
from embodied_gen.commands.console import console, parse
from embodied_gen.commands.task import check_run
from embodied_gen.demos.boxed_images import BoxedImages
from embodied_gen.detection import spreads
from embodied_gen.detection.data import BoxedBlock
from embodied_gen.detection.experiment import check_images, load_config
from embodied_gen.heads import Guide
from embodied_gen.predictor import Predictor
from embodied_gen.training import files
from embodied_gen.training.processes import resolve_device
from planners.guides import read_guide


@dataclass
class Arguments:
    """Scores a detector on the test part of its images and writes eval.json into its run.

    A detector acts in no environment: it is scored by average precision as COCO defines it, over IoUs from 0.50 to
    0.95, at 0.50 and at 0.75, and by how far its scores can be believed. Every image has its own random numbers.

    The images can be others of the same size and classes, --data.folder FOLDER. Boxes from noise can be more or fewer,
    in more steps, without a training:

        embodied-gen evaluate runs/boxes-denoising --boxes 300 --steps 4

    Of a detector that draws boxes, several draws of the first images are compared with the truth, too: how wide they
    spread around what is detected, and how often the central half, eight and nine tenths of them hold the thing; as
    they are drawn, and with the residuals that the other half of the images teaches.
    """

    run: tyro.conf.Positional[str]
    """Folder of a detector's run."""
    data: Annotated[tyro.conf.AvoidSubcommands[BoxedBlock], tyro.conf.arg(name="data")]
    """The images, the run's own where not given."""
    boxes: int | None = None
    """Boxes of a detector that draws them from noise, its own number where not given."""
    steps: int | None = None
    """Steps of its sampler, likewise."""
    draws: int = spreads.DRAWS
    """Draws of an image whose spread is measured, 19 or more for all its intervals; 0 leaves it out."""
    draw_steps: int = spreads.STEPS
    """Steps of each of those draws."""
    guide: str | None = None
    """Guide file about boxes: what is known of every image."""
    seed: int = 0
    """Of the draws."""
    batch: int = detection.scoring.BATCH
    """Images that are looked at together; changes the speed, and nothing else but rounding."""
    json: str | None = None
    """Write the record here instead of RUN/eval.json."""
    device: str = "auto"
    """Where the detector computes: auto, cpu, cuda."""
    threads: int = 1
    """Threads of its products on a CPU."""


def evaluate(folder: Path, arguments: list[str]) -> None:
    """Scores the run in a folder, which is among the arguments."""
    data = load_config(folder)[0].data
    parsed = parse(Arguments, "evaluate", arguments, run=str(folder), data=data)
    check_run(folder, parsed.run)
    for name in ("batch", "threads", "draw_steps"):
        if getattr(parsed, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1; got {getattr(parsed, name)}.")
    if parsed.draws < 0 or parsed.draws == 1:
        raise ValueError(f"--draws must be 0, or at least 2, for one does not spread; got {parsed.draws}.")
    torch.set_num_threads(parsed.threads)
    record = _record(folder, parsed)
    target = Path(parsed.json) if parsed.json else folder / "eval.json"
    files.write_json(target, record)
    console.print(_table(record))
    console.print(f"written: {target}", soft_wrap=True)


def _record(folder: Path, parsed: Arguments) -> dict[str, Any]:
    device = resolve_device(parsed.device)
    run = detection.load(folder, device)
    detection.adjust(run.predictor, boxes=parsed.boxes, steps=parsed.steps)
    guide = None if parsed.guide is None else read_guide(Path(parsed.guide)).of_boxes()
    examples, classes = parsed.data.testing()
    check_images(run.images, examples, classes)
    examples = examples.to(device)
    rows = detection.detections(run.predictor, examples, seed=parsed.seed, batch=parsed.batch, guide=guide)
    record = {
        "schema": files.SCHEMA,
        "run": run.detection.name,
        "detector": run.detection.detector.kind,
        "step": run.step,
        "images": {"source": examples.source, "count": examples.images},
        "boxes": rows.shape[1],
        "steps": getattr(run.predictor.head, "steps", 1),
        "seed": parsed.seed,
        "guide": parsed.guide,
        "scores": asdict(detection.score(rows, examples, classes)),
    }
    if parsed.draws > 0 and detection.draws_boxes(run.predictor):
        record["spread"] = _spread(run.predictor, examples, parsed, guide)
    return record | {"versions": provenance.versions()}


def _spread(
    predictor: Predictor, examples: BoxedImages, parsed: Arguments, guide: Guide | None
) -> dict[str, Any] | None:
    """How draws spread, None where nothing is detected."""
    found = detection.spread(
        predictor, examples, count=parsed.draws, steps=parsed.draw_steps, seed=parsed.seed, guide=guide
    )
    return None if found is None else {"draws": parsed.draws, "steps": parsed.draw_steps} | asdict(found)


def _table(record: dict[str, Any]) -> Table:
    """The scores of a record."""
    scores, images = record["scores"], record["images"]
    shown = Table("", "value", title=f"{record['run']} on {images['count']} images of {images['source']}")
    names = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "recall": "recall at 0.50", "calibration": "calibration error"}
    for key, name in names.items():
        shown.add_row(name, _number(scores[key]))
    for name, value in scores["classes"].items():
        shown.add_row(f"AP of {name}", _number(value))
    shown.add_row("boxes, steps", f"{record['boxes']}, {record['steps']}")
    spread: dict[str, Any] = record.get("spread") or {"levels": ()}
    for place, level in enumerate(spread["levels"]):
        for name, way in (("", "drawn"), (" with residuals", "learned")):
            if held := spread[way]:
                covered, width = (held[number][place] for number in ("coverage", "width"))
                said = f"held by {level:.0%} of {spread['draws']} draws{name}, width"
                shown.add_row(said, f"{covered:.3f}, {width:.3f}")
    return shown


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
