r"""Restricted Boltzmann machine: weights between visible and hidden units alone.

    E(v, h) = -v' W h - b(c)' v - a(c)' h,    v and h in physical values l and u
    F(v)    = -b' v - sum_j log sum_{h in {l, u}} exp(h (W' v + a)_j),    p(v | c) ~ exp(-F(v))

Given one layer the units of the other are independent, p(h_j = u | v) = sigmoid((u - l) (W' v + a)_j), so that a step
of Gibbs sampling draws a whole layer. Contrastive divergence learns by F(v) - F(v'), v' some steps after v, or of a
chain that goes on from one step of training to the next (`persistent`): a chain that starts at the data sees little of
what is probable elsewhere.

Annealed importance sampling estimates log Z: rows go from the machine without weights, whose Z is known, through those
with weights beta W, 0 = beta_0 < ... < beta_K = 1, and collect  F_{beta_k-1}(v) - F_{beta_k}(v)  on their way.

Sources: Smolensky 1986; Hinton 2002; Tieleman 2008 for chains that persist; Neal 2001 and Salakhutdinov and Murray
2008 for log Z.
"""

import math
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.events.base import Event
from embodied_gen.heads.binary import BinaryHead
from embodied_gen.heads.gibbs import spins
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.persistent import PersistentChains
from embodied_gen.rounding import product


@final
class RestrictedLayer(nn.Module):
    """Weights between two layers of units of values l and u; states are -1 and +1.

    Args:
        below: Units N of the lower layer.
        above: Units H of the upper layer.
        event: Whose values l and u are, as its bounds are now.
    """

    def __init__(self, below: int, above: int, event: Event):
        super().__init__()
        self.weights = nn.Parameter(0.1 * torch.randn(below, above) / math.sqrt(below))
        self._event = (event,)  # no part of this module: it is saved with the head

    @property
    def low(self) -> Tensor:
        """L."""
        return self._event[0].low[0]

    @property
    def high(self) -> Tensor:
        """U."""
        return self._event[0].high[0]

    def free_energy(self, x: Tensor, b: Tensor, a: Tensor, share: float = 1.0) -> Tensor:
        """F with weights share * W: states `(M, N)`, biases `(M, N)` and `(M, H)`, to `(M,)`."""
        v = self._values(x)
        return -(b * v).sum(1) - self._log_sum(product(share * v, self.weights) + a)

    def up(self, x: Tensor, a: Tensor, share: float = 1.0) -> Tensor:
        """Probabilities that upper units are on: `(M, N)` to `(M, H)`."""
        return ((self.high - self.low) * (product(share * self._values(x), self.weights) + a)).sigmoid()

    def down(self, h: Tensor, b: Tensor, share: float = 1.0) -> Tensor:
        """Probabilities that lower units are on: `(M, H)` to `(M, N)`."""
        return ((self.high - self.low) * (product(share * self._values(h), self.weights.T) + b)).sigmoid()

    def surprise(self, x: Tensor, h: Tensor, b: Tensor) -> Tensor:
        """-log p(x | h) of lower units given upper ones, nat: `(M, N)` and `(M, H)` to `(M,)`."""
        field = (self.high - self.low) * (product(self._values(h), self.weights.T) + b)
        return functional.softplus(-x * field).sum(1)

    @torch.no_grad()
    def walk(
        self, x: Tensor, b: Tensor, a: Tensor, steps: int, *, generator: draws.Generator, share: float = 1.0
    ) -> Tensor:
        """Lower states after steps of Gibbs sampling up and down, shape `(M, N)`."""
        for _ in range(steps):
            h = spins(self.up(x, a, share), generator=generator)
            x = spins(self.down(h, b, share), generator=generator)
        return x

    def divergence(self, x: Tensor, b: Tensor, a: Tensor, steps: int, *, generator: draws.Generator) -> Tensor:
        """F(x) - F(x') for each unit of x, x' some steps after x; shape `(M,)`."""
        other = self.walk(x, b, a, steps, generator=generator)
        return (self.free_energy(x, b, a) - self.free_energy(other, b, a)) / x.shape[1]

    @torch.no_grad()
    def log_partition(self, b: Tensor, a: Tensor, betas: Tensor, *, generator: draws.Generator) -> Tensor:
        """Log weights of annealed importance sampling, whose mean weight is Z; one for each row of biases, `(M,)`."""
        x = spins(((self.high - self.low) * b).sigmoid(), generator=generator)
        log_weight = self._log_sum(b) + self._log_sum(a)
        for before, after in pairwise(betas.tolist()):
            log_weight = log_weight + self.free_energy(x, b, a, before) - self.free_energy(x, b, a, after)
            x = self.walk(x, b, a, 1, generator=generator, share=after)
        return log_weight

    def _log_sum(self, field: Tensor) -> Tensor:
        """Log of the sum over both values of each unit, added up over units."""
        return torch.logaddexp(self.low * field, self.high * field).sum(1)

    def _values(self, x: Tensor) -> Tensor:
        return x * ((self.high - self.low) / 2) + (self.high + self.low) / 2


