"""Guidance: what is wanted at test time, for every family of heads.

A guide is a cost, constraints and a projection on finished events in physical units y. Its meaning does not depend
on the family: draw from

    p(x | c) exp(-scale cost(y)),   restricted to values with no negative margin that `project` leaves unchanged.

Families approximate it by steering (`steering`), by particles (`particles`), and by proposals, which are here:
`propose` draws k candidates and keeps one with probability proportional to exp(-scale cost) among those that satisfy
the constraints, which tends to the exact conditional as k grows, and asks nothing of a guide but values.

Source: sampling importance resampling (Rubin 1988).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, final

import torch
from torch import Tensor

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.events.base import Event


@final
@dataclass(frozen=True)
class Guide:
    """What is wanted of finished events, given at test time. y has physical units and shape `(B, N, *E)`.

    Attributes:
        cost: Maps y to costs, dimensionless, shape `(B, N)`; lower is better. Differentiable almost everywhere
            where a head steers by it.
        project: Maps y to the nearest feasible value, of the same shape.
        margins: Maps y to the signed margins of hard constraints, each in its own unit, shape `(B, N, P)`: a
            constraint holds where its margin is not negative. Differentiable almost everywhere.
        certify: Maps y to its smallest margin, shape `(B, N)`, on the exact geometry; the smallest of `margins`
            where absent.
        scale: Strength of the cost, finite, >= 0.
    """

    cost: Callable[[Tensor], Tensor] | None = None
    project: Callable[[Tensor], Tensor] | None = None
    margins: Callable[[Tensor], Tensor] | None = None
    certify: Callable[[Tensor], Tensor] | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.scale < math.inf:
            raise ValueError(f"scale must be at least 0 and finite; got {self.scale}. A reward is a negative cost.")

    def wanted(self) -> Self | None:
        """The guide without a cost of scale 0, which asks for nothing; None where nothing else is left of it.

        Heads draw candidates or particles wherever they are given a guide, which are other draws of the same density.
        What asks for nothing shall leave each draw as it is. A guide without any part stays: it turns on what a head
        has learned of guidance itself, such as a classifier.
        """
        if self.scale != 0:
            return self
        asked = replace(self, cost=None)
        parts = (asked.cost, asked.project, asked.margins, asked.certify)
        return None if all(part is None for part in parts) else asked


@final
@dataclass(frozen=True)
class RowGuide:
    """A guide bound to an event and to B contexts, read on rows in model units; what families are handed."""

    guide: Guide
    event: Event
    contexts: int

    @property
    def steers(self) -> bool:
        """Whether there is anything that an estimate can be steered by."""
        return self.guide.cost is not None or self.guide.margins is not None

    def potential(self, x: Tensor) -> Tensor:
        """Scale * cost of rows in model units: `(M, *E)` to `(M,)`. Zero without a cost.

        Raises:
            ValueError: If the cost returns another shape than `(B, N)`.
        """
        return self._potential(self._physical(x))

    def margins(self, x: Tensor) -> Tensor:
        """Margins of rows in model units: `(M, *E)` to `(M, P)`; P is zero without constraints.

        Raises:
            ValueError: If the margins have another shape than `(B, N, P)`.
        """
        return self._margins(self._physical(x)).flatten(0, 1)

    def measure(self, x: Tensor, probes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Potential and margins of rows at once, for less than one after the other.

        Args:
            x: Rows in model units, shape `(M, *E)`, N for each context.
            probes: Further rows of which only margins are asked, shape `(B * Q, *E)`.

        Returns:
            Potentials of shape `(M,)`, and margins of shape `(B, N + Q, P)`, those of the probes last.
        """
        y = self._physical(x)
        every = y if probes is None else torch.cat([y, self._physical(probes)], 1)
        return self._potential(y), self._margins(every)

    def margin(self, x: Tensor) -> Tensor:
        """The smallest margin of rows in model units, certified where the guide can: `(M, *E)` to `(M,)`.

        It is infinite without constraints, and not a number nowhere: such a margin is minus infinity.
        """
        if self.guide.certify is not None:
            smallest = self.guide.certify(self._physical(x)).reshape(len(x))
        elif self.guide.margins is not None:
            smallest = self.margins(x).amin(1)
        else:
            return x.new_full((len(x),), math.inf)
        return torch.nan_to_num(smallest, nan=-math.inf, posinf=math.inf, neginf=-math.inf)

    def project(self, x: Tensor) -> Tensor:
        """The nearest feasible rows, model units, same shape."""
        if self.guide.project is None:
            return x
        y = self._physical(x)
        projected = self.guide.project(y)
        if projected.shape != y.shape:
            raise ValueError(
                f"a guide's projection must keep the shape {tuple(y.shape)}; got {tuple(projected.shape)}."
            )
        return self.event.scale(projected).reshape(x.shape)

    def _potential(self, y: Tensor) -> Tensor:
        if self.guide.cost is None:
            return y.new_zeros(y.shape[0] * y.shape[1])
        cost = self.guide.cost(y)
        if cost.shape != y.shape[:2]:
            raise ValueError(
                f"a guide's cost must have shape (B, N) = {tuple(y.shape[:2])}; got {tuple(cost.shape)}. "
                "Reduce over the axes of the event, not over contexts or samples."
            )
        return self.guide.scale * cost.flatten()

    def _margins(self, y: Tensor) -> Tensor:
        if self.guide.margins is None:
            return y.new_zeros(*y.shape[:2], 0)
        margins = self.guide.margins(y)
        if margins.ndim != 3 or margins.shape[:2] != y.shape[:2]:
            raise ValueError(
                f"a guide's margins must have shape (B, N, P) with (B, N) = {tuple(y.shape[:2])}; "
                f"got {tuple(margins.shape)}. Give one margin for each part of each constraint."
            )
        return margins

    def _physical(self, x: Tensor) -> Tensor:
        return self._unscale(x).reshape(self.contexts, -1, *x.shape[1:])

    @cached_property
    def _unscale(self) -> Callable[[Tensor], Tensor]:
        return self.event.unscaling()


