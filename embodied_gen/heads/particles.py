r"""Particles: guided sampling that tends to the exact conditional (twisted sequential Monte Carlo).

K particles of a context walk together. At level t a particle x_t has the clean estimate x_hat, and the steered
estimate x_tilde with the value J of what that cost (`steering.settle`). exp(-J) estimates how likely the particle is
to end well,

    psi_t(x_t) = exp(-J)  ~  E[exp(-scale cost(x)) 1(margins(x) >= 0) | x_t].

Particles move by the head's own stochastic step p, but a share 1 - f of them, drawn at random, with x_tilde in the
place of x_hat. With q the mixture of both, each collects the weight

    w  <-  w  p(x_s | x_t) psi_s(x_s) / (q(x_s | x_t) psi_t(x_t)),

where the free share bounds p / q by 1 / f (a defensive mixture), and at the clean level psi is replaced by
exp(-scale cost) on the exact constraints. Whatever psi is, the weighted particles tend to the conditional of the free
sampler as K grows; a good psi makes few of them enough. It has to be positive: where a cost is infinite at x_tilde, or
no number, J is a large number instead. Where the effective number (sum w)^2 / sum w^2 falls below a
share of K, the particles of that context are drawn anew in proportion to their weights, systematically. Weights are
logarithms throughout, and are carried on otherwise.

Where psi is sharper than K particles can bear, it may be tempered: psi_t^lambda in the place of psi_t, with lambda
for each context as large as leaves a given effective number, and never falling.

At low noise, Langevin steps undo what few particles get wrong: they leave  p_t(x_t) psi_t(x_t)  unchanged, whose
gradient is (alpha x_tilde - x_t) / sigma^2, since J is a Moreau envelope and Tweedie's formula gives the slope of
x_hat. They are accepted after Metropolis, with the ratio of p_t from its gradients at both ends (trapezoid).

Sources: Wu et al. 2023, twisted diffusion sampler (arXiv:2306.17775); Singhal et al. 2025, Feynman-Kac steering
(arXiv:2501.06848); Hesterberg 1995 for the defensive mixture; Roberts and Tweedie 1996 for the Langevin steps;
Kitagawa 1996 for systematic draws; Jasra et al. 2011 for tempering by the effective number.
"""

import math
from itertools import pairwise
from typing import NamedTuple, final

import torch
from torch import Tensor

from embodied_gen import context, draws
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.samplers import transition
from embodied_gen.heads.schedules import Level
from embodied_gen.heads.steering import settle
from embodied_gen.heads.walk import Guidance, Walk
from embodied_gen.heads.walls import CLIFF


class _State(NamedTuple):
    """Particles at a level: x_t, its clean estimate, the steered estimate, and J; first axis M."""

    x: Tensor
    x_hat: Tensor
    guided: Tensor
    energy: Tensor

    def take(self, index: Tensor) -> "_State":
        return _State(*(part[index] for part in self))


