r"""Denoising heads: diffusion and flow matching.

A schedule maps t in [0, 1] to (alpha, sigma); x_t = alpha x + sigma eps. A network, read through a
parametrisation, is the clean estimate x_hat = E[x | x_t, c], learned by

    min E_{t, eps}  w(t) error(x_hat(alpha x + sigma eps, t, c), x),

and a sampler walks from noise to an event by clean estimates. Diffusion and flow matching differ in the schedule. Where
a network estimates in stages, the error is averaged over them. What noise is added to where an event has nothing, the
event says (`filled`).

Without a condition (classifier-free guidance, Ho and Salimans 2022, arXiv:2207.12598) the context is dropped in
training with a given probability, and in sampling  x_hat = (1 + w) x_hat(c) - w x_hat(blank).

A guide steers every clean estimate, by as much as the estimate is uncertain at that level. Each entry of the event has
a deviation d given the context, so that the variance of the estimate is  v = d^2 sigma^2 / (alpha^2 d^2 + sigma^2);
d is fitted to the residuals at all levels by maximum likelihood, without touching the network. What the context fixes,
such as where a path starts, a guide then leaves alone.

Sources: Ho et al. 2020 (arXiv:2006.11239); Karras et al. 2022 (arXiv:2206.00364); Lipman et al. 2023
(arXiv:2210.02747).
"""

import math
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.events.base import Event
from embodied_gen.heads.base import Head
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.parametrisation import Parametrisation, Simple, Velocity, Weighting
from embodied_gen.heads.particles import Particles
from embodied_gen.heads.samplers import DDIM, Sampler
from embodied_gen.heads.schedules import Coefficients, Level, Rectified, Schedule
from embodied_gen.heads.stages import error_of, estimates, shaped
from embodied_gen.heads.walk import Guidance, Walk


class _Reading(NamedTuple):
    """How the network is read at one level of the sampling grid, as plain numbers."""

    a: float
    b: float
    input_scale: float


