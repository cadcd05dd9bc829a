r"""Importance sampling of log Z: an objective of energies in few dimensions.

    -log p(x)  =  E(x) + log Z,        Z  ~  1 / K sum_j exp(-E(x_j)) / q(x_j),        x_j ~ q,

where q is uniform in the box for one half of the rows, and a normal of a given deviation around the event itself for
the other; the density of the mixture of both is what weighs either. As K grows the loss tends to -log p(x | c); for
small K it is below that on average. Weights become unequal as dimensions grow: of more than a few numbers chains learn
better.

Sources: Finn et al. 2016 (arXiv:1603.00448) for importance sampling of the partition function in inverse reinforcement
learning; Veach and Guibas 1995 for the mixture's density.
"""

import math
from typing import final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.heads.objectives import Landscape, Objective


@final
class ImportanceSampling(Objective):
    """Maximum likelihood by an estimate of Z.

    Args:
        count: K, even, >= 2.
        spread: Deviation of rows around the event, model units, > 0.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, count: int = 64, *, spread: float = 0.3):
        if count < 2 or count % 2 or not spread > 0:
            raise ValueError(f"count must be even and at least 2, and spread positive; got {count} and {spread}.")
        self.count, self.spread = count, spread

    def loss(self, landscape: Landscape, x: Tensor, *, generator: draws.Generator) -> Tensor:
        """The estimate of -log p(x), nat, shape `(B,)`."""
        half = self.count // 2
        centre = x.repeat_interleave(half, 0)
        noise = draws.normal(centre.shape, generator=generator, like=x)
        uniform = landscape.uniform(len(centre), generator=generator)
        both = (part.unflatten(0, (len(x), half)) for part in (uniform, centre + self.spread * noise))
        rows = torch.cat(list(both), 1)
        log_weight = -landscape.energy(rows.flatten(0, 1)).view(rows.shape[:2]) - self._log_density(rows, x, landscape)
        return landscape.energy(x) + log_weight.logsumexp(1) - math.log(self.count)

    def _log_density(self, rows: Tensor, x: Tensor, landscape: Landscape) -> Tensor:
        """Log q of rows `(B, K, *E)`, shape `(B, K)`."""
        size = x[0].numel()
        off = ((rows - x.unsqueeze(1)) / self.spread).flatten(2)
        near = -off.square().sum(2) / 2 - size * math.log(self.spread * math.sqrt(2 * math.pi))
        inside = (rows.abs() <= landscape.reach).flatten(2).all(2)
        anywhere = torch.where(inside, -size * math.log(2 * landscape.reach), -math.inf)
        return torch.logaddexp(near, anywhere) - math.log(2)
