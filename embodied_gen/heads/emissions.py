r"""Emissions: the distribution of the numbers that one position of a sequence stands for, given a decoder's output.

`Bins` cuts [-r, r], model units, into K equal bins, for one number at a time. With p the softmax of K logits,

    p(v) = p_k K / (2 r),    k the bin that v lies in,

a density that is constant inside of each bin, so that its logarithm is exact in nat of model units.

`Mixtures` draws V numbers at once from a mixture of K normals with diagonal covariance: all channels of a step, which
are then joint through the component that they share.

`Words` draws V numbers at once from K normals that are the same everywhere, of which only the weights depend on the
output: tokens, each a word of a vocabulary and a little noise around it,

    p(v) = sum_k p_k N(v; w_k, s_k^2).

Words w and deviations s are learned by the same likelihood, which is k-means with soft memberships; no vocabulary has
to be made beforehand, and the density is exact.

Sources: van den Oord et al. 2016 (arXiv:1601.06759) for bins; Bishop 1994 for mixtures; Philion et al. 2024
(arXiv:2312.04535) for motions as words.
"""

import abc
import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen import draws
from embodied_gen.heads.components import Components, deviation_of
from embodied_gen.rounding import unrounded

_SPREAD = 0.5  # deviation of the words before training, model units


class Emission(nn.Module, abc.ABC):
    """A conditional distribution of V numbers.

    Attributes:
        channels: V, the numbers that are drawn at once.
        width: W, the outputs that the decoder must give for them.
        inputs: I, by how many numbers a drawn value is told to the decoder.
    """

    def __init__(self, channels: int, width: int, inputs: int):
        super().__init__()
        self.channels, self.width, self.inputs = channels, width, inputs

    @abc.abstractmethod
    def log_prob(self, output: Tensor, value: Tensor) -> Tensor:
        """Log density in nat of model units; `(..., W)` and `(..., V)` to `(...)`."""

    @abc.abstractmethod
    def draw(self, output: Tensor, *, generator: draws.Generator) -> Tensor:
        """One value for each row, `(M, W)` to `(M, V)`."""

    @abc.abstractmethod
    def embed(self, value: Tensor) -> Tensor:
        """How a drawn value is told to the decoder, `(..., V)` to `(..., I)`."""

    def nearest(self, value: Tensor) -> Tensor:
        """The nearest value that has a density, of the same shape."""
        return value


@final
class Bins(Emission):
    """One number, by the bin that it lies in.

    Args:
        count: Number K of bins, >= 2.
        reach: r, model units: bins cover [-r, r], where 1 is the bound of the event.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, count: int = 64, reach: float = 1.0):
        if count < 2:
            raise ValueError(f"count must be at least 2; got {count}. One bin knows nothing.")
        if not 0 < reach < math.inf:
            raise ValueError(f"reach must be positive and finite; got {reach}.")
        super().__init__(1, count, count)
        self.count, self.reach = count, reach

    def log_prob(self, output: Tensor, value: Tensor) -> Tensor:
        """Exact; minus infinity outside of the bins, of which the bounds are a part, rounded or not."""
        inside = value[..., 0].abs() <= self.reach * (1 + 4 * torch.finfo(value.dtype).eps)
        mass = output.log_softmax(-1).gather(-1, self._bin(value))[..., 0]
        return (mass + math.log(self.count / (2 * self.reach))).masked_fill(~inside, -math.inf)

    def draw(self, output: Tensor, *, generator: draws.Generator) -> Tensor:
        """A bin, and a place in it."""
        chosen = draws.categorical(output, generator=generator).unsqueeze(-1)
        place = chosen + draws.uniform(chosen.shape, generator=generator, like=output)
        return (place * (2 / self.count) - 1) * self.reach

    def embed(self, value: Tensor) -> Tensor:
        """The bin, one-hot."""
        return functional.one_hot(self._bin(value)[..., 0], self.count).to(value.dtype)

    def nearest(self, value: Tensor) -> Tensor:
        """Confined to the bins."""
        return value.clamp(-self.reach, self.reach)

    def _bin(self, value: Tensor) -> Tensor:
        return ((value / self.reach + 1) * (self.count / 2)).floor().long().clamp(0, self.count - 1)


@final
class Mixtures(Emission):
    """V numbers at once, from a mixture of normals.

    Args:
        channels: V, >= 1.
        components: Number K of normals, >= 1.
        smallest: Lower bound of the deviations, model units, which keeps the likelihood bounded.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, channels: int, *, components: int = 8, smallest: float = 0.01):
        if channels < 1 or components < 1:
            raise ValueError(f"channels and components must be at least 1; got {channels} and {components}.")
        if not smallest > 0:
            raise ValueError(f"smallest must be positive; got {smallest}.")
        super().__init__(channels, components * (2 * channels + 1), channels)
        self.components, self.smallest = components, smallest
        # Equal components would receive equal gradients for ever: their centres start apart.
        self.centres = nn.Parameter(torch.empty(components, channels).uniform_(-1, 1))

    def log_prob(self, output: Tensor, value: Tensor) -> Tensor:
        """That of the mixture."""
        return self._read(output).log_prob(value)

    def draw(self, output: Tensor, *, generator: draws.Generator) -> Tensor:
        """A component, and a draw from it."""
        return self._read(output).draw(1, generator=generator)[:, 0]

    def embed(self, value: Tensor) -> Tensor:
        """The value as it is."""
        return value

    def _read(self, output: Tensor) -> Components:
        normals = self.components * self.channels
        mean, raw, logit = output.split([normals, normals, self.components], dim=-1)
        shape = (self.components, self.channels)
        deviation = deviation_of(raw.unflatten(-1, shape), self.smallest)
        return Components(logit.log_softmax(-1), self.centres + mean.unflatten(-1, shape), deviation)


@final
class Words(Emission):
    """V numbers at once, by the word of a vocabulary that they lie around.

    Args:
        channels: V, >= 1.
        count: Number K of words, >= 2.
        smallest: Lower bound of the deviations, model units, which keeps the likelihood bounded.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, channels: int, *, count: int = 128, smallest: float = 0.01):
        if channels < 1 or count < 2:
            raise ValueError(f"channels must be at least 1 and count at least 2; got {channels} and {count}.")
        if not smallest > 0:
            raise ValueError(f"smallest must be positive; got {smallest}.")
        super().__init__(channels, count, count)
        self.count, self.smallest = count, smallest
        self.words = nn.Parameter(_SPREAD * torch.randn(count, channels))
        self.raw = nn.Parameter(torch.zeros(count, channels))

    def log_prob(self, output: Tensor, value: Tensor) -> Tensor:
        """That of the words, each with its noise."""
        shape = (*output.shape[:-1], self.count, self.channels)
        deviation = deviation_of(self.raw, self.smallest)
        words = Components(output.log_softmax(-1), self.words.expand(shape), deviation.expand(shape))
        return words.log_prob(value)

    def draw(self, output: Tensor, *, generator: draws.Generator) -> Tensor:
        """A word, and noise around it."""
        chosen = draws.categorical(output, generator=generator)
        mean, deviation = self.words[chosen], deviation_of(self.raw[chosen], self.smallest)
        return mean + deviation * draws.normal(mean.shape, generator=generator, like=mean)

    def embed(self, value: Tensor) -> Tensor:
        """The nearest word, one-hot."""
        words = self.words.detach()
        with unrounded(value):  # |v|^2 / 2 less half the squared distance
            near = functional.linear(value, words, -words.square().sum(-1) / 2)
        return torch.zeros_like(near, dtype=value.dtype).scatter_(-1, near.argmax(-1, keepdim=True), 1.0)
