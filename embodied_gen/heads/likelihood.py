r"""The log-density of a denoising head, by the probability-flow equation.

The equation that the deterministic sampler of a diffusion or flow-matching head follows is an invertible map of its
initial noise, down to any noise that is left, so that what it leads to has a density. With the angle a of a noise
level, tan a = sigma / alpha, every schedule is the same path up to scale, y = x_t / sqrt(alpha^2 + sigma^2) =
cos(a) x + sin(a) eps, and by clean estimates

    dy/da = cos(a) eps_hat - sin(a) x_hat = (cos(a) y - x_hat) / sin(a),

which has no singularity on the way from a little noise to pure noise. With n entries,
r = sqrt(alpha^2 + sigma^2) at the last level and s the deviation at which sampling starts,

    log p(x | c) = log N(r y_last; 0, s^2) + n log r + integral of div(dy/da) da + n log cos(a_first).

The way begins where y = cos(a_first) x: p is the density of draws that the equation leads to the noise tan(a_first),
model units, and no further. It integrates to one at every such noise, so that the mean of -log p over data is no less
than their entropy, as for any density: noise that is left makes p wider than it could be, and that is all. The noise is
named and not taken from the steps, as there is no limit of less and less of it: an error e of the clean estimate, such
as stays where clean events are predicted, is one of e / tan(a) in the slope.

A table of levels (linear, cosine) is read at its levels alone, which steps along its grid hit exactly and adaptive
solvers do not; its way begins at the level whose noise is nearest.

Sources: Song et al. 2021 (arXiv:2011.13456), section 4.3 and appendix D.2; Chen et al. 2018 (arXiv:1806.07366).
"""

import math

import torch
from torch import Tensor

from embodied_gen.context import Context
from embodied_gen.heads.base import HasDenoiser
from embodied_gen.heads.flows.continuous import beginning, with_integrals
from embodied_gen.heads.flows.trace import Divergence, exact
from embodied_gen.heads.ode import HEUN, Fixed, Solver
from embodied_gen.heads.schedules import Level, Schedule

NOISE = 0.05  # deviation, model units: estimates of clean events that were learned are still good there


@torch.no_grad()
def log_likelihood(
    denoiser: HasDenoiser,
    schedule: Schedule,
    x: Tensor,
    c: Context,
    *,
    noise: float = NOISE,
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
        noise: Deviation of what is left on draws, model units, > 0; of a table the nearest that it has.
        steps: Levels of the grid; the solver is given the angles of those with more noise.
        solver: Of the equation; Heun's step between neighbouring levels where absent, whose error falls with the
            square of `steps`.
        divergence: Exact, n products at each evaluation, or an unbiased estimate such as `trace.hutchinson`.

    Returns:
        Nat with respect to model units, shape `(B,)`, without a graph.

    Raises:
        ValueError: If the noise is not positive.
    """

    def velocity(angle: Tensor, y: Tensor) -> Tensor:
        rows = (-1, *[1] * (y.ndim - 1))
        t = schedule.time(angle)
        at = schedule.coefficients(t)
        x_hat = denoiser.denoise(torch.hypot(at.alpha, at.sigma).view(rows) * y, t, c)
        return (angle.cos().view(rows) * y - x_hat) / angle.sin().view(rows)

    grid = schedule.grid(steps)
    angles = _angles(schedule, noise, grid, x)
    field = with_integrals(velocity, divergence, x.shape[1:])
    start = math.cos(angles[0]) * x
    end, _ = (solver or Fixed(1, HEUN)).solve(field, beginning(start), angles)
    noisiest, size = grid[0], x[0].numel()
    log_scale = math.log(math.hypot(noisiest.sigma, noisiest.alpha) / schedule.initial_deviation)
    standard = math.exp(log_scale) * end[:, :-1]
    log_start = -(standard.square() + math.log(2 * math.pi)).sum(1) / 2
    return log_start + end[:, -1] + size * (log_scale + math.log(math.cos(angles[0])))


def _angles(schedule: Schedule, noise: float, grid: list[Level], like: Tensor) -> list[float]:
    """From the angle of some noise, of a table the nearest level's, along a grid to that of its first level."""
    if not noise > 0:
        raise ValueError(f"noise must be positive; got {noise}. Without any the density of an estimate has no limit.")
    angle = like.new_full((1,), math.atan(noise), dtype=torch.float64)
    at = schedule.coefficients(schedule.time(angle).clamp(min=1 / (schedule.most or math.inf)))
    first = math.atan2(at.sigma.item(), at.alpha.item())
    angles = (math.atan2(level.sigma, level.alpha) for level in reversed(grid))
    return [first, *(angle for angle in angles if angle > first)]
