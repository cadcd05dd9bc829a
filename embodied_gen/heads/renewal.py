r"""A sampler of sets whose parts need not be where they started: renewal and ensemble.

Parts of a set that hold nothing are worth less than new ones. After each step of DDIM to a level (s, alpha_s, sigma_s),
parts whose estimate is not likely start again from N(0, alpha_s^2 + sigma_s^2), and at the end the estimates of *all*
steps are merged into one set without duplicates, the last one's included. The result is the most likely set that the
walk has seen, not a draw: for draws use `DDIM(1.0)`, and merge several of them by the event's `merged`.

Source: Chen et al. 2023 (DiffusionDet, arXiv:2211.09788), section 3.4, whose published program leaves the last step
out.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import final

import torch
from torch import Tensor

from embodied_gen.heads.samplers import Denoise, Noise, Sampler, transition
from embodied_gen.heads.schedules import Level


@final
class Renewal(Sampler):
    """DDIM on sets, of which unlikely parts are renewed and all estimates are merged.

    Args:
        likely: Which parts of estimates are kept, `(M, N, D)` to bool `(M, N)`, such as `BoxSet.likely`.
        merged: One set of several, `(M, S, N, D)` to `(M, N, D)`, such as `BoxSet.merged`.
        eta: Share of the ancestral step's noise, in [0, 1].

    Raises:
        ValueError: If eta is out of range.
    """

    def __init__(self, likely: Callable[[Tensor], Tensor], merged: Callable[[Tensor], Tensor], *, eta: float = 1.0):
        if not 0 <= eta <= 1:
            raise ValueError(f"eta must lie in [0, 1]; got {eta}.")
        self.likely, self.merged, self.eta = likely, merged, eta

    def run(self, x: Tensor, grid: list[Level], denoise: Denoise, noise: Noise) -> Tensor:
        """First-order steps, each followed by a renewal."""
        seen = []
        for now, then in pairwise(grid):
            x_hat = denoise(x, now)
            seen.append(x_hat)
            if then.sigma > 0:
                step = transition(now, then, self.eta)
                x = step.of_state * x + step.of_clean * x_hat + step.deviation * noise()
                fresh = math.hypot(then.alpha, then.sigma) * noise()
                x = torch.where(self.likely(x_hat).unsqueeze(-1), x, fresh)
        return self.merged(torch.stack(seen, 1))
