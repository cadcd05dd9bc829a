r"""Normalizing flows: p(x | c) as noise that an invertible map has moved.

With x an event of n entries, standardised as u = (x - m) / s, and invertible layers f_1 .. f_L in the order from data
to noise,

    z = f_L(.. f_1(u, c) .., c),    log p(x | c) = log N(z; 0, 1) + sum_l log |det df_l| - sum log s,

and a draw is z ~ N(0, 1) led through the inverses in the opposite order. m and s are learned numbers for each entry, so
that layers work in units of about one. Families of flows differ in their layers alone: each knows an exact direction
from data to noise with its log-determinant, and the way back.

Of a layer whose log-determinant is dear, training takes an estimate instead (`Layer.estimate`), while `log_prob` stays
exact, of continuous layers to the tolerance of their solver.

Guides are followed in the latent z, by proposals and a Langevin chain (`latent_chain`), which is exact as the chain
grows. The chain differentiates the way from noise to data: for layers that solve equations there it is slow.

Source: Papamakarios et al. 2021, "Normalizing Flows for Probabilistic Modeling and Inference" (arXiv:1912.02762).
"""

import abc
import math
from collections.abc import Callable, Sequence
from typing import cast, final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context
from embodied_gen.events.base import Event
from embodied_gen.heads.base import Head
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.latent_chain import LatentChain


class Layer(nn.Module, abc.ABC):
    """An invertible map f(x, c) of events, from data to noise."""

    @abc.abstractmethod
    def normalise(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        """Data to noise: f(x, c) of shape `(M, *E)` and log |det df/dx| of shape `(M,)`, exact or to a tolerance."""

    def estimate(self, x: Tensor, c: Context, *, generator: draws.Generator) -> tuple[Tensor, Tensor]:
        """The same for training: the log-determinant may be an unbiased estimate, less what the layer charges."""
        return self.normalise(x, c)

    @abc.abstractmethod
    def generate(self, z: Tensor, c: Context) -> Tensor:
        """Noise to data, the inverse of `normalise`; shapes `(M, *E)`. Differentiable by z."""


@final
class FlowHead(Head):
    """p(x | c) by an invertible map of noise; implements `HasLogProb` and `HasLatent`.

    Args:
        event: What is predicted.
        layers: Invertible layers from data to noise, at least one.
        chain: How a guide is followed; may be replaced on a trained head.

    Raises:
        ValueError: If there is no layer.
    """

    def __init__(self, event: Event, layers: Sequence[Layer], *, chain: LatentChain | None = None):
        super().__init__(event)
        if not layers:
            raise ValueError("a flow must have at least one layer; got none. An empty flow is a normal.")
        self.layers = nn.ModuleList(layers)
        self.mean = nn.Parameter(torch.zeros(event.shape))
        self.log_deviation = nn.Parameter(torch.full(event.shape, math.log(0.5)))
        self.chain = chain or LatentChain()

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """-log p(x | c), or an estimate of it with what layers charge, divided by the event's size, nat, shape `(B,)`.

        Padding is learned as it is, `valid` or not: a flow has no marginal of a part in closed form.
        """
        return -self._log_prob(x, lambda layer, x: layer.estimate(x, c, generator=generator)) / x[0].numel()

    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """Log p(x | c), exact or to the tolerance of its layers, nat with respect to model units, shape `(B,)`."""
        return self._log_prob(x, lambda layer, x: layer.normalise(x, c))

    def push(self, z: Tensor, c: Context) -> Tensor:
        """The event of a latent, which is N(0, 1) in every entry; shapes `(B, *E)`, model units."""
        for layer in reversed(self._typed_layers()):
            z = layer.generate(z, c)
        return self.mean + self.log_deviation.exp() * z

    def _log_prob(self, x: Tensor, move: Callable[[Layer, Tensor], tuple[Tensor, Tensor]]) -> Tensor:
        self.event.check(x)
        z = (x - self.mean) * (-self.log_deviation).exp()
        total = -self.log_deviation.sum()
        for layer in self._typed_layers():
            z, log_det = move(layer, z)
            total = total + log_det
        return total - (z.square() + math.log(2 * math.pi)).flatten(1).sum(1) / 2

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        shape = self.event.shape
        if guide is None:
            return self.push(draws.normal((rows, *shape), generator=generator, like=self._like()), c)

        def push(u: Tensor, c: Context) -> Tensor:
            return self.push(u.reshape(len(u), *shape), c)

        return self.chain.run(push, math.prod(shape), c, guide, generator=generator, like=self._like())

    def _typed_layers(self) -> list[Layer]:
        return [cast(Layer, layer) for layer in self.layers]


def read(net: nn.Module, x: Tensor, time: float | Tensor, c: Context, numbers: int) -> Tensor:
    """Some numbers for each entry of an event, from a network `net(x_t, t, c)`.

    Args:
        net: Returns `numbers` times as many channels as the event has, the first of every entry first.
        x: What the network sees, shape `(M, *E)`.
        time: t, one for all rows or of shape `(M,)`.
        c: Contexts.
        numbers: For each entry.

    Returns:
        Shape `(M, *E, numbers)`, of the dtype of x.

    Raises:
        ValueError: If the network returns another shape.
    """
    t = time if isinstance(time, Tensor) else x.new_full((len(x),), time)
    output = net(x, t, c).to(x.dtype)
    expected = (*x.shape[:-1], numbers * x.shape[-1])
    if tuple(output.shape) != expected:
        raise ValueError(
            f"the network of this flow must return shape {expected}; got {tuple(output.shape)}. "
            f"Build it with {numbers} channels for each channel of the event."
        )
    return output.unflatten(-1, (numbers, -1)).transpose(-1, -2)


def put(x: Tensor, i: int, entry: Tensor) -> Tensor:
    """Rows `(M, *E)` with `entry`, `(M,)`, in place i of the flattened event."""
    flat = x.flatten(1)
    return torch.cat([flat[:, :i], entry[:, None], flat[:, i + 1 :]], 1).view_as(x)


def total(log_slopes: Tensor) -> Tensor:
    """Sum over the entries of each row, `(M, ...)` to `(M,)`."""
    return log_slopes.flatten(1).sum(1)


@final
class Reverse(Layer):
    """Entries in the opposite order, so that what came last for one autoregressive layer is first for the next."""

    def normalise(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        """The flipped event, and zeros."""
        return self.generate(x, c), x.new_zeros(len(x))

    def generate(self, z: Tensor, c: Context) -> Tensor:
        """The flipped event: the map is its own inverse."""
        return z.flatten(1).flip(1).view_as(z)
