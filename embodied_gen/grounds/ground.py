"""Grounds: what families are compared on. Each has its data, one network and one number of steps for all families."""

import abc
from collections.abc import Callable
from typing import Any

from pydantic import Field

from embodied_gen.blocks import EventBlock, MLPBlock, NetBlock, PolicyControl, TrajectoryBlock
from embodied_gen.config import Block
from embodied_gen.demos.episodes import Episodes
from embodied_gen.predictor import Predictor
from embodied_gen.training.settings import TrainSettings

Shown = Callable[[str], None]


class Ground(Block, abc.ABC):
    """A data set, a network, a number of steps, and how the trained predictor is judged."""

    event: EventBlock = TrajectoryBlock()
    net: NetBlock = MLPBlock()
    control: PolicyControl = PolicyControl()
    train: TrainSettings = TrainSettings()
    held_out: float = Field(0.05, gt=0, lt=1, description="Share of episodes that density and calibration are for.")

    def missing(self) -> int:
        """How many episodes have to be recorded before there are data."""
        return 0

    @abc.abstractmethod
    def episodes(self, show: Shown) -> Episodes:
        """The data of all families and training seeds; `show` is called with a note after each recorded episode.

        Raises:
            ValueError: If they cannot be made or read.
        """

    @abc.abstractmethod
    def judge(self, predictor: Predictor, *, seed: int, workers: int) -> dict[str, Any]:
        """What the predictor is worth here, as plain JSON.

        Args:
            predictor: Trained.
            seed: Of the draws, where the ground has no fixed ones.
            workers: Processes that hold environments, where there are any.

        Returns:
            `trials` and `successes`; `parts`, how often each of the ways of doing it well was taken, where they are
            counted; and what else is known.
        """
