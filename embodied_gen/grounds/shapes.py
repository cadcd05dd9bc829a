r"""Shapes in the plane: densities about [-1, 1]^2 that are mixtures of K equally likely parts.

    eight Gaussians  N(0.75 (cos 2 pi k / 8, sin 2 pi k / 8), 0.07^2)
    two moons        half circles of radius 0.55 that interlock, with a noise of N(0, 0.04^2)
    checkerboard     uniform on the 8 cells (i, j), i + j even, of a board of 4 x 4 cells
    pinwheel         0.45 R(2 pi k / 5 + exp(r) / 4) (r, s),  r ~ N(1, 0.3^2), s ~ N(0, 0.1^2), R a rotation

`part_of` says which part a point belongs to, or that it is stray: four deviations from all of them, or in no cell. For
the pinwheel it reads r as the distance from the middle, which is off by s^2 / 2 r.

Bounds of events come from `side` and `radius`, and not from data: no point lies beyond them but one in 10^8.

Sources: the usual toys of generative modelling; the pinwheel is Johnson et al. 2016 (arXiv:1603.06277), the moons are
scikit-learn's.
"""

import abc
import math
from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor

from embodied_gen import draws

_STRAY = 4.0  # deviations
_FAR = 6.0  # deviations, where one point in 10^8 lies beyond


class Shape(abc.ABC):
    """A density in the plane.

    Attributes:
        parts: Number K of its parts.
        side: Half the side of the square about the origin that holds it.
        radius: Of the disc about the origin that holds it.
    """

    parts: int
    side: float
    radius: float

    @abc.abstractmethod
    def draw(self, part: Tensor, *, generator: draws.Generator, like: Tensor) -> Tensor:
        """One point of each of the given parts, int64, shape `(B,)`; `(B, 2)`, with the dtype of `like`."""

    @abc.abstractmethod
    def part_of(self, u: Tensor) -> Tensor:
        """The part that points `(..., 2)` belong to, int64, shape `(...)`; -1 where they are stray."""


@runtime_checkable
class HasLogDensity(Protocol):
    """Shapes with a closed density."""

    def log_density(self, u: Tensor) -> Tensor:
        """Log p(u | part) of points `(..., 2)` for each part, nat, shape `(..., K)`."""


@final
class EightGaussians(Shape):
    """Normals on a circle."""

    parts = 8
    RADIUS, DEVIATION = 0.75, 0.07
    side = radius = RADIUS + _FAR * DEVIATION

    def draw(self, part: Tensor, *, generator: draws.Generator, like: Tensor) -> Tensor:
        """A normal about each centre."""
        noise = draws.normal((len(part), 2), generator=generator, like=like)
        return self._centres(like)[part] + self.DEVIATION * noise

    def part_of(self, u: Tensor) -> Tensor:
        """The nearest centre."""
        distance = (u.unsqueeze(-2) - self._centres(u)).norm(dim=-1)
        return _nearest(distance, _STRAY * self.DEVIATION)

    def log_density(self, u: Tensor) -> Tensor:
        """Closed."""
        squares = (u.unsqueeze(-2) - self._centres(u)).square().sum(-1)
        return -squares / (2 * self.DEVIATION**2) - math.log(2 * math.pi * self.DEVIATION**2)

    def _centres(self, like: Tensor) -> Tensor:
        return self.RADIUS * _directions(8, like)


@final
class TwoMoons(Shape):
    """Half circles, the upper about (-0.275, -0.1375) and the lower about (0.275, 0.1375)."""

    parts = 2
    RADIUS, DEVIATION = 0.55, 0.04
    side = 1.5 * RADIUS + _FAR * DEVIATION
    radius = math.hypot(1.5, 0.25) * RADIUS + _FAR * DEVIATION

    def draw(self, part: Tensor, *, generator: draws.Generator, like: Tensor) -> Tensor:
        """Uniform along each half circle, with noise."""
        angle = math.pi * (draws.uniform((len(part),), generator=generator, like=like) + part)
        noise = draws.normal((len(part), 2), generator=generator, like=like)
        arc = torch.stack([angle.cos(), angle.sin()], -1)
        return self._centres(like)[part] + self.RADIUS * arc + self.DEVIATION * noise

    def part_of(self, u: Tensor) -> Tensor:
        """The nearest half circle, its ends included."""
        away = (u.unsqueeze(-2) - self._centres(u)) * u.new_tensor([[1.0], [-1.0]])  # both are upper halves now
        ends = torch.stack([(away - away.new_tensor([x, 0.0])).norm(dim=-1) for x in (-self.RADIUS, self.RADIUS)])
        distance = torch.where(away[..., 1] >= 0, (away.norm(dim=-1) - self.RADIUS).abs(), ends.amin(0))
        return _nearest(distance, _STRAY * self.DEVIATION)

    def _centres(self, like: Tensor) -> Tensor:
        return self.RADIUS * like.new_tensor([[-0.5, -0.25], [0.5, 0.25]])