@final
class RBMHead(BinaryHead):
    """p(v | c) of a restricted Boltzmann machine; implements `HasEnergy` by F, and `HasChains`.

    Args:
        event: What is predicted, a `Binary` of N units in all.
        net: `net(x_t, t, c)`, returns a channel for each unit of a step and for each hidden unit: the biases.
        hidden: Hidden units H, >= 1.
        steps: k of contrastive divergence, >= 1.
        sweeps: Of a draw, >= 1.
        chains: That persist, k steps for each step of training; k steps from the event where None.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        event: Event,
        net: nn.Module,
        *,
        hidden: int = 64,
        steps: int = 5,
        sweeps: int = 50,
        chains: PersistentChains | None = None,
    ):
        super().__init__(event, net, hidden=hidden, sweeps=sweeps)
        if hidden < 1 or steps < 1:
            raise ValueError(f"hidden and steps must be at least 1; got {hidden} and {steps}.")
        self.steps, self.chains = steps, chains
        self.layer = RestrictedLayer(self.units, hidden, event)

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """Contrastive divergence over N, shape `(B,)`; padding is learned as it is.

        Its gradient is what matters: its value measures nothing.
        """
        self.event.check(x)
        if self.chains is None:
            return self.layer.divergence(x.flatten(1), *self._biases(c), self.steps, generator=generator)
        own = self.layer.free_energy(x.flatten(1), *self._biases(c))
        if not self.chains.begun:
            return (own - self.layer.free_energy(self._start(c, generator), *self._biases(c))) / self.units
        others, theirs = self.chains.read(c)
        return (own - self.layer.free_energy(others, *self._biases(theirs))) / self.units

    def advance(self, c: Context, *, generator: torch.Generator) -> None:
        """Chains for the next step of training; see `HasChains`."""
        if self.chains is not None:
            self.chains.advance(
                c,
                start=lambda c: self._start(c, generator),
                move=lambda x, c: self.layer.walk(x, *self._biases(c), self.steps, generator=generator),
                generator=generator,
            )

    def _start(self, c: Context, generator: draws.Generator) -> Tensor:
        return draws.signs((size(c), self.units), generator=generator, like=self._like())

    @torch.no_grad()
    def log_partition(self, c: Context, *, generator: draws.Generator, rungs: int = 200, chains: int = 64) -> Tensor:
        """An estimate of log Z(c), nat, shape `(B,)`; Z itself is estimated without bias.

        Args:
            c: Contexts.
            generator: Draws the chains.
            rungs: Machines between that without weights and this one, >= 1.
            chains: For each context, >= 1.

        Raises:
            ValueError: If a number is out of range.
        """
        if rungs < 1 or chains < 1:
            raise ValueError(f"rungs and chains must be at least 1; got {rungs} and {chains}.")
        visible, hidden = (bias.repeat_interleave(chains, 0) for bias in self._biases(c))
        betas = torch.linspace(0, 1, rungs + 1)
        log_weight = self.layer.log_partition(visible, hidden, betas, generator=generator).view(-1, chains)
        return torch.logsumexp(log_weight, 1) - math.log(chains)

    def _energy(self, x: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        return self.layer.free_energy(x, visible, hidden)

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        if guide is not None:  # hidden units know nothing of a guide: they are summed out, and units drawn one by one
            return super()._sample(c, rows, generator, guide)
        x = draws.signs((rows, self.units), generator=generator, like=self._like())
        visible, hidden = (bias.repeat_interleave(rows // size(c), 0) for bias in self._biases(c))
        return self.layer.walk(x, visible, hidden, self.sweeps, generator=generator).unflatten(1, self.event.shape)
