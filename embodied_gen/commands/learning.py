"""Training into a run folder with a bar of progress: what policies and detectors share."""

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from embodied_gen.commands.console import progress
from embodied_gen.config import Block
from embodied_gen.demos.examples import Examples
from embodied_gen.predictor import Predictor
from embodied_gen.training import Course, checkpoint, fit
from embodied_gen.training.processes import Processes
from embodied_gen.training.settings import TrainSettings


def prepare(
    run: Path,
    resume: bool,
    asked: Block,
    course: Course,
    *,
    save: Callable[[], None],
    load: Callable[[Path], tuple[Block, object]],
) -> None:
    """Writes a run's config, but never over that of another run.

    Args:
        run: Folder of the run.
        resume: Whether it may go on; its config must then be one that can be read.
        asked: Config that is asked for.
        course: That goes with it.
        save: Writes that config.
        load: Reads that of a run, first of a pair.

    Raises:
        ValueError: If the config of a run that is to go on is damaged, or has another course, name or environment.
    """
    if checkpoint.state_path(run).exists() or checkpoint.model_path(run).exists():
        if not resume:
            return  # refused by the training loop
        kept, wanted = (config.model_dump(mode="json") for config in (load(run)[0], asked))
        if kept == wanted or not checkpoint.state_path(run).exists():
            return
        checkpoint.check(run, course)
        _refuse_another(run, kept, wanted)
    run.mkdir(parents=True, exist_ok=True)
    save()


def _refuse_another(run: Path, kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for key in ("name", "env"):
        if kept.get(key) != wanted.get(key):
            raise ValueError(
                f"{run} has {key} {json.dumps(kept.get(key))}, not {json.dumps(wanted.get(key))} as asked for. Resume "
                "with its own (run/config.json holds it), or train into another folder with --out."
            )


def learn(
    predictor: Predictor,
    examples: Examples,
    checks: Examples | None,
    settings: TrainSettings,
    *,
    run: Path,
    course: Course,
    resume: bool,
    processes: Processes,
) -> None:
    """Trains a predictor into a run folder; see `fit` for the arguments and what is raised."""
    first = checkpoint.steps_taken(run) if resume else 0
    bar = progress("train", settings.steps, done=first) if processes.first else nullcontext(_say_nothing)
    with bar as advance:
        shown = ""

        def report(step: int, values: dict[str, float]) -> None:
            nonlocal shown
            if "loss" in values:
                shown = f"loss {values['loss']:.4f}"
            if "held_out_loss" in values:
                shown += f", held out {values['held_out_loss']:.4f}"
            advance(shown)

        fit(
            predictor,
            examples,
            checks,
            settings,
            run=run,
            course=course,
            resume=resume,
            processes=processes,
            report=report,
        )


def _say_nothing(note: str) -> None:
    """The progress of a process that does not talk."""
