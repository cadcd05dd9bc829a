"""Training of detectors: what `embodied-gen train` does with a config that has a block `detector`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_gen.commands.console import console, parse
from embodied_gen.commands.learning import learn, prepare
from embodied_gen.demos.boxed_images import BoxedImages
from embodied_gen.detection.experiment import Detection, build, images_of, load_config, read, save_config
from embodied_gen.detection.image_file import read_images
from embodied_gen.predictor import Predictor
from embodied_gen.training import Course, checkpoint
from embodied_gen.training.processes import Processes, joined


@dataclass
class Arguments:
    """Trains the detector of a config from its file of images and keeps a run folder.

    Every value of the config can be given here too, as in --train.steps 5000. Ctrl-C saves and stops; --resume
    continues to the same weights as if nothing had happened.
    """

    config: tyro.conf.Positional[str]
    """Config file with a block detector."""
    detection: Annotated[tyro.conf.AvoidSubcommands[Detection], tyro.conf.arg(name="")]
    out: str | None = None
    """Folder of the run; runs/NAME of the config where not given."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Continue the folder's run, or start it where there is none."""
    device: str = "auto"
    """Where to train: auto, cpu, cuda, cuda:1."""


def train(path: str, arguments: list[str]) -> None:
    """Trains by the config file at a path, which is among the arguments."""
    parsed = parse(Arguments, "train", arguments, config=path, detection=read(Path(path)))
    detection = parsed.detection
    run = Path(parsed.out or Path("runs") / detection.name)
    examples, classes = read_images(Path(detection.data.file), mirrors=detection.data.mirrors)
    with joined(parsed.device) as processes:
        _train(detection, examples, classes, run, parsed.resume, processes)


def _train(
    detection: Detection,
    examples: BoxedImages,
    classes: tuple[str, ...],
    run: Path,
    resume: bool,
    processes: Processes,
) -> None:
    kept, held_out = examples.split(detection.data.held_out, seed=detection.seed)
    seen, checks = kept.to(processes.device), None if held_out is None else held_out.to(processes.device)
    images = images_of(examples, classes)
    predictor = build(detection, images).to(processes.device)
    course = Course(detection.fingerprint(examples.digest(), processes.count), detection.seed)
    if processes.first:
        prepare(run, resume, save=lambda: save_config(run, detection, images), load=load_config)
        _introduce(detection, predictor, seen, run, processes)
    learn(predictor, seen, checks, detection.train, run=run, course=course, resume=resume, processes=processes)
    if processes.first:
        console.print(f"trained {detection.name}: {checkpoint.model_path(run)}", soft_wrap=True)


def _introduce(
    detection: Detection, predictor: Predictor, examples: BoxedImages, run: Path, processes: Processes
) -> None:
    count = sum(p.numel() for p in predictor.parameters())
    console.print(
        f"{detection.name}: detector {detection.detector.kind}, {count:,} parameters; {examples.images:,} images, "
        f"{len(examples):,} with mirrors; on {processes.device}, into {run}",
        soft_wrap=True,
    )
