"""The task of a run: its environment, as its config or the command line has it, and what guides ask of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import gymnasium as gym
import numpy as np
from shapely.geometry import MultiPolygon, Polygon

from embodied_gen import experiment
from embodied_gen.blocks import EnvBlock

EXAMPLE = EnvBlock(id="embodied/Avoid-v0")  # for help, where no run is named


def env_block_of(arguments: list[str]) -> EnvBlock:
    """The environment of the run that is named among the arguments, to be changed by flags; an example without one.

    Raises:
        FileNotFoundError: If flags change the environment of what is not a run.
        ValueError: If the run's config is damaged, or has no environment.
    """
    run = run_among(arguments)
    if run is None and not any(word.startswith("--env") for word in arguments):
        return EXAMPLE
    return experiment.load_config(run or Path([*_words(arguments), "RUN"][0]))[0].task[0]


def run_among(arguments: list[str]) -> Path | None:
    """The run that is named among the arguments of a verb; None without one."""
    return next((Path(word) for word in _words(arguments) if (Path(word) / "config.json").is_file()), None)


def check_run(found: Path | None, parsed: str) -> None:
    """Raises `ValueError` where flags were read for what was found among the arguments, and RUN is another run."""
    if found != Path(parsed) and (Path(parsed) / "config.json").is_file():
        raise ValueError(
            f"flags were read for {found or 'no run'}, but RUN is {parsed}. Name RUN before all flags, and once."
        )


def _words(arguments: list[str]) -> list[str]:
    """Arguments that are neither flags nor the value of one."""
    pairs = zip(["", *arguments], arguments, strict=False)
    return [word for before, word in pairs if not _takes_next(before) and not word.startswith("-")]


def _takes_next(word: str) -> bool:
    """Whether the next argument is the value of a flag; `--flag=value` has its own, and `-0.5` is a value."""
    return word.startswith("--") and "=" not in word


@final
@dataclass(frozen=True)
class Surroundings:
    """What guides ask of an environment.

    Attributes:
        period: Time of a control step [s].
        size: Numbers in one observation.
        free: Where the position may be [m]; None where the environment does not say.
    """

    period: float
    size: int
    free: Polygon | MultiPolygon | None


def surroundings_of(env: gym.Env) -> Surroundings:
    """What an environment says: `metadata["render_fps"]` is the rate of control, `free_space()` a polygon."""
    free_space = getattr(env.unwrapped, "free_space", None)
    size = int(np.prod(env.observation_space.shape or ()))
    return Surroundings(1 / env.metadata.get("render_fps", 10), size, free_space() if free_space is not None else None)
