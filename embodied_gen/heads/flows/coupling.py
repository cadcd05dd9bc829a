r"""Coupling layers: some entries stay, and say how the others move.

With a mask m that keeps a part of the entries, and an increasing map g of single numbers (`elementwise`),

    y = m x + (1 - m) g(x; h(m x, t, c)),    log |det| = sum over moved entries of log g',

where h is any network. The inverse is as cheap: what h reads has not moved. With affine g this is RealNVP, with splines
a neural spline flow. Masks alternate over channels, then over the other axes, so that every entry moves in every two
layers.

Sources: Dinh et al. 2017, RealNVP (arXiv:1605.08803); Durkan et al. 2019 (arXiv:1906.04032).
"""

from itertools import cycle, islice
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.context import Context
from embodied_gen.heads.flows.base import Layer, read, total
from embodied_gen.heads.flows.elementwise import Elementwise


@final
class Coupling(Layer):
    """A coupling layer.

    Args:
        net: `net(x_t, t, c)`, called with the kept entries and zeros; returns `transform.numbers` channels for each
            of the event's.
        transform: How single entries move.
        mask: Which entries are kept, bool, shape `*E`; some, not all.
        time: t with which the network is called; says which layer this is.

    Raises:
        ValueError: If the mask keeps nothing or everything.
    """

    mask: Tensor
    moved: Tensor

    def __init__(self, net: nn.Module, transform: Elementwise, mask: Tensor, *, time: float = 0.0):
        super().__init__()
        if bool(mask.all()) or not bool(mask.any()):
            raise ValueError("a coupling must keep some entries and move others; got a mask with all of one kind.")
        self.net, self.transform, self.time = net, transform, time
        self.register_buffer("mask", mask, persistent=False)
        self.register_buffer("moved", (~mask).flatten().nonzero().flatten(), persistent=False)

    def normalise(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        """One call of the network."""
        y, log_slope = self.transform.forward(self._moved(x), self._numbers(x, c))
        return self._with(x, y), total(log_slope)

    def generate(self, z: Tensor, c: Context) -> Tensor:
        """One call of the network."""
        return self._with(z, self.transform.inverse(self._moved(z), self._numbers(z, c)))

    def _moved(self, x: Tensor) -> Tensor:
        """The entries that move, `(M, *E)` to `(M, V)`."""
        return x.flatten(1).index_select(1, self.moved)

    def _with(self, x: Tensor, values: Tensor) -> Tensor:
        """The same with others in their places."""
        return x.flatten(1).index_copy(1, self.moved, values).view_as(x)

    def _numbers(self, x: Tensor, c: Context) -> Tensor:
        """Of the entries that move, shape `(M, V, numbers)`."""
        found = read(self.net, x.masked_fill(~self.mask, 0), self.time, c, self.transform.numbers)
        return found.flatten(1, -2).index_select(1, self.moved)


def alternating(shape: tuple[int, ...], layers: int) -> list[Tensor]:
    """Masks of successive couplings: even and odd places along the channels, then along the other axes from the last.

    Args:
        shape: `*E` of the event.
        layers: Masks wanted, at least 2, so that every entry moves.

    Returns:
        Bool masks of shape `*E`; neighbours of a pair are opposite.

    Raises:
        ValueError: If there is but one entry, or but one layer.
    """
    axes = [axis for axis in reversed(range(len(shape))) if shape[axis] > 1]
    if not axes or layers < 2:
        raise ValueError(
            f"a coupling flow needs at least two entries and two layers; got the event {shape} and {layers} layers. "
            "Choose a continuous, planar or autoregressive flow for single numbers."
        )
    places = [torch.arange(size) for size in shape]
    grids = torch.meshgrid(*places, indexing="ij")
    return list(islice(cycle(grids[axis] % 2 == odd for axis in axes for odd in (0, 1)), layers))
