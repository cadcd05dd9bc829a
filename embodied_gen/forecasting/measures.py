r"""Measures of drawn futures against the true one: errors, spread and density.

With e_t^s the distance of draw s from the truth at step t of a pedestrian, over the steps that are known:

    ADE_s = mean_t e_t^s,    FDE_s = e_T^s,    T the last known step

Best of n. Per agent: each pedestrian takes the draw that suits best. Per scene: all pedestrians of a window take the
same draw s, the one of the lowest sum over them. In each case the best draws for ADE and for FDE may differ, or the FDE
is that of the draw with the best ADE ("same").

Spread. Of the n draws and the truth, the distances from the common mean are ranked; if the truth is one more draw, its
rank is uniform (Gneiting et al. 2008), so that a share q of truths is among the q nearest. Tied ranks are shared.

Kernel density. At each step a Gaussian is put on every draw, with the covariance of the draws times n^(-1/3) (Scott's
rule in the plane), plus a floor of (1 cm)^2 that keeps equal draws finite; log densities below -20 count as -20, as in
Trajectron++ (Salzmann et al. 2020, arXiv:2001.03093). It depends on n: compare equal n only.

Shapes: draws `(B, n, A, T, 2)`, futures `(B, A, T, 2)`, valid `(B, A, T)`, true up to a last step.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

FLOOR = 0.01
"""Deviation added to the kernels of a density [m]."""
LEAST_LOG_DENSITY = -20.0
"""Lowest log density that counts [nat, per m^2]."""


class Errors(NamedTuple):
    """Errors of each draw and pedestrian [m], shape `(B, n, A)`."""

    ade: Tensor
    fde: Tensor


class Best(NamedTuple):
    """Errors of the best of n draws [m], shape `(B, A)`."""

    ade: Tensor
    fde: Tensor  # of the draw that is best by FDE
    fde_same: Tensor  # of the draw that is best by ADE


def errors(drawn: Tensor, future: Tensor, valid: Tensor) -> Errors:
    """Errors of every draw."""
    apart = (drawn - future.unsqueeze(1)).norm(dim=-1)
    steps = valid.sum(-1)
    ade = (apart * valid.unsqueeze(1)).sum(-1) / steps.clamp(min=1).unsqueeze(1)
    last = (steps - 1).clamp(min=0)[:, None, :, None].expand(*apart.shape[:-1], 1)
    return Errors(ade, apart.gather(-1, last).squeeze(-1))


def best_of_agents(found: Errors) -> Best:
    """The best draw of each pedestrian."""
    ade, chosen = found.ade.min(1)
    return Best(ade, found.fde.amin(1), found.fde.gather(1, chosen.unsqueeze(1)).squeeze(1))


def best_of_scenes(found: Errors) -> Best:
    """The errors of each pedestrian in the best draw of its window."""
    by_ade, by_fde = (e.sum(-1, keepdim=True).argmin(1, keepdim=True).expand(-1, 1, e.shape[-1]) for e in found)
    return Best(
        *(e.gather(1, at).squeeze(1) for e, at in zip((*found, found.fde), (by_ade, by_fde, by_ade), strict=True))
    )


def inside(drawn: Tensor, future: Tensor, valid: Tensor, share: float) -> Tensor:
    """How often the truth is among a share of the nearest to the common mean, over steps, `(B, A)`."""
    n = drawn.shape[1]
    centre = (drawn.sum(1) + future) / (n + 1)
    own = (future - centre).norm(dim=-1).unsqueeze(1)
    others = (drawn - centre.unsqueeze(1)).norm(dim=-1)
    nearer, as_near = (others < own).sum(1), (others == own).sum(1)
    # The rank is one of nearer .. nearer + as_near; of rank r, the part of [r, r + 1] below share (n + 1) counts.
    counted = torch.clamp(torch.full_like(centre[..., 0], share * (n + 1)), nearer, nearer + as_near + 1) - nearer
    return _mean(counted / (as_near + 1), valid)


def spread_and_skill(drawn: Tensor, future: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Squared spread of the draws and squared error of their mean [m^2], over steps, `(B, A)` each.

    For a draw like the truth, E error^2 = (1 + 1/n) E spread^2, with which the spread is multiplied here.
    """
    n = drawn.shape[1]
    spread = drawn.var(1).sum(-1) * (1 + 1 / n)
    error = (drawn.mean(1) - future).square().sum(-1)
    return _mean(spread, valid), _mean(error, valid)


def kernel_log_density(drawn: Tensor, future: Tensor, valid: Tensor) -> Tensor:
    """Log density of the truth at its steps by kernels on the draws, mean over steps [nat, per m^2], `(B, A)`.

    Needs two draws or more.
    """
    n = drawn.shape[1]
    away = drawn - drawn.mean(1, keepdim=True)
    scatter = torch.einsum("bnatc,bnatd->batcd", away, away) / (n - 1)
    kernel = scatter * n ** (-1 / 3) + FLOOR**2 * torch.eye(2).to(scatter)
    (xx, xy), (_, yy) = (row.unbind(-1) for row in kernel.unbind(-2))
    determinant = xx * yy - xy.square()
    x, y = (future.unsqueeze(1) - drawn).unbind(-1)
    xx, xy, yy, whole = (part.unsqueeze(1) for part in (xx, xy, yy, determinant))
    square = (yy * x.square() - 2 * xy * x * y + xx * y.square()) / whole
    log = (-square / 2).logsumexp(1) - math.log(2 * math.pi * n) - determinant.log() / 2
    return _mean(log.clamp(min=LEAST_LOG_DENSITY), valid)


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    return (values * valid).sum(-1) / valid.sum(-1).clamp(min=1)
