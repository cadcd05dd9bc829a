"""Heads: how uncertainty about an event is modelled.

A head answers two questions about p(x | c), x an event in model units and c a context: how do I learn from a
pair (x, c), and how do I draw x given c? Everything else is a capability, a protocol of one method.

Alphabet: B contexts, N samples, M = B N rows, `*E` the axes of an event.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn

from embodied_gen import context
from embodied_gen.context import Context
from embodied_gen.draws import Generator
from embodied_gen.events.base import Event
from embodied_gen.heads.guidance import Guide, RowGuide
from embodied_gen.heads.persistent import PersistentChains


@final
@dataclass(frozen=True)
class Certified:
    """Guided samples and what holds of them.

    Attributes:
        x: Events, model units, shape `(B, n, *E)`.
        margin: The smallest margin of each on the exact geometry, in the constraint's unit, shape `(B, n)`.
        feasible: Whether it is not negative, bool, shape `(B, n)`.
        weight: Equal for all feasible samples of a context, zero for the others; they add up to one where there is
            a feasible one. Shape `(B, n)`.
    """

    x: Tensor
    margin: Tensor
    feasible: Tensor
    weight: Tensor

    @classmethod
    def of(cls, x: Tensor, margin: Tensor) -> "Certified":
        """What follows from the margins."""
        feasible = margin >= 0
        return cls(x, margin, feasible, feasible / feasible.sum(1, keepdim=True).clamp(min=1))


class Head(nn.Module, abc.ABC):
    """A conditional generative model of one kind of event.

    Args:
        event: What is predicted; becomes a part of the head, so that its bounds are saved with the weights.
    """

    def __init__(self, event: Event):
        super().__init__()
        self.event = event

    @abc.abstractmethod
    def loss(self, x: Tensor, c: Context, *, generator: Generator, valid: Tensor | None = None) -> Tensor:
        """One loss for each example, never averaged over examples.

        Args:
            x: Events, model units, shape `(B, *E)`.
            c: Contexts, every leaf `(B, ...)`.
            generator: Draws whatever the loss is an expectation over.
            valid: Which parts of x are data and which are padding, as the event's `error` reads it. A head
                whose draws of one part depend on the others learns the padded event as it is and says so.

        Returns:
            Losses, shape `(B,)`.
        """

    @final
    @torch.no_grad()
    def sample(self, c: Context, n: int = 1, *, generator: Generator, guide: Guide | None = None) -> Tensor:
        """Draws n events for each context.

        Args:
            c: Contexts, every leaf `(B, ...)`; B may be zero.
            n: Samples for each context, >= 1.
            generator: One, or one for each context; then the draw of a context does not depend on the others.
            guide: What is wanted of the events; see `Guide` for its meaning. A cost of scale 0 changes no draw.

        Returns:
            Events in model units, shape `(B, n, *E)`, left unchanged by the guide's projection.

        Raises:
            ValueError: If n, the context or the number of generators is wrong.
        """
        contexts = context.size(c)
        if n < 1:
            raise ValueError(f"n must be at least 1; got {n}.")
        if isinstance(generator, Sequence) and len(generator) != contexts:
            raise ValueError(
                f"there must be one generator, or one for each of the {contexts} contexts; got {len(generator)}."
            )
        if not contexts:
            return self._like().new_empty(0, n, *self.event.shape)
        wanted = None if guide is None else guide.wanted()
        row_guide = None if wanted is None else RowGuide(wanted, self.event, contexts)
        rows = self._sample(self._repeated(c, n), contexts * n, generator, row_guide)
        if row_guide is not None:
            rows = row_guide.project(rows)
        return rows.reshape(contexts, n, *self.event.shape)

    @final
    def certified(self, c: Context, n: int = 1, *, generator: Generator, guide: Guide) -> Certified:
        """Draws n events for each context, and says of each whether it satisfies the constraints; see `sample`."""
        x = self.sample(c, n, generator=generator, guide=guide)
        if not len(x):
            return Certified.of(x, x.new_empty(0, n))
        return Certified.of(x, RowGuide(guide, self.event, len(x)).margin(x.flatten(0, 1)).view(len(x), n))

    def _repeated(self, c: Context, n: int) -> Context:
        """What `_sample` is given: each context n times, if not said otherwise; see `ReadsOnce`."""
        return context.repeat(c, n)

    @abc.abstractmethod
    def _sample(self, c: Context, rows: int, generator: Generator, guide: RowGuide | None) -> Tensor:
        """What a family writes: one event for each row of the repeated contexts, shape `(rows, *E)`."""

    def _like(self) -> Tensor:
        """A tensor of the dtype and device in which events are drawn."""
        return self.event.low


@runtime_checkable
class HasLogProb(Protocol):
    """Densities."""

    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """Log p(x | c) in nat with respect to model units, or a bound that the docstring names; `(B,)`."""


@runtime_checkable
class HasBound(HasLogProb, Protocol):
    """Densities that are known from below alone: `log_prob` is a lower bound."""

    lower_bound: Literal[True]


@runtime_checkable
class HasDrawnBound(HasBound, Protocol):
    """Bounds that are means over draws: `log_prob` is that of some fixed draws, the same for all rows."""

    def bound(self, x: Tensor, c: Context, *, generator: Generator) -> Tensor:
        """The bound of independent draws for each row, nat with respect to model units, `(B,)`: for means over rows."""


@runtime_checkable
class HasDenoiser(Protocol):
    """Posterior means of noised events."""

    def denoise(self, x_t: Tensor, t: Tensor, c: Context) -> Tensor:
        """E[x | x_t, c] at noise times t, shape `(B,)`; shapes `(B, *E)` in and out."""


@runtime_checkable
class HasEnergy(Protocol):
    """Unnormalised densities."""

    def energy(self, x: Tensor, c: Context) -> Tensor:
        """-log p(x | c) up to a constant of the context, nat, shape `(B,)`."""


@runtime_checkable
class HasLatent(Protocol):
    """Generators that push a latent forward."""

    def push(self, z: Tensor, c: Context) -> Tensor:
        """The event of a latent; `(B, *Z)` to `(B, *E)`."""


@runtime_checkable
class HasChains(Protocol):
    """Learning from Markov chains that go on from one step of training to the next; see `persistent`."""

    @property
    def chains(self) -> PersistentChains | None:
        """The chains, None where there are none."""

    def advance(self, c: Context, *, generator: torch.Generator) -> None:
        """Chains for the next step of training, to be called after each with its contexts; nothing without chains."""


@runtime_checkable
class HasCostMap(Protocol):
    """Planners that learn a cost of places."""

    def cost_map(self, c: Context) -> Tensor:
        """Costs, shape `(B, H, W)`."""


@runtime_checkable
class HasMarginals(Protocol):
    """Label maps of which the probabilities of single cells are known."""

    def marginals(self, c: Context) -> Tensor:
        """Probabilities of classes in each cell, shape `(B, H, W, L)`."""
