r"""Samplers of unnormalised densities: rows moved towards exp(-V).

Markov chains leave exp(-V) unchanged: what they propose is accepted with the probability of Metropolis and Hastings,

    a = min(1, exp(H(z) - H(z'))),

    random walk    z' = z + h n,  n ~ N(0, 1)                                          H = V
    Langevin       one step along the slope, see `langevin`
    Hamiltonian    L leapfrog steps of length h from a momentum p ~ N(0, 1)            H = V + |p|^2 / 2
                   p <- p - h/2 grad V(z);  z <- z + h p;  p <- p - h/2 grad V(z)

Each row of a chain with slopes finds its own h from its own acceptances,  log h <- log h + (a - a*) 2 / sqrt(k)  after
its k-th step; a* = 0.651 for Hamiltonian steps, the best share in many dimensions, for the first half of them. Their
lengths are drawn within a fifth of h, as a fixed one can be a period of V. A row that adapts would follow the mode it
is in, and hop more easily into narrow modes than out of them; so the walk, which can hop, draws h from a fixed range of
sizes instead, uniformly in the logarithm. A row starts at one of several places, chosen with a probability proportional
to exp(-V): chains hardly ever cross from one mode to another, so that most of how modes are weighted is decided there.

Without slopes, and for few numbers only, `Resampling` draws a population anew in proportion to exp(-V) and spreads it
by ever smaller noise. It finds the best mode quickly; its draws are more concentrated than exp(-V), as weights are
applied several times over.

Sources: Metropolis et al. 1953 and Hastings 1970; Duane et al. 1987; Neal 2011 (arXiv:1206.1901); Beskos et al. 2013
for the share; Florence et al. 2021 (arXiv:2109.00137) for resampling.
"""

import abc
import math
from typing import final

import torch
from torch import Tensor

from embodied_gen import context, draws
from embodied_gen.heads.langevin import EAGERNESS, langevin
from embodied_gen.heads.particles import systematic
from embodied_gen.heads.slopes import OfRows, finite_slope, or_infinite

ACCEPTED = 0.651  # share of Hamiltonian steps that the length aims at