@final
class Particles(Guidance):
    """Twisted sequential Monte Carlo with K particles a context.

    Args:
        count: Particles of a context, >= 2; as many as the samples asked for where these are more.
        eta: Share of the ancestral step's noise, in (0, 1]. The weights are those of the sampler with this noise.
        free: Share f of steps that are not guided, in (0, 1). Small shares find rare events with few particles, large
            ones hardly disturb what the constraint leaves alone.
        threshold: Particles are drawn anew where their effective number falls below this share of K, or, where K is
            small, below two, at most a half of K. Zero never draws anew.
        corrections: Langevin steps at each level below `corrected`.
        corrected: Noise sigma / alpha below which particles are corrected, model units.
        iterations: Gradient steps for each steered estimate.
        tempering: Share of K below which the effective number may not fall by psi alone: psi is raised to a power that
            grows to one as fast as that allows. Zero takes psi as it is.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        count: int = 16,
        *,
        eta: float = 1.0,
        free: float = 0.3,
        threshold: float = 0.25,
        corrections: int = 0,
        corrected: float = 0.5,
        iterations: int = 3,
        tempering: float = 0.0,
    ):
        if count < 2:
            raise ValueError(f"count must be at least 2; got {count}. For a single row use Steered.")
        if not 0 < eta <= 1:
            raise ValueError(f"eta must lie in (0, 1]; got {eta}. Particles differ by the noise of their steps.")
        if not 0 < free < 1:
            raise ValueError(
                f"free must lie strictly between 0 and 1; got {free}. It bounds the weights by its inverse."
            )
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must lie in [0, 1]; got {threshold}.")
        if not 0 <= tempering < 1:
            raise ValueError(f"tempering must lie in [0, 1); got {tempering}. Zero tempers nothing.")
        self.count, self.eta, self.free, self.threshold = count, eta, free, threshold
        self.corrections, self.corrected, self.iterations = corrections, corrected, iterations
        self.tempering = tempering

    def population(self, n: int) -> int:
        """K, or n where that is more."""
        return max(self.count, n)

    def run(self, walk: Walk, guide: RowGuide, n: int) -> Tensor:
        """Walks the particles; n equally weighted ones are returned."""
        k = self.population(n)
        # The only level of a single step is the last one too, whose steered estimates mend what is infeasible.
        state = _blind(walk) if len(walk.grid) > 2 else self._look(walk, guide, walk.start(), walk.grid[0])
        log_weight = torch.zeros_like(state.energy).view(-1, k)
        exponent = log_weight[:, :1]
        for now, then in pairwise(walk.grid[:-1]):
            log_weight, index = self._resample(log_weight, walk)
            state = state.take(index)
            step = transition(now, then, self.eta)
            z = walk.noise()
            freed = draws.uniform((len(z),), generator=walk.generator, like=z) < self.free
            towards = _where(freed, state.x_hat, state.guided)
            x = step.of_state * state.x + step.of_clean * towards + step.deviation * z
            pull = step.of_clean * (state.guided - state.x_hat) / step.deviation
            untwisted = log_weight + self._log_ratio(z, pull, freed).view(-1, k) + exponent * state.energy.view(-1, k)
            new = self._look(walk, guide, x, then)
            energy = new.energy.view(-1, k)
            exponent = tempered(untwisted, energy, exponent, self.tempering)
            log_weight = _weighing(untwisted - exponent * energy)
            state = self._correct(walk, guide, new, then, exponent.repeat_interleave(k))
        return self._finish(walk, guide, state, log_weight, exponent, n)

    def _log_ratio(self, z: Tensor, pull: Tensor, freed: Tensor) -> Tensor:
        """Log p(x) / q(x) of a step with noise z, for means that differ by `pull` deviations; shape `(M,)`."""
        squares = _sum(pull.square()) / 2
        along = _sum(z * pull)
        # log q_guided(x) - log p(x), where x lies z from the mean that it was drawn around.
        advantage = torch.where(freed, along - squares, along + squares)
        return -torch.logaddexp(torch.full_like(advantage, math.log(self.free)), math.log1p(-self.free) + advantage)

    def _look(self, walk: Walk, guide: RowGuide, x: Tensor, level: Level) -> _State:
        x_hat = walk.denoise(x, level)
        guided, energy = settle(x_hat, walk.variance(level), guide, iterations=self.iterations)
        # An estimate is no event: where the one is impossible the other need not be, and psi has to be positive.
        return _State(x, x_hat, guide.project(guided), energy.nan_to_num(nan=CLIFF, posinf=CLIFF))

    def _resample(self, log_weight: Tensor, walk: Walk) -> tuple[Tensor, Tensor]:
        """Weights and rows after drawing anew in the contexts that need it; shapes `(B, K)` and `(M,)`."""
        contexts, k = log_weight.shape
        # The effective number is at least one: a share of few particles would never be fallen below.
        least = max(self.threshold * k, min(2.0, k / 2)) if self.threshold > 0 else 0.0
        needed = effective(log_weight) < least
        drawn = systematic(log_weight, k, generator=walk.generator)
        kept = torch.arange(k, device=log_weight.device).expand(contexts, k)
        index = torch.where(needed[:, None], drawn, kept)
        mean = torch.logsumexp(log_weight, 1, keepdim=True) - math.log(k)
        weight = torch.where(needed[:, None], mean.expand(-1, k), log_weight)
        return weight, _rows(index)

    def _correct(self, walk: Walk, guide: RowGuide, state: _State, level: Level, exponent: Tensor) -> _State:
        """Langevin steps with Metropolis' correction; the length of each row's step follows its acceptances.

        They leave p_t psi_t^exponent unchanged; `exponent` has shape `(M,)`.
        """
        if level.sigma > self.corrected * level.alpha:
            return state
        size = state.x.new_full((len(state.x),), 0.3 * level.sigma**2)
        for _ in range(self.corrections):
            length = context.aligned(size, state.x)
            drift = _score(state.x, state.guided, level)
            z = walk.noise()
            new = self._look(walk, guide, state.x + length * drift + (2 * length).sqrt() * z, level)
            moved = new.x - state.x
            free = (_score(state.x, state.x_hat, level) + _score(new.x, new.x_hat, level)) / 2
            back = moved + length * _score(new.x, new.guided, level)
            log_ratio = _sum(free * moved) + exponent * (state.energy - new.energy)
            log_ratio = log_ratio + _sum(z.square()) / 2 - _sum(back.square()) / (4 * size)
            u = draws.uniform((len(moved),), generator=walk.generator, like=moved)
            accepted = u.log() < log_ratio
            state = _State(*(_where(accepted, after, before) for after, before in zip(new, state, strict=True)))
            size = torch.where(accepted, size * 1.2, size * 0.7)
        return state

    def _finish(
        self, walk: Walk, guide: RowGuide, state: _State, log_weight: Tensor, exponent: Tensor, n: int
    ) -> Tensor:
        """Draws n of the clean particles by their final weights, on exact constraints.

        Where no particle of a context satisfies them at a finite cost, the steered estimates are tried; where these do
        not either, the one with the largest margin stands for all.
        """
        contexts, k = log_weight.shape
        clean = guide.project(state.x_hat)
        both = torch.cat([part.unflatten(0, (contexts, k)) for part in (clean, state.guided)], 1)
        rows = both.flatten(0, 1)
        margin, repaired = guide.margin(rows).view(contexts, 2 * k).chunk(2, 1)
        potential, remaining = guide.potential(rows).view(contexts, 2 * k).chunk(2, 1)
        repaired = repaired.masked_fill(_ruled_out(remaining), -math.inf)
        final = log_weight + exponent * state.energy.view(contexts, k) - potential
        final = _weighing(final).masked_fill(margin < 0, -math.inf)
        second = log_weight.masked_fill(repaired < 0, -math.inf)
        last = torch.where(repaired == repaired.amax(1, keepdim=True), 0.0, -math.inf)
        alive, mended = final.amax(1) > -math.inf, second.amax(1) > -math.inf
        weight = torch.where(alive[:, None], final, torch.where(mended[:, None], second, last))
        x = _where(alive.repeat_interleave(k), clean, state.guided)
        return x[_rows(systematic(weight, n, generator=walk.generator), k)]


def _blind(walk: Walk) -> _State:
    """Particles at the first level. Pure noise tells nothing of how it ends: psi is one, and nothing is steered."""
    x = walk.start()
    x_hat = walk.denoise(x, walk.grid[0])
    return _State(x, x_hat, x_hat, x.new_zeros(len(x)))


def _weighing(log_weight: Tensor) -> Tensor:
    """Weights of which those that are not a number are zero: one particle must not decide on all others."""
    return log_weight.masked_fill(log_weight.isnan(), -math.inf)


def _ruled_out(potential: Tensor) -> Tensor:
    """Whether particles cost infinitely much or no number, where others of their context do not, `(B, K)`."""
    possible = potential < math.inf
    return ~possible & possible.any(1, keepdim=True)


def effective(log_weight: Tensor) -> Tensor:
    """Effective number of particles (sum w)^2 / sum w^2 of each context; `(B, K)` to `(B,)`."""
    return 1 / log_weight.softmax(1).square().sum(1)


def tempered(log_weight: Tensor, energy: Tensor, least: Tensor, share: float) -> Tensor:
    """The exponent of psi: the largest, by bisection, that leaves a context an effective number of share * K.

    Args:
        log_weight: Without psi, shape `(B, K)`.
        energy: -log psi, shape `(B, K)`.
        least: The exponent so far, in [0, 1], shape `(B, 1)`; kept where no larger one will do.
        share: In [0, 1); the exponent is one where this is zero.

    Returns:
        Exponents in [least, 1], shape `(B, 1)`.
    """
    high = torch.ones_like(least)
    if share == 0:
        return high
    number = share * energy.shape[1]
    low = torch.where(effective(log_weight - energy)[:, None] >= number, high, least)
    for _ in range(10):
        middle = (low + high) / 2
        holds = effective(log_weight - middle * energy)[:, None] >= number
        low, high = torch.where(holds, middle, low), torch.where(holds, high, middle)
    return low


def systematic(log_weight: Tensor, n: int, *, generator: draws.Generator) -> Tensor:
    """Draws n particles of each context, each in proportion to its weight and as evenly as whole numbers allow.

    Args:
        log_weight: Unnormalised, shape `(B, K)`; -inf and what is no number are weights of zero, which are equal ones
            where there are no others.
        n: Draws.
        generator: One, or one for each context.

    Returns:
        Indices in [0, K), ascending, int64, shape `(B, n)`.
    """
    log_weight = _weighing(log_weight)
    empty = log_weight.amax(1, keepdim=True) == -math.inf
    cumulated = torch.where(empty, 0.0, log_weight).softmax(1).cumsum(1)
    whole = cumulated[:, -1:]
    u = draws.uniform((len(log_weight), 1), generator=generator, like=log_weight)
    position = (torch.arange(n, device=log_weight.device) + u) / n * whole
    # The last position may round to the whole, which lies behind every particle that has a weight.
    below = torch.nextafter(whole, torch.zeros_like(whole))
    return torch.searchsorted(cumulated, torch.minimum(position, below), right=True)


def _rows(index: Tensor, k: int | None = None) -> Tensor:
    """Indices within contexts as indices of rows, `(B, n)` to `(B * n,)`, for K particles a context."""
    offset = torch.arange(len(index), device=index.device) * (k or index.shape[1])
    return (index + offset[:, None]).flatten()


def _score(x: Tensor, estimate: Tensor, level: Level) -> Tensor:
    return (level.alpha * estimate - x) / level.sigma**2


def _sum(entries: Tensor) -> Tensor:
    return entries.flatten(1).sum(1)


def _where(condition: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return torch.where(context.aligned(condition, first), first, second)
