r"""Other methods of guidance, to compare with: what peers do, on the same walk.

    ThroughNetwork   x_s <- step(x_t) - strength d/dx_t energy(x_hat(x_t))        DPS
    NoisyMean        mean <- mean - clip(strength d/dmean energy(mean), deviation)  as in traffic simulation
    Projected        x_s <- project(x_s) after every step                          projected diffusion
    BestOf           one of K free samples, chosen by `propose`

with energy(x) = scale cost(x) + 1/2 sum_p relu(-m_p(x))^2, so that `strength` carries the units. All take the
ancestral step with a share eta of its noise.

Sources: Chung et al. 2023 (arXiv:2209.14687); Zhong et al. 2023 (arXiv:2210.17366); Christopher et al. 2024
(arXiv:2402.03559).
"""

import abc
from itertools import pairwise
from typing import final

import torch
from torch import Tensor

from embodied_gen.heads.guidance import RowGuide, propose
from embodied_gen.heads.samplers import Transition, transition
from embodied_gen.heads.schedules import Level
from embodied_gen.heads.walk import Guidance, Walk


class Stepwise(Guidance, abc.ABC):
    """Guidance that changes each step of one row by itself.

    Args:
        strength: Factor on the gradient.
        eta: Share of the ancestral noise, in [0, 1].
    """

    def __init__(self, strength: float = 1.0, *, eta: float = 1.0):
        if not strength >= 0:
            raise ValueError(f"strength must be at least 0; got {strength}.")
        self.strength, self.eta = strength, eta

    def run(self, walk: Walk, guide: RowGuide, n: int) -> Tensor:
        """Walks the grid; the last step gives the clean estimate."""
        x = walk.start()
        for now, then in pairwise(walk.grid):
            x = self._step(walk, guide, x, now, transition(now, then, self.eta))
        return x

    @abc.abstractmethod
    def _step(self, walk: Walk, guide: RowGuide, x: Tensor, now: Level, step: Transition) -> Tensor:
        """From x_t to x_s."""


@final
class ThroughNetwork(Stepwise):
    """Diffusion posterior sampling: the gradient of the energy of the clean estimate, through the network."""

    def _step(self, walk: Walk, guide: RowGuide, x: Tensor, now: Level, step: Transition) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            x_hat = walk.denoise(x, now)
            slope = _slope(_energy(x_hat, guide), x)
        moved = step.of_state * x.detach() + step.of_clean * x_hat.detach() - self.strength * slope
        return moved + step.deviation * walk.noise() if step.deviation > 0 else moved


@final
class NoisyMean(Stepwise):
    """The gradient of the energy at the noisy mean of each step, clipped to the step's deviation in every entry."""

    def _step(self, walk: Walk, guide: RowGuide, x: Tensor, now: Level, step: Transition) -> Tensor:
        mean = step.of_state * x + step.of_clean * walk.denoise(x, now)
        if step.deviation == 0:
            return mean
        with torch.enable_grad():
            mean = mean.detach().requires_grad_()
            pull = self.strength * _slope(_energy(mean, guide), mean)
        mean = mean.detach()
        return mean - pull.clamp(-step.deviation, step.deviation) + step.deviation * walk.noise()


@final
class Projected(Stepwise):
    """The guide's projection after every step."""

    def _step(self, walk: Walk, guide: RowGuide, x: Tensor, now: Level, step: Transition) -> Tensor:
        moved = step.of_state * x + step.of_clean * walk.denoise(x, now)
        return guide.project(moved + step.deviation * walk.noise() if step.deviation > 0 else moved)


@final
class BestOf(Guidance):
    """Rejection: K free samples for each one that is asked for, of which `propose` keeps one.

    Args:
        count: K, >= 1.
    """

    def __init__(self, count: int = 64):
        if count < 1:
            raise ValueError(f"count must be at least 1; got {count}.")
        self.count = count

    def population(self, n: int) -> int:
        """K n."""
        return self.count * n

    def run(self, walk: Walk, guide: RowGuide, n: int) -> Tensor:
        """The head's own sampler, then the choice."""
        x = walk.sampler.run(walk.start(), walk.grid, walk.denoise, walk.noise)
        return propose(x.unflatten(0, (guide.contexts * n, self.count)), guide, generator=walk.generator)


def _energy(x: Tensor, guide: RowGuide) -> Tensor:
    potential, margins = guide.measure(x)
    return potential + margins.clamp(max=0).square().sum(-1).flatten() / 2


def _slope(energy: Tensor, at: Tensor) -> Tensor:
    """Gradient of each row's energy; zero where nothing is wanted, or where it is not finite."""
    if not energy.requires_grad:
        return torch.zeros_like(at)
    (gradient,) = torch.autograd.grad(energy.sum(), at)
    return torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