class EnergySampler(abc.ABC):
    """How rows of exp(-V) are drawn."""

    @property
    @abc.abstractmethod
    def population(self) -> int:
        """Starting places K that each row needs."""

    @abc.abstractmethod
    def run(self, potential: OfRows, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """One row for every K starting places.

        Args:
            potential: V in nat, of rows in multiples of M; rows that belong together lie together. Infinite where a
                row must not be; what is no number counts as infinite.
            x: Starting places, independent of each other, shape `(M * K, *Z)`.
            generator: Draws everything.

        Returns:
            Rows `(M, *Z)`, without a graph.
        """


class Chain(EnergySampler, abc.ABC):
    """A Markov chain that leaves exp(-V) unchanged.

    Args:
        steps: Of the chain, >= 0.
        step: Length of the first one, > 0.
        starts: Places of which each row starts at one, >= 1.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, steps: int, step: float, starts: int):
        if steps < 0 or not step > 0:
            raise ValueError(f"steps must be at least 0 and step positive; got {steps} and {step}.")
        if starts < 1:
            raise ValueError(f"starts must be at least 1; got {starts}.")
        self.steps, self.step, self.starts = steps, step, starts

    @property
    def population(self) -> int:
        """Places of which each row starts at one."""
        return self.starts

    @final
    @torch.no_grad()
    def run(self, potential: OfRows, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """Chains from a chosen place of each row."""
        return self.move(potential, choose(potential, x, self.starts, generator=generator), generator=generator)

    @abc.abstractmethod
    def move(self, potential: OfRows, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """Chains that start where they are told: `(M, *Z)` to `(M, *Z)`, without a graph."""


@final
class Langevin(Chain):
    """Metropolis-adjusted Langevin steps; `step` has units of z squared."""

    def __init__(self, steps: int = 50, *, step: float = 0.01, starts: int = 16):
        super().__init__(steps, step, starts)

    def move(self, potential: OfRows, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """See `langevin`."""
        return langevin(potential, x, generator=generator, steps=self.steps, step=self.step)


@final
class RandomWalk(Chain):
    """Random-walk Metropolis, which asks for no slopes.

    Args:
        steps: Of the chain, >= 0.
        step: Longest deviation of a proposal, units of z, > 0.
        span: Ratio of the longest and the shortest, >= 1.
        starts: Places of which each row starts at one, >= 1.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, steps: int = 200, *, step: float = 0.5, span: float = 100.0, starts: int = 16):
        super().__init__(steps, step, starts)
        if not span >= 1:
            raise ValueError(f"span must be at least 1; got {span}.")
        self.span = span

    @torch.no_grad()
    def move(self, potential: OfRows, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """Chains that start where they are told: `(M, *Z)` to `(M, *Z)`, without a graph."""
        value = or_infinite(potential(x))
        for _ in range(self.steps):
            u = draws.uniform((len(x),), generator=generator, like=x)
            length = context.aligned(self.step * self.span**-u, x)
            new = x + length * draws.normal(x.shape, generator=generator, like=x)
            new_value = or_infinite(potential(new))
            x, value, _ = _accept(x, value, new, new_value, value - new_value, generator)
        return x


@final
class Hamiltonian(Chain):
    """Hamiltonian Monte Carlo.

    Args:
        steps: Of the chain, >= 0.
        step: Length of the first leapfrog, units of z, > 0.
        leapfrogs: L for each step, >= 1.
        starts: Places of which each row starts at one, >= 1.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, steps: int = 10, *, step: float = 0.1, leapfrogs: int = 8, starts: int = 16):
        super().__init__(steps, step, starts)
        if leapfrogs < 1:
            raise ValueError(f"leapfrogs must be at least 1; got {leapfrogs}.")
        self.leapfrogs = leapfrogs

    @torch.no_grad()
    def move(self, potential: OfRows, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """Chains that start where they are told: `(M, *Z)` to `(M, *Z)`, without a graph."""
        value = or_infinite(potential(x))
        log_length = torch.full_like(value, math.log(self.step))
        for k in range(self.steps):
            jitter = 0.8 + 0.4 * draws.uniform((len(x),), generator=generator, like=x)
            momentum = draws.normal(x.shape, generator=generator, like=x)
            new, new_value, gain = self._leap(potential, x, momentum, context.aligned(jitter * log_length.exp(), x))
            x, value, share = _accept(x, value, new, new_value, value - new_value + gain, generator)
            if k < self.steps // 2:  # what adapts to where it is leaves exp(-V) unchanged only nearly
                off = torch.nan_to_num(share, nan=ACCEPTED) - ACCEPTED
                log_length = log_length + EAGERNESS / math.sqrt(k + 1) * off
        return x

    def _leap(self, potential: OfRows, x: Tensor, momentum: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where the leapfrogs lead, the potential there, and the kinetic energy that was lost on the way.

        A way that overflows leads to an impossible place, so that the row stays and its next leap is shorter.
        """
        p, (value, gradient) = momentum, finite_slope(potential, x)
        for _ in range(self.leapfrogs):
            p = p - h / 2 * gradient
            x = x + h * p
            value, gradient = finite_slope(potential, x)
            p = p - h / 2 * gradient
        return x, value, (momentum.square() - p.square()).flatten(1).sum(1) / 2


@final
class Resampling(EnergySampler):
    """A population drawn anew by weight and spread by shrinking noise: optimisation without derivatives.

    Args:
        candidates: Of each row, >= 1.
        rounds: Of drawing and spreading, >= 0.
        noise: Deviation of the first spreading, units of z, > 0.
        shrink: Ratio of the deviations of one spreading and the one before, in (0, 1].

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, candidates: int = 256, *, rounds: int = 3, noise: float = 0.33, shrink: float = 0.5):
        if candidates < 1 or rounds < 0:
            raise ValueError(f"candidates must be at least 1 and rounds at least 0; got {candidates} and {rounds}.")
        if not noise > 0 or not 0 < shrink <= 1:
            raise ValueError(f"noise must be positive and shrink lie in (0, 1]; got {noise} and {shrink}.")
        self.candidates, self.rounds, self.noise, self.shrink = candidates, rounds, noise, shrink

    @property
    def population(self) -> int:
        """Candidates of each row."""
        return self.candidates

    @torch.no_grad()
    def run(self, potential: OfRows, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """One of the last population, in proportion to its weight."""
        k = self.candidates
        for number in range(self.rounds):
            index = systematic(-or_infinite(potential(x)).view(-1, k), k, generator=generator)
            offset = torch.arange(len(index), device=x.device)[:, None] * k
            deviation = self.noise * self.shrink**number
            x = x[(index + offset).flatten()] + deviation * draws.normal(x.shape, generator=generator, like=x)
        return choose(potential, x, k, generator=generator)


def choose(potential: OfRows, x: Tensor, k: int, *, generator: draws.Generator) -> Tensor:
    """One of every k rows, with probability proportional to exp(-V); the first where all are impossible."""
    if k == 1:
        return x
    groups = x.unflatten(0, (-1, k))
    chosen = draws.categorical(-or_infinite(potential(x)).view(-1, k), generator=generator)
    return groups[torch.arange(len(groups), device=x.device), chosen]


def _accept(
    x: Tensor, value: Tensor, new: Tensor, new_value: Tensor, log_ratio: Tensor, generator: draws.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows after Metropolis' choice, their potentials, and the probabilities of acceptance.

    From one impossible place to another the ratio is no number: such a row stays, and its probability is none either.
    """
    share = log_ratio.clamp(max=0).exp()
    accepted = draws.uniform((len(x),), generator=generator, like=value) < share
    return torch.where(context.aligned(accepted, x), new, x), torch.where(accepted, new_value, value), share
