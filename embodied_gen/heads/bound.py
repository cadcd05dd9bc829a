r"""The variational bound of a denoising head, in nat.

On a grid of levels 1 = t_n > ... > t_1 > t_0 = 0 a diffusion model is a chain of latents, and

    -log p(x | c) <= L_T + sum_{i = 2..n} L_{i-1} + L_0,
    L_T     = KL(q(x_T | x) || N(0, s^2)),  s the deviation at which sampling starts
    L_{i-1} = KL(q(x_{i-1} | x_i, x) || q(x_{i-1} | x_i, x_hat)) = (SNR_{i-1} - SNR_i) / 2  |x - x_hat(x_i)|^2
    L_0     = -log N(x; x_hat(x_1), sigma_1^2 / alpha_1^2)

with SNR = alpha^2 / sigma^2 and expectations over x_i ~ q(x_i | x), here one draw of each. The bound is tight where
neighbouring levels are close in log SNR, as on Karras' grid; even steps of a rectified path are not so near the
data, and keep a gap of 1.4 nat for each entry of x however many they are.

Sources: Sohl-Dickstein et al. 2015 (arXiv:1503.03585); Ho et al. 2020 (arXiv:2006.11239), eq. 5; Kingma et al.
2021 (arXiv:2107.00630), eq. 13 and 14.
"""

import math
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from embodied_gen import draws
from embodied_gen.context import Context
from embodied_gen.heads.base import HasDenoiser
from embodied_gen.heads.schedules import Level, Schedule


class Bound(NamedTuple):
    """The three terms of the bound in nat with respect to model units, each of shape `(B,)`."""

    prior: Tensor
    denoising: Tensor
    reconstruction: Tensor

    @property
    def total(self) -> Tensor:
        """The bound on -log p(x | c)."""
        return self.prior + self.denoising + self.reconstruction


def variational_bound(
    denoiser: HasDenoiser,
    schedule: Schedule,
    x: Tensor,
    c: Context,
    *,
    steps: int,
    generator: draws.Generator,
) -> Bound:
    """An unbiased estimate of the bound with one draw at each of `steps` levels.

    Args:
        denoiser: Gives E[x | x_t, c].
        schedule: The denoiser's schedule.
        x: Events, model units, shape `(B, *E)`.
        c: Contexts.
        steps: Levels of the chain; one call of the denoiser each.
        generator: Draws the noise.
    """
    *noisy, _ = schedule.grid(steps)
    denoising = x.new_zeros(len(x))
    for now, then in pairwise(noisy):
        gain = (_signal_to_noise(then) - _signal_to_noise(now)) / 2
        denoising = denoising + gain * _squared_error(denoiser, now, x, c, generator)
    last = noisy[-1]
    variance = (last.sigma / last.alpha) ** 2 if last.alpha > 0 else math.inf
    size = x[0].numel()
    reconstruction = (
        _squared_error(denoiser, last, x, c, generator) / (2 * variance) + size * math.log(2 * math.pi * variance) / 2
    )
    return Bound(_prior(noisy[0], schedule, x), denoising, reconstruction)


def _prior(level: Level, schedule: Schedule, x: Tensor) -> Tensor:
    ratio = (level.sigma / schedule.initial_deviation) ** 2
    mean = (level.alpha / schedule.initial_deviation) * x
    return mean.square().flatten(1).sum(1) / 2 + x[0].numel() * (ratio - 1 - math.log(ratio)) / 2


def _squared_error(denoiser: HasDenoiser, level: Level, x: Tensor, c: Context, generator: draws.Generator) -> Tensor:
    noise = draws.normal(x.shape, generator=generator, like=x)
    t = x.new_full((len(x),), level.t)
    x_hat = denoiser.denoise(level.alpha * x + level.sigma * noise, t, c)
    return (x_hat - x).square().flatten(1).sum(1)


def _signal_to_noise(level: Level) -> float:
    return (level.alpha / level.sigma) ** 2
