r"""Representatives: n futures that stand for many draws of each pedestrian.

The best of n independent draws wastes most of them where the density is high. Here m draws, m > n, are gathered in n
clusters by Lloyd's iterations, which lower

    sum_i min_k |y_i - r_k|^2        over the m draws y_i of the 12 positions,

and the means r_k of the clusters are the answer. They are no draws: they spread more evenly than the density, and means
of a few futures are smoother than each. So measures of spread and density mean nothing of them, and a row of a table
says that it is of representatives. Many published bests of 20 are of samples that were taught to be as diverse, such as
those of AgentFormer (arXiv:2103.14023) and LED (arXiv:2303.10895).
"""

from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from embodied_gen.draws import Generator
from embodied_gen.forecasting.forecaster import Forecaster, Observed

_ITERATIONS = 10
_HELD = 1 << 13  # pedestrians and draws that are compared at once


@final
class Representatives:
    """The means of n clusters of draws, for each pedestrian on its own.

    Args:
        forecaster: Draws.
        draws: m for each n that is asked for, so many times as many.

    Raises:
        ValueError: If `draws` is not positive.
    """

    def __init__(self, forecaster: Forecaster, *, draws: int = 10):
        if draws < 1:
            raise ValueError(f"draws must be at least 1 for each representative; got {draws}.")
        self.forecaster, self.draws = forecaster, draws

    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """N representatives of each pedestrian, shape `(B, n, A, 12, 2)`, in no order that means anything."""
        drawn = self.forecaster.forecast(observed, n * self.draws, generator=generator)
        flat = drawn.transpose(1, 2).flatten(-2).flatten(0, 1)
        size = max(1, _HELD // (n * self.draws))
        means = torch.cat([clusters(part, n) for part in flat.split(size)])
        return means.unflatten(0, observed.present.shape).transpose(1, 2).unflatten(-1, drawn.shape[-2:])


def clusters(points: Tensor, n: int) -> Tensor:
    """Means of n clusters of each row's points by Lloyd's iterations from the first n; `(M, K, V)` to `(M, n, V)`."""
    means = points[:, :n]
    for _ in range(_ITERATIONS):
        member = functional.one_hot(torch.cdist(points, means).argmin(-1), n).to(points)
        count = member.sum(1).unsqueeze(-1)
        means = torch.where(count > 0, member.transpose(1, 2) @ points / count.clamp(min=1), means)
    return means
