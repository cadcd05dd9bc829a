r"""Deep belief network: restricted Boltzmann machines on top of each other.

The topmost two layers are a restricted machine; below it each layer is drawn given the one above,

    p(v, h_1, .., h_L | c) = p(h_L-1, h_L | c) prod_l p(h_l-1 | h_l, c),    h_0 = v,
    p(h_l-1 = u | h_l) = sigmoid((u - l) (W_l h_l + b_l(c))).

Training is greedy: layer l is a machine of its own on what the layers below make of the data, and learns by contrastive
divergence. All layers learn at once, each from draws of the one below through which no gradient passes, so that the
lower ones settle first and the upper ones follow. A draw is a chain of the top machine and one pass down.

What is asked of a scene, which objects are missing and which are out of place, is asked of the joint density of v and
the layers between, in which the topmost units are summed out and log Z is a constant,

    V(v, h_1, .., h_L-1) = F_top(h_L-1) - sum_{l < L} log p(h_l-1 | h_l, c),

by Gibbs sampling of all units that were not seen: a layer is drawn given the one below and the one above it. The upward
pass of training is no help there, as units of a layer are not independent given the one below.

A guide chooses among several draws, in proportion to exp(-scale cost) among those that satisfy its constraints and that
its projection leaves as they are: the density of a draw is not known, and needs not be.

Source: Hinton, Osindero and Teh 2006, "A fast learning algorithm for deep belief nets".
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.events.base import Event
from embodied_gen.heads.binary import biases, require_binary, require_seen, with_guide
from embodied_gen.heads.chains import choose
from embodied_gen.heads.gibbs import probabilities, spins
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.rbm import RestrictedLayer
from embodied_gen.heads.reads_once import ReadsOnce
from embodied_gen.heads.slopes import OfRows

_Pairs = list[tuple[Tensor, Tensor]]  # biases of both layers of each machine


@final
class BeliefHead(ReadsOnce):
    """p(v | c) of a deep belief network, with the questions of a `BinaryHead` about scenes.

    Args:
        event: What is predicted, a `Binary` of N units in all.
        net: `net(x_t, t, c)`, returns `BeliefHead.width` channels: the biases.
        layers: Hidden units of each layer, from below, at least two layers.
        steps: k of contrastive divergence, >= 1.
        sweeps: Of the top machine for a draw, >= 1.
        candidates: Proposals for each draw under a guide, >= 1.

    Raises:
        ValueError: If the event is not binary or a number is out of range.
    """

    def __init__(
        self,
        event: Event,
        net: nn.Module,
        *,
        layers: Sequence[int] = (64, 32),
        steps: int = 5,
        sweeps: int = 50,
        candidates: int = 64,
    ):
        super().__init__(event)
        require_binary(event)
        if len(layers) < 2 or min(layers) < 1:
            raise ValueError(
                f"layers must be at least two, of one unit or more; got {list(layers)}. One is head.kind rbm."
            )
        if steps < 1 or sweeps < 1 or candidates < 1:
            raise ValueError(
                f"steps, sweeps and candidates must be at least 1; got {steps}, {sweeps} and {candidates}."
            )
        self.net = net
        self.sizes = [event.shape[0] * event.shape[1], *layers]
        self.steps, self.sweeps, self.candidates = steps, sweeps, candidates
        self.layers = nn.ModuleList(
            RestrictedLayer(below, above, event) for below, above in zip(self.sizes, layers, strict=False)
        )

    @staticmethod
    def width(channels: int, layers: Sequence[int]) -> int:
        """Channels that the network must return: both biases of every machine, the lowest one's for each channel."""
        return channels + sum(layers) + sum(layers[:-1])

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """Sum of the machines' contrastive divergences, shape `(B,)`; padding is learned as it is.

        Its gradient is what matters: its value measures nothing.
        """
        self.event.check(x)
        state, total = x.flatten(1), x.new_zeros(len(x))
        for layer, (below, above) in zip(self._machines(), self._biases(c), strict=True):
            total = total + layer.divergence(state, below, above, self.steps, generator=generator)
            state = spins(layer.up(state, above).detach(), generator=generator)
        return total

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
        self.event.check(x)
        context.require_size(c, len(x))
        require_seen(seen, x)
        found = self._probabilities(x.flatten(1), seen.flatten(1), c, generator, sweeps, chains)
        return found.view_as(x)

    @torch.no_grad()
    def surprise(
        self, x: Tensor, c: Context, *, generator: draws.Generator, sweeps: int = 40, chains: int = 8
    ) -> Tensor:
        """How little each unit is to be expected, given all others: -log p(x_i | x without i, c).

        Args:
            x: Events, -1 and +1, shape `(B, T, D)`.
            c: Contexts.
            generator: Draws the chains: of a belief network this is an estimate.
            sweeps: The second half of them is averaged, >= 2.
            chains: For each unit of each event, >= 1.

        Returns:
            Nat, shape `(B, T, D)`; log 2 where the others tell nothing, large where a unit is out of place.

        Raises:
            ValueError: If a number is out of range.
        """
        self.event.check(x)
        context.require_size(c, len(x))
        units = self.sizes[0]
        each = x.flatten(1).repeat_interleave(units, 0)
        others = ~torch.eye(units, dtype=torch.bool, device=x.device).repeat(len(x), 1)
        on = self._probabilities(each, others, context.repeat(c, units), generator, sweeps, chains)
        on = on.view(len(x), units, units).diagonal(dim1=1, dim2=2).view_as(x)
        return -torch.where(x > 0, on, 1 - on).clamp(min=torch.finfo(x.dtype).tiny).log()

    def _probabilities(
        self, x: Tensor, seen: Tensor, c: Context, generator: draws.Generator, sweeps: int, chains: int
    ) -> Tensor:
        """Of units being on, `(B, N)`, with the layers between drawn along."""
        between = x.new_zeros(len(x), sum(self.sizes[1:-1]))
        state = torch.cat([x, between], 1)
        seen = torch.cat([seen, torch.zeros_like(between, dtype=torch.bool)], 1)
        found = probabilities(self._joint(c), state, seen, generator=generator, sweeps=sweeps, chains=chains)
        return found[:, : x.shape[1]]

    def _joint(self, c: Context) -> OfRows:
        """V of units and the layers between, `(B * K, N + ..)`, those of a context together."""
        pairs, machines = self._biases(c), self._machines()

        def potential(state: Tensor) -> Tensor:
            k = len(state) // context.size(c)
            each = _repeated(pairs, k)
            layers = state.split(self.sizes[:-1], 1)
            total = machines[-1].free_energy(layers[-1], *each[-1])
            for machine, (lower, upper), (below, _) in zip(machines, pairwise(layers), each, strict=False):
                total = total + machine.surprise(lower, upper, below)
            return total

        return potential

    def _machines(self) -> list[RestrictedLayer]:
        return [layer for layer in self.layers if isinstance(layer, RestrictedLayer)]

    def _biases(self, c: Context) -> _Pairs:
        """Biases of both layers of each machine, from below."""
        above = self.sizes[1:]
        lowest, others = biases(self.net, self.event, sum(above) + sum(above[:-1]), c)
        upper, lower = others.split([sum(above), sum(above[:-1])], 1)
        return list(zip([lowest, *lower.split(above[:-1], 1)], upper.split(above, 1), strict=True))

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        n, k = rows // context.size(c), 1 if guide is None else self.candidates
        x = self._draw(_repeated(self._biases(c), n * k), rows * k, generator)
        if guide is None:
            return x
        return choose(with_guide(lambda x: x.new_zeros(len(x)), guide, x), x, k, generator=generator)

    def _draw(self, pairs: _Pairs, rows: int, generator: draws.Generator) -> Tensor:
        """One event for each row of the biases, shape `(rows, T, D)`."""
        machines = self._machines()
        state = draws.signs((rows, self.sizes[-2]), generator=generator, like=self._like())
        state = machines[-1].walk(state, *pairs[-1], self.sweeps, generator=generator)
        for layer, (below, _) in zip(machines[-2::-1], pairs[-2::-1], strict=True):
            state = spins(layer.down(state, below), generator=generator)
        return state.unflatten(1, self.event.shape)


def _repeated(pairs: _Pairs, n: int) -> _Pairs:
    """Each row n times in a row."""
    return [(below.repeat_interleave(n, 0), above.repeat_interleave(n, 0)) for below, above in pairs]
