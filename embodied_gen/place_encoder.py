r"""A place encoder: what lies where to what, beside the standardised state.

An observation names places p_k in the plane, some with a heading h_k of period P (that of a square is a quarter turn).
With d_jk = p_k - p_j, r = |d_jk|, s the deviation of all places and lengths l,

    d_jk / s,   r / s,   d_jk / (r + l) for each l                 j < k,
    cos, sin of n h_k                                              n = 2 pi / P, a whole number,
    r / (r + l) (cos, sin) of n (arg d_kj - h_k), least l          j != k, places k with a heading

join the state. A network that plans contacts needs differences of places to a hundredth of their spread and the side
of a thing that another is at; from coordinates it learns both slowly, each all over the table. Nothing jumps where two
places meet or a heading passes its period.

Source: pairwise relative features are those of interaction networks (Battaglia et al. 2016, arXiv:1612.00222).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from embodied_gen.encoder import StateEncoder

_WHOLE = 1e-3  # how far the number of turns may be from a whole one, as files give few digits of pi


class Place(NamedTuple):
    """Channels of an observation that say where something is."""

    x: int
    y: int
    heading: int | None = None


@final
class PlaceEncoder(nn.Module):
    """Standardised histories of states, and how their places lie to each other.

    Args:
        history: Number of observations H.
        mean: Of each channel over the demonstrations, shape `(O,)`.
        deviation: Of each channel, shape `(O,)`.
        places: In the plane, two or more.
        period: After which a heading looks the same, P [rad]; a full turn over a whole number, to a thousandth of it.
        lengths: Distances l about which directions are told apart, in the unit of the places.

    Attributes:
        size: Numbers of one observation, O.
        width: Length of a context.

    Raises:
        ValueError: If there are fewer than two places, a channel is not one of the observation's, no length is given,
            a length is not positive, or the period no part of a full turn.
    """

    spread: Tensor
    lengths: Tensor
    axes: Tensor
    first: Tensor
    second: Tensor
    headings: Tensor
    owners: Tensor
    others: Tensor

    def __init__(
        self,
        history: int,
        mean: Tensor,
        deviation: Tensor,
        places: Sequence[Place],
        *,
        period: float,
        lengths: Sequence[float],
    ):
        super().__init__()
        _check(places, len(mean), lengths)
        self.state = StateEncoder(history, mean, deviation)
        self.size = self.state.size
        self.turns = turns(period)
        count = len(places)
        headed = [k for k, place in enumerate(places) if place.heading is not None]
        pairs, turned = count * (count - 1) // 2, len(headed) * (2 + 2 * (count - 1))
        self.width = self.state.width + history * (pairs * (3 + 2 * len(lengths)) + turned)
        axes = torch.tensor([(place.x, place.y) for place in places])
        spread = deviation[axes].square().mean().sqrt()
        self.register_buffer("spread", torch.where(spread > 0, spread, 1.0))
        self.register_buffer("lengths", torch.tensor(sorted(lengths), dtype=mean.dtype))
        first, second = torch.triu_indices(count, count, 1)
        others = [[j for j in range(count) if j != k] for k in headed]
        indices = {
            "axes": axes,
            "first": first,
            "second": second,
            "headings": torch.tensor([places[k].heading for k in headed], dtype=torch.long),
            "owners": torch.tensor(headed, dtype=torch.long),
            "others": torch.tensor(others, dtype=torch.long).reshape(len(headed), count - 1),
        }
        for name, index in indices.items():
            self.register_buffer(name, index, persistent=False)

    def forward(self, observations: Tensor) -> Tensor:
        """Contexts of shape `(B, width)` from observations of shape `(B, H, O)`.

        Raises:
            ValueError: If the shape is another.
        """
        state = self.state(observations)
        places = observations[..., self.axes]
        apart = places[..., self.second, :] - places[..., self.first, :]
        distance = torch.linalg.vector_norm(apart, dim=-1, keepdim=True)
        near = (apart.unsqueeze(-2) / (distance + self.lengths).unsqueeze(-1)).flatten(-2)
        between = torch.cat([apart / self.spread, distance / self.spread, near], -1)
        return torch.cat([state, between.flatten(1), self._sides(observations, places).flatten(1)], 1)

    def _sides(self, observations: Tensor, places: Tensor) -> Tensor:
        """Headings, and on which side of what has one the others are, `(B, H, M, 2 + 2 (K - 1))`."""
        heading = observations[..., self.headings].unsqueeze(-1)
        apart = places[..., self.others, :] - places[..., self.owners, :].unsqueeze(-2)
        distance = torch.linalg.vector_norm(apart, dim=-1)
        side = self.turns * (torch.atan2(apart[..., 1], apart[..., 0]) - heading)
        sure = distance / (distance + self.lengths[0])
        own = self.turns * heading
        return torch.cat([own.cos(), own.sin(), sure * side.cos(), sure * side.sin()], -1)


def turns(period: float) -> int:
    """How often a heading of some period [rad] looks the same within a full turn, n = 2 pi / P.

    Raises:
        ValueError: If that is no whole number, to a thousandth: what lies behind a thing would jump.
    """
    exact = 2 * math.pi / period if period > 0 else 0.0
    whole = round(exact) if math.isfinite(exact) else 0
    if whole < 1 or abs(exact - whole) > _WHOLE:
        raise ValueError(
            f"period must be a full turn over a whole number, 2 pi / n, as directions jump otherwise; got {period:g}. "
            "Take 1.5708 for squares, or 6.2832 for what has one front."
        )
    return whole


def _check(places: Sequence[Place], size: int, lengths: Sequence[float]) -> None:
    if len(places) < 2:
        raise ValueError(f"a place encoder compares two places or more; got {len(places)}.")
    channels = [channel for place in places for channel in place if channel is not None]
    if not all(0 <= channel < size for channel in channels):
        raise ValueError(
            f"channels of places must lie between 0 and {size - 1}, as an observation has {size} numbers; "
            f"got {channels}."
        )
    if not (lengths and min(lengths) > 0):
        raise ValueError(f"lengths must be positive, one or more; got {list(lengths)}.")
