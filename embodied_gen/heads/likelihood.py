r"""The log-density of a denoising head, by the probability-flow equation.

The deterministic sampler of a diffusion or flow-matching head is, in the limit of many steps, an invertible map of its
initial noise, so that its draws have a density. With the angle a of a noise level, tan a = sigma / alpha, every
schedule is the same path up to scale: y = x_t / sqrt(alpha^2 + sigma^2) = cos(a) x + sin(a) eps, and by clean estimates

    dy/da = cos(a) eps_hat - sin(a) x_hat = (cos(a) y - x_hat) / sin(a),

which has no singularity on the way from the first noisy level to pure noise. With n entries,
r = sqrt(alpha^2 + sigma^2) at the last level and s the deviation at which sampling starts,

    log p(x | c) = log N(r y_last; 0, s^2) + n log r + integral of div(dy/da) da + n log cos(a_first).

The way begins at the level before the clean one, where y = cos(a_first) x: the density is that of events with the noise
tan(a_first) still on them, model units. A table of levels (linear, cosine) is read at its levels alone, which steps
along its grid hit exactly and adaptive solvers do not.

Sources: Song et al. 2021 (arXiv:2011.13456), section 4.3 and appendix D.2; Chen et al. 2018 (arXiv:1806.07366).
"""

import math

import torch
from torch import Tensor

from embodied_gen.context import Context
from embodied_gen.heads.base import HasDenoiser
from embodied_gen.heads.flows.continuous import beginning, with_divergence
from embodied_gen.heads.flows.trace import Divergence, exact
from embodied_gen.heads.ode import HEUN, Fixed, Solver
from embodied_gen.heads.schedules import Schedule


@torch.no_grad()
def log_likelihood(
    denoiser: HasDenoiser,
    schedule: Schedule,
    x: Tensor,
    c: Context,
    *,
    steps: int = 100,
    solver: Solver | None = None,
    divergence: Divergence = exact,
) -> Tensor:
    """Log p(x | c) of a denoising head's deterministic sampler, neither clipped nor guided.

    Args:
        denoiser: Gives E[x | x_t, c].
        schedule: The denoiser's schedule.
        x: Events, model units, shape `(B, *E)`.
        c: Contexts.
        steps: Levels of the grid whose angles the solver is given; the last sets the noise that is left.
        solver: Of the equation; Heun's step between neighbouring levels where absent, whose error falls with the
            square of `steps`.
        divergence: Exact, n products at each evaluation, or an unbiased estimate such as `trace.hutchinson`.

    Returns:
        Nat with respect to model units, shape `(B,)`, without a graph.
    """

    def velocity(angle: Tensor, y: Tensor) -> Tensor:
        rows = (-1, *[1] * (y.ndim - 1))
        t = schedule.time(angle)
        at = schedule.coefficients(t)
        x_hat = denoiser.denoise(torch.hypot(at.alpha, at.sigma).view(rows) * y, t, c)
        return (angle.cos().view(rows) * y - x_hat) / angle.sin().view(rows)

    levels = schedule.grid(steps)[-2::-1]
    angles = [math.atan2(level.sigma, level.alpha) for level in levels]
    field = with_divergence(velocity, divergence, x.shape[1:])
    start = math.cos(angles[0]) * x
    end, _ = (solver or Fixed(1, HEUN)).solve(field, beginning(start), angles)
    radius, size = math.hypot(levels[-1].sigma, levels[-1].alpha), x[0].numel()
    standard = (radius / schedule.initial_deviation) * end[:, :-1]
    log_start = -(standard.square() + math.log(2 * math.pi)).sum(1) / 2
    log_scale = math.log(radius / schedule.initial_deviation) + math.log(math.cos(angles[0]))
    return log_start + end[:, -1] + size * log_scale
