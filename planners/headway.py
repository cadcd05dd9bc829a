r"""Agents keep their distance to what is ahead of them.

In the frame of a follower (u along its heading, n to its left) another agent at d, of extents h_u and h_n, is too close
where it lies in the follower's lane strip, ahead of it, and nearer than the gap that is wanted:

    m = max( u d - a - h_u - gap - headway v,   |n d| - b - h_n,   -u d )

is the margin of one pair at one step: what is left of the gap, or how far beside, or behind, the other is. So nobody
has to say who follows whom.
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import final

import torch
from torch import Tensor

from planners.boxes import boxes_of, frame
from planners.constraints import Constraint
from planners.scenes import ABSENT, SPEED, agents_of, checked_agents, indices, naming


@final
class KeepDistance(Constraint):
    """Agents keep a gap, and a time headway, to every other that is ahead in their way, at each step.

    Args:
        gap: Smallest distance from bumper to bumper [m], >= 0.
        headway: Time added to it, times the follower's speed [s], >= 0.
        agents: Those that follow; None for all.
        ahead: Those that are kept distance to; None for all.

    Raises:
        ValueError: If both gap and headway are zero or one is negative, or agents are not different ones; if a scene
            has no such agent.
    """

    def __init__(
        self,
        gap: float = 0.0,
        headway: float = 0.0,
        *,
        agents: Sequence[int] | None = None,
        ahead: Sequence[int] | None = None,
    ):
        if not (0 <= gap < math.inf and 0 <= headway < math.inf and gap + headway > 0):
            raise ValueError(f"gap and headway must be at least 0 and one of them positive; got {gap} and {headway}.")
        self.gap, self.headway = gap, headway
        self.agents, self.ahead = checked_agents(agents), checked_agents(ahead)
        self.name = f"distance of {gap:g} m and {headway:g} s to those ahead, {naming(self.agents)}"

    def margins(self, y: Tensor) -> Tensor:
        """Margin of every pair at every step [m], `(B, N, pairs T)`."""
        first, second = self._pairs(y)
        if not len(first):
            return y.new_full((*y.shape[:2], 1), ABSENT)
        boxes, here = boxes_of(y)
        follower, leader = boxes[:, :, first], boxes[:, :, second]
        both = here[:, :, first] & here[:, :, second]
        speed = torch.where(both, y[:, :, first, :, SPEED], 0.0)
        along, aside = frame(leader[..., :2] - follower[..., :2], follower[..., 2])
        turn = leader[..., 2] - follower[..., 2]
        cos, sin = turn.cos().abs(), turn.sin().abs()
        length = follower[..., 3] + leader[..., 3] * cos + leader[..., 4] * sin
        width = follower[..., 4] + leader[..., 3] * sin + leader[..., 4] * cos
        left = along - length - self.gap - self.headway * speed.clamp(min=0)
        margins = torch.maximum(torch.maximum(left, aside.abs() - width), -along)
        return torch.where(both, margins, ABSENT).flatten(2)

    def _pairs(self, y: Tensor) -> tuple[Tensor, Tensor]:
        followers, leaders = agents_of(y, self.agents, self.name), agents_of(y, self.ahead, self.name)
        return indices(tuple((a, b) for a, b in product(followers, leaders) if a != b), y.device)
