"""Execution: from a wanted next state to an action.

`InverseDynamics` is learned from the same demonstrations as the planner and knows no model: a = f(s_t, s_{t+1}).
`Tracker` is a proportional-derivative controller whose gains somebody chose by hand; planners that need one are
reported as such.
"""

import abc
import math
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.control import filled
from embodied_gen.predictor import Predictor
from planners.course import Course, require_as_many


class Execution(abc.ABC):
    """How a plan is followed, one control step at a time."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Numbers in one action."""

    @abc.abstractmethod
    def act(self, states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Actions that lead from states to wanted next states, each `(S, C)`, physical units; shape `(S, A)`."""

    def held(self, ways: Tensor, period: Tensor) -> Tensor:
        """Ways `(B, N, T, C)` as they are expected to be followed, with a time [s] between way-points, shape `(B,)`.

        They are kept where nothing better is known.
        """
        return ways

    def stopping(self, state: np.ndarray) -> np.ndarray | None:
        """States `(L, C)` of the control steps in which a state `(C,)` comes to rest; None where that is not known."""
        return None


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
    """An execution that is asked for velocities which lead back to the plan; a plan's alone let errors add up.

    Args:
        execution: Follows the states that it is asked for.
        course: How errors are corrected.
    """

    def __init__(self, execution: Execution, course: Course):
        self.execution, self.course = execution, course

    @property
    def size(self) -> int:
        """Numbers in one action."""
        return self.execution.size

    def held(self, ways: Tensor, period: Tensor) -> Tensor:
        """What the course makes of ways."""
        return self.course.held(ways, period)

    def stopping(self, state: np.ndarray) -> np.ndarray | None:
        """How the course stops, where it knows the largest acceleration."""
        return self.course.stopping(state) if math.isfinite(self.course.acceleration) else None

    def act(self, states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The execution's actions."""
        return self.execution.act(states, self.course.asked(states, wanted))


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
        require_as_many(position, velocity)
        self.position, self.velocity, self.p, self.d = list(position), list(velocity), p, d

    @property
    def size(self) -> int:
        """Numbers in one action."""
        return len(self.position)

    def act(self, states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The controller's actions."""
        away = wanted - states
        return self.p * away[:, self.position] + self.d * away[:, self.velocity]
