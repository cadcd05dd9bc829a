r"""The log-density of a denoising head, by the probability-flow equation.

The equation that the deterministic sampler of a diffusion or flow-matching head follows is an invertible map of its
initial noise, down to any noise that is left, so that what it leads to has a density. With the angle a of a noise
level, tan a = sigma / alpha, every schedule is the same path up to scale, y = x_t / sqrt(alpha^2 + sigma^2) =
cos(a) x + sin(a) eps, and by clean estimates

    dy/da = cos(a) eps_hat - sin(a) x_hat = (cos(a) y - x_hat) / sin(a),

which grows without end towards clean events: where data are narrow beside the noise the estimate does not move, and the
slope of y is that of a logarithm. So the way is gone in w = log tan(a / 2), which is zero at pure noise:

    dy/dw = cos(a) y - x_hat.

With n entries, r = sqrt(alpha^2 + sigma^2) at the last level and s the deviation at which sampling starts,

    log p(x | c) = log N(r y_last; 0, s^2) + n log r + integral of div(dy/dw) dw + n log cos(a_first).

The way begins where y = cos(a_first) x: p is the density of draws that the equation leads to the noise tan(a_first),
model units, and no further. It integrates to one at every such noise, so that the mean of -log p over data is no less
than their entropy, as for any density: noise that is left makes p wider than it could be, and that is all. The noise is
named and not taken from the steps, as there is no limit of less and less of it: an error e of the clean estimate, such
as stays where clean events are predicted, is one of e / tan(a) in the slope.

Steps are even in w, along which the way is so smooth that a few of Kutta's are exact to a thousandth of a nat. A table
of levels (linear, cosine) is read at its levels alone, which Heun's steps along its own grid hit exactly, and those of
other solvers do not: its way has the angles of that grid, and begins at the level whose noise is nearest.

Sources: Song et al. 2021 (arXiv:2011.13456), section 4.3 and appendix D.2; Chen et al. 2018 (arXiv:1806.07366).
"""

import math

import torch
from torch import Tensor

from embodied_gen.context import Context
from embodied_gen.heads.base import HasDenoiser
from embodied_gen.heads.flows.continuous import beginning, with_integrals
from embodied_gen.heads.flows.trace import Divergence, exact
from embodied_gen.heads.ode import HEUN, KUTTA, Fixed, Solver
from embodied_gen.heads.schedules import Schedule

NOISE = 0.05  # deviation, model units: estimates of clean events that were learned are still good there
_STEPS, _STEPS_OF_TABLES = 25, 100  # of Kutta and of Heun


@torch.no_grad()
def log_likelihood(
    denoiser: HasDenoiser,
    schedule: Schedule,
    x: Tensor,
    c: Context,
    *,
    noise: float | None = None,
    steps: int | None = None,
    solver: Solver | None = None,
    divergence: Divergence = exact,
) -> Tensor:
    """Log p(x | c) of a denoising head's deterministic sampler, neither clipped nor guided.

    Args:
        denoiser: Gives E[x | x_t, c].
        schedule: The denoiser's schedule.
        x: Events, model units, shape `(B, *E)`.
        c: Contexts.
        noise: Deviation of what is left on draws, model units, > 0 and at least the schedule's least one; of a table
            the nearest that it has. `NOISE`, or the least where that is more, where absent.
        steps: Of the solver's grid, 25 where absent; of a table those of its own grid, 100 where absent and at most all
            that it has, of which the noisier ones are taken.
        solver: Of the equation; where absent one of Kutta's steps between neighbours of the grid, whose error falls
            with the fourth power of `steps`, and of a table one of Heun's, whose error falls with the square.
        divergence: Exact, n products at each evaluation, or an unbiased estimate such as `trace.hutchinson`.

    Returns:
        Nat with respect to model units, shape `(B,)`, without a graph.

    Raises:
        ValueError: If the noise is not positive, or less than the schedule has.
    """

    def velocity(w: Tensor, y: Tensor) -> Tensor:
        rows, angle = (-1, *[1] * (y.ndim - 1)), 2 * w.exp().atan()
        t = schedule.time(angle)
        at = schedule.coefficients(t)
        x_hat = denoiser.denoise(torch.hypot(at.alpha, at.sigma).view(rows) * y, t, c)
        return angle.cos().view(rows) * y - x_hat

    if noise is None:
        noise = max(NOISE, schedule.least_noise)
    of_table = schedule.most is not None
    noisiest = schedule.grid(1)[0]
    angles = _angles(schedule, noise, steps or (_STEPS_OF_TABLES if of_table else _STEPS), x)
    field = with_integrals(velocity, divergence, x.shape[1:])
    start = math.cos(angles[0]) * x
    places = [math.log(math.tan(angle / 2)) for angle in angles]
    end, _ = (solver or Fixed(1, HEUN if of_table else KUTTA)).solve(field, beginning(start), places)
    size = x[0].numel()
    log_scale = math.log(math.hypot(noisiest.sigma, noisiest.alpha) / schedule.initial_deviation)
    standard = math.exp(log_scale) * end[:, :-1]
    log_start = -(standard.square() + math.log(2 * math.pi)).sum(1) / 2
    return log_start + end[:, -1] + size * (log_scale + math.log(math.cos(angles[0])))


def _angles(schedule: Schedule, noise: float, steps: int, like: Tensor) -> list[float]:
    """From the angle of some noise to that of the schedule's noisiest level."""
    if not noise > 0:
        raise ValueError(f"noise must be positive; got {noise}. Without any the density of an estimate has no limit.")
    if noise < schedule.least_noise:
        raise ValueError(
            f"noise must be at least {schedule.least_noise:.3g}, the least of the schedule; got {noise}. Take more, "
            "or a schedule with more levels."
        )
    grid = schedule.grid(schedule.at_most(steps))
    last = math.atan2(grid[0].sigma, grid[0].alpha)
    if schedule.most is None:
        share = math.log(math.tan(last / 2) / math.tan(math.atan(noise) / 2)) / steps
        return [2 * math.atan(math.tan(last / 2) * math.exp(share * (i - steps))) for i in range(steps + 1)]
    angle = like.new_full((1,), math.atan(noise), dtype=torch.float64)
    at = schedule.coefficients(schedule.time(angle))
    first = math.atan2(at.sigma.item(), at.alpha.item())
    angles = (math.atan2(level.sigma, level.alpha) for level in reversed(grid))
    return [first, *(angle for angle in angles if angle > first)]
