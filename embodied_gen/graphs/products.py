r"""Backups of the soft rule as products: sums over paths themselves in place of their logarithms.

Where every action leads to one state s', the sums Z = exp L of `embodied_gen.graphs.backups` obey a linear recurrence,

    Z_k(s) = sum_a m(s, a) Z_(k - 1)(s')        m = exp w        and 1 at the goal,

and so do the visits: with g_T = f / Z_T of the flow f that starts,

    visits_k(s, a) = g_k(s) m(s, a) Z_(k - 1)(s')        g_(k - 1) = M^T g_k        f' = g_0 Z_0 at the end,

so that neither needs an exponential or a logarithm within its steps. The price is the range of numbers: where a sum
may have left that of float64 it is no product that is wanted, and `products` says so by None. No sum has, if the least
of those above zero would still be a number after one more step of the least weight, and the largest is finite.
"""

import math
from typing import final

import torch
from torch import Tensor

from embodied_gen.graphs.counts import Counts
from embodied_gen.graphs.dynamics import Dynamics

_LONGEST = 256  # steps of which all sums are kept
_RANGE = 660.0  # exp(660) and exp(-660) are numbers of full precision, and some powers of ten off the limits


@final
class Products:
    """Sums over paths of k = 0, ..., T steps, all kept; rows may have fewer than T.

    Args:
        dynamics: States and actions of one outcome.
        weights: w, below infinity, shape `(B, *Q)`.
        goal: States whose sum stays 1, bool, shape `(B, *S)`; none where None.
        end: L_0, shape `(B, *S)`.
        steps: T of each row, int64, shape `(B,)`.
    """

    def __init__(self, dynamics: Dynamics, weights: Tensor, goal: Tensor | None, end: Tensor, steps: Tensor):
        self._dynamics, self._goal, self._dtype = dynamics, goal, weights.dtype
        self._factors = weights.double().exp()  # m
        self._least = torch.stack([_least(weights), _least(end)])
        self._ahead, self._arrive = dynamics.loops(self._factors)
        self._counts = Counts(steps, end)
        self._sums = self._factors.new_empty(self._counts.most + 1, *end.shape)
        torch.exp(end.double(), out=self._sums[0])
        for k in range(1, self._counts.most + 1):
            self._sums[k] = self._next(self._sums[k - 1], k)

    @property
    def values(self) -> Tensor:
        """L_T, shape `(B, *S)`."""
        return self._sums[-1].log().to(self._dtype)

    def are_exact(self) -> bool:
        """Whether no sum has left the range of numbers."""
        lowest = torch.where(self._sums > 0, self._sums, 1).amin().log()
        return bool((self._least + lowest > -_RANGE).all() & (self._sums.amax().log() < _RANGE))

    def sent(self, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Visits of actions `(B, *Q)` of a flow that starts at states `(B, *S)`; the flow at the end."""
        sums = self._sums[-1]
        share = self._live(flow / sums, sums)  # g
        total = torch.zeros_like(self._factors)
        for k in range(self._counts.most, 0, -1):
            spread = self._dynamics.spread(self._counts.after(k, share, 0.0))
            total.addcmul_(self._ahead(self._sums[k - 1]), spread)
            arrived = self._live(self._arrive(self._factors * spread), self._sums[k - 1])
            share = self._counts.after(k, arrived, share)
        total.masked_fill_(self._factors == 0, 0)  # may have overflowed beside a blocked action
        return (total * self._factors).to(self._dtype), (share * self._sums[0]).to(self._dtype)

    def _next(self, sums: Tensor, k: int) -> Tensor:
        new = self._dynamics.collect(self._ahead(sums).mul_(self._factors))
        if self._goal is not None:
            new.masked_fill_(self._goal, 1)
        return self._counts.after(k, new, sums)

    def _live(self, share: Tensor, sums: Tensor) -> Tensor:
        """The same with nothing where no path goes on, nor at the goal, where paths have ended."""
        share = torch.where(sums > 0, share, 0)
        return share if self._goal is None else share.masked_fill_(self._goal, 0)


def _least(weights: Tensor) -> Tensor:
    """The least log weight above minus infinity, 0 where none is below."""
    return torch.where(weights > -math.inf, weights, 0).amin().clamp(max=0).double()


def products(dynamics: Dynamics, weights: Tensor, goal: Tensor | None, end: Tensor, steps: Tensor) -> Products | None:
    """Sums over paths; None where moves may slip, where there are too many steps, or where they are out of range.

    None too where a row makes no step: its L_0 stays what it is, which the logarithm of its exponential need not be.
    """
    if not dynamics.certain or int(steps.min()) == 0 or int(steps.max()) > _LONGEST:
        return None
    found = Products(dynamics, weights, goal, end, steps)
    return found if found.are_exact() else None
