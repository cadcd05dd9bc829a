r"""The course that is held when a way is followed, by a body whose acceleration is bounded.

A learned way need not be one that a body can follow: its positions and velocities are drawn apart, and a way that is
quicker than all demonstrations asks for more force than there is. What will happen is what has to be certified. From
(x, v), with the way's next (x', v') a time h later, a body that corrects errors of position within a time tau takes

    e  =  x' - x - h (v + v') / 2                           the error that would remain with the way's velocity
    w  =  v' + k e,     k = (1 - (1 - c / tau)^(h / c)) / h
    v+ =  v + clip(w - v, -h a, h a)                        along each axis
    x+ =  x + h (v + v+) / 2

where c is the time of a control step, after each of which an error falls by c / tau. Without a bound the predicted
error e falls by the same factor within h, and a way whose positions follow its velocities is left as it is.
"""

import math
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from embodied_gen.blocks import PlannerControl


@final
class Course:
    """How a body keeps to a way.

    Args:
        position: Channels of the way that are positions x.
        velocity: Channels of the way that are their velocities v, as many.
        period: Time c of a control step [s], > 0.
        time: In which an error of position falls e-fold, tau [s], at least the period.
        acceleration: Largest along each axis, a, in the unit of the velocity a second; infinite where it is not known.

    Raises:
        ValueError: If the channels are not as many, or a number is out of range.
    """

    def __init__(
        self,
        position: Sequence[int],
        velocity: Sequence[int],
        *,
        period: float,
        time: float,
        acceleration: float = math.inf,
    ):
        require_as_many(position, velocity)
        if not 0 < period <= time:
            raise ValueError(f"period must be positive and at most time; got {period} and {time}.")
        if not acceleration > 0:
            raise ValueError(f"acceleration must be positive; got {acceleration}.")
        self.position, self.velocity = list(position), list(velocity)
        self.period, self.time, self.acceleration = period, time, acceleration

    def asked(self, states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Wanted next states with velocities that lead back to the way, v' + (x' - x - c v') / tau, each `(S, C)`."""
        back = wanted.copy()
        speed = wanted[:, self.velocity]
        away = wanted[:, self.position] - states[:, self.position] - self.period * speed
        back[:, self.velocity] = speed + away / self.time
        return back

    def held(self, ways: Tensor, period: Tensor) -> Tensor:
        """What becomes of ways from their first way-points on.

        Args:
            ways: Physical units, shape `(B, N, T, C)`.
            period: Time between way-points [s], shape `(B,)`.

        Returns:
            The same shape; channels that are neither positions nor velocities are unchanged.
        """
        h = period.view(-1, 1, 1)
        k = (1 - (1 - self.period / self.time) ** (h / self.period)) / h
        most = self.acceleration * h
        x, v = ways[:, :, 0, self.position], ways[:, :, 0, self.velocity]
        held = ways.clone()
        for number in range(1, ways.shape[2]):  # every step starts where the one before has led to
            wanted, speed = ways[:, :, number, self.position], ways[:, :, number, self.velocity]
            error = wanted - x - h * (v + speed) / 2
            change = torch.minimum(torch.maximum(speed + k * error - v, -most), most)
            x, v = x + h * (v + change / 2), v + change
            held[:, :, number, self.position], held[:, :, number, self.velocity] = x, v
        return held

    def stopping(self, state: np.ndarray) -> np.ndarray:
        """States `(L, C)` of the control steps in which a body at a state `(C,)` brakes until it stands.

        Along each axis the speed falls by the largest acceleration; the last state is at rest, and L is at least 1.

        Raises:
            ValueError: If the largest acceleration is not known.
        """
        if not math.isfinite(self.acceleration):
            raise ValueError("a body stops within a time if its acceleration is known; got an infinite one.")
        x, v = state[self.position], state[self.velocity]
        times = np.abs(v) / self.acceleration
        steps = max(math.ceil(times.max() / self.period), 1)
        t = np.minimum(self.period * np.arange(1, steps + 1)[:, None], times)
        states = np.repeat(state[None], steps, axis=0)
        states[:, self.position] = x + v * t - np.sign(v) * self.acceleration * t**2 / 2
        states[:, self.velocity] = v - np.sign(v) * self.acceleration * t
        return states


def course_of(control: PlannerControl, period: float) -> Course | None:
    """The course of a run's plans; None where its control names none.

    Args:
        control: The run's block of that name.
        period: Time of a control step [s].
    """
    block = control.course
    if block is None:
        return None
    return Course(block.position, block.velocity, period=period, time=block.time, acceleration=block.acceleration)


def require_as_many(position: Sequence[int], velocity: Sequence[int]) -> None:
    """Raises `ValueError` unless there is a velocity for every position."""
    if len(position) != len(velocity) or not position:
        raise ValueError(
            f"position and velocity must name as many channels; got {list(position)} and {list(velocity)}."
        )
