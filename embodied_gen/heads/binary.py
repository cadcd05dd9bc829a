r"""Models of binary events by an energy: which units are on together.

    p(x | c) ~ exp(-E(x, c)),    x in {-1, +1}^N

A family gives E, with hidden units summed out. Biases come from a network of the context, so that what is known of a
scene shifts what is probable in it. From E follow draws, by Gibbs sampling at temperatures that fall to one, and the
questions that are asked of a scene:

    what is missing         P(x_i = +1 | some units seen, c)          `marginals`
    what is out of place    -log p(x_i | all other units, c)          `surprise`
    how probable all is     log p(x | c), by a sum over 2^N states    `enumerated`

A guide's potential is added to E, and each unit is drawn with the change that its flip makes to cost and constraints:
exactly what a guide means, and no slopes are asked for. A projection is a constraint here: what it would change is
walled off.
"""

import abc
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.events.base import Event
from embodied_gen.events.binary import Binary
from embodied_gen.heads.gibbs import HOT, MOST, cooling, every_state, gibbs, probabilities
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.reads_once import ReadsOnce
from embodied_gen.heads.slopes import OfRows
from embodied_gen.heads.walls import Walls

UNCHANGED = 100.0  # nat for each entry that a projection would change
_AT_ONCE = 2**16  # states that are summed over


