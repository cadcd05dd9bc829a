r"""Games between a generator G and a critic D: what each of both minimises.

With a = D(x) on data, b = D(G(z)) on draws, and s(v) = log(1 + exp(v)):

                     critic                     generator
    minimax          s(-a) + s(b)               -s(b)           the Jensen-Shannon divergence, at the best critic
    non-saturating   s(-a) + s(b)               s(-b)           the same fixed point, with slopes where D is sure
    relativistic     s(b - a) + e a^2           s(a - b)        each draw is set against an event, so that none is
                                                                forgotten: modes are rarely dropped
    least squares    ((a - 1)^2 + b^2) / 2      (b - 1)^2 / 2   no slope is lost far from the boundary
    Wasserstein      b - a + e a^2 + penalty    -b              the Wasserstein-1 distance, at the best critic

The Wasserstein game needs a critic that nowhere rises by more than 1 a unit: penalty = w (|grad D(x')| - 1)^2 at points
x' between data and draws. Games of differences know no level of D; a small e keeps it near zero.

Sources: Goodfellow et al. 2014 (arXiv:1406.2661); Jolicoeur-Martineau 2019 (arXiv:1807.00734) and Huang et al. 2024
(arXiv:2501.05441) for the relativistic game; Mao et al. 2017 (arXiv:1611.04076); Arjovsky et al. 2017
(arXiv:1701.07875); Gulrajani et al. 2017 (arXiv:1704.00028); Karras et al. 2018 (arXiv:1710.10196) for e.
"""

import abc
from collections.abc import Callable
from typing import final

from torch import Tensor
from torch.nn import functional

from embodied_gen import draws
from embodied_gen.heads.derivatives import slope

DRIFT = 1e-3  # e


class Game(abc.ABC):
    """Losses of both players, one for each row."""

    @abc.abstractmethod
    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the critic minimises, of its values on data and on draws; shapes `(M,)`."""

    @abc.abstractmethod
    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the generator minimises, of the critic's values on data and on draws; shapes `(M,)`."""

    def penalty(
        self, critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, generator: draws.Generator
    ) -> Tensor:
        """What else the critic minimises, `(M,)`, of itself as a function `(M, *E)` to `(M,)`, data and draws."""
        return real.new_zeros(len(real))


@final
class Minimax(Game):
    """The zero-sum game of cross-entropies."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy of telling data from draws."""
        return functional.softplus(-real) + functional.softplus(fake)

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Minus the critic's loss on draws."""
        return -functional.softplus(fake)


@final
class NonSaturating(Game):
    """Cross-entropies; the generator wants draws to be taken for data."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy of telling data from draws."""
        return functional.softplus(-real) + functional.softplus(fake)

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy of draws being taken for data."""
        return functional.softplus(-fake)


@final
class Relativistic(Game):
    """The critic tells which of a pair is the draw; the generator wants the other answer."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy of telling the draw of a pair."""
        return functional.softplus(fake - real) + DRIFT * real.square()

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy of the draw being taken for the event."""
        return functional.softplus(real - fake)


@final
class LeastSquares(Game):
    """The critic fits 1 to data and 0 to draws; the generator wants 1."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Squared errors of the labels."""
        return ((real - 1).square() + fake.square()) / 2

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Squared error of draws from the label of data."""
        return (fake - 1).square() / 2


@final
class Wasserstein(Game):
    """The critic's slope is kept near 1 between data and draws.

    Args:
        penalty: Weight of the gradient penalty, > 0.
    """

    def __init__(self, penalty: float = 0.1):
        if not penalty > 0:
            raise ValueError(f"penalty must be positive; got {penalty}. Without one the critic's values have no bound.")
        self.weight = penalty

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """By how much draws are valued above data."""
        return fake - real + DRIFT * real.square()

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Minus the value of draws."""
        return -fake

    def penalty(
        self, critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, generator: draws.Generator
    ) -> Tensor:
        """How far the slope is from 1, at one point between each pair."""
        share = draws.uniform((len(real), *[1] * (real.ndim - 1)), generator=generator, like=real)
        steepness = slope(critic, fake + share * (real - fake)).flatten(1).norm(dim=1)
        return self.weight * (steepness - 1).square()