@final
class DenoisingHead(Head):
    """p(x | c) by successive clean estimates; implements `HasDenoiser`.

    Args:
        event: What is predicted.
        net: `net(x_t, t, c)` with x_t `(M, *E)` and t `(M,)` in [0, 1], returns `(M, *E)`.
        schedule: Noise levels.
        parametrisation: How the network's output is read.
        weighting: Weight of the error at a time.
        sampler: How to walk from noise to an event.
        steps: Levels that the sampler visits.
        clip: Clean estimates are confined to [-clip, clip], model units, or as the event has it; none where None.
        dropout: Probability of dropping the context in training.
        guidance_weight: w of classifier-free guidance; needs dropout > 0 where not zero.
        guidance: How a guide is followed; may be replaced on a trained head.

    Raises:
        ValueError: If a number is out of range, or the parametrisation cannot be read at a level of the grid.
    """

    def __init__(
        self,
        event: Event,
        net: nn.Module,
        *,
        schedule: Schedule | None = None,
        parametrisation: Parametrisation | None = None,
        weighting: Weighting | None = None,
        sampler: Sampler | None = None,
        steps: int = 10,
        clip: float | None = 1.0,
        dropout: float = 0.0,
        guidance_weight: float = 0.0,
        guidance: Guidance | None = None,
    ):
        super().__init__(event)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1); got {dropout}.")
        if guidance_weight != 0 and dropout == 0:
            raise ValueError(
                f"guidance_weight {guidance_weight} needs a network that has seen dropped contexts; "
                "train with dropout > 0, such as 0.1."
            )
        if clip is not None and not clip > 0:
            raise ValueError(f"clip must be positive or None; got {clip}.")
        self.net = net
        self.schedule = schedule or Rectified()
        self.parametrisation = parametrisation or Velocity()
        self.weighting = weighting or Simple()
        self.sampler = sampler or DDIM()
        self.clip = clip
        self.dropout = dropout
        self.guidance_weight = guidance_weight
        self.guidance = guidance or Particles()
        self.log_deviation = nn.Parameter(torch.full(event.own, math.log(0.5)))
        self.steps = steps

    @property
    def steps(self) -> int:
        """Levels that the sampler visits; may be set on a trained head.

        Raises:
            ValueError: If the schedule has fewer levels, or the network cannot be read at one of them.
        """
        return len(self._grid) - 1

    @steps.setter
    def steps(self, steps: int) -> None:
        grid = self.schedule.grid(steps)
        readings = {level: self._read(level) for level in grid[:-1]}
        if not all(math.isfinite(reading.a) and math.isfinite(reading.b) for reading in readings.values()):
            raise ValueError(
                f"{type(self.parametrisation).__name__} of {type(self.schedule).__name__} has no clean estimate at "
                "the first level, which is pure noise (alpha = 0); got a division by zero. Predict a velocity, v or "
                "the clean event instead."
            )
        self._grid, self._readings = grid, readings

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """Weighted error of the clean estimate at one random time for each example, shape `(B,)`.

        Padding is learned as it is, `valid` or not: the estimate of every part is an input of the next step of the
        sampler, so a part that was left out of the loss would mislead the others. What an event's error leaves out by
        itself, such as cells of a map without a label, is left out here.
        """
        self.event.check(x)
        t = self.schedule.draw(len(x), generator=generator, like=x)
        noise = draws.normal(x.shape, generator=generator, like=x)
        if self.dropout > 0:
            dropped = draws.uniform((len(x),), generator=generator, like=x) < self.dropout
            c = context.blank(c, dropped)
        at = self.schedule.coefficients(t)
        clean = self.event.filled(x, generator=generator)
        x_t = context.aligned(at.alpha, x) * clean + context.aligned(at.sigma, x) * noise
        weight = self.weighting.weight(t, self.schedule, self.parametrisation)
        stages = self._stages(x_t, t, c)
        return weight * error_of(self.event, stages, x) + self._fit_deviation(stages[-1], x, at)

    def denoise(self, x_t: Tensor, t: Tensor, c: Context) -> Tensor:
        """E[x | x_t, c] at times t in (0, 1], shape `(B,)`; neither clipped nor guided."""
        return self._stages(x_t, t, c)[-1]

    def _stages(self, x_t: Tensor, t: Tensor, c: Context) -> Tensor:
        """Clean estimates of all stages of the network, the last of which is the head's; `(S, B, *E)`."""
        at = self.schedule.coefficients(t)
        a, b = self.parametrisation.affine(at)
        scale = self.schedule.input_scale(at.alpha, at.sigma)
        output = estimates(self.net, context.aligned(scale, x_t) * x_t, t, c)
        return context.aligned(a, x_t) * x_t + context.aligned(b, x_t) * output

    def _fit_deviation(self, x_hat: Tensor, x: Tensor, at: Coefficients) -> Tensor:
        """Zero for each example, with the gradient that fits d to the residuals of the clean estimate."""
        variance = self._variance(context.aligned(at.alpha, x), context.aligned(at.sigma, x))
        surprise = (self.event.residual(x_hat.detach(), x).square() / variance + variance.log()) / 2
        fit = surprise.flatten(1).mean(1)
        return fit - fit.detach()

    def _variance(self, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """Variance of the clean estimate in each entry, model units squared."""
        d_squared = (2 * self.log_deviation).exp()
        return d_squared * sigma**2 / (alpha**2 * d_squared + sigma**2)

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        if guide is None:
            walk = self._walk(c, rows, generator)
            return walk.sampler.run(walk.start(), walk.grid, walk.denoise, walk.noise)
        n = rows // guide.contexts
        population = self.guidance.population(n)
        if population != n:
            c = context.repeat(context.every(c, n), population)
        return self.guidance.run(self._walk(c, guide.contexts * population, generator), guide, n)

    def _walk(self, c: Context, rows: int, generator: draws.Generator) -> Walk:
        like = self._like()
        shape = (rows, *self.event.shape)
        both = None if self.guidance_weight == 0 else context.concatenate([c, _blanked(c, rows, like)])

        def denoise(x_t: Tensor, level: Level) -> Tensor:
            x_hat = self._estimate(x_t, level, self._readings[level], c, both)
            return x_hat if self.clip is None else self.event.confined(x_hat, self.clip)

        return Walk(
            self._grid,
            self.sampler,
            denoise,
            lambda level: self._variance(level.alpha, level.sigma),
            lambda: draws.normal(shape, generator=generator, like=like),
            self.schedule.initial_deviation,
            generator,
            c,
        )

    def _estimate(self, x_t: Tensor, level: Level, reading: _Reading, c: Context, both: Context | None) -> Tensor:
        """The clean estimate at a level of the grid, with classifier-free guidance where `both` is given."""
        scaled = x_t if reading.input_scale == 1 else reading.input_scale * x_t
        if both is None:
            output = self.net(scaled, x_t.new_full((len(x_t),), level.t), c)
        else:
            t = x_t.new_full((2 * len(x_t),), level.t)
            conditional, blank = self.net(torch.cat([scaled, scaled]), t, both).chunk(2)
            output = conditional + self.guidance_weight * (conditional - blank)
        return reading.a * x_t + reading.b * shaped(output, x_t)

    def _read(self, level: Level) -> _Reading:
        at = self.schedule.coefficients(torch.tensor([level.t], dtype=torch.float64))
        a, b = self.parametrisation.affine(at)
        scale = self.schedule.input_scale(at.alpha, at.sigma)
        return _Reading(a.item(), b.item(), scale.item())


def _blanked(c: Context, rows: int, like: Tensor) -> Context:
    return context.blank(c, torch.ones(rows, dtype=torch.bool, device=like.device))
