"""Heads with a latent: what an event is pushed forward from.

A latent of Z numbers enters and leaves the networks of this package, u(x_t, t, c), by linear maps: it is lifted to the
shape of an event, and read from one. In between a network is a correction,

    through(h, t, c) = h + net(h, t, c),

so that a head whose network is zero is a linear model: an autoencoder is then principal components, a variational one
is factor analysis (Tipping and Bishop 1999). A lift starts orthogonal and the map that reads a latent as its inverse:
an untrained head keeps of an event whatever Z numbers can, which no decoder learns to ignore. Events have a deviation
of about a half, latents of about one. Under autocast corrections alone are rounded, and no latent, deviation or mean.

Every `LatentHead` maps whitened latents u ~ N(0, 1), U numbers for each row, to events, and follows a guide by a chain
in u (`latent_chain`).

Alphabet: Z numbers of a latent, U numbers of the whitened latent.
"""

import abc
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.events.base import Event
from embodied_gen.heads.base import Head
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.latent_chain import LatentChain
from embodied_gen.heads.stages import estimate
from embodied_gen.rounding import unrounded

EVENT_DEVIATION = 0.5  # of an event, model units, as far as initial weights care


@final
class Lift(nn.Module):
    """A linear map from Z numbers to the shape of an event.

    Args:
        numbers: Z.
        event: Whose shape `*E` is made.
    """

    def __init__(self, numbers: int, event: Event):
        super().__init__()
        self.shape = event.shape
        self.linear = nn.Linear(numbers, torch.Size(event.shape).numel())
        nn.init.orthogonal_(self.linear.weight, EVENT_DEVIATION)
        nn.init.zeros_(self.linear.bias)

    def forward(self, z: Tensor) -> Tensor:
        """`(M, Z)` to `(M, *E)`."""
        with unrounded(z):
            return self.linear(z.to(self.linear.weight.dtype)).unflatten(-1, self.shape)


@final
class Read(nn.Module):
    """A linear map from the shape of an event to some numbers.

    Args:
        event: Whose shape `*E` is read.
        numbers: Of the output.
    """

    def __init__(self, event: Event, numbers: int):
        super().__init__()
        self.linear = nn.Linear(torch.Size(event.shape).numel(), numbers)

    @torch.no_grad()
    def invert(self, lift: Lift, numbers: int) -> None:
        """Sets the first numbers to those of a latent that, lifted, come closest to an event."""
        self.linear.weight[:numbers] = lift.linear.weight[:, :numbers].T / EVENT_DEVIATION**2
        self.linear.bias[:numbers] = 0

    def forward(self, h: Tensor) -> Tensor:
        """`(M, *E)` to `(M, numbers)`."""
        with unrounded(h):
            return self.linear(h.flatten(1).to(self.linear.weight.dtype))


def through(net: nn.Module, h: Tensor, t: float | Tensor, c: Context) -> Tensor:
    """H + net(h, t, c), with one time or one for each row; `(M, *E)` in and out.

    Raises:
        ValueError: If the network does not keep the shape.
    """
    return h + estimate(net, h, t, c)


def only(x: Tensor, valid: Tensor | None) -> Tensor:
    """The event with zeros in its padding, so that nothing is told of it."""
    return x if valid is None else torch.where(context.aligned(valid, x), x, 0)


def require(numbers: dict[str, int]) -> None:
    """Refuses numbers below 1.

    Raises:
        ValueError: Naming the first number that is below 1.
    """
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1; got {number}.")


class LatentHead(Head, abc.ABC):
    """Events pushed forward from whitened latents; implements `HasLatent`.

    Args:
        event: What is predicted.
        numbers: U, of the whitened latent.
        chain: How a guide is followed; may be replaced on a trained head.
    """

    def __init__(self, event: Event, *, numbers: int, chain: LatentChain | None):
        super().__init__(event)
        self.numbers = numbers
        self.chain = chain or LatentChain()

    @abc.abstractmethod
    def push(self, z: Tensor, c: Context) -> Tensor:
        """The decoder's mean for whitened latents; `(M, U)` to `(M, *E)`, model units."""

    def _drawn(self) -> int:
        """Numbers of noise that a draw takes."""
        return self.numbers

    def _realise(self, noise: Tensor, c: Context) -> Tensor:
        """The draws that belong to noise N(0, 1); `(M, self._drawn())` to `(M, *E)`."""
        return self.push(noise, c)

    @final
    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        like = self._like()
        if guide is None:
            return self._realise(draws.normal((rows, self._drawn()), generator=generator, like=like), c)

        def push(u: Tensor, c: Context) -> Tensor:
            return self._realise(u[:, 0], c)

        return self.chain.run(push, self._drawn(), c, guide, generator=generator, like=like)