@final
class Checkerboard(Shape):
    """The even cells of a board; cell (i, j) counts from the left and from below, parts row by row."""

    parts = 8
    SIDE = 0.5
    side, radius = 1.0, math.sqrt(2)

    def draw(self, part: Tensor, *, generator: draws.Generator, like: Tensor) -> Tensor:
        """Uniform in each cell."""
        row = part // 2
        corner = torch.stack([2 * (part % 2) + row % 2, row], -1) * self.SIDE - 1
        return corner + self.SIDE * draws.uniform((len(part), 2), generator=generator, like=like)

    def part_of(self, u: Tensor) -> Tensor:
        """The cell, if it is an even one of the board."""
        cell = ((u + 1) / self.SIDE).floor().long()
        column, row = cell.unbind(-1)
        even = ((cell >= 0) & (cell < 4)).all(-1) & ((column + row) % 2 == 0)
        return torch.where(even, 2 * row + column // 2, -1)

    def log_density(self, u: Tensor) -> Tensor:
        """Closed: the logarithm of one over the area in the cell, minus infinity elsewhere."""
        inside = self.part_of(u).unsqueeze(-1) == torch.arange(self.parts, device=u.device)
        return torch.where(inside, u.new_tensor(-2 * math.log(self.SIDE)), u.new_tensor(-math.inf))


@final
class Pinwheel(Shape):
    """Five bent arms."""

    parts = 5
    SIZE, LENGTH, WIDTH, RATE = 0.45, 0.3, 0.1, 0.25
    side = radius = SIZE * (1 + _FAR * LENGTH)

    def draw(self, part: Tensor, *, generator: draws.Generator, like: Tensor) -> Tensor:
        """A normal along each arm, turned by an angle that grows with the radius."""
        noise = draws.normal((len(part), 2), generator=generator, like=like)
        r, s = 1 + self.LENGTH * noise[:, 0], self.WIDTH * noise[:, 1]
        angle = 2 * math.pi * part / self.parts + self.RATE * r.exp()
        return self.SIZE * turned(torch.stack([r, s], -1), angle)

    def part_of(self, u: Tensor) -> Tensor:
        """The arm whose middle line is the nearest."""
        r = u.norm(dim=-1) / self.SIZE
        middles = turned(_directions(self.parts, u), (self.RATE * r.exp()).unsqueeze(-1))  # (..., K, 2)
        unit = (u / self.SIZE).unsqueeze(-2)
        along = (unit * middles).sum(-1)
        across = (unit - along.unsqueeze(-1) * middles).norm(dim=-1)
        distance = torch.where(along > 0, across, r.unsqueeze(-1)) / self.WIDTH
        off = ((r - 1).abs() / self.LENGTH).unsqueeze(-1)
        return _nearest(torch.maximum(distance, off), _STRAY, by=distance)


def turned(points: Tensor, angle: Tensor) -> Tensor:
    """Points `(..., 2)` turned about the origin by angles that broadcast to `(...)`."""
    x, y = points.unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * x - sin * y, sin * x + cos * y], -1)


def _directions(count: int, like: Tensor) -> Tensor:
    """Unit vectors all around, shape `(count, 2)`."""
    angle = torch.arange(count, dtype=like.dtype, device=like.device) * (2 * math.pi / count)
    return torch.stack([angle.cos(), angle.sin()], -1)


def _nearest(distance: Tensor, largest: float, by: Tensor | None = None) -> Tensor:
    """The index of the smallest of `by` (of the distances where absent), -1 where its distance exceeds `largest`."""
    index = (distance if by is None else by).argmin(-1)
    return torch.where(distance.gather(-1, index.unsqueeze(-1)).squeeze(-1) <= largest, index, -1)
