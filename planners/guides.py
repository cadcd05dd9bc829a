"""Guides from constraints: two lists given by the caller, or a file.

    guide = guide_of([KeepOutDisc((0.1, 0.0), 0.05)], scale=200, buffer=0.01)

and as a file (YAML or JSON):

    scale: 200
    buffer: 0.01
    constraints:
      - {kind: keep_out_disc, centre: [0.1, 0.0], radius: 0.05}
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, final

from pydantic import Field
from torch import Tensor

from embodied_gen import config
from embodied_gen.config import Block
from embodied_gen.heads import Guide
from planners.constraints import Constraint, KeepInBox, KeepOutDisc, ReachPoint, SpeedLimit

Cost = Callable[[Tensor], Tensor]


def guide_of(
    constraints: Sequence[Constraint],
    costs: Sequence[Cost] = (),
    *,
    scale: float = 200.0,
    buffer: float = 0.0,
) -> Guide:
    """A guide from constraints and costs.

    Args:
        constraints: Penalised with their own units.
        costs: Further costs, `(B, N, T, D)` to `(B, N)`, dimensionless.
        scale: Strength of the sum.
        buffer: Margin kept beyond each constraint, in its own unit, so that small errors do not offend.

    Raises:
        ValueError: If there is neither a constraint nor a cost.
    """
    if not constraints and not costs:
        raise ValueError("a guide needs at least one constraint or cost; got none.")

    def cost(y: Tensor) -> Tensor:
        total = y.new_zeros(y.shape[:2])
        for constraint in constraints:
            total = total + constraint.cost(y, buffer)
        for further in costs:
            total = total + further(y)
        return total

    return Guide(cost=cost, scale=scale)


def feasible(constraints: Sequence[Constraint], y: Tensor) -> Tensor:
    """Whether each path satisfies every constraint, swept exactly: `(B, N, T, D)` to bool `(B, N)`."""
    holds = y.new_ones(y.shape[:2], dtype=bool)  # type: ignore[call-overload]
    for constraint in constraints:
        holds = holds & (constraint.margin(y) >= 0)
    return holds


Point = tuple[float, float]


class KeepOutDiscEntry(Block):
    """A disc to keep out of."""

    kind: Literal["keep_out_disc"]
    centre: Point
    radius: float = Field(gt=0)

    def build(self, period: float) -> Constraint:
        """The constraint."""
        return KeepOutDisc(self.centre, self.radius)


class KeepInBoxEntry(Block):
    """A box to keep in."""

    kind: Literal["keep_in_box"]
    low: Point
    high: Point

    def build(self, period: float) -> Constraint:
        """The constraint."""
        return KeepInBox(self.low, self.high)


class SpeedLimitEntry(Block):
    """A speed to keep below, in m/s."""

    kind: Literal["speed_limit"]
    limit: float = Field(gt=0)

    def build(self, period: float) -> Constraint:
        """The constraint."""
        return SpeedLimit(self.limit, period)


class ReachPointEntry(Block):
    """A point to be near at a step."""

    kind: Literal["reach_point"]
    point: Point
    tolerance: float = Field(gt=0)
    step: int = -1

    def build(self, period: float) -> Constraint:
        """The constraint."""
        return ReachPoint(self.point, self.tolerance, step=self.step)


@final
class GuideFile(Block):
    """Constraints and how strongly they are wanted."""

    constraints: list[
        Annotated[KeepOutDiscEntry | KeepInBoxEntry | SpeedLimitEntry | ReachPointEntry, Field(discriminator="kind")]
    ] = Field(min_length=1)
    scale: float = Field(200.0, ge=0)
    buffer: float = Field(0.0, ge=0)

    def build(self, period: float) -> tuple[Guide, list[Constraint]]:
        """The guide, and the constraints to certify with.

        Args:
            period: Time between way-points [s].
        """
        constraints = [entry.build(period) for entry in self.constraints]
        return guide_of(constraints, scale=self.scale, buffer=self.buffer), constraints


def read_guide(path: Path) -> GuideFile:
    """Reads a guide file; see `config.read` for what is raised."""
    return config.read(path, GuideFile, "guide")
