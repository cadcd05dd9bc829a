r"""Gibbs sampling of binary rows, unit by unit, and simulated annealing.

Of a density  p(x) ~ exp(-V(x) / temperature)  on {-1, +1}^N a sweep visits every unit once and draws it given all
others, which asks for the values of V at the row and at the row with that unit flipped,

    p(flip i) = sigmoid((V(x) - V(x with i flipped)) / temperature).

Temperatures that fall to one let rows find the modes first; temperatures that fall towards zero find a minimum.

Sources: Geman and Geman 1984; Kirkpatrick, Gelatt and Vecchi 1983.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.heads.slopes import OfRows

HOT = 5.0  # temperature of the first sweep, nat
MOST = 16  # units whose states are enumerated


def gibbs(
    potential: OfRows,
    x: Tensor,
    temperatures: Sequence[float],
    *,
    generator: draws.Generator,
    free: Tensor | None = None,
) -> Tensor:
    """Rows after one sweep at each temperature.

    Args:
        potential: V in nat, of rows of -1 and +1, finite: `(M, *E)` to `(M,)`.
        x: Where the rows start, shape `(M, *E)`.
        temperatures: Each > 0.
        generator: Draws the units.
        free: Units that may change, bool, shape `(M, *E)`; all where None.

    Returns:
        Rows of the same shape.

    Raises:
        ValueError: If a temperature is not positive.
    """
    for temperature in temperatures:
        x, _ = sweep(potential, x, temperature, generator=generator, free=free)
    return x


@torch.no_grad()
def sweep(
    potential: OfRows, x: Tensor, temperature: float, *, generator: draws.Generator, free: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Rows after one sweep, and the probability with which each unit was drawn to be +1; see `gibbs`."""
    if not temperature > 0:
        raise ValueError(f"temperatures must be positive; got {temperature}.")
    shape, x = x.shape, x.flatten(1)
    u = draws.uniform(x.shape, generator=generator, like=x)
    value, on = potential(x.view(shape)), torch.empty_like(x)
    for i in range(x.shape[1]):  # each unit is drawn given those before it
        other = x.clone()
        other[:, i] = -x[:, i]
        new_value = potential(other.view(shape))
        probability = ((value - new_value) / temperature).sigmoid()
        on[:, i] = torch.where(x[:, i] > 0, 1 - probability, probability)
        flip = u[:, i] < probability
        if free is not None:
            flip = flip & free.flatten(1)[:, i]
        x, value = torch.where(flip[:, None], other, x), torch.where(flip, new_value, value)
    return x.view(shape), on.view(shape)


@torch.no_grad()
def probabilities(
    potential: OfRows, x: Tensor, seen: Tensor, *, generator: draws.Generator, sweeps: int, chains: int
) -> Tensor:
    """The probability that each unit is on, given those that were seen, by chains that cool down.

    Args:
        potential: V in nat of rows, those of an event together: `(B * K, *E)` to `(B * K,)`.
        x: Events, -1 and +1, shape `(B, *E)`; what was not seen does not matter.
        seen: Which units were, bool, of the same shape.
        generator: Draws the chains.
        sweeps: The second half of them is averaged, >= 2.
        chains: For each event, >= 1.

    Returns:
        Probabilities, shape `(B, *E)`; zero or one where a unit was seen.

    Raises:
        ValueError: If a number is out of range.
    """
    if sweeps < 2 or chains < 1:
        raise ValueError(f"sweeps must be at least 2 and chains at least 1; got {sweeps} and {chains}.")
    many, fixed = x.repeat_interleave(chains, 0), seen.repeat_interleave(chains, 0)
    state = torch.where(fixed, many, draws.signs(many.shape, generator=generator, like=many))
    temperatures = cooling(sweeps, HOT, 1.0)
    state = gibbs(potential, state, temperatures[: sweeps // 2], generator=generator, free=~fixed)
    total = torch.zeros_like(state)
    for temperature in temperatures[sweeps // 2 :]:
        state, on = sweep(potential, state, temperature, generator=generator, free=~fixed)
        total = total + on
    mean = total.unflatten(0, (len(x), chains)).mean(1) / (sweeps - sweeps // 2)
    return torch.where(seen, (x > 0).to(x.dtype), mean)


def cooling(sweeps: int, hot: float, cold: float) -> list[float]:
    """Temperatures that fall from hot to cold in equal ratios over the first half of the sweeps, and stay there.

    The last is cold, also where it is the only one.
    """
    falling = sweeps // 2
    return [cold if k >= falling else hot * (cold / hot) ** (k / falling) for k in range(sweeps)]


def spins(probability: Tensor, *, generator: draws.Generator) -> Tensor:
    """Independent units, +1 with the given probabilities and -1 otherwise."""
    u = draws.uniform(probability.shape, generator=generator, like=probability)
    return 2 * (u < probability).to(probability.dtype) - 1


def every_state(units: int, like: Tensor) -> Tensor:
    """All states of some units, -1 and +1, shape `(2^units, units)`."""
    number = torch.arange(2**units, device=like.device)[:, None]
    return (2 * ((number >> torch.arange(units, device=like.device)) & 1) - 1).to(like.dtype)