class BinaryHead(ReadsOnce, abc.ABC):
    """A density on binary events; implements `HasEnergy`.

    Args:
        event: What is predicted, a `Binary`.
        net: `net(x_t, t, c)`, called with zeros and t = 0; returns a channel for each unit of a step, its bias, and one
            for each hidden unit, whose bias is the mean over steps.
        hidden: Hidden units, >= 0.
        sweeps: Of a draw, >= 1.

    Raises:
        ValueError: If the event is not binary or a number is out of range.
    """

    def __init__(self, event: Event, net: nn.Module, *, hidden: int, sweeps: int):
        super().__init__(event)
        require_binary(event)
        if hidden < 0 or sweeps < 1:
            raise ValueError(f"hidden must be at least 0 and sweeps at least 1; got {hidden} and {sweeps}.")
        self.net = net
        self.units = event.shape[0] * event.shape[1]
        self.hidden, self.sweeps = hidden, sweeps

    @abc.abstractmethod
    def _energy(self, x: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        """E of rows `(M, N)` of -1 and +1 with biases `(M, N)` and `(M, hidden)`; shape `(M,)`."""

    def energy(self, x: Tensor, c: Context) -> Tensor:
        """-log p(x | c) up to a constant of the context, exact, nat, shape `(B,)`."""
        self._check(x, c)
        return self._potential(c)(x)

    def surprise(self, x: Tensor, c: Context) -> Tensor:
        """How little each unit is to be expected, given all others: -log p(x_i | x without i, c), exact.

        Args:
            x: Events, -1 and +1, shape `(B, T, D)`.
            c: Contexts.

        Returns:
            Nat, shape `(B, T, D)`; log 2 where the others tell nothing, large where a unit is out of place.
        """
        self._check(x, c)
        potential, flat = self._potential(c), x.flatten(1)
        flips = 1 - 2 * torch.eye(self.units, dtype=x.dtype, device=x.device)
        others = (flat[:, None] * flips).view(-1, *x.shape[1:])
        return functional.softplus(potential(x)[:, None] - potential(others).view(len(x), -1)).view_as(x)

    @torch.no_grad()
    def enumerated(self, x: Tensor, c: Context) -> Tensor:
        """Log p(x | c), exact, by a sum over all 2^N states; nat, shape `(B,)`.

        Args:
            x: Events, -1 and +1, shape `(B, T, D)`.
            c: Contexts.

        Raises:
            ValueError: If there are too many units.
        """
        if self.units > MOST:
            raise ValueError(
                f"at most {MOST} units are enumerated; got {self.units}. Compare energies, or estimate Z by chains."
            )
        own, every = self.energy(x, c), every_state(self.units, x)
        parts = zip(*(bias.split(max(1, _AT_ONCE // len(every))) for bias in self._biases(c)), strict=True)
        return -own - torch.cat([self._log_sum(every, *part) for part in parts])

    def _log_sum(self, states: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        """Log of the sum of exp(-E) over states `(K, N)`, for each row of the biases."""
        many = (part.repeat_interleave(len(states), 0) for part in (visible, hidden))
        energies = self._energy(states.repeat(len(visible), 1), *many)
        return torch.logsumexp(-energies.view(len(visible), -1), 1)

    @torch.no_grad()
    def marginals(
        self, x: Tensor, seen: Tensor, c: Context, *, generator: draws.Generator, sweeps: int = 40, chains: int = 8
    ) -> Tensor:
        """The probability that each unit is on, given those that were seen, by clamped Gibbs sampling.

        Args:
            x: Events, -1 and +1, shape `(B, T, D)`; what was not seen does not matter.
            seen: Which units were, bool, of the same shape.
            c: Contexts.
            generator: Draws the chains.
            sweeps: The second half of them is averaged, >= 2.
            chains: For each event, >= 1.

        Returns:
            Probabilities, shape `(B, T, D)`; zero or one where a unit was seen.

        Raises:
            ValueError: If a shape or number is wrong.
        """
        self._check(x, c)
        require_seen(seen, x)
        return probabilities(self._potential(c), x, seen, generator=generator, sweeps=sweeps, chains=chains)

    def _check(self, x: Tensor, c: Context) -> None:
        self.event.check(x)
        context.require_size(c, len(x))

    def _potential(self, c: Context) -> OfRows:
        """E of rows `(B * K, T, D)`, those of a context together; the network is asked once."""
        visible, hidden = self._biases(c)

        def potential(x: Tensor) -> Tensor:
            k = len(x) // len(visible)
            return self._energy(x.flatten(1), visible.repeat_interleave(k, 0), hidden.repeat_interleave(k, 0))

        return potential

    def _biases(self, c: Context) -> tuple[Tensor, Tensor]:
        return biases(self.net, self.event, self.hidden, c)

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        x = draws.signs((rows, *self.event.shape), generator=generator, like=self._like())
        potential = self._potential(c)
        if guide is not None:
            potential = with_guide(potential, guide, x)
        return gibbs(potential, x, cooling(self.sweeps, HOT, 1.0), generator=generator)


@final
class _Restricted:
    """What a projection would change, as a potential."""

    def __init__(self, guide: RowGuide):
        self.guide = guide

    def __call__(self, x: Tensor) -> Tensor:
        return UNCHANGED * ((self.guide.project(x) - x).abs() > 1e-4).flatten(1).sum(1)


def with_guide(potential: OfRows, guide: RowGuide, x: Tensor) -> OfRows:
    """A potential and that of a guide; margins are measured by their deviation among the rows x."""
    walls, restricted = Walls(guide, x), _Restricted(guide)
    return lambda x: potential(x) + walls(x) + restricted(x)


def biases(net: nn.Module, event: Event, hidden: int, c: Context) -> tuple[Tensor, Tensor]:
    """Biases of units `(B, T D)` and of hidden units `(B, hidden)` from a network of D + hidden channels.

    Raises:
        ValueError: If the network returns another shape.
    """
    zeros = event.low.new_zeros(context.size(c), *event.shape)
    output = net(zeros, zeros.new_zeros(len(zeros)), c).to(zeros.dtype)
    expected = (*zeros.shape[:-1], event.shape[-1] + hidden)
    if output.shape != expected:
        raise ValueError(
            f"the network of {hidden} hidden units must return shape {tuple(expected)}; got {tuple(output.shape)}. "
            "Build it with channels_out = units of a step + hidden units."
        )
    visible, shared = output.split([event.shape[-1], hidden], -1)
    return visible.flatten(1), shared.mean(1)


def require_seen(seen: Tensor, x: Tensor) -> None:
    """Refuses a mask of another shape than the events x.

    Raises:
        ValueError: Naming both shapes.
    """
    if seen.shape != x.shape:
        raise ValueError(f"seen must have the shape {tuple(x.shape)} of the events; got {tuple(seen.shape)}.")


def require_binary(event: Event) -> None:
    """Refuses events that are not binary.

    Raises:
        ValueError: Naming the kind that was given.
    """
    if not isinstance(event, Binary):
        raise ValueError(
            f"models of binary units need a Binary event; got {type(event).__name__}. Set event.kind to binary, or "
            "take another head."
        )
