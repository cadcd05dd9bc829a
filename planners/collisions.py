r"""No two agents of a scene touch, at steps and at every moment between them.

For a pair that moves in an interval of time, from boxes at its start to boxes at its end, and any fixed direction n,
the separation is at least

    min_ends n d  -  H_1(n)  -  H_2(n),       H(n) = min(r, h(n) + r delta)

since n d is linear in time; h is the extent of a box along n halfway, r its radius, delta half of its turn. The best of
five directions n (the sides of both boxes halfway, and from centre to centre) bounds the interval. Intervals whose
bound does not settle the question are halved. As they shrink the bound tends to the separation itself, so that a
margin that is not negative is a proof that the pair is apart at every moment.

Only the smallest margin of a sample is asked for: an interval is settled once its bound comes within `TOLERANCE`, or a
tenth, of the smallest separation seen in its sample, and one where the circles around both boxes stay further apart
than another pair's inner circles at some step is never looked at.

Sources: the branch and bound of continuous collision detection (Redon et al. 2002; Zhang et al. 2006).
"""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import final

import torch
from torch import Tensor

from planners.boxes import boxes_of, frame, moves, radius, separation, with_halfway
from planners.constraints import Constraint
from planners.scenes import ABSENT, agents_of, checked_agents, indices, naming

TOLERANCE = 1e-3  # [m] to which margins near zero are certified
DEPTH = 16  # times that an interval is halved at most; what is left then has its bound


