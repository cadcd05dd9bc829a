r"""Who comes too close to whom, at any moment between the steps of a forecast.

Between two steps every pedestrian moves on a straight line at constant speed. The distance of two is then that of the
origin from the segment between their differences d_t and d_{t+1},

    min_t min_{0 <= s <= 1} |d_t + s (d_{t+1} - d_t)|,

so nothing is missed between steps. Two pedestrians collide where it is less than the sum of their radii. Of a forecast
t goes from the first predicted position to the last: the way from the present to the first is not looked at.
"""

import torch
from torch import Tensor

Box = tuple[Tensor, Tensor]
"""Lower left and upper right corners [m], each `(..., 2)`."""

RADIUS = 0.1
"""Of a pedestrian [m]: two collide at 0.2 m."""


def colliding(paths: Tensor, valid: Tensor, radius: float = RADIUS) -> Tensor:
    """Who collides with anybody.

    Args:
        paths: Positions [m], shape `(B, N, A, T, 2)`.
        valid: At which steps a pedestrian is there, bool, shape `(B, A, T)`.
        radius: Of every pedestrian [m].

    Returns:
        Bool, shape `(B, N, A)`.
    """
    agents = paths.shape[2]
    first, second = torch.triu_indices(agents, agents, 1, device=paths.device)
    scene, draw, pair = _near(paths, valid, first, second, 2 * radius).nonzero().unbind(1)
    one, other = first[pair], second[pair]
    both = valid[scene, one] & valid[scene, other]
    hit = closest(paths[scene, draw, one] - paths[scene, draw, other], both) < 2 * radius
    found = torch.zeros(paths.shape[:3], dtype=torch.bool, device=paths.device)
    found[scene[hit], draw[hit], one[hit]] = True
    found[scene[hit], draw[hit], other[hit]] = True
    return found


def closest(apart: Tensor, valid: Tensor | None = None) -> Tensor:
    """Smallest length of differences on their straight lines between valid steps; `(..., T, 2)` to `(...)`.

    Infinite where no step is valid; `valid` broadcasts to `(..., T)`, and all steps are where it is None.
    """
    _, between = _segments(apart)
    here = apart.select(-1, 0).square() + apart.select(-1, 1).square()
    if valid is not None:
        valid = valid.expand(here.shape)
        between = between.masked_fill(~(valid[..., 1:] & valid[..., :-1]), torch.inf)
        here = here.masked_fill(~valid, torch.inf)
    return torch.cat([between, here], -1).amin(-1).sqrt()


def moment_of_closest(apart: Tensor) -> tuple[Tensor, Tensor]:
    """When the length of differences is smallest on their straight lines between steps, T at least 2.

    Returns:
        The step before it, int64, and the share of the way to the next in [0, 1]; both `(...)` of `(..., T, 2)`.
    """
    share, between = _segments(apart)
    step = between.argmin(-1)
    return step, share.gather(-1, step.unsqueeze(-1)).squeeze(-1)


def near(one: Box, other: Box, gap: float) -> Tensor:
    """Whether boxes are less than a gap apart along both axes, `(...)`; paths within others need no look."""
    return ((one[0] - other[1] < gap) & (other[0] - one[1] < gap)).all(-1)


def _near(paths: Tensor, valid: Tensor, first: Tensor, second: Tensor, gap: float) -> Tensor:
    """Pairs whose paths lie in boxes less than a gap apart along both axes; all others need no look, `(B, N, P)`."""
    there = valid[:, None, :, :, None]
    low = paths.masked_fill(~there, torch.inf).amin(-2)
    high = paths.masked_fill(~there, -torch.inf).amax(-2)
    return near((low[:, :, first], high[:, :, first]), (low[:, :, second], high[:, :, second]), gap)


def _segments(apart: Tensor) -> tuple[Tensor, Tensor]:
    """Of each straight line the share at its shortest difference, and the square of that difference."""
    x, y = apart.unbind(-1)  # sums over an axis of two are slow
    ahead, aside = x.diff(dim=-1), y.diff(dim=-1)
    square = (ahead.square() + aside.square()).clamp(min=torch.finfo(apart.dtype).tiny)
    share = (-(x[..., :-1] * ahead + y[..., :-1] * aside) / square).clamp(0, 1)
    between = (x[..., :-1] + share * ahead).square() + (y[..., :-1] + share * aside).square()
    return share, between
