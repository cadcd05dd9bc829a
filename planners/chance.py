r"""The chance of a collision with those who are forecast, along each of many paths.

K joint forecasts of A others, from now on, stand for what they may do. A way has a whole number of way-points between
two frames of a forecast; between those everybody moves straight, so that the distance of two is exact at every moment
(`forecasting.collisions`). With d_ka the smallest distance from a in forecast k and R the sum of radii,

    chance    P(y)   = mean_k [min_a d_ka < R]
    harm      H_a(y) = mean_k clip((R + gap - d_ka) / gap, 0, most)

The chance is what is asked for: it is that of the joint forecasts, so others who are likely to be in one of two places
count once. The harm of each is what a planner by penalties descends. It is 1 where a collision begins and falls to 0
over the gap, so that it says where there is more room; its sum over all is at least the chance. How much more it is
inside of a collision is bounded: by 1 all collisions are alike, and only what is drawn elsewhere leads out of one. What
steers ways by their slope needs one there, and takes no bound.
"""

import math
from typing import final

import torch
from torch import Tensor

from embodied_gen.forecasting.collisions import closest, moment_of_closest, near
from planners.constraints import Constraint
from planners.scenes import ABSENT

_STRETCH = 8  # steps of a path in a box


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
        most: Largest harm of one forecast, >= 1, infinite for a slope everywhere.

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
        most: float = 1.0,
    ):
        _check(forecasts, present)
        if not (0 < radius < math.inf and 0 < gap < math.inf and every >= 1 and 0 <= allowed < 1):
            raise ValueError(
                "radius and gap must be positive, every at least 1 and allowed in [0, 1); "
                f"got {radius}, {gap}, {every} and {allowed}."
            )
        if not most >= 1:
            raise ValueError(f"most must be at least 1; got {most}.")
        self.name = f"chance of a collision at most {allowed:g}"
        self.radius, self.gap, self.allowed, self.most = radius, gap, allowed, most
        self._present = present
        self._others = _planes(_between(forecasts, every))

    def margins(self, y: Tensor) -> Tensor:
        """What is allowed less the harm of each of the others, `(B, N, A)`."""
        harm = ((self.radius + self.gap - self._closest(y)) / self.gap).clamp(0, self.most)
        return self._there(self.allowed - harm.mean(2))

    def margin(self, y: Tensor) -> Tensor:
        """What is allowed less the chance of a collision, `(B, N)`."""
        return self.allowed - self.chance(y)

    def chance(self, y: Tensor) -> Tensor:
        """Share of forecasts in which a path collides with anybody, `(B, N)`; all of them where it is no number."""
        return (~(self._closest(y) >= self.radius)).any(-1).to(y).mean(-1)

    def _closest(self, y: Tensor) -> Tensor:
        """Smallest distance from each of the others in each forecast [m], `(B, N, K, A)`.

        It is infinite of the absent, and of those who are seen at a glance to stay farther away than the gap.
        """
        steps, known = y.shape[2], self._others.shape[4]
        if len(y) != len(self._present) or steps > known:
            raise ValueError(
                f"paths must be of {len(self._present)} contexts and at most {known} way-points, as far as the "
                f"forecasts go; got {len(y)} and {steps}. Shorten the horizon."
            )
        own, others = _planes(y[..., :2]), self._others[..., :steps].to(y)
        # A little more than the gap: what is lost by rounding must not be lost here.
        close = _may_come_near(own.detach(), others, 1.01 * (self.radius + self.gap)) & self._present[:, None, None]
        context, path, draw, who = close.nonzero().unbind(1)
        found = y.new_full(close.shape, torch.inf)
        found[context, path, draw, who] = _smallest(own, (context, path), others[:, context, draw, who])
        return found

    def _there(self, values: Tensor) -> Tensor:
        return torch.where(self._present[:, None], values, ABSENT)


def _planes(positions: Tensor) -> Tensor:
    """Coordinates of positions `(..., 2)` one after the other, `(2, ...)`: operations on each are quick."""
    return positions.movedim(-1, 0).contiguous()


def _may_come_near(own: Tensor, others: Tensor, gap: float) -> Tensor:
    """Whether each of the others may come within a gap of a path, bool `(B, N, K, A)`; from `(2, B, ...)`.

    Where they do, the boxes around some stretch of both are less than a gap apart. What is no number may be anywhere.
    """
    mine = [end[:, :, None, None] for end in _boxes(own)]
    theirs = [end[:, None] for end in _boxes(others)]
    return near((mine[0], mine[1]), (theirs[0], theirs[1]), gap).any(-1)


def _boxes(paths: Tensor) -> tuple[Tensor, Tensor]:
    """Corners of the boxes around stretches of paths `(2, ..., L)`, each `(..., S, 2)`."""
    last = paths.shape[-1] - 1
    count = max(math.ceil(last / _STRETCH), 1)
    step = torch.arange(count * _STRETCH + 1, device=paths.device).clamp(max=last)
    parts = paths[..., step].unfold(-1, _STRETCH + 1, _STRETCH)
    low = parts.amin(-1).nan_to_num(-torch.inf, -torch.inf, -torch.inf)
    high = parts.amax(-1).nan_to_num(torch.inf, torch.inf, torch.inf)
    return low.movedim(0, -1), high.movedim(0, -1)


def _smallest(own: Tensor, path: tuple[Tensor, Tensor], others: Tensor) -> Tensor:
    """Smallest distances of others `(2, P, L)` from one of the paths `(2, B, N, L)` each, named by b and n; `(P,)`.

    At the moment that is closest the distance does not change with the moment to first order, or it is at an end: the
    slope is that of the distance then, and of all other moments nothing has to be remembered.
    """
    apart = (own.detach()[:, *path] - others).movedim(0, -1)
    if not own.requires_grad or own.shape[-1] == 1:
        return closest(apart)
    step, share = moment_of_closest(apart)
    start, end = (own[:, *path, at] - others.gather(2, at.expand(2, -1)[..., None])[..., 0] for at in (step, step + 1))
    x, y = start + share * (end - start)
    return (x.square() + y.square()).clamp(min=torch.finfo(x.dtype).tiny).sqrt()


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
