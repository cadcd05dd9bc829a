r"""Sets: up to N things of D numbers each, in no order.

A set is N slots of D numbers and a presence q, which is 1 where there is a thing and 0 where the slot is empty (+1 and
-1 in model units). The order of slots means nothing: an estimate is compared with the set in the best order,

    error(x_hat, x) = min over permutations s of  mean_j e(x_hat_s(j), x_j),
    e(a, b) = (w_b |a - b|^2 of the numbers + |a - b|^2 of the presence) / (D + 1),

with w_b = 1 for a thing and a small weight for an empty slot, whose numbers are the centre of the bounds. They count a
little, because a sampler that starts from noise has to bring them somewhere, and not more, because an estimate that is
not sure of a thing should not be drawn to the centre. Where all slots hold things it is the mean squared difference of
the best order, a squared Wasserstein-2 distance.

Heads with densities speak of slots in the order given. A network that is to tell slots apart where nothing has been
drawn yet, as in regression, needs an embedding of them (`nets.Transformer`); where each starts from noise of its own,
`nets.SetTransformer` keeps the order meaningless.

Source: Carion et al. 2020 (arXiv:2005.12872) for errors of sets by assignment.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.assignment import assign
from embodied_gen.events.base import bounds_of
from embodied_gen.events.channelwise import Channelwise


@final
class SetEvent(Channelwise):
    """An event of shape `(N, D + 1)`: N slots of D numbers and a presence.

    Args:
        slots: Number of slots N, >= 1.
        low: Lower bound of each number of a thing, physical units, length D.
        high: Upper bound of each, likewise.
        empty: Weight of the numbers of an empty slot in the error, in [0, 1].

    Raises:
        ValueError: If there is no slot, a number has no width, or the weight is out of range.
    """

    def __init__(
        self, slots: int, low: Sequence[float] | Tensor, high: Sequence[float] | Tensor, *, empty: float = 0.1
    ):
        if slots < 1:
            raise ValueError(f"slots must be at least 1; got {slots}.")
        if not 0 <= empty <= 1:
            raise ValueError(f"empty must lie in [0, 1]; got {empty}.")
        bounds = (torch.cat([torch.as_tensor(bound), torch.tensor([q])]) for bound, q in ((low, 0.0), (high, 1.0)))
        super().__init__((slots, len(low) + 1), *bounds)
        self.empty = empty

    @classmethod
    def from_data(cls, values: Tensor, *, empty: float = 0.1) -> "SetEvent":
        """The event whose bounds are those of the things of sets, physical units, shape `(W, N, D + 1)`.

        Where nothing is there, as in values of which the shape alone is known, they are one unit to either side.
        """
        things = values[values[..., -1] > 0.5][:, :-1]
        return cls(values.shape[1], *bounds_of(things if len(things) else values[:, 0, :-1]), empty=empty)

    def encode(self, value: Tensor) -> Tensor:
        """Physical units to model units, shape `(B, N, D + 1)`; what stands in empty slots is forgotten."""
        self.check(value, "value")
        there = value[..., -1:] > 0.5
        numbers = torch.where(there, self.scale(value)[..., :-1], 0.0)
        return torch.cat([numbers, 2.0 * there - 1], -1)

    def decode(self, x: Tensor) -> Tensor:
        """Model units to physical units, shape `(B, N, D + 1)`; presence is 0 or 1, empty slots hold the centre."""
        self.check(x)
        there = x[..., -1:] > 0
        numbers = torch.where(there, self.unscale(x)[..., :-1], self.centre[:-1])
        return torch.cat([numbers, there.to(x.dtype)], -1)

    @property
    def own(self) -> tuple[int, ...]:
        """One number for each channel: slots are all alike."""
        return (1, self.shape[-1])

    def residual(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """Differences of the slots of x from those of the estimate in the best order, `(B, N, D + 1)`."""
        return x - self._matched(x_hat, x)

    def error(self, x_hat: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Mean over slots of e in the best order; slots of x that are not `valid`, shape `(B, N)`, cost nothing."""
        costs = self._costs(self._matched(x_hat, x, valid), x)
        if valid is None:
            return costs.mean(-1)
        weight = valid.to(costs.dtype)
        return (costs * weight).sum(-1) / weight.sum(-1).clamp(min=1)

    def _matched(self, x_hat: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """The slots of an estimate in the best order, `(B, N, D + 1)`; it has a slope as the order is."""
        with torch.no_grad():
            cost = self._costs(x_hat.unsqueeze(2), x.unsqueeze(1))
            order = assign(cost if valid is None else cost * valid.unsqueeze(1))
        return x_hat.gather(1, order.unsqueeze(-1).expand_as(x))

    def _costs(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """E of slots, which broadcast; `(..., D + 1)` to `(...)`."""
        squares = (x_hat - x).square()
        weight = torch.where(x[..., -1] > 0, 1.0, self.empty).to(x.dtype)
        return (weight * squares[..., :-1].sum(-1) + squares[..., -1]) / x.shape[-1]
