"""Training of detectors: what `embodied-gen train` does with a config that has a block `detector`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_gen.commands.card import Card, write_card
from embodied_gen.commands.console import console, parse
from embodied_gen.commands.learning import learn, prepare
from embodied_gen.detection.data import Boxed
from embodied_gen.detection.experiment import Detection, build, images_of, load_config, read, save_config
from embodied_gen.nets.base import parameters_of
from embodied_gen.predictor import Predictor
from embodied_gen.training import Course, checkpoint
from embodied_gen.training.processes import Processes, joined


@dataclass
class Arguments:
    """Trains the detector of a config from its images and keeps a run folder.

    Every value of the config can be given here too, as in --train.steps 5000. Ctrl-C saves and stops; --resume
    continues to the same weights as if nothing had happened.
    """

    config: tyro.conf.Positional[str]
    """Config file with a block detector, such as configs/boxes_denoising.yaml."""
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
    with joined(parsed.device) as processes:
        teach(detection, detection.data.training(), run, resume=parsed.resume, processes=processes)


def teach(detection: Detection, boxed: Boxed, run: Path, *, resume: bool, processes: Processes) -> None:
    """Trains a detector on images with boxes and keeps its run folder; see `fit` for what is raised."""
    examples, classes = boxed
    kept, held_out = examples.split(detection.data.held_out, seed=detection.seed)
    seen, checks = kept.to(processes.device), None if held_out is None else held_out.to(processes.device)
    images = images_of(examples, classes)
    predictor = build(detection, images).to(processes.device)
    course = Course(detection.fingerprint(examples.digest(), processes.count), detection.seed)
    said = f"{seen.images:,} images, {len(seen):,} with mirrors"
    if processes.first:
        prepare(run, resume, detection, course, save=lambda: save_config(run, detection, images), load=load_config)
        console.print(
            f"{detection.name}: detector {detection.detector.kind}, {parameters_of(predictor):,} parameters; {said}; "
            f"on {processes.device}, into {run}",
            soft_wrap=True,
        )
    learn(predictor, seen, checks, detection.train, run=run, course=course, resume=resume, processes=processes)
    if processes.first:
        write_card(run, _card(detection, predictor, f"Images: `{detection.data.folder}`, {said}", classes))
        console.print(f"trained {detection.name}: {checkpoint.model_path(run)}", soft_wrap=True)


def _card(detection: Detection, predictor: Predictor, data: str, classes: tuple[str, ...]) -> Card:
    kind = detection.detector.kind
    return Card(
        name=detection.name,
        task="object-detection",
        tags=("object-detection", kind),
        what=f"For {', '.join(classes)}: detector `{kind}`, {parameters_of(predictor):,} parameters. It predicts boxes "
        "with a score for each class.",
        data=data,
        train=detection.train,
        seed=detection.seed,
        examples="images",
    )
