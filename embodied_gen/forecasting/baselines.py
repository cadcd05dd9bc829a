r"""Forecasters that learn nothing.

With p_0 the last observed position and v the last observed step, t = 1 .. 12:

    standing              p_t = p_0
    constant velocity     p_t = p_0 + t v
    least-squares line    p_t = a + b t, with a and b nearest to the 8 observed positions
    turned velocity       p_t = p_0 + t R(angle) v,  angle ~ N(0, deviation^2), one for each pedestrian and draw

The line does not begin where the pedestrian is. The turned velocity spreads draws around constant velocity, which the
best of n rewards; it is CV-S of Schöller et al. 2020 (arXiv:1903.07933), with 25 degrees. Angles come from streams of
the pedestrians (`streams`), so that their order changes no forecast.
"""

import math
from typing import final

import torch
from torch import Tensor

from embodied_gen.draws import Generator
from embodied_gen.forecasting.forecaster import Observed
from embodied_gen.forecasting.streams import noise_of
from embodied_gen.forecasting.windows import OBSERVED, PREDICTED


@final
class Standing:
    """Everybody stays."""

    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """N equal futures, shape `(B, n, A, 12, 2)`; nothing is drawn."""
        return _repeated(_onwards(observed.last, torch.zeros_like(observed.last)), n)


@final
class ConstantVelocity:
    """Everybody goes on as in the last step."""

    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """N equal futures, shape `(B, n, A, 12, 2)`; nothing is drawn."""
        return _repeated(_onwards(observed.last, observed.step), n)


@final
class Line:
    """Everybody goes along the straight line at constant speed that fits all observed positions best."""

    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """N equal futures, shape `(B, n, A, 12, 2)`; nothing is drawn."""
        like = observed.tracks
        times = torch.arange(1.0 - OBSERVED, 1.0 + PREDICTED).to(like)
        design = torch.stack([torch.ones_like(times), times], 1)
        reader = design[OBSERVED:] @ torch.linalg.pinv(design[:OBSERVED])  # from observed to predicted positions
        return _repeated(torch.einsum("ts,basc->batc", reader, like), n)


@final
class TurnedVelocity:
    """Everybody goes on straight at the last speed, each in a direction drawn around the last one.

    Args:
        degrees: Deviation of the angle, >= 0.

    Raises:
        ValueError: If it is negative or not finite.
    """

    def __init__(self, degrees: float = 25.0):
        if not 0 <= degrees < math.inf:
            raise ValueError(f"degrees must be at least 0 and finite; got {degrees}.")
        self.degrees = degrees

    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """N futures, shape `(B, n, A, 12, 2)`."""
        step = observed.step
        angle = math.radians(self.degrees) * noise_of(observed, n, 1, generator).squeeze(-1)
        cos, sin, (x, y) = angle.cos(), angle.sin(), step.unsqueeze(1).unbind(-1)
        turned = torch.stack([cos * x - sin * y, sin * x + cos * y], -1)
        return _onwards(observed.last.unsqueeze(1), turned)


def _onwards(last: Tensor, step: Tensor) -> Tensor:
    """Positions `(..., 12, 2)` from a last one and a step of each, `(..., 2)`."""
    times = torch.arange(1.0, 1.0 + PREDICTED).to(step)
    return last.unsqueeze(-2) + times.unsqueeze(-1) * step.unsqueeze(-2)


def _repeated(future: Tensor, n: int) -> Tensor:
    return future.unsqueeze(1).expand(-1, n, -1, -1, -1)