@final
class NoCollision(Constraint):
    """The boxes of agents stay apart, by a gap if wanted.

    Args:
        gap: Smallest distance [m], >= 0; at steps and halfway it is measured along the best of the directions of both
            boxes' sides, which is at most the distance.
        agents: Agents that stay clear of every other; None for all.

    Raises:
        ValueError: If the gap is negative or the agents are not different ones; if a scene has no such agent.
    """

    def __init__(self, gap: float = 0.0, *, agents: Sequence[int] | None = None):
        if not 0 <= gap < math.inf:
            raise ValueError(f"gap must be at least 0 and finite; got {gap}.")
        self.gap, self.agents = gap, checked_agents(agents)
        self.name = f"no collision, {naming(self.agents)}" + (f", gap {gap:g} m" if gap else "")

    def margins(self, y: Tensor) -> Tensor:
        """Separation less the gap of every pair, at steps and halfway between [m], `(B, N, pairs (2 T - 1))`."""
        first, second = self._pairs(y)
        if not len(first):
            return y.new_full((*y.shape[:2], 1), ABSENT)
        boxes, here = with_halfway(*boxes_of(y))
        both = here[:, :, first] & here[:, :, second]
        apart = separation(boxes[:, :, first], boxes[:, :, second]) - self.gap
        return torch.where(both, apart, ABSENT).flatten(2)

    def margin(self, y: Tensor) -> Tensor:
        """Smallest distance less the gap over pairs and all moments [m], `(B, N)`, from below; at most `margins`.

        It is short of the smallest separation by `TOLERANCE` or a tenth at most. Where a pose that overlaps is found
        it is that of the deepest pose seen.
        """
        first, second = self._pairs(y)
        if not len(first):
            return y.new_full(y.shape[:2], ABSENT)
        boxes, here = boxes_of(y.detach().double())
        unknown = (here & ~boxes.isfinite().all(-1)).flatten(2).any(-1)
        here = here & ~unknown[:, :, None, None]
        start, end = moves(torch.where(here.unsqueeze(-1), boxes, 0.0), here)
        b, n, pair, t = self._near(start, end, here, first, second).nonzero().unsqueeze(-1).unbind(1)
        agents = torch.stack([first, second], dim=-1)[pair.squeeze(-1)]  # (K, 2)
        ends = here[b, n, agents, (t + 1).clamp(max=y.shape[3] - 1)].all(-1)  # both are still there
        opening = start[b, n, agents, t]
        closing = torch.where(ends[:, None, None], end[b, n, agents, t], opening)
        row = (b * y.shape[1] + n).squeeze(-1)
        least = least_separation(opening, closing, row, unknown.numel(), self.gap).view_as(unknown)
        return torch.where(unknown, -math.inf, least.clamp(max=ABSENT)).to(y)

    def _pairs(self, y: Tensor) -> tuple[Tensor, Tensor]:
        meant = set(agents_of(y, self.agents, self.name))
        return indices(tuple(pair for pair in combinations(range(y.shape[2]), 2) if meant & set(pair)), y.device)

    def _near(self, start: Tensor, end: Tensor, here: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Which intervals `(B, N, pairs, T)` may hold the smallest separation of their sample, by circles."""
        both = here[:, :, first] & here[:, :, second]
        before, after = ((e[:, :, second] - e[:, :, first]).unbind(-1) for e in (start[..., :2], end[..., :2]))
        step = [b - a for a, b in zip(before, after, strict=True)]
        square = (step[0].square() + step[1].square()).clamp(min=1e-24)
        share = (-(before[0] * step[0] + before[1] * step[1]) / square).clamp(0, 1)
        nearest = torch.hypot(before[0] + share * step[0], before[1] + share * step[1])
        outer, inner = radius(start), start[..., 3:].amin(-1)
        # Of two directions at a right angle one sees at least 1 / sqrt(2) of a distance.
        at_least = nearest / math.sqrt(2) - outer[:, :, first] - outer[:, :, second]
        at_most = torch.hypot(*before) - inner[:, :, first] - inner[:, :, second]
        at_most = at_most.masked_fill(~both, math.inf).flatten(2).amin(-1)
        return both & (at_least <= at_most[..., None, None])


def least_separation(start: Tensor, end: Tensor, row: Tensor, rows: int, gap: float = 0.0) -> Tensor:
    """Smallest separation of K moving pairs in each row, from below; see the module.

    Args:
        start: Boxes of pairs at the start of their intervals, `(K, 2, 5)`.
        end: At the end, of the same sizes, headings counted on from the start.
        row: Which row each interval belongs to, int64, `(K,)`.
        rows: Number of rows.
        gap: Subtracted from every separation [m].

    Returns:
        Shape `(rows,)`; infinite where a row has no interval.
    """
    seen = start.new_full((rows,), math.inf)
    proven = seen.clone()
    for pose in (start, end):
        seen = seen.scatter_reduce(0, row, separation(pose[:, 0], pose[:, 1]) - gap, "amin")
    for level in range(DEPTH):
        middle = (start + end) / 2
        seen = seen.scatter_reduce(0, row, separation(middle[:, 0], middle[:, 1]) - gap, "amin")
        bound = _bound(start, middle, end) - gap
        wanted = seen - (seen / 10).clamp(min=TOLERANCE)
        undecided = (bound < wanted[row]) & (seen[row] >= 0) & (level < DEPTH - 1)
        proven = proven.scatter_reduce(0, row[~undecided], bound[~undecided], "amin")
        if not undecided.any():
            break
        start, middle, end, row = start[undecided], middle[undecided], end[undecided], row[undecided]
        start, end, row = torch.cat([start, middle]), torch.cat([middle, end]), torch.cat([row, row])
    return torch.where(seen < 0, seen, torch.minimum(seen, proven))


def _bound(start: Tensor, middle: Tensor, end: Tensor) -> Tensor:
    """A lower bound of the separation of each pair in its interval [m], `(K,)`."""
    heading = middle[..., 2]
    to_second = middle[:, 1, :2] - middle[:, 0, :2]
    direct = torch.atan2(to_second[:, 1], to_second[:, 0]).unsqueeze(-1)
    axes = torch.cat([heading, heading + math.pi / 2, direct], dim=-1)  # (K, 5)
    reach = [frame((pose[:, 1, :2] - pose[:, 0, :2]).unsqueeze(1), axes)[0] for pose in (start, end)]
    apart = torch.maximum(torch.minimum(*reach), -torch.maximum(*reach))
    turned = heading.unsqueeze(-1) - axes.unsqueeze(1)  # (K, 2, 5)
    half = middle[..., 3:].unsqueeze(-1)
    extent = half[:, :, 0] * turned.cos().abs() + half[:, :, 1] * turned.sin().abs()
    far = radius(middle)
    slack = far * (end[..., 2] - start[..., 2]).abs() / 2
    return (apart - torch.minimum(extent + slack.unsqueeze(-1), far.unsqueeze(-1)).sum(1)).amax(-1)
