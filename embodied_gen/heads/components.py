r"""Mixtures of K normals with diagonal covariance over V numbers, and draws from them.

    p(x) = sum_k w_k N(x; m_k, s_k^2)

Numbers that are left out of the density leave the exact marginal of the others, as the covariance is diagonal.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from embodied_gen import draws


class Components(NamedTuple):
    """The parts of mixtures, one mixture for each of the leading axes."""

    log_weight: Tensor  # (..., K), normalised
    mean: Tensor  # (..., K, V)
    deviation: Tensor  # (..., K, V)

    def log_prob(self, x: Tensor, counted: Tensor | None = None) -> Tensor:
        """Log p(x), nat, `(..., V)` to `(...)`; of the numbers that are `counted`, of the same shape, if given."""
        standard = (x.unsqueeze(-2) - self.mean) / self.deviation
        entries = -standard.square() / 2 - self.deviation.log() - math.log(2 * math.pi) / 2
        if counted is not None:
            entries = entries * counted.unsqueeze(-2)
        return torch.logsumexp(self.log_weight + entries.sum(-1), dim=-1)

    def draw(self, k: int, *, generator: draws.Generator) -> Tensor:
        """K draws from each of M mixtures, shape `(M, k, V)`."""
        rows = len(self.log_weight)
        weights = self.log_weight.unsqueeze(1).expand(-1, k, -1).flatten(0, 1)
        chosen = draws.categorical(weights, generator=generator)
        index = torch.arange(rows, device=chosen.device).unsqueeze(1).expand(-1, k).flatten()
        mean, deviation = self.mean[index, chosen], self.deviation[index, chosen]
        noise = draws.normal(mean.shape, generator=generator, like=mean)
        return (mean + deviation * noise).unflatten(0, (rows, k))


def deviation_of(raw: Tensor, smallest: float) -> Tensor:
    """A network's outputs as deviations above `smallest`, of any shape."""
    return smallest + functional.softplus(raw - 1)
