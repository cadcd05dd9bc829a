"""`embodied-gen train`: demonstrations become a policy, recordings a forecaster, images a segmenter or a detector.

Outlines become a model of outlines.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from embodied_gen import config
from embodied_gen.commands import detectors
from embodied_gen.commands.card import card_of, write_card
from embodied_gen.commands.console import config_of, console, named_config, parse
from embodied_gen.commands.learning import learn, prepare
from embodied_gen.commands.lessons import Lessons, lessons_of
from embodied_gen.experiment import Experiment, build, load_config, save_config, sizes_of
from embodied_gen.nets.base import parameters_of
from embodied_gen.predictor import Predictor
from embodied_gen.training import Course, checkpoint
from embodied_gen.training.processes import Processes, joined
from embodied_gen.training.start import start_from


@dataclass
class Arguments:
    """Trains the policy, the forecaster or the segmenter of a config from its data and keeps a run folder.

    Every value of the config can be given here too, as in --train.steps 5000. Ctrl-C saves and stops; --resume
    continues to the same weights as if nothing had happened. For several processes: torchrun --nproc-per-node 2 -m
    embodied_gen train CONFIG.
    """

    config: tyro.conf.Positional[str]
    """Config file, such as configs/avoid_flow.yaml."""
    experiment: Annotated[tyro.conf.AvoidSubcommands[Experiment], tyro.conf.arg(name="")]
    out: str | None = None
    """Folder of the run; runs/NAME of the config where not given."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Continue the folder's run, or start it where there is none."""
    device: str = "auto"
    """Where to train: auto, cpu, cuda, cuda:1."""


def main(arguments: list[str]) -> None:
    """Runs the verb."""
    named = named_config(arguments)
    if named is not None and "detector" in config.keys_of(Path(named)):
        detectors.train(named, arguments)
        return
    path, loaded = config_of(arguments)
    parsed = parse(Arguments, "train", arguments, config=path, experiment=loaded)
    experiment = parsed.experiment
    run = Path(parsed.out or Path("runs") / experiment.name)
    with joined(parsed.device) as processes:
        teach(experiment, lessons_of(experiment, processes.device), run, parsed.resume, processes)


def teach(experiment: Experiment, lessons: Lessons, run: Path, resume: bool, processes: Processes) -> None:
    """Trains the predictor of an experiment and keeps its run folder; see `fit` for what is raised."""
    predictor = build(experiment, lessons.examples).to(processes.device)
    begun = "" if experiment.start_from is None else start_from(predictor, Path(experiment.start_from))
    course = Course(experiment.fingerprint(lessons.digest + begun, processes.count), experiment.seed)
    if processes.first:
        sizes = sizes_of(predictor)
        prepare(run, resume, experiment, course, save=lambda: save_config(run, experiment, sizes), load=load_config)
        _introduce(experiment, predictor, lessons, run, processes.device)
    learn(
        predictor,
        lessons.examples,
        lessons.held_out,
        experiment.train,
        run=run,
        course=course,
        resume=resume,
        processes=processes,
    )
    if processes.first:
        write_card(run, card_of(experiment, predictor, lessons))
        console.print(f"trained {experiment.name}: {checkpoint.model_path(run)}", soft_wrap=True)


def _introduce(experiment: Experiment, predictor: Predictor, lessons: Lessons, run: Path, device: torch.device) -> None:
    console.print(
        f"{experiment.name}: head {experiment.head.kind}, net {experiment.net.kind}, "
        f"{parameters_of(predictor):,} parameters; {lessons.kept}, "
        f"{len(lessons.examples):,} examples; on {device}, into {run}",
        soft_wrap=True,
    )
    for note in lessons.notes:
        console.print(note, soft_wrap=True, markup=False)
