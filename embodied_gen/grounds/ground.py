"""Grounds: what families are compared on. Each has its data, one network and one number of steps for all families."""

import abc
from collections.abc import Callable
from typing import Any

from pydantic import Field
from torch import Tensor

from embodied_gen.blocks import EventBlock, MLPBlock, NetBlock, PolicyControl, TrajectoryBlock
from embodied_gen.config import Block
from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Batch
from embodied_gen.events import Event
from embodied_gen.experiment import Sizes
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
    def sizes(self) -> Sizes:
        """Numbers in one observation and in one step of a value, which are known before there are data."""

    def event_of(self, values: Tensor) -> Event:
        """The event that all families predict, from the values of all episodes, physical units, shape `(N, T, D)`."""
        return self.event.build(values)

    @property
    @abc.abstractmethod
    def judgements(self) -> int:
        """Trials of a judgement."""

    @abc.abstractmethod
    def judge(self, predictor: Predictor, *, seed: int, workers: int) -> dict[str, Any]:
        """What the predictor is worth here, as plain JSON.

        Args:
            predictor: Trained.
            seed: Of the draws, where the ground has no fixed ones.
            workers: Processes that hold environments, where there are any.

        Returns:
            `trials` and `successes`; where the ways of doing it well are counted, `parts`, how often each of them was
            taken in each context, and `due`, how often each of them should be; and what else is known.

        Raises:
            FloatingPointError: If draws are not finite.
            ValueError: If the predictor cannot be judged.
        """

    def surprise_of_truth(self, held_out: Batch, event: Event) -> float | None:
        """The mean of -log p(x | c) by the law that examples come from, for each number of an event, model units.

        Args:
            held_out: Examples.
            event: What a value is to heads.

        Returns:
            Nat; None where the law is not known.
        """
        return None


def require_finite(drawn: Tensor) -> None:
    """Raises `FloatingPointError` unless all numbers that a trained head drew are finite."""
    wrong = int((~drawn.isfinite()).sum())
    if wrong:
        raise FloatingPointError(f"{wrong} of {drawn.numel()} numbers that the trained head drew are not finite.")
