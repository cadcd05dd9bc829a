"""Guidance: what is wanted at test time, for every family of heads.

A guide is a cost and a projection on finished events in physical units y. Its meaning does not depend on the
family: draw from

    p(x | c) exp(-scale cost(y)),   restricted to values that `project` leaves unchanged.

Two mechanisms approximate it here.

`steer` moves a clean estimate x_hat towards the maximum of N(x; x_hat, variance) exp(-scale cost), that is, it
lowers  J(x) = |x - x_hat|^2 / (2 variance) + scale cost(x)  by gradient steps of which only those that lower J
are taken. J bounds the distance moved by sqrt(2 variance scale cost(x_hat)) at any scale: nothing diverges.

`propose` draws k candidates and keeps one with probability proportional to exp(-scale cost), which tends to
the exact conditional as k grows, and asks nothing of the cost but a value.

Sources: proximal sampling as in DiffPIR (Zhu et al. 2023, arXiv:2305.08995); sampling importance resampling
(Rubin 1988).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.events.base import Event


@final
@dataclass(frozen=True)
class Guide:
    """What is wanted of finished events, given at test time.

    Attributes:
        cost: Maps y, physical units, shape `(B, N, *E)`, to costs, dimensionless, shape `(B, N)`; lower is
            better. Differentiable almost everywhere where a head steers by it.
        project: Maps y to the nearest feasible value, of the same shape.
        scale: Strength of the cost, finite, >= 0.
    """

    cost: Callable[[Tensor], Tensor] | None = None
    project: Callable[[Tensor], Tensor] | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.scale < math.inf:
            raise ValueError(f"scale must be at least 0 and finite; got {self.scale}. A reward is a negative cost.")


@final
@dataclass(frozen=True)
class RowGuide:
    """A guide bound to an event and to B contexts, read on rows in model units; what families are handed."""

    guide: Guide
    event: Event
    contexts: int

    def potential(self, x: Tensor) -> Tensor:
        """Scale * cost of rows in model units: `(M, *E)` to `(M,)`. Zero without a cost.

        Raises:
            ValueError: If the cost returns another shape than `(B, N)`.
        """
        if self.guide.cost is None:
            return x.new_zeros(len(x))
        y = self._physical(x)
        cost = self.guide.cost(y)
        if cost.shape != y.shape[:2]:
            raise ValueError(
                f"a guide's cost must have shape (B, N) = {tuple(y.shape[:2])}; got {tuple(cost.shape)}. "
                "Reduce over the axes of the event, not over contexts or samples."
            )
        return self.guide.scale * cost.reshape(len(x))

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

    def _physical(self, x: Tensor) -> Tensor:
        return self.event.unscale(x).reshape(self.contexts, -1, *x.shape[1:])


def steer(x_hat: Tensor, variance: float | Tensor, guide: RowGuide, *, iterations: int = 8) -> Tensor:
    """Moves clean estimates towards lower cost, no further than their uncertainty allows; then projects.

    Args:
        x_hat: Clean estimates, model units, shape `(M, *E)`.
        variance: Variance of the estimate, model units squared, one number or a tensor that broadcasts to
            `x_hat`; the number zero leaves only the projection.
        guide: Cost and projection on rows.
        iterations: Gradient steps tried. Each row takes only steps that lower its own objective.

    Returns:
        Estimates of the same shape, finite wherever `x_hat` and the cost are.
    """
    if guide.guide.cost is None or (not isinstance(variance, Tensor) and variance <= 0):
        return guide.project(x_hat)
    rows = (-1, *[1] * (x_hat.ndim - 1))
    # In units of the standard deviation the objective is |u|^2 / 2 + potential, of curvature at least one.
    deviation = variance**0.5
    u = torch.zeros_like(x_hat)
    value, gradient = _objective(u, x_hat, deviation, guide)
    # A first step of at most one deviation in root mean square; later ones grow and shrink by success.
    rate = 1 / gradient.square().flatten(1).mean(1).sqrt().clamp(min=1)
    for _ in range(iterations):
        candidate = u - rate.view(rows) * gradient
        new_value, new_gradient = _objective(candidate, x_hat, deviation, guide)
        better = new_value < value
        u = torch.where(better.view(rows), candidate, u)
        gradient = torch.where(better.view(rows), new_gradient, gradient)
        value = torch.where(better, new_value, value)
        rate = torch.where(better, rate * 1.5, rate * 0.3)
    return guide.project(x_hat + deviation * u)


def _objective(u: Tensor, x_hat: Tensor, deviation: float | Tensor, guide: RowGuide) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        u = u.detach().requires_grad_()
        value = u.square().flatten(1).sum(1) / 2 + guide.potential(x_hat + deviation * u)
        (gradient,) = torch.autograd.grad(value.sum(), u)
    return value.detach(), torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)


def propose(candidates: Tensor, guide: RowGuide, *, generator: draws.Generator) -> Tensor:
    """Keeps one of k candidates of each row with probability proportional to exp(-scale cost).

    Args:
        candidates: Independent draws of each row, model units, shape `(M, k, *E)`.
        guide: Cost and projection on rows.
        generator: Draws the choice.

    Returns:
        The kept candidates, projected, shape `(M, *E)`.
    """
    rows, k = candidates.shape[:2]
    potential = guide.potential(candidates.flatten(0, 1)).reshape(rows, k)
    chosen = draws.categorical(-potential, generator=generator)
    return guide.project(candidates[torch.arange(rows, device=candidates.device), chosen])