def propose(
    candidates: Tensor, guide: RowGuide, *, generator: draws.Generator, log_weight: Tensor | None = None
) -> Tensor:
    """Keeps one of k candidates of each row; see `choose`.

    Args:
        candidates: Independent draws of each row, model units, shape `(M, k, *E)`.
        guide: What is wanted, on rows.
        generator: Draws the choice.
        log_weight: Of candidates from another density than the head's, shape `(M, k)`.

    Returns:
        The kept candidates, projected, shape `(M, *E)`.
    """
    chosen = choose(candidates, guide, generator=generator, log_weight=log_weight)
    return guide.project(candidates[torch.arange(len(candidates), device=candidates.device), chosen])


def drawn(
    draw: Callable[[Any, draws.Generator], Tensor],
    c: Context,
    guide: RowGuide | None,
    *,
    candidates: int,
    generator: draws.Generator,
) -> Tensor:
    """A draw for each context, of several where a guide has to be followed by proposals alone.

    Args:
        draw: Independent draws `(M, *E)`, model units, of what `c` is, for M rows.
        c: Contexts, or what was read from them, of B rows.
        guide: What is wanted, on rows; anything where None.
        candidates: Draws for each row under a guide, of which one is kept; see `choose`.
        generator: Draws.

    Returns:
        Shape `(B, *E)`, model units.
    """
    if guide is None:
        return draw(c, generator)
    several = draw(context.repeat(c, candidates), generator)
    return propose(several.unflatten(0, (-1, candidates)), guide, generator=generator)


def choose(
    candidates: Tensor, guide: RowGuide, *, generator: draws.Generator, log_weight: Tensor | None = None
) -> Tensor:
    """Which of k candidates of each row is kept.

    The probability is proportional to exp(-scale cost) among those with no negative margin; a cost that is not a number
    counts as infinite. Where there are none, the candidate with the largest margin is kept.

    Args:
        candidates: Independent draws of each row, model units, shape `(M, k, *E)`.
        guide: What is wanted, on rows.
        generator: Draws the choice.
        log_weight: Log of the head's density over that which a candidate was drawn from, shape `(M, k)`; zero where
            None.

    Returns:
        Indices in [0, k), int64, shape `(M,)`.
    """
    rows, k = candidates.shape[:2]
    flat = candidates.flatten(0, 1)
    potential, margin = guide.potential(flat).reshape(rows, k), guide.margin(flat).reshape(rows, k)
    holds = margin >= 0
    wanted = -potential if log_weight is None else log_weight - potential
    wanted = wanted.masked_fill(~holds | potential.isnan(), -math.inf)
    drawn = draws.categorical(wanted, generator=generator)
    return torch.where((wanted > -math.inf).any(1), drawn, margin.argmax(1))
