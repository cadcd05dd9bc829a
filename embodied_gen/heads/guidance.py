"""Guidance: what is wanted at test time, for every family of heads.

A guide is a cost, constraints and a projection on finished events in physical units y. Its meaning does not depend
on the family: draw from

    p(x | c) exp(-scale cost(y)),   restricted to values with no negative margin that `project` leaves unchanged.

Two mechanisms approximate it here; `particles` is the third.

`steer` moves a clean estimate x_hat of given variance to the minimum of

    J(x) = |x - x_hat|^2 / (2 variance) + scale cost(x) + k / 2 sum_p relu(b - m_p(x) / s_p)^2

by gradient steps of which only those that lower J are taken. The margin m_p of each constraint is measured in its
own deviation s_p under N(x_hat, variance), so that constraints need no scale: where x_hat is certain they are walls,
where it is vague they are slopes. With b = 0.8 the minimum is close to the mean of the normal cut off at the
constraint, and exp(-J) to its mass, which is Phi(m / s) for one flat constraint. J bounds the distance moved:
nothing diverges at any scale.

`propose` draws k candidates and keeps one with probability proportional to exp(-scale cost) among those that satisfy
the constraints, which tends to the exact conditional as k grows, and asks nothing of a guide but values.

Sources: proximal sampling as in DiffPIR (Zhu et al. 2023, arXiv:2305.08995); step lengths of Barzilai and Borwein
1988; sampling importance resampling (Rubin 1988).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.events.base import Event

INSIDE = 0.8  # b: deviations that an estimate keeps inside of a constraint
FIRMNESS = 20.0  # k: how hard a constraint is, against the estimate's own certainty of 1
PROBED = 8  # samples of a context at which the deviations of its margins are measured


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

    def margins(self, x: Tensor) -> Tensor:
        """Margins of rows in model units: `(M, *E)` to `(M, P)`; P is zero without constraints.

        Raises:
            ValueError: If the margins have another shape than `(B, N, P)`.
        """
        if self.guide.margins is None:
            return x.new_zeros(len(x), 0)
        y = self._physical(x)
        margins = self.guide.margins(y)
        if margins.ndim != 3 or margins.shape[:2] != y.shape[:2]:
            raise ValueError(
                f"a guide's margins must have shape (B, N, P) with (B, N) = {tuple(y.shape[:2])}; "
                f"got {tuple(margins.shape)}. Give one margin for each part of each constraint."
            )
        return margins.reshape(len(x), -1)

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

    def _physical(self, x: Tensor) -> Tensor:
        return self.event.unscale(x).reshape(self.contexts, -1, *x.shape[1:])


def steer(x_hat: Tensor, variance: float | Tensor, guide: RowGuide, *, iterations: int = 6) -> Tensor:
    """Moves clean estimates towards what is wanted, no further than their uncertainty allows; then projects.

    Args:
        x_hat: Clean estimates, model units, shape `(M, *E)`.
        variance: Variance of the estimate, model units squared, one number or a tensor that broadcasts to
            `x_hat`; the number zero leaves only the projection.
        guide: What is wanted, on rows.
        iterations: Gradient steps tried. Each row takes only steps that lower its own objective.

    Returns:
        Estimates of the same shape, finite wherever `x_hat` and the guide are.
    """
    if not guide.steers or (not isinstance(variance, Tensor) and variance <= 0):
        return guide.project(x_hat)
    return guide.project(settle(x_hat, variance, guide, iterations=iterations)[0])


def settle(x_hat: Tensor, variance: float | Tensor, guide: RowGuide, *, iterations: int = 6) -> tuple[Tensor, Tensor]:
    """The minimum of J for each row, as far as the iterations lead, and its value; see `steer`.

    Returns:
        Estimates of the shape of `x_hat`, and J of shape `(M,)`.
    """
    deviation = variance**0.5
    spread = _spread(x_hat, deviation, guide)

    def objective(u: Tensor) -> Tensor:
        x = x_hat + deviation * u
        lacking = (INSIDE - guide.margins(x) / spread).clamp(min=0)
        return u.square().flatten(1).sum(1) / 2 + guide.potential(x) + FIRMNESS / 2 * lacking.square().sum(1)

    rows = (-1, *[1] * (x_hat.ndim - 1))
    # In units of the deviation J is |u|^2 / 2 and more, of curvature at least one.
    u = torch.zeros_like(x_hat)
    value, gradient = _with_gradient(objective, u)
    rate = 1 / gradient.abs().flatten(1).amax(1).clamp(min=1)  # at first no entry moves by more than one deviation
    for left in range(iterations, 0, -1):
        candidate = u - rate.view(rows) * gradient
        if left == 1:
            new_value, new_gradient = objective(candidate), gradient
        else:
            new_value, new_gradient = _with_gradient(objective, candidate)
        better = new_value < value
        rate = torch.where(better, _step_length(candidate - u, new_gradient - gradient), rate * 0.3)
        u = torch.where(better.view(rows), candidate, u)
        gradient = torch.where(better.view(rows), new_gradient, gradient)
        value = torch.where(better, new_value, value)
    return x_hat + deviation * u, value


def _with_gradient(objective: Callable[[Tensor], Tensor], u: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        u = u.detach().requires_grad_()
        value = objective(u)
        (gradient,) = torch.autograd.grad(value.sum(), u)
    return value.detach(), torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)


def _step_length(moved: Tensor, bent: Tensor) -> Tensor:
    """Inverse curvature along the last step of each row, at most 1, as J has at least that curvature."""
    moved, bent = moved.flatten(1), bent.flatten(1)
    curvature = (moved * bent).sum(1) / moved.square().sum(1).clamp(min=1e-30)
    return 1 / curvature.clamp(min=1)


def _spread(x_hat: Tensor, deviation: float | Tensor, guide: RowGuide) -> Tensor:
    """Deviation of each margin under N(x_hat, deviation^2), its own unit, shape `(M, P)`.

    Measured on two pairs of probes with entries of +-1, orthogonal in neighbouring channels, and averaged over some
    samples of each context.
    """
    if guide.guide.margins is None:
        return x_hat.new_ones(len(x_hat), 0)
    index = torch.arange(x_hat[0].numel(), device=x_hat.device, dtype=x_hat.dtype)
    first = torch.where(torch.cos(2.4 * index.square()) < 0, -1.0, 1.0).to(x_hat.dtype)  # without a pattern
    second = first * (1 - 2 * (index % 2))
    probes = torch.stack([0 * first, first, -first, second, -second]).view(1, 5, *x_hat.shape[1:])
    some = x_hat.unflatten(0, (guide.contexts, -1))[:, :PROBED].flatten(0, 1)
    margins = guide.margins((some.unsqueeze(1) + deviation * probes).flatten(0, 1))
    margins = margins.view(guide.contexts, -1, 5, margins.shape[-1])
    centre, around = margins[:, :, :1], margins[:, :, 1:]
    spread = (around - centre).square().mean((1, 2)).sqrt()
    least = torch.finfo(x_hat.dtype).eps * (1 + centre.abs().amax((1, 2)))
    return torch.maximum(spread, least).repeat_interleave(len(x_hat) // guide.contexts, dim=0)


def propose(candidates: Tensor, guide: RowGuide, *, generator: draws.Generator) -> Tensor:
    """Keeps one of k candidates of each row.

    The probability is proportional to exp(-scale cost) among those with no negative margin. Where there are none, the
    candidate with the largest margin is kept.

    Args:
        candidates: Independent draws of each row, model units, shape `(M, k, *E)`.
        guide: What is wanted, on rows.
        generator: Draws the choice.

    Returns:
        The kept candidates, projected, shape `(M, *E)`.
    """
    rows, k = candidates.shape[:2]
    flat = candidates.flatten(0, 1)
    potential, margin = guide.potential(flat).reshape(rows, k), guide.margin(flat).reshape(rows, k)
    holds = margin >= 0
    drawn = draws.categorical((-potential).masked_fill(~holds, -math.inf), generator=generator)
    chosen = torch.where(holds.any(1), drawn, margin.argmax(1))
    return guide.project(candidates[torch.arange(rows, device=candidates.device), chosen])
