"""Training into a run folder with a bar of progress: what policies and detectors share."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from embodied_gen.commands.console import progress
from embodied_gen.demos.examples import Examples
from embodied_gen.predictor import Predictor
from embodied_gen.training import Course, checkpoint, fit
from embodied_gen.training.processes import Processes
from embodied_gen.training.settings import TrainSettings


def prepare(run: Path, resume: bool, *, save: Callable[[], None], load: Callable[[Path], object]) -> None:
    """Writes a run's config, but never over that of another run.

    Args:
        run: Folder of the run.
        resume: Whether it may go on; its config must then be one that can be read.
        save: Writes the config of a new run.
        load: Reads that of a run.

    Raises:
        ValueError: If the config of a run that is to go on is damaged.
    """
    if checkpoint.state_path(run).exists() or checkpoint.model_path(run).exists():
        if resume:
            load(run)
        return  # refused by the training loop where it cannot go on
    run.mkdir(parents=True, exist_ok=True)
    save()


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
    bar = progress("train", settings.steps) if processes.first else nullcontext(_say_nothing)
    with bar as advance:
        shown, done = "", 0

        def report(step: int, values: dict[str, float]) -> None:
            nonlocal shown, done
            if "loss" in values:
                shown = f"loss {values['loss']:.4f}"
            if "held_out_loss" in values:
                shown += f", held out {values['held_out_loss']:.4f}"
            for _ in range(step - done):  # many at once where a run is resumed
                advance(shown)
            done = step

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
