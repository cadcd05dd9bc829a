r"""Langevin chains with Metropolis' correction: rows moved towards the density exp(-V).

From z a row proposes, and accepts with probability a,

    z' = z - h grad V(z) + sqrt(2 h) n,    n ~ N(0, 1)
    a  = min(1, exp(V(z) - V(z')) q(z | z') / q(z' | z)),    q(z' | z) = N(z'; z - h grad V(z), 2 h),

which leaves exp(-V) unchanged whatever the step h is. Each row finds its own step from its own acceptances,

    log h  <-  log h + (a - 0.574) 2 / sqrt(k)      after its k-th step,

where 0.574 is the best share of accepted steps in many dimensions. The changes shrink with k, so that the chain tends
to one of a fixed step. Nothing diverges: what is not accepted is not kept, and a potential that is no number is taken
for infinite.

Sources: Roberts and Tweedie 1996, "Exponential convergence of Langevin distributions and their discrete
approximations"; Roberts and Rosenthal 1998 for the share; Andrieu and Thoms 2008 for the adaptation.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from embodied_gen import context, draws
from embodied_gen.heads.slopes import OfRows, finite_slope

ACCEPTED = 0.574  # share of accepted steps that the length aims at
EAGERNESS = 2.0  # change of log h at the first step, for each unit that the share is off


class _State(NamedTuple):
    """Rows of a chain with the potential and its gradient there."""

    z: Tensor  # (M, *Z)
    value: Tensor  # (M,)
    slope: Tensor  # (M, *Z)


@torch.no_grad()
def langevin(
    potential: OfRows,
    z: Tensor,
    *,
    generator: draws.Generator,
    steps: int = 30,
    step: float = 0.1,
    bound: float | None = None,
) -> Tensor:
    """Rows moved towards exp(-potential) by a Metropolis-adjusted Langevin chain.

    Args:
        potential: Maps rows `(M, *Z)` to potentials in nat, `(M,)`, each of its own row; differentiable almost
            everywhere. Infinite where a row must not be, which may include where it starts.
        z: Where the rows start, shape `(M, *Z)`.
        generator: Draws proposals and acceptances.
        steps: Of the chain, >= 0; one evaluation of the potential and of its gradient each.
        step: h of the first step, units of z squared, > 0.
        bound: Rows with an entry beyond +-bound are taken for impossible; none where None.

    Returns:
        Rows of the same shape, without a graph.

    Raises:
        ValueError: If a number is out of range, or the potential has another shape than `(M,)`.
    """
    if steps < 0 or not step > 0:
        raise ValueError(f"steps must be at least 0 and step positive; got {steps} and {step}.")
    if bound is not None and not bound > 0:
        raise ValueError(f"bound must be positive or None; got {bound}.")
    state = _look(potential, z, bound)
    log_length = torch.full_like(state.value, math.log(step))
    for k in range(steps):
        state, probability = _move(potential, state, log_length.exp(), bound, generator)
        log_length = log_length + EAGERNESS / math.sqrt(k + 1) * (probability - ACCEPTED)
    return state.z


def _move(
    potential: OfRows, state: _State, length: Tensor, bound: float | None, generator: draws.Generator
) -> tuple[_State, Tensor]:
    """One step of given lengths `(M,)`, and the probability with which each row accepts its proposal, `(M,)`.

    Of a row that goes from one impossible place to another it is the share aimed at, so that the step stays as it is.
    """
    h = context.aligned(length, state.z)
    noise = draws.normal(state.z.shape, generator=generator, like=state.z)
    new = _look(potential, state.z - h * state.slope + (2 * h).sqrt() * noise, bound)
    back = state.z - new.z + h * new.slope
    log_ratio = state.value - new.value + _sum(noise.square()) / 2 - _sum(back.square()) / (4 * length)
    # From one impossible place to another the difference is no number: such a row stays, and tries again.
    lost = log_ratio.isnan()
    probability = torch.where(lost, 0.0, log_ratio.clamp(max=0).exp())
    u = draws.uniform((len(probability),), generator=generator, like=probability)
    accepted = u < probability
    rows = accepted.view(h.shape)
    after = _State(
        torch.where(rows, new.z, state.z),
        torch.where(accepted, new.value, state.value),
        torch.where(rows, new.slope, state.slope),
    )
    return after, torch.where(lost, ACCEPTED, probability)


def _look(potential: OfRows, z: Tensor, bound: float | None) -> _State:
    """Potential and gradient, infinite and zero where they are no numbers."""
    value, gradient = finite_slope(potential, z)
    if value.shape != z.shape[:1]:
        raise ValueError(
            f"a potential must have shape ({len(z)},), one number for each row; got {tuple(value.shape)}. "
            "Add up over the entries of a row."
        )
    if bound is not None:
        value = value.masked_fill((z.abs() > bound).flatten(1).any(1), math.inf)
    return _State(z.detach(), value, gradient)


def _sum(entries: Tensor) -> Tensor:
    return entries.flatten(1).sum(1)
