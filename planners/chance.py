r"""The chance of a collision with those who are forecast, along each of many paths.

K joint forecasts of A others, from now on, stand for what they may do. A way has a whole number of way-points between
two frames of a forecast; between those everybody moves straight, so that the distance of two is exact at every moment
(`forecasting.collisions`). With d_ka the smallest distance from a in forecast k and R the sum of radii,

    chance    P(y)   = mean_k [min_a d_ka < R]
    harm      H_a(y) = mean_k clip((R + gap - d_ka) / gap, 0, 1)

The chance is what is asked for: it is that of the joint forecasts, so others who are likely to be in one of two places
count once. The harm of each is what a planner by penalties descends. It is 1 in a collision and falls to 0 over the
gap, so that it says where there is more room; its sum over all is at least the chance.
"""

import math
from typing import final

import torch
from torch import Tensor

from embodied_gen.forecasting.collisions import closest
from planners.constraints import Constraint
from planners.scenes import ABSENT


@final
class ChanceOfCollision(Constraint):
    """A path whose chance of a collision is small.

    The first two channels of a path are its position; the path begins now.

    Args:
        forecasts: Positions of others [m], now and later, shape `(B, K, A, 1 + F, 2)`, finite.
        present: Who is there, bool, shape `(B, A)`.
        radius: R, at which centres collide [m], > 0.
        gap: Distance beyond it over which harm falls to zero [m], > 0.
        every: Way-points of a path between two forecast positions, >= 1.
        allowed: Chance that is, in [0, 1).

    Raises:
        ValueError: If a shape is another or a number out of range; where a path is asked of another number of contexts,
            or goes on for longer than the forecasts.
    """

    def __init__(
        self,
        forecasts: Tensor,
        present: Tensor,
        *,
        radius: float,
        gap: float,
        every: int = 1,
        allowed: float = 0.0,
    ):
        _check(forecasts, present)
        if not (0 < radius < math.inf and 0 < gap < math.inf and every >= 1 and 0 <= allowed < 1):
            raise ValueError(
                "radius and gap must be positive, every at least 1 and allowed in [0, 1); "
                f"got {radius}, {gap}, {every} and {allowed}."
            )
        self.name = f"chance of a collision at most {allowed:g}"
        self.radius, self.gap, self.allowed = radius, gap, allowed
        self._present = present
        self._others = _between(forecasts, every)

    def margins(self, y: Tensor) -> Tensor:
        """What is allowed less the harm of each of the others, `(B, N, A)`."""
        harm = ((self.radius + self.gap - self._closest(y)) / self.gap).clamp(0, 1)
        return self._there(self.allowed - harm.mean(2))

    def margin(self, y: Tensor) -> Tensor:
        """What is allowed less the chance of a collision, `(B, N)`."""
        return self.allowed - self.chance(y)

    def chance(self, y: Tensor) -> Tensor:
        """Share of forecasts in which a path collides with anybody, `(B, N)`; all of them where it is no number."""
        return (~(self._closest(y) >= self.radius)).any(-1).to(y).mean(-1)

    def _closest(self, y: Tensor) -> Tensor:
        """Smallest distance from each of the others in each forecast [m], `(B, N, K, A)`."""
        steps = y.shape[2]
        if len(y) != len(self._present) or steps > self._others.shape[3]:
            raise ValueError(
                f"paths must be of {len(self._present)} contexts and at most {self._others.shape[3]} way-points, as "
                f"far as the forecasts go; got {len(y)} and {steps}. Shorten the horizon."
            )
        apart = y[:, :, None, None, :, :2] - self._others[:, None, :, :, :steps].to(y)
        return closest(apart, self._present[:, None, None, :, None])

    def _there(self, values: Tensor) -> Tensor:
        return torch.where(self._present[:, None], values, ABSENT)


def _between(forecasts: Tensor, every: int) -> Tensor:
    """Positions at way-points, on straight lines between the forecast ones, `(B, K, A, 1 + F every, 2)`."""
    share = torch.arange(every, device=forecasts.device).to(forecasts)[:, None] / every
    start, step = forecasts[..., :-1, None, :], forecasts.diff(dim=-2).unsqueeze(-2)
    return torch.cat([(start + share * step).flatten(-3, -2), forecasts[..., -1:, :]], -2)


def _check(forecasts: Tensor, present: Tensor) -> None:
    shape = tuple(forecasts.shape)
    if len(shape) != 5 or shape[4] != 2 or shape[3] < 2 or 0 in shape:
        raise ValueError(f"forecasts must have shape (B, K, A, 1 + F, 2), F at least 1; got {shape}.")
    if tuple(present.shape) != (shape[0], shape[2]):
        raise ValueError(f"present must have shape {(shape[0], shape[2])}; got {tuple(present.shape)}.")
    if not bool(forecasts.isfinite().all()):
        raise ValueError("forecasts must be finite; mark who is not there in present and fill in zeros.")
