r"""Planar layers: a push along one direction, as far as another direction says.

    f(x) = x + v tanh(w . x + b),    log |det| = log(1 + w . v (1 - tanh^2))
    v    = u + (softplus(w . u) + e - 1 - w . u) w / |w|^2,    so that w . v > -1 and f is invertible,

where a network gives w, u and b from the context, and e is a small number. f is evaluated from data to noise: then the
density of data, and with it training, is exact and cheap. The inverse needs one number for each row: with a = w . x,

    a + (w . v) tanh(a + b) = w . z,    x = z - v tanh(a + b),

whose left side increases in a and lies within |w . v| of a, so that the root is bracketed and found by Newton's method.
As an amortised map from noise to data, which is how planar flows were introduced, the two directions change places;
there the density of given data would need the root.

Source: Rezende and Mohamed 2015 (arXiv:1505.05770), with its appendix A.1 for v.
"""

from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.context import Context
from embodied_gen.heads.flows.base import Layer, read
from embodied_gen.heads.flows.root import increasing_root

NUMBERS = 3  # for each entry: w, u and a share of b
LEAST = 1e-3  # e: the smallest slope of f along w


class _Push(NamedTuple):
    """Directions of shape `(M, n)`, their product w . v and the offset b of shape `(M,)`."""

    w: Tensor
    v: Tensor
    along: Tensor
    b: Tensor


@final
class Planar(Layer):
    """A planar layer.

    Args:
        shape: `*E` of the event.
        net: `net(x_t, t, c)`, called with zeros; returns three channels for each of the event's.
        time: t with which the network is called; says which layer this is.
    """

    def __init__(self, shape: tuple[int, ...], net: nn.Module, *, time: float = 0.0):
        super().__init__()
        self.net, self.time = net, time
        # Where w and u are both zero so are their gradients, and a network may start with zeros.
        self.start = nn.Parameter(torch.randn(*shape, 2) / torch.Size(shape).numel() ** 0.5)

    def normalise(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        """One call of the network."""
        push = self._push(x, c)
        bend = (_dot(push.w, x.flatten(1)) + push.b).tanh()
        z = x + (push.v * bend[:, None]).view_as(x)
        return z, torch.log1p(push.along * (1 - bend.square()))

    def generate(self, z: Tensor, c: Context) -> Tensor:
        """One call of the network, and Newton's method for one number in each row."""
        push = self._push(z, c)
        aim = _dot(push.w, z.flatten(1))

        def lack(a: Tensor) -> tuple[Tensor, Tensor]:
            bend = (a + push.b).tanh()
            return a + push.along * bend - aim, 1 + push.along * (1 - bend.square())

        root = increasing_root(lack, aim - push.along.abs(), aim + push.along.abs())
        value, slope = lack(root)
        a = root - value / slope.detach()  # Newton's last step carries the gradient
        return z - (push.v * (a + push.b).tanh()[:, None]).view_as(z)

    def _push(self, like: Tensor, c: Context) -> _Push:
        raw = read(self.net, torch.zeros_like(like), self.time, c, NUMBERS)
        w, u = ((raw[..., i] + self.start[..., i]).flatten(1) for i in (0, 1))
        product = _dot(w, u)
        along = functional.softplus(product) + LEAST - 1
        square = w.square().sum(1).clamp(min=torch.finfo(w.dtype).tiny)
        v = u + ((along - product) / square)[:, None] * w
        return _Push(w, v, along, raw[..., 2].flatten(1).mean(1))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(1)
