"""What a guide adds to a potential, for samplers that move by values: its cost, and walls for its constraints.

    U(x) = scale cost(x) + [some m_p < 0] h + k / 2 sum_p relu(-m_p(x) / s_p)^2

exp(-h) is zero, so that what is inside stays inside and the density inside is that of the guide's meaning; outside
there is a slope that leads in. The margin of each constraint is measured in its own deviation s_p among given rows, so
that constraints need no scale.
"""

from typing import final

import torch
from torch import Tensor

from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.steering import FIRMNESS

CLIFF = 1e4  # h: large, yet potentials beside it keep some digits in float32


@final
class Walls:
    """U of rows.

    Args:
        guide: What is wanted.
        x: Rows at which the deviations of margins are measured, model units, shape `(M, *E)`, several a context.
    """

    def __init__(self, guide: RowGuide, x: Tensor):
        self.guide = guide
        own = guide.margins(x).unflatten(0, (guide.contexts, -1))
        # Few rows may agree by chance, which says nothing of the unit.
        least = (own.abs().amax(1) / 100).clamp(min=torch.finfo(own.dtype).eps)
        self._sharpness = sharpness(own, least)

    def __call__(self, x: Tensor) -> Tensor:
        """U of rows in model units, nat: `(M, *E)` to `(M,)`."""
        cost, margins = self.guide.measure(x)
        return cost + outside(margins, self._sharpness)


def sharpness(margins: Tensor, least: Tensor) -> Tensor:
    """1 / s_p of margins `(B, N, P)` over their rows, s_p at least `least` of shape `(B, P)`; shape `(B, 1, P)`."""
    spread = (margins - margins.mean(1, keepdim=True)).square().mean(1).sqrt()
    return 1 / torch.maximum(spread, least).unsqueeze(1)


def outside(margins: Tensor, sharpness: Tensor) -> Tensor:
    """What U holds besides the cost, nat: margins `(B, N, P)` and 1 / s_p `(B, 1, P)` to `(B N,)`."""
    short = (-margins * sharpness).clamp(min=0)
    return (CLIFF * (short > 0).any(2) + FIRMNESS / 2 * short.square().sum(2)).flatten()
