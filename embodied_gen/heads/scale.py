r"""A scale for a cost, from what it does to free samples.

Weights w_i = exp(-scale u_i) of n samples with costs u_i leave an effective number (sum w)^2 / sum w^2. Its logarithm
falls with the scale, as its derivative is 2 (E_{2 scale}[u] - E_scale[u]) <= 0 with E_s the mean under exp(-s u). So
"keep as much diversity as a tenth of the free samples have" names one scale, whatever the unit of the cost. For normal
costs of deviation d the share is exp(-(scale d)^2).
"""

import dataclasses
import math

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.context import Context
from embodied_gen.heads.base import Head
from embodied_gen.heads.guidance import Guide, RowGuide
from embodied_gen.heads.particles import effective


@torch.no_grad()
def scale_for(
    head: Head, c: Context, guide: Guide, *, share: float = 0.1, n: int = 256, generator: draws.Generator
) -> float:
    """The scale of a guide's cost that leaves a stated share of the free samples effective.

    Args:
        head: A trained head.
        c: Contexts, such as the guide will meet; their shares are averaged.
        guide: Whose cost is meant; its own scale, constraints and projection do not matter.
        share: Effective number over n, in (0, 1). Small shares follow the cost closely.
        n: Free samples of each context; many more than 1 / share.
        generator: Draws the samples.

    Returns:
        A scale > 0, for `dataclasses.replace(guide, scale=...)`.

    Raises:
        ValueError: If the guide has no cost, the share is out of range, or no scale leaves so few samples.
    """
    if guide.cost is None:
        raise ValueError("a scale needs a cost; got a guide without one. Constraints need no scale.")
    if not 1 / n < share < 1:
        raise ValueError(f"share must lie between 1 / n = {1 / n:g} and 1; got {share}.")
    x = head.sample(c, n, generator=generator)
    rows = RowGuide(dataclasses.replace(guide, scale=1.0), head.event, len(x))
    cost = rows.potential(x.flatten(0, 1)).view(len(x), n).double()
    cost = cost - cost.amin(1, keepdim=True)
    deviation = cost.std().item()
    if not (math.isfinite(deviation) and _share(cost, math.inf) < share):
        raise ValueError(
            f"no scale leaves a share of {share} effective: costs of too many free samples are the lowest, or are not "
            f"finite (deviation {deviation:g}). Give a larger share, or a cost that tells samples apart."
        )
    return _bisect(cost, share, 1 / deviation)


def _bisect(cost: Tensor, share: float, scale: float) -> float:
    """The scale at which the effective share has the stated value, to seven digits."""
    low, high = 0.0, scale
    while _share(cost, high) > share:
        low, high = high, 2 * high
    while high - low > 1e-7 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _share(cost, middle) > share else (low, middle)
    return high


def _share(cost: Tensor, scale: float) -> float:
    """Effective share of exp(-scale cost), averaged over contexts; of the lowest costs where the scale is infinite."""
    log_weight = torch.where(cost > 0, -math.inf, 0.0) if math.isinf(scale) else -scale * cost
    return effective(log_weight).mean().item() / cost.shape[1]
