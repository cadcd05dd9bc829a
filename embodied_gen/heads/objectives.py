r"""Objectives of energies, where  p(x | c) = exp(-E(x, c)) / Z(c)  and Z is not known.

    InfoNCE                  log sum_j exp(E(x) - E(x_j)),  j over x itself and counter-examples x_1 .. x_K
    maximum likelihood       E(x) - E(x'),  x' from a chain that starts anywhere
    contrastive divergence   E(x) - E(x'),  x' from a few steps of a chain that starts at x
    persistent, the same     E(x) - E(x'),  x' from a chain that goes on from one step of training to the next
    max-margin               E(x) - min_x' (E(x') - error(x', x))

With counter-examples of density q the best E of InfoNCE is  log q - log p  and a constant. Langevin counter-examples
lie where E is low by mistake; a penalty on slopes keeps their chains from running away. The gradient of E(x) - E(x') is
that of -log p(x) where x' is a draw of the model.

A loss is a function of its arguments, its generator and the state of the head: killed runs end with the same bits,
validation has no side effects and several processes agree. So chains of maximum likelihood start anew for each example,
at uniform noise; those that persist are part of the state, and move between steps of training (`advance`).

Sources: van den Oord et al. 2018 (arXiv:1807.03748) and Florence et al. 2021 (arXiv:2109.00137) for InfoNCE; Hinton
2002 for contrastive divergence; Tieleman 2008 for persistent chains; Nijkamp et al. 2019 (arXiv:1904.09770) for chains
from noise; Du and Mordatch 2019 (arXiv:1903.08689) for the squares that hold energies near zero; Taskar et al. 2003 and
Tsochantaridis et al. 2005 for the margin.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.events.base import Event
from embodied_gen.heads.chains import Chain, Langevin, choose
from embodied_gen.heads.persistent import PersistentChains
from embodied_gen.heads.slopes import OfRows, descend, slope


@final
@dataclass(frozen=True)
class Landscape:
    """What a head lends to an objective for a batch of B contexts.

    Attributes:
        energy: Energies under the batch's own contexts: `(B * K, *E)` to `(B * K,)`, nat.
        under: Energies under M contexts, which are read once: of rows `(M * K, *E)`, those of a context together, to
            `(M * K,)`, nat.
        c: The contexts of the batch.
        event: What the rows are.
        reach: Half the width of the box in which uniform rows lie, model units.
    """

    energy: OfRows
    under: Callable[[Context], OfRows]
    c: Context
    event: Event
    reach: float

    def uniform(self, rows: int, *, generator: draws.Generator) -> Tensor:
        """Rows uniform in the box, model units, shape `(rows, *E)`."""
        u = draws.uniform((rows, *self.event.shape), generator=generator, like=self.event.low)
        return self.reach * (2 * u - 1)


class Objective(abc.ABC):
    """How an energy learns from events."""

    @abc.abstractmethod
    def loss(self, landscape: Landscape, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """One loss for each event x, model units, shape `(B, *E)`; returns `(B,)`."""


@final
class InfoNCE(Objective):
    """Tell the event from counter-examples: implicit behaviour cloning.

    Args:
        count: Counter-examples K of each event, >= 1; uniform in the box.
        chain: Moves counter-examples to where the energy is low; they stay uniform where None.
        penalty: Weight of the penalty on slopes at counter-examples that a chain moved, >= 0.
        limit: Largest entry of a slope that is free of it, nat for a model unit, >= 0. Entries beyond the bounds are
            not counted: there the confinement of the energy is meant to be steep.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, count: int = 16, *, chain: Chain | None = None, penalty: float = 1.0, limit: float = 10.0):
        if count < 1:
            raise ValueError(f"count must be at least 1; got {count}.")
        if not penalty >= 0 or not limit >= 0:
            raise ValueError(f"penalty and limit must be at least 0; got {penalty} and {limit}.")
        self.count, self.chain, self.penalty, self.limit = count, chain, penalty, limit

    def loss(self, landscape: Landscape, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """Surprise at the event among the counter-examples, nat, and the penalty."""
        others = landscape.uniform(len(x) * self.count, generator=generator)
        if self.chain is None:
            return self._surprise(landscape.energy(x), landscape.energy(others))
        others = self.chain.move(landscape.energy, others, generator=generator)
        energy, gradient = slope(landscape.energy, others, graph=True)
        steepest = (gradient.abs() * (others.abs() <= 1)).flatten(1).amax(1)
        excess = (steepest - self.limit).clamp(min=0).square()
        return self._surprise(landscape.energy(x), energy) + self.penalty * excess.view(len(x), -1).mean(1)

    def _surprise(self, own: Tensor, others: Tensor) -> Tensor:
        every = torch.cat([own[:, None], others.view(len(own), -1)], 1)
        return own + torch.logsumexp(-every, 1)


@final
class ContrastiveDivergence(Objective):
    """CD-k: a chain of k steps from the event itself.

    Args:
        chain: Of k steps; k = 1 is the classic. Its number of starts is not used.
        pull: Weight of the squares of both energies, >= 0, which hold the free constant near zero.

    Raises:
        ValueError: If `pull` is negative.
    """

    def __init__(self, chain: Chain | None = None, *, pull: float = 0.01):
        self.chain, self.pull = chain or Langevin(5), _checked(pull)

    def loss(self, landscape: Landscape, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """E(x) - E(x') and the pull. Its gradient is what matters: its value measures nothing."""
        return _contrast(landscape, x, self.chain.move(landscape.energy, x, generator=generator), self.pull)


@final
class MaximumLikelihood(Objective):
    """Chains that start anywhere, as when sampling: the gradient of -log p as far as they mix.

    Args:
        chain: Starts at one of its places, uniform in the box.
        pull: Weight of the squares of both energies, >= 0, which hold the free constant near zero.

    Raises:
        ValueError: If `pull` is negative.
    """

    def __init__(self, chain: Chain | None = None, *, pull: float = 0.01):
        self.chain, self.pull = chain or Langevin(40, starts=4), _checked(pull)

    def loss(self, landscape: Landscape, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """E(x) - E(x') and the pull. Its gradient is what matters: its value measures nothing."""
        start = landscape.uniform(len(x) * self.chain.population, generator=generator)
        return _contrast(landscape, x, self.chain.run(landscape.energy, start, generator=generator), self.pull)


@final
class PersistentContrastiveDivergence(nn.Module, Objective):
    """Chains that go on from one step of training to the next; see `persistent`.

    Args:
        chain: Of the steps between two steps of training; one that begins starts at one of its places, uniform in the
            box.
        count: Chains, >= 1.
        fresh: Share of the chains of a batch that begin anew, in [0, 1].
        pull: Weight of the squares of both energies, >= 0, which hold the free constant near zero.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, chain: Chain | None = None, *, count: int = 1024, fresh: float = 0.05, pull: float = 0.01):
        super().__init__()
        self.chain, self.pull = chain or Langevin(10, starts=4), _checked(pull)
        self.chains = PersistentChains(count, fresh=fresh)

    def loss(self, landscape: Landscape, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """E(x) - E(x') and the pull. Its gradient is what matters: its value measures nothing.

        Before chains have begun, x' is uniform, as they will be.
        """
        if not self.chains.begun:
            return _contrast(landscape, x, landscape.uniform(len(x), generator=generator), self.pull)
        others, c = self.chains.read(landscape.c)
        return _difference(landscape.energy(x), landscape.under(c)(others), self.pull)

    def advance(self, landscape: Landscape, *, generator: torch.Generator) -> None:
        """Chains for the next step of training."""

        def start(c: Context) -> Tensor:
            x = landscape.uniform(size(c) * self.chain.population, generator=generator)
            return choose(landscape.under(c), x, self.chain.population, generator=generator)

        def move(x: Tensor, c: Context) -> Tensor:
            return self.chain.move(landscape.under(c), x, generator=generator)

        self.chains.advance(landscape.c, start=start, move=move, generator=generator)


@final
class MaxMargin(Objective):
    """Structured hinge: the event lies lower than any other by as much as the other is wrong.

    The worst other is found by descent of E(x') - error(x', x) from uniform places and from the event itself, whose
    own value makes the loss at least zero.

    Args:
        starts: Uniform places for each event, >= 1.
        steps: Of the descent, >= 0.
        step: Length of the first, over the slope, > 0.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, starts: int = 8, *, steps: int = 20, step: float = 0.1):
        if starts < 1 or steps < 0 or not step > 0:
            raise ValueError(
                f"starts must be at least 1, steps at least 0 and step positive; got {starts}, {steps} and {step}."
            )
        self.starts, self.steps, self.step = starts, steps, step

    def loss(self, landscape: Landscape, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """By how much the worst other violates its margin, >= 0."""
        k = self.starts + 1
        uniform = landscape.uniform(len(x) * self.starts, generator=generator).unflatten(0, (len(x), -1))
        start = torch.cat([x.unsqueeze(1), uniform], 1).flatten(0, 1)
        wanted = x.repeat_interleave(k, 0)

        def augmented(other: Tensor) -> Tensor:
            return landscape.energy(other) - landscape.event.error(other, wanted)

        others = descend(augmented, start, steps=self.steps, step=self.step)
        others = torch.cat([x.unsqueeze(1), others.unflatten(0, (len(x), k))], 1).flatten(0, 1)
        wanted = x.repeat_interleave(k + 1, 0)
        lowest = augmented(others).view(len(x), -1).amin(1)
        return landscape.energy(x) - lowest


def _contrast(landscape: Landscape, x: Tensor, other: Tensor, pull: float) -> Tensor:
    return _difference(landscape.energy(x), landscape.energy(other), pull)


def _difference(own: Tensor, theirs: Tensor, pull: float) -> Tensor:
    return own - theirs + pull * (own.square() + theirs.square())


def _checked(pull: float) -> float:
    if not pull >= 0:
        raise ValueError(f"pull must be at least 0; got {pull}.")
    return pull
