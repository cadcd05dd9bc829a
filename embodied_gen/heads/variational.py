r"""Variational heads: what latent heads share that are learned by a bound of log p(x | c) (`drawn_bound`).

The decoder is a normal around its mean with a learned deviation s for each entry, so that a bound is in nat with
respect to model units.

The decoder's noise belongs to a draw, x = push(u, c) + temperature s e with e ~ N(0, 1), and a guide's chain moves u
and e together, so that its density is that of p(x | c) under the guide.

Padding is left out: the encoder sees zeros there and the decoder is not asked, so that what is learned is a bound of
the density of the valid parts.

Source: Kingma and Welling 2014 (arXiv:1312.6114).
"""

import abc
import math
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from embodied_gen import context
from embodied_gen.context import Context
from embodied_gen.events.base import Event
from embodied_gen.heads.drawn_bound import DrawnBound
from embodied_gen.heads.latent_chain import LatentChain
from embodied_gen.heads.latents import LatentHead, Read, require

CERTAINTY = 1.0  # by how much less the logarithm of a posterior's deviations starts
RANGE = 6.0  # logarithms of deviations of latents stay in +-RANGE, and nothing overflows


class Normal(NamedTuple):
    """A normal with independent entries; shapes `(..., Z)`."""

    mean: Tensor
    log_deviation: Tensor

    @classmethod
    def of(cls, numbers: Tensor) -> "Normal":
        """What 2 Z outputs of a network mean: Z means, then Z logarithms of deviations, softly bounded."""
        mean, raw = numbers.chunk(2, -1)
        return cls(mean, RANGE * torch.tanh(raw / RANGE))

    def around(self, centre: Tensor) -> "Normal":
        """Shifted by a centre, of the shape of the mean."""
        return self._replace(mean=centre + self.mean)

    @classmethod
    def standard(cls, like: Tensor) -> "Normal":
        """N(0, 1) of the shape of `like`."""
        return cls(torch.zeros_like(like), torch.zeros_like(like))

    def at(self, noise: Tensor) -> Tensor:
        """The draw that belongs to noise N(0, 1), of the shape of `noise`."""
        return self.mean + self.log_deviation.exp() * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density in nat, summed over the last axis."""
        standard = (z - self.mean) * (-self.log_deviation).exp()
        return -(standard.square() / 2 + self.log_deviation + math.log(2 * math.pi) / 2).sum(-1)

    def divergence(self, other: "Normal") -> Tensor:
        """Kullback-Leibler divergence of this from another in nat, summed over the last axis."""
        ratio = self.log_deviation - other.log_deviation
        apart = (self.mean - other.mean) * (-other.log_deviation).exp()
        return (((2 * ratio).exp() - 1 + apart.square()) / 2 - ratio).sum(-1)

    def every(self, k: int) -> "Normal":
        """With an axis of k draws before the last: `(B, Z)` to `(B, k, Z)`, without a copy."""
        return Normal(*(part.unsqueeze(1).expand(-1, k, -1) for part in self))

    def repeated(self, k: int) -> "Normal":
        """Every row k times in a row, as `Repeated` has them: `(B, Z)` to `(B k, Z)`."""
        return Normal(*(part.repeat_interleave(k, 0) for part in self))


def certain(read: Read) -> Read:
    """The same map into `Normal.of`, which now starts with small deviations.

    A posterior as vague as the prior tells the decoder nothing, which then learns to ignore it.
    """
    with torch.no_grad():
        read.linear.bias.chunk(2)[1].sub_(CERTAINTY)
    return read


class Likelihood(nn.Module):
    """A normal around a mean with a learned deviation for each entry of an event.

    Args:
        event: Whose shape `*E` the deviations have.
        smallest: Lower bound of the deviations, model units, > 0, which keeps the likelihood bounded.
    """

    def __init__(self, event: Event, smallest: float):
        super().__init__()
        if not smallest > 0:
            raise ValueError(f"smallest must be positive; got {smallest}.")
        self.smallest = smallest
        self.log_excess = nn.Parameter(torch.full(event.shape, math.log(0.3)))

    def deviation(self) -> Tensor:
        """S, model units, shape `*E`."""
        return self.smallest + self.log_excess.exp()

    def forward(self, mean: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Log N(x; mean, s^2) of the valid parts, nat; `(M, *E)` twice to `(M,)`."""
        deviation = self.deviation()
        entries = -((x - mean) / deviation).square() / 2 - deviation.log() - math.log(2 * math.pi) / 2
        if valid is not None:
            entries = entries * context.aligned(valid, x)
        return entries.flatten(1).sum(1)


class VariationalHead(DrawnBound, LatentHead, abc.ABC):
    """A latent head with a bound of its density; implements `HasDrawnBound` and `HasLatent`.

    Args:
        event: What is predicted.
        numbers: U, of the whitened latent.
        smallest: Lower bound of the decoder's deviations, model units.
        temperature: Deviations of a draw from the decoder's mean; 1 draws from p(x | c), 0 the mean.
        importance: K of the bound, >= 1; may be replaced on a trained head.
        chain: How a guide is followed; may be replaced on a trained head.
    """

    def __init__(
        self,
        event: Event,
        *,
        numbers: int,
        smallest: float,
        temperature: float,
        importance: int,
        chain: LatentChain | None,
    ):
        super().__init__(event, numbers=numbers, chain=chain)
        require({"importance": importance})
        if not temperature >= 0:
            raise ValueError(f"temperature must be at least 0; got {temperature}.")
        self.likelihood = Likelihood(event, smallest)
        self.importance, self.temperature = importance, temperature

    @final
    def _drawn(self) -> int:
        return self.numbers + (torch.Size(self.event.shape).numel() if self.temperature > 0 else 0)

    @final
    def _realise(self, noise: Tensor, c: Context) -> Tensor:
        latent, rest = noise.tensor_split([self.numbers], 1)
        x = self.push(latent, c)
        if self.temperature == 0:
            return x
        return x + self.temperature * self.likelihood.deviation() * rest.reshape(x.shape)


class Repeated(NamedTuple):
    """Rows of B examples, K for each, for one call of a network."""

    x: Tensor
    c: Context
    valid: Tensor | None

    @classmethod
    def of(cls, x: Tensor, c: Context, valid: Tensor | None, k: int) -> "Repeated":
        """Every example k times in a row."""
        more = None if valid is None else valid.repeat_interleave(k, 0)
        return cls(x.repeat_interleave(k, 0), context.repeat(c, k), more)
