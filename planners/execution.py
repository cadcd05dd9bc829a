"""Execution: from a wanted next state to an action.

`InverseDynamics` is learned from the same demonstrations as the planner and knows no model: a = f(s_t, s_{t+1}).
`Tracker` is a proportional-derivative controller whose gains somebody chose by hand; planners that need one are
reported as such.
"""

import abc
from collections.abc import Sequence
from typing import final

import numpy as np
import torch

from embodied_gen import draws
from embodied_gen.control import filled
from embodied_gen.predictor import Predictor


class Execution(abc.ABC):
    """How a plan is followed, one control step at a time."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Numbers in one action."""

    @abc.abstractmethod
    def act(self, states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Actions that lead from states to wanted next states, each `(S, C)`, physical units; shape `(S, A)`."""


@final
class InverseDynamics(Execution):
    """A learned action between two neighbouring states.

    Args:
        predictor: Of one action from two states, trained with `control.kind: inverse`.
        channels: Which of the plan's channels its states are.
        block: Rows of every prediction, so that results do not depend on the number of episodes; None for as many
            as there are.
    """

    def __init__(self, predictor: Predictor, channels: Sequence[int], *, block: int | None = None):
        self.predictor = predictor.eval()
        self.channels, self.block = list(channels), block
        self._device = predictor.head.event.low.device

    @property
    def size(self) -> int:
        """Numbers in one action."""
        return self.predictor.head.event.shape[-1]

    def act(self, states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The predicted actions."""
        pairs = np.stack([states[:, self.channels], wanted[:, self.channels]], 1).astype(np.float32)
        block = self.block or len(pairs)
        return np.concatenate([self._predict(pairs[start : start + block]) for start in range(0, len(pairs), block)])

    def _predict(self, pairs: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(filled(pairs, self.block)).to(self._device)
        generator = draws.generator(0, device=self._device)  # a regression at temperature zero draws nothing
        actions = self.predictor.predict(rows, generator=generator)
        return actions[: len(pairs), 0].cpu().numpy()


@final
class OnCourse(Execution):
    """An execution that is asked for velocities which lead back to the plan.

    A plan's velocities alone let errors of position add up. With positions x, velocities v and the plan's x', v' one
    control step later, what is asked for is

        v' + (x' - x - h v') / time,

    so that an error of position falls e-fold within the time where the execution does as it is asked.

    Args:
        execution: Follows the states that it is asked for.
        position: Channels of the plan that are positions.
        velocity: Channels of the plan that are their velocities, as many.
        period: Time h of a control step [s], > 0.
        time: In which an error falls e-fold [s], at least the period.

    Raises:
        ValueError: If the channels are not as many, or a time is out of range.
    """

    def __init__(
        self,
        execution: Execution,
        position: Sequence[int],
        velocity: Sequence[int],
        *,
        period: float,
        time: float,
    ):
        _require_as_many(position, velocity)
        if not 0 < period <= time:
            raise ValueError(f"period must be positive and at most time; got {period} and {time}.")
        self.execution, self.period, self.time = execution, period, time
        self.position, self.velocity = list(position), list(velocity)

    @property
    def size(self) -> int:
        """Numbers in one action."""
        return self.execution.size

    def act(self, states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The execution's actions."""
        asked = wanted.copy()
        speed = wanted[:, self.velocity]
        away = wanted[:, self.position] - states[:, self.position] - self.period * speed
        asked[:, self.velocity] = speed + away / self.time
        return self.execution.act(states, asked)


@final
class Tracker(Execution):
    """A proportional-derivative controller, a = p (x' - x) + d (v' - v).

    Args:
        position: Channels of the plan that are positions x.
        velocity: Channels of the plan that are velocities v, as many.
        p: Gain on positions, action units a unit of position.
        d: Gain on velocities, action units a unit of velocity.

    Raises:
        ValueError: If the channels are not as many.
    """

    def __init__(self, position: Sequence[int], velocity: Sequence[int], *, p: float, d: float):
        _require_as_many(position, velocity)
        self.position, self.velocity, self.p, self.d = list(position), list(velocity), p, d

    @property
    def size(self) -> int:
        """Numbers in one action."""
        return len(self.position)

    def act(self, states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The controller's actions."""
        away = wanted - states
        return self.p * away[:, self.position] + self.d * away[:, self.velocity]


def _require_as_many(position: Sequence[int], velocity: Sequence[int]) -> None:
    if len(position) != len(velocity) or not position:
        raise ValueError(
            f"position and velocity must name as many channels; got {list(position)} and {list(velocity)}."
        )
