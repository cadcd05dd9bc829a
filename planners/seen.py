r"""Constraints that are made anew for every plan, from what is observed then: where others are going, for one.

Such constraints are in time. They are about the states of the coming control steps, the present one first, which a
planner on a model has. One that draws ways has way-points that are s control steps apart, s another one for every way;
the states of its steps lie on straight lines between them,

    x_k = y_i + (k / s - i) (y_{i+1} - y_i),     i = floor(k / s),     k = 0 .. L,

and a way that ends before step L stands still where it ends.
"""

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor, nn

from planners.constraints import Constraint
from planners.guides import smallest_margin
from planners.scenes import ABSENT

Seen = Callable[[Tensor, Sequence[torch.Generator]], Sequence[Constraint]]
"""Constraints of B contexts from their last observations `(B, O)`, drawn from a generator of each.

They are on paths whose way-points are the states of control steps, from the present one on.
"""


def nothing(observed: Tensor, generators: Sequence[torch.Generator]) -> Sequence[Constraint]:
    """No constraints, a `Seen`."""
    return ()


@final
class AlongWays(Constraint):
    """What was seen in each of E episodes, as one constraint on their ways.

    Args:
        seen: Constraints of each episode, made of its observation alone. An episode may have none.
        strides: Control steps between way-points of the ways' contexts, those of an episode one after the other, as
            many of each; int64, >= 1, shape `(B,)`, B a multiple of E.
        ahead: L, control steps that are looked at, >= 1.

    Raises:
        ValueError: If strides do not divide among the episodes.
    """

    name = "what was seen"

    def __init__(self, seen: Sequence[Sequence[Constraint]], strides: Tensor, ahead: int):
        if not seen or len(strides) % len(seen):
            raise ValueError(
                f"there must be as many strides of each episode; got {len(strides)} of {len(seen)} episodes."
            )
        self.seen, self.strides, self.ahead = list(seen), strides, ahead

    def margins(self, y: Tensor) -> Tensor:
        """Margins of the episodes' constraints, `(B, N, P)`; filled up with `ABSENT` for those that have fewer."""
        each = [
            torch.cat([path.new_zeros(*path.shape[:2], 0), *(one.margins(path) for one in constraints)], -1)
            for constraints, path in self._episodes(y)
        ]
        most = max(part.shape[-1] for part in each)
        together = torch.cat([nn.functional.pad(part, (0, most - part.shape[-1]), value=ABSENT) for part in each])
        return together.reshape(*y.shape[:2], most)

    def margin(self, y: Tensor) -> Tensor:
        """The smallest of them on the exact geometry, `(B, N)`; infinite where an episode has none."""
        return torch.cat([smallest_margin(*episode) for episode in self._episodes(y)]).reshape(y.shape[:2])

    def _episodes(self, y: Tensor) -> list[tuple[Sequence[Constraint], Tensor]]:
        """Constraints of each episode, and the paths of all of its ways, `(1, B N / E, L + 1, C)`."""
        paths = at_steps(y, self.strides, self.ahead)
        return list(zip(self.seen, paths.reshape(len(self.seen), -1, *paths.shape[2:]).split(1), strict=True))


def at_steps(ways: Tensor, strides: Tensor, ahead: int) -> Tensor:
    """States of the control steps 0 .. L of ways.

    Args:
        ways: Way-points, at least two, shape `(B, N, T, C)`.
        strides: Control steps between them, int64, shape `(B,)`.
        ahead: L.

    Returns:
        Shape `(B, N, L + 1, C)`.
    """
    last, stride = ways.shape[2] - 1, strides[:, None]
    step = torch.minimum(torch.arange(ahead + 1, device=ways.device), stride * last)
    first = (step // stride).clamp(max=last - 1)
    share = ((step - first * stride) / stride).to(ways)[:, None, :, None]
    index = first[:, None, :, None].expand(-1, ways.shape[1], -1, ways.shape[3])
    return torch.lerp(ways.gather(2, index), ways.gather(2, index + 1), share)
