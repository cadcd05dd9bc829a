r"""Boltzmann machine: visible and hidden units with weights between all of them, small enough to be exact.

    E(s) = -1/2 sum_ij w_ij s_i s_j - sum_i b_i(c) s_i,    s = (v, h) in physical values,
    p(v | c) = sum_h exp(-E(v, h)) / Z(c)

Hidden units have the values of visible ones. Z is a sum over all 2^(N + hidden) states, so that likelihoods and their
gradients are exact and there are few units; for many see the restricted machine (`rbm`) or, without hidden units, the
pseudo-likelihood (`hopfield`). Draws come from Gibbs sampling of all units together.

Source: Ackley, Hinton and Sejnowski 1985.
"""

from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.events.base import Event
from embodied_gen.heads.binary import BinaryHead, with_guide
from embodied_gen.heads.gibbs import HOT, MOST, cooling, every_state, gibbs
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.slopes import OfRows
from embodied_gen.rounding import product


@final
class BoltzmannHead(BinaryHead):
    """p(v | c) by enumeration; implements `HasLogProb` and `HasEnergy`.

    Args:
        event: What is predicted, a `Binary` of N units in all.
        net: `net(x_t, t, c)`, returns a channel for each unit of a step and for each hidden unit: the biases.
        hidden: Hidden units; N + hidden is at most 16.
        sweeps: Of a draw, >= 1.

    Raises:
        ValueError: If there are too many units.
    """

    def __init__(self, event: Event, net: nn.Module, *, hidden: int = 4, sweeps: int = 30):
        super().__init__(event, net, hidden=hidden, sweeps=sweeps)
        if self.units + hidden > MOST:
            raise ValueError(
                f"a Boltzmann machine enumerates at most {MOST} units; got {self.units} visible and {hidden} hidden. "
                "Take a restricted machine (head.kind rbm), or one without hidden units (hopfield)."
            )
        self.raw = nn.Parameter(0.1 * torch.randn(self.units + hidden, self.units + hidden))

    @property
    def weights(self) -> Tensor:
        """W, symmetric without a diagonal, of visible and then hidden units, shape `(N + hidden, N + hidden)`."""
        half = (self.raw + self.raw.T) / 2
        return half - torch.diag(half.diagonal())

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """-log p(x | c) / N, exact, nat, shape `(B,)`; padding is learned as it is."""
        return -self.log_prob(x, c) / self.units

    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """Log p(x | c), exact, nat, shape `(B,)`: the logarithm of a probability, as events are discrete."""
        self.event.check(x)
        visible, hidden = self._biases(c)
        return -self._energy(x.flatten(1), visible, hidden) - self._log_partition(visible, hidden)

    def log_partition(self, c: Context) -> Tensor:
        """Log Z(c), exact, nat, shape `(B,)`."""
        return self._log_partition(*self._biases(c))

    def _log_partition(self, visible: Tensor, hidden: Tensor) -> Tensor:
        s = self._values(every_state(self.units + self.hidden, visible))
        return torch.logsumexp(self._pairs(s) + product(torch.cat([visible, hidden], 1), s.T), 1)

    def _energy(self, x: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        v, h = self._values(x), self._values(every_state(self.hidden, x))
        n, weights = self.units, self.weights
        own = (product(v, weights[:n, :n]) * v).sum(1) / 2 + (visible * v).sum(1)
        among = (product(h, weights[n:, n:]) * h).sum(1) / 2
        return -own - torch.logsumexp(among + product(product(v, weights[:n, n:]) + hidden, h.T), 1)

    def _pairs(self, s: Tensor) -> Tensor:
        return (product(s, self.weights) * s).sum(1) / 2

    def _values(self, x: Tensor) -> Tensor:
        """-1 and +1 as the physical values of units, which are the same for all."""
        return x * self.event.half_width[0] + self.event.centre[0]

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        start = draws.signs((rows, self.units + self.hidden), generator=generator, like=self._like())
        bias = torch.cat(self._biases(c), 1).repeat_interleave(rows // size(c), 0)

        def potential(x: Tensor) -> Tensor:
            s = self._values(x)
            return -self._pairs(s) - (bias * s).sum(1)

        wanted = potential if guide is None else self._guided(potential, guide, start)
        x = gibbs(wanted, start, cooling(self.sweeps, HOT, 1.0), generator=generator)
        return self._visible(x)

    def _guided(self, potential: OfRows, guide: RowGuide, start: Tensor) -> OfRows:
        extra = with_guide(lambda x: x.new_zeros(len(x)), guide, self._visible(start))
        return lambda x: potential(x) + extra(self._visible(x))

    def _visible(self, x: Tensor) -> Tensor:
        return x[:, : self.units].unflatten(1, self.event.shape)
