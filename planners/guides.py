"""Guides from constraints: two lists given by the caller, or a file.

    guide = guide_of([KeepOutDisc((0.1, 0.0), 0.05)], buffer=0.01)

and as a file (YAML or JSON):

    buffer: 0.01
    constraints:
      - {kind: keep_out_disc, centre: [0.1, 0.0], radius: 0.05}
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from embodied_gen import config
from embodied_gen.config import Block
from embodied_gen.heads import Guide
from planners.constraints import (
    AccelerationLimit,
    Constraint,
    CurvatureLimit,
    Discs,
    KeepInBox,
    KeepOutDisc,
    Period,
    ReachPoint,
    SpeedLimit,
)
from planners.regions import KeepInRegion, KeepOutRegion, polygon_of

Cost = Callable[[Tensor], Tensor]


def guide_of(
    constraints: Sequence[Constraint],
    costs: Sequence[Cost] = (),
    *,
    scale: float = 1.0,
    buffer: float = 0.0,
) -> Guide:
    """A guide from constraints and costs.

    Args:
        constraints: What has to hold; needs no scale, since a margin is measured by its own uncertainty.
        costs: What is wanted, `(B, N, T, D)` to `(B, N)`, dimensionless.
        scale: Strength of the sum of costs.
        buffer: Margin aimed at beyond each constraint, in its own unit, so that small errors of execution do not
            offend; certified is the constraint itself.

    Raises:
        ValueError: If there is neither a constraint nor a cost.
    """
    if not constraints and not costs:
        raise ValueError("a guide needs at least one constraint or cost; got none.")

    def cost(y: Tensor) -> Tensor:
        return torch.stack([part(y) for part in costs]).sum(0)

    discs = [constraint for constraint in constraints if isinstance(constraint, KeepOutDisc)]
    others = [constraint for constraint in constraints if not isinstance(constraint, KeepOutDisc)]
    by_channels = [Discs(list(group)) for _, group in groupby(sorted(discs, key=_channels), key=_channels)]

    def margins(y: Tensor) -> Tensor:
        parts = [group.margins(y) for group in by_channels]
        together = torch.cat(parts + [constraint.margins(y) for constraint in others], dim=-1)
        return together - buffer if buffer else together

    return Guide(
        cost=cost if costs else None,
        margins=margins if constraints else None,
        certify=(lambda y: smallest_margin(constraints, y)) if constraints else None,
        scale=scale,
    )


def _channels(disc: KeepOutDisc) -> tuple[int, int]:
    return disc.channels


def smallest_margin(constraints: Sequence[Constraint], y: Tensor) -> Tensor:
    """The smallest margin over all constraints, `(B, N, T, D)` to `(B, N)`; infinite where there are none."""
    margins = [constraint.margin(y) for constraint in constraints]
    return torch.stack(margins).amin(0) if margins else y.new_full(y.shape[:2], torch.inf)


def feasible(constraints: Sequence[Constraint], y: Tensor) -> Tensor:
    """Whether each path satisfies every constraint, swept exactly: `(B, N, T, D)` to bool `(B, N)`."""
    return smallest_margin(constraints, y) >= 0


Point = tuple[float, float]


class KeepOutDiscEntry(Block):
    """A disc to keep out of."""

    kind: Literal["keep_out_disc"]
    centre: Point
    radius: float = Field(gt=0)

    def build(self, period: Period) -> Constraint:
        """The constraint."""
        return KeepOutDisc(self.centre, self.radius)


class KeepInBoxEntry(Block):
    """A box to keep in."""

    kind: Literal["keep_in_box"]
    low: Point
    high: Point

    def build(self, period: Period) -> Constraint:
        """The constraint."""
        return KeepInBox(self.low, self.high)


class SpeedLimitEntry(Block):
    """A speed to keep below, in m/s."""

    kind: Literal["speed_limit"]
    limit: float = Field(gt=0)

    def build(self, period: Period) -> Constraint:
        """The constraint."""
        return SpeedLimit(self.limit, period)


class AccelerationLimitEntry(Block):
    """An acceleration to keep below, in m/s^2."""

    kind: Literal["acceleration_limit"]
    limit: float = Field(gt=0)

    def build(self, period: Period) -> Constraint:
        """The constraint."""
        return AccelerationLimit(self.limit, period)


class CurvatureLimitEntry(Block):
    """A curvature to keep below, in 1/m."""

    kind: Literal["curvature_limit"]
    limit: float = Field(gt=0)

    def build(self, period: Period) -> Constraint:
        """The constraint."""
        return CurvatureLimit(self.limit)


class KeepInRegionEntry(Block):
    """A polygon to keep in, with holes to keep out of."""

    kind: Literal["keep_in_region"]
    points: tuple[Point, ...]
    holes: tuple[tuple[Point, ...], ...] = ()

    def build(self, period: Period) -> Constraint:
        """The constraint."""
        return KeepInRegion(polygon_of(self.points, self.holes))


class KeepOutRegionEntry(Block):
    """A polygon to keep out of, with holes that are free."""

    kind: Literal["keep_out_region"]
    points: tuple[Point, ...]
    holes: tuple[tuple[Point, ...], ...] = ()

    def build(self, period: Period) -> Constraint:
        """The constraint."""
        return KeepOutRegion(polygon_of(self.points, self.holes))


class ReachPointEntry(Block):
    """A point to be near at a step."""

    kind: Literal["reach_point"]
    point: Point
    tolerance: float = Field(gt=0)
    step: int = -1

    def build(self, period: Period) -> Constraint:
        """The constraint."""
        return ReachPoint(self.point, self.tolerance, step=self.step)


ConstraintEntry = Annotated[
    KeepOutDiscEntry
    | KeepInBoxEntry
    | KeepInRegionEntry
    | KeepOutRegionEntry
    | SpeedLimitEntry
    | AccelerationLimitEntry
    | CurvatureLimitEntry
    | ReachPointEntry,
    Field(discriminator="kind"),
]


@final
class GuideFile(Block):
    """Constraints, and how far inside of them plans aim."""

    constraints: list[ConstraintEntry] = Field(min_length=1)
    buffer: float = Field(0.0, ge=0)

    def build(self, period: Period) -> tuple[Guide, list[Constraint]]:
        """The guide, and the constraints to certify with.

        Args:
            period: Time between way-points [s], one number or one for each context.
        """
        constraints = [entry.build(period) for entry in self.constraints]
        return guide_of(constraints, buffer=self.buffer), constraints


def read_guide(path: Path) -> GuideFile:
    """Reads a guide file; see `config.read` for what is raised."""
    return config.read(path, GuideFile, "guide")
