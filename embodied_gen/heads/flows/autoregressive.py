r"""Autoregressive layers: each entry moves by what the entries before it say.

With the entries in a fixed order and a network h whose output for entry i reads the entries before i alone,

    MAF    z_i = g(x_i; h_i(x_1 .. x_{i-1}, c))     one pass from data to noise, n passes back
    IAF    x_i = g(z_i; h_i(z_1 .. z_{i-1}, c))     one pass from noise to data, n passes back

for an increasing map g of single numbers (`elementwise`). Jacobians are triangular, so that log-determinants are sums
of log g'. MAF learns fast and draws slowly, IAF the other way round.

Sources: Papamakarios et al. 2017, MAF (arXiv:1705.07057); Kingma et al. 2016, IAF (arXiv:1606.04934).
"""

import abc
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.context import Context
from embodied_gen.heads.flows.base import Layer, put, read, total
from embodied_gen.heads.flows.elementwise import Elementwise


class _Sequential(Layer, abc.ABC):
    """What both directions share.

    Args:
        net: `net(x_t, t, c)` whose output for an entry depends on the entries before it alone, in the order of the
            flattened event, such as `MaskedMLP`; returns `transform.numbers` channels for each of the event's.
        transform: How single entries move.
        time: t with which the network is called; says which layer this is.

    Raises:
        ValueError: If the network is not autoregressive.
    """

    def __init__(self, net: nn.Module, transform: Elementwise, *, time: float = 0.0):
        super().__init__()
        require(net, "autoregressive", "masked")
        self.net, self.transform, self.time = net, transform, time

    def _at_once(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        """What g makes of all entries, in one pass, and the logarithms of its slopes."""
        return self.transform.forward(x, read(self.net, x, self.time, c, self.transform.numbers))

    def _one_by_one(self, y: Tensor, c: Context) -> Tensor:
        """The inverse of g, entry by entry; those that are not known yet are zero."""
        x = torch.zeros_like(y)
        for i, aim in enumerate(y.flatten(1).unbind(1)):
            raw = read(self.net, x, self.time, c, self.transform.numbers).flatten(1, -2)[:, i]
            x = put(x, i, self.transform.inverse(aim, raw))
        return x


@final
class MaskedAutoregressive(_Sequential):
    """MAF: one pass from data to noise, one for each entry back."""

    def normalise(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        """One call of the network."""
        z, log_slope = self._at_once(x, c)
        return z, total(log_slope)

    def generate(self, z: Tensor, c: Context) -> Tensor:
        """One call of the network for each entry."""
        return self._one_by_one(z, c)


@final
class InverseAutoregressive(_Sequential):
    """IAF: one pass from noise to data, one for each entry back."""

    def normalise(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        """One call of the network for each entry, and one more for the slopes."""
        z = self._one_by_one(x, c)
        return z, -total(self._at_once(z, c)[1])

    def generate(self, z: Tensor, c: Context) -> Tensor:
        """One call of the network."""
        return self._at_once(z, c)[0]


def require(net: nn.Module, quality: str, kind: str) -> None:
    """Refuses a network that does not say of itself that it has a quality, such as `autoregressive`."""
    if not getattr(net, quality, False):
        raise ValueError(
            f"this flow needs a network that is {quality}; got {type(net).__name__}, which does not say so. "
            f"Set net.kind to {kind}."
        )
