r"""Attention over neighbours: from the tracks around a pedestrian to a context, in whatever order they are given.

With u what one did oneself, v_j what neighbour j did, both in one's own present frame, and d_j how far away it is,

    q = Q f(u),   (k_j, w_j) = (K, V) g(v_j),   c = [f(u), sum_j softmax_j(q k_j / sqrt(F) + log s(d_j)) w_j],
    s(d) = (1 + cos(pi d / r)) / 2 within the radius r, 0 beyond,

with f and g small perceptrons. One more key, which is learned, stands for nobody: it is all that is attended to where
nobody is near, and the taper s lets a neighbour who comes within the radius be noticed little by little.

Sources: Vaswani et al. 2017 (arXiv:1706.03762) for attention; Vemula et al. 2018 (arXiv:1710.04689) for pedestrians.
"""

import math
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.nets.base import require_heads, require_positive
from embodied_gen.softmax import softmax

POINT = 3
"""Numbers of a pedestrian at a step: x, y and whether it is there."""
_STEP, _AWAY = 0.5, 4.0  # units of steps and of positions [m], of the size of those of people who walk


@final
class NeighbourAttention(nn.Module):
    """Contexts from the tracks of a pedestrian and of those around it.

    Args:
        history: Observed steps H, >= 2.
        neighbours: K, >= 0.
        radius: Of who is seen [m].
        width: Features F of oneself, and of all neighbours together; a multiple of `heads`.
        heads: Attention heads, >= 1.

    Attributes:
        size: Numbers of one observed step, O = 3 (1 + K).
        width: Length of a context, 2 F.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(self, *, history: int, neighbours: int, radius: float, width: int = 64, heads: int = 4):
        super().__init__()
        require_positive(width=width, heads=heads)
        require_heads(width, heads)
        if history < 2 or neighbours < 0:
            raise ValueError(f"history must be >= 2 and neighbours >= 0; got {history} and {neighbours}.")
        if not radius > 0:
            raise ValueError(f"radius must be positive; got {radius}.")
        self.history, self.radius, self.heads = history, radius, heads
        self.size, self.width = POINT * (1 + neighbours), 2 * width
        told = 2 * history + 2 * (history - 1)
        self.own = _perceptron(told, width)
        self.other = _perceptron(told, width)
        self.query = nn.Linear(width, width, bias=False)
        self.attend = nn.Linear(width, 2 * width, bias=False)
        self.nobody = nn.Parameter(0.1 * torch.randn(width))

    def forward(self, observations: Tensor) -> Tensor:
        """Contexts of shape `(B, 2 F)` from observations of shape `(B, H, 3 (1 + K))`, oneself first.

        Raises:
            ValueError: If the shape is another.
        """
        if observations.ndim != 3 or tuple(observations.shape[1:]) != (self.history, self.size):
            raise ValueError(
                f"observations must have shape (B, {self.history}, {self.size}); got {tuple(observations.shape)}. "
                "Give as many neighbours as the encoder was built for."
            )
        points = observations.unflatten(-1, (-1, POINT)).transpose(1, 2)
        tracks, there = points[..., :2], points[..., -1, 2] > 0.5
        own = self.own(_told(tracks[:, 0]))
        others = torch.cat([self.nobody.expand(len(own), 1, -1), self.other(_told(tracks[:, 1:]))], 1)
        return torch.cat([own, self._mixed(own, others, self._weight(tracks, there))], -1)

    def _weight(self, tracks: Tensor, there: Tensor) -> Tensor:
        """Log of how much each neighbour counts before it is looked at, nobody first; `(B, 1 + K)`."""
        away = tracks[:, 1:, -1].norm(dim=-1)
        near = there[:, 1:] & (away < self.radius)
        taper = (1 + (math.pi * away / self.radius).cos()) / 2
        log = taper.clamp(min=torch.finfo(taper.dtype).tiny).log().masked_fill(~near, -math.inf)
        return torch.cat([log.new_zeros(len(log), 1), log], 1)

    def _mixed(self, own: Tensor, others: Tensor, weight: Tensor) -> Tensor:
        """What is attended to, `(B, F)` from `(B, F)`, `(B, 1 + K, F)` and `(B, 1 + K)`."""
        queries = self.query(own).unflatten(-1, (self.heads, -1))
        keys, values = self.attend(others).unflatten(-1, (2, self.heads, -1)).unbind(-3)
        logits = torch.einsum("bhf,bkhf->bhk", queries, keys) / math.sqrt(queries.shape[-1])
        share = softmax(logits + weight.unsqueeze(1))
        return torch.einsum("bhk,bkhf->bhf", share, values).flatten(1)


def _told(tracks: Tensor) -> Tensor:
    """Positions and steps of tracks `(..., H, 2)` as numbers of about unit size, `(..., 4 H - 2)`."""
    return torch.cat([(tracks / _AWAY).flatten(-2), (tracks.diff(dim=-2) / _STEP).flatten(-2)], -1)


def _perceptron(numbers: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(numbers, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
