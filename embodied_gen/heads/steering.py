"""Steering: clean estimates moved towards what is wanted.

`steer` moves a clean estimate x_hat of given variance to the minimum of

    J(x) = |x - x_hat|^2 / (2 variance) + scale cost(x) + k / 2 sum_p relu(b - m_p(x) / s_p)^2

by gradient steps of which only those that lower J are taken. The margin m_p of each constraint is measured in its
own deviation s_p under N(x_hat, variance), so that constraints need no scale: where x_hat is certain they are walls,
where it is vague they are slopes. With b = 0.8 the minimum is close to the mean of the normal cut off at the
constraint, and exp(-J) to its mass, which is Phi(m / s) for one flat constraint. J bounds the distance moved:
nothing diverges at any scale.

Sources: proximal sampling as in DiffPIR (Zhu et al. 2023, arXiv:2305.08995); step lengths of Barzilai and Borwein
1988.
"""

import torch
from torch import Tensor

from embodied_gen.heads.guidance import RowGuide

INSIDE = 0.8  # b: deviations that an estimate keeps inside of a constraint
FIRMNESS = 20.0  # k: how hard a constraint is, against the estimate's own certainty of 1
PROBED = 8  # samples of a context at which the deviations of its margins are measured


def steer(x_hat: Tensor, variance: float | Tensor, guide: RowGuide, *, iterations: int = 6) -> Tensor:
    """Moves clean estimates towards what is wanted, no further than their uncertainty allows; then projects.

    Args:
        x_hat: Clean estimates, model units, shape `(M, *E)`.
        variance: Variance of the estimate, model units squared, one number or a tensor that broadcasts to
            `x_hat`; the number zero leaves only the projection.
        guide: What is wanted, on rows.
        iterations: Gradient steps tried. Each row takes only steps that lower its own objective.

    Returns:
        Estimates of the same shape, finite wherever `x_hat` and the guide are.
    """
    if not guide.steers or (not isinstance(variance, Tensor) and variance <= 0):
        return guide.project(x_hat)
    return guide.project(settle(x_hat, variance, guide, iterations=iterations)[0])


def settle(x_hat: Tensor, variance: float | Tensor, guide: RowGuide, *, iterations: int = 6) -> tuple[Tensor, Tensor]:
    """The minimum of J for each row, as far as the iterations lead, and its value; see `steer`.

    Returns:
        Estimates of the shape of `x_hat`, and J of shape `(M,)`.
    """
    deviation = variance**0.5
    rows = (-1, *[1] * (x_hat.ndim - 1))
    # In units of the deviation J is |u|^2 / 2 and more, of curvature at least one.
    u = torch.zeros_like(x_hat)
    value, slope, sharpness = _first(x_hat, deviation, guide)
    gradient = deviation * slope
    rate = 1 / gradient.abs().flatten(1).amax(1).clamp(min=1)  # at first no entry moves by more than one deviation
    for _ in range(iterations - 1):
        tried = torch.addcmul(u, rate.view(rows), gradient, value=-1)
        lacking, slope = _with_slope(x_hat + deviation * tried, guide, sharpness)
        new_value, new_gradient = lacking + _effort(tried), tried + deviation * slope
        better = new_value < value
        rate = torch.where(better, _step_length(tried - u, new_gradient - gradient), rate * 0.3)
        u = torch.where(better.view(rows), tried, u)
        gradient = torch.where(better.view(rows), new_gradient, gradient)
        value = torch.where(better, new_value, value)
    if iterations > 0:  # of the last step the value decides, and nobody asks for the slope
        tried = torch.addcmul(u, rate.view(rows), gradient, value=-1)
        new_value = _lack(*guide.measure(x_hat + deviation * tried), sharpness)[0] + _effort(tried)
        better = new_value < value
        u, value = torch.where(better.view(rows), tried, u), torch.where(better, new_value, value)
    return x_hat + deviation * u, value


def _effort(u: Tensor) -> Tensor:
    return u.square().flatten(1).sum(1) / 2


def _lack(potential: Tensor, margins: Tensor, sharpness: Tensor) -> tuple[Tensor, Tensor]:
    """What J holds besides the distance, `(M,)`, and by how much each margin is too small, `(B, N, P)`."""
    short = (INSIDE - margins * sharpness).clamp(min=0)
    return potential + FIRMNESS / 2 * short.square().sum(-1).flatten(), short


def _with_slope(x: Tensor, guide: RowGuide, sharpness: Tensor) -> tuple[Tensor, Tensor]:
    """What J holds besides the distance, and its gradient by x."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        potential, margins = guide.measure(x)
    value, short = _lack(potential.detach(), margins.detach(), sharpness)
    return value, _slope(x, potential, margins, short * sharpness)


def _slope(x: Tensor, potential: Tensor, margins: Tensor, pull: Tensor) -> Tensor:
    """Gradient of the potential and of what constraints lack, by x; zero where it is no number.

    The outer derivative is known, which spares autograd the half of its work.
    """
    parts = [(potential, torch.ones_like(potential)), (margins, -FIRMNESS * pull)]
    parts = [(part, weight) for part, weight in parts if part.requires_grad]
    if not parts:
        return torch.zeros_like(x)
    values, weights = zip(*parts, strict=True)
    (gradient,) = torch.autograd.grad(values, x, weights, allow_unused=True, materialize_grads=True)
    return torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)


def _first(x_hat: Tensor, deviation: float | Tensor, guide: RowGuide) -> tuple[Tensor, Tensor, Tensor]:
    """Value and slope at the estimate itself, and the sharpness of each margin, 1 / s_p, shape `(B, 1, P)`.

    s_p is measured on two pairs of probes, and averaged over some samples of each context. Probes are evaluated
    together with the estimates: a few more rows cost less than one more call.
    """
    own = x_hat.unflatten(0, (guide.contexts, -1))
    n, probed = own.shape[1], min(own.shape[1], PROBED)
    wide = (deviation * torch.ones_like(x_hat)).unflatten(0, own.shape[:2])
    probes = own[:, :probed, None] + wide[:, :probed, None] * _signs(x_hat)
    with torch.enable_grad():
        x = x_hat.detach().requires_grad_()
        potential, margins = guide.measure(x, probes.flatten(0, 2))
        margins, around = margins[:, :n], margins[:, n:].detach().unflatten(1, (-1, 4))
    centre = margins[:, :probed, None].detach()
    spread = (around - centre).square().mean((1, 2)).sqrt()
    least = torch.finfo(x_hat.dtype).eps * (1 + centre.abs().amax((1, 2)))
    sharpness = 1 / torch.maximum(spread, least).unsqueeze(1)
    value, short = _lack(potential.detach(), margins.detach(), sharpness)
    return value, _slope(x, potential, margins, short * sharpness), sharpness


def _signs(x: Tensor) -> Tensor:
    """Two pairs of opposite probes with entries of +-1, orthogonal in neighbouring channels, shape `(4, *E)`."""
    index = torch.arange(x[0].numel(), device=x.device, dtype=x.dtype)
    first = torch.where(torch.cos(2.4 * index.square()) < 0, -1.0, 1.0).to(x.dtype)  # without a pattern
    second = first * (1 - 2 * (index % 2))
    return torch.stack([first, -first, second, -second]).view(4, *x.shape[1:])


def _step_length(moved: Tensor, bent: Tensor) -> Tensor:
    """Inverse curvature along the last step of each row, at most 1, as J has at least that curvature."""
    moved, bent = moved.flatten(1), bent.flatten(1)
    curvature = (moved * bent).sum(1) / moved.square().sum(1).clamp(min=1e-30)
    return 1 / curvature.clamp(min=1)
