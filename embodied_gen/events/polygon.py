r"""Polygons: up to V vertices of an outline in the plane, on a grid of Q x Q levels.

In physical units y a vertex is (x, y, present), the last 1 or 0; absent vertices come last and lie in the middle of the
bounds. In model units coordinates are the centres of the levels, (2 l + 1) / Q - 1 with l = 0 .. Q - 1, and presence is
1 or -1.

One outline has one code: vertices in the order of the ring, counter-clockwise, the lexicographically smallest first
(by x, then by y). Sorting all vertices would need another model to connect them; a ring is its own connection.

An outline is simple where no two edges of it meet but neighbours in their common vertex. It is decided on levels, which
are integers: two closed segments meet if and only if their boxes do and neither has both ends strictly on one side of
the other.

    error(x_hat, x) = sum_{v valid} (p_hat_v - p_v)^2 + 1(v present) |x_hat_v - x_v|^2 over 3 (number of valid v)

Source: Nash et al. 2020, PolyGen (arXiv:2002.10880), for quantised vertices and a unique order of them.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.events.base import Event

MOST_LEVELS = 4096
"""Of a coordinate: products of their differences are exact integers by far."""


@final
class Polygon(Event):
    """An event of shape `(V, 3)`; its value is a tensor of vertices in physical units of the same shape.

    Args:
        vertices: V, the most vertices of an outline, >= 3.
        low, high: Bounds of the two coordinates, physical units, length 2.
        levels: Q, levels of each coordinate, from 3 to `MOST_LEVELS`.

    Raises:
        ValueError: If a size is out of range or a coordinate has no width.
    """

    def __init__(self, vertices: int, low: Sequence[float], high: Sequence[float], *, levels: int = 64):
        if vertices < 3:
            raise ValueError(f"vertices must be at least 3, as of a triangle; got {vertices}.")
        if not 3 <= levels <= MOST_LEVELS:
            raise ValueError(f"levels must lie between 3 and {MOST_LEVELS}; got {levels}.")
        if len(low) != 2 or len(high) != 2:
            raise ValueError(f"low and high must be points of the plane; got {len(low)} and {len(high)} coordinates.")
        super().__init__((vertices, 3), [*low, 0.0], [*high, 1.0])
        self.levels = levels

    def scale(self, y: Tensor) -> Tensor:
        """(y - centre) / half; shape `(..., V, 3)`."""
        return (y - self.centre) / self.half_width

    def unscale(self, x: Tensor) -> Tensor:
        """X * half + centre; shape `(..., V, 3)`."""
        return torch.addcmul(self.centre, x, self.half_width)

    def encode(self, value: Tensor) -> Tensor:
        """Outlines, physical units, shape `(B, V, 3)`, in their one code; from any vertex and in either sense.

        Raises:
            ValueError: If absent vertices do not come last, a present one is no number or more than half a level beyond
                the bounds, or an outline is not simple on the grid.
        """
        self.check(value, "value")
        present = value[..., 2] > 0.5
        if bool((present[:, 1:] & ~present[:, :-1]).any()):
            raise ValueError("present vertices must come before absent ones; got an absent one between. Sort them.")
        self._require_within(value, present)
        levels, _ = self.levels_of(self.scale(value))
        simple = _simple(levels, present)
        if not bool(simple.all()):
            raise ValueError(
                f"outlines must be simple on {self.levels} x {self.levels} levels, with three vertices or more; "
                f"{int((~simple).sum())} of {len(value)} are not. Leave them out, or take more levels."
            )
        return self.of_levels(_canonical(levels, present), present)

    def _require_within(self, value: Tensor, present: Tensor) -> None:
        """Raises `ValueError` unless present vertices are numbers within the bounds, or half a level beyond."""
        within = (self.scale(value)[..., :2].abs() <= 1 + 1 / self.levels).all(-1)
        lost = (present & ~within).nonzero()
        if len(lost):
            number, vertex = lost[0].tolist()
            low, high, place = (part[:2].tolist() for part in (self.low, self.high, value[number, vertex]))
            raise ValueError(
                f"vertices must lie within the bounds, from {low} to {high}; vertex {vertex} of outline {number} is "
                f"{place}. Cut the outline to the bounds, or widen them."
            )

    def decode(self, x: Tensor) -> Tensor:
        """Model units, shape `(B, V, 3)`, to vertices in physical units, of which presence is 0 or 1."""
        self.check(x)
        y = self.unscale(x)
        return torch.cat([y[..., :2], (y[..., 2:] > 0.5).to(y.dtype)], -1)

    def levels_of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest levels, int64, `(..., V, 2)`, and which vertices are present, `(..., V)`."""
        levels = ((x[..., :2] + 1) * (self.levels / 2)).floor().long().clamp(0, self.levels - 1)
        return levels, x[..., 2] > 0

    def of_levels(self, levels: Tensor, present: Tensor) -> Tensor:
        """Levels `(..., V, 2)` and presence `(..., V)` in model units, `(..., V, 3)`."""
        there = present.unsqueeze(-1).to(self.low.dtype)
        return torch.cat([((2 * levels + 1) / self.levels - 1) * there, 2 * there - 1], -1)

    def simple(self, x: Tensor) -> Tensor:
        """Which outlines are simple on the grid, with three vertices or more; `(..., V, 3)` to bool `(...)`."""
        levels, present = self.levels_of(x.reshape(-1, *self.shape))
        # What lies behind the first absent vertex is no part of the outline.
        return _simple(levels, present.cumprod(1).bool()).view(x.shape[:-2])

    def error(self, x_hat: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """See the module; `valid` has shape `(B, V)`."""
        square = (x_hat - x).square()
        vertex = square[..., 2] + square[..., :2].sum(-1) * (x[..., 2] > 0)
        weight = torch.ones_like(vertex) if valid is None else valid.to(vertex.dtype)
        return (vertex * weight).sum(1) / (3 * weight.sum(1)).clamp(min=1)


def _ring(levels: Tensor, present: Tensor, shift: Tensor | int) -> Tensor:
    """Each present vertex's neighbour `shift` places on along the ring, `(B, V, 2)`; rubbish for absent ones."""
    count = present.sum(1, keepdim=True).clamp(min=1)
    index = (torch.arange(levels.shape[1], device=levels.device) + shift) % count
    return levels.take_along_dim(index.unsqueeze(-1), 1)


def _canonical(levels: Tensor, present: Tensor) -> Tensor:
    """The same outlines counter-clockwise from their smallest vertex."""
    area = (_cross(levels, _ring(levels, present, 1)) * present).sum(1)
    count = present.sum(1, keepdim=True)
    place = torch.arange(levels.shape[1], device=levels.device)
    turned = torch.where(area.unsqueeze(1) < 0, (count - 1 - place) % count.clamp(min=1), place)
    levels = levels.take_along_dim(turned.unsqueeze(-1), 1)
    key = levels[..., 0] * MOST_LEVELS + levels[..., 1]
    first = key.masked_fill(~present, torch.iinfo(key.dtype).max).argmin(1, keepdim=True)
    return _ring(levels, present, first)


def _simple(levels: Tensor, present: Tensor) -> Tensor:
    """Whether the rings of present vertices are simple, exact for integers; `(B,)`."""
    a, b = levels, _ring(levels, present, 1)
    meet = _meet(a[:, :, None], b[:, :, None], a[:, None], b[:, None])
    count, place = present.sum(1), torch.arange(levels.shape[1], device=levels.device)
    apart = (place[:, None] - place[None]).abs()
    neighbours = (apart <= 1) | (apart == (count - 1)[:, None, None])
    both = present[:, :, None] & present[:, None]
    crossed = (meet & both & ~neighbours).flatten(1).any(1)
    # Neighbours meet in their common vertex alone, unless the one goes back along the other.
    forth, back = b - a, b - _ring(levels, present, 2)
    folded = (_cross(forth, back) == 0) & ((forth * back).sum(-1) >= 0)
    return (count >= 3) & ~crossed & ~(folded & present).any(1)


def _meet(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Whether the closed segments a b and c d have a point in common; points `(..., 2)`, broadcast."""
    boxes = (torch.minimum(a, b) <= torch.maximum(c, d)) & (torch.minimum(c, d) <= torch.maximum(a, b))
    sides = _cross(b - a, c - a).sign() * _cross(b - a, d - a).sign()
    others = _cross(d - c, a - c).sign() * _cross(d - c, b - c).sign()
    return boxes.all(-1) & (sides <= 0) & (others <= 0)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
