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

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from embodied_gen.experiment import explain
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


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Point = tuple[float, float]


class KeepOutDiscEntry(_Entry):
    """A disc to keep out of."""

    kind: Literal["keep_out_disc"]
    centre: Point
    radius: float = Field(gt=0)

    def build(self, period: float) -> Constraint:
        """The constraint."""
        return KeepOutDisc(self.centre, self.radius)


class KeepInBoxEntry(_Entry):
    """A box to keep in."""

    kind: Literal["keep_in_box"]
    low: Point
    high: Point

    def build(self, period: float) -> Constraint:
        """The constraint."""
        return KeepInBox(self.low, self.high)


class SpeedLimitEntry(_Entry):
    """A speed to keep below, in m/s."""

    kind: Literal["speed_limit"]
    limit: float = Field(gt=0)

    def build(self, period: float) -> Constraint:
        """The constraint."""
        return SpeedLimit(self.limit, period)


class ReachPointEntry(_Entry):
    """A point to be near at a step."""

    kind: Literal["reach_point"]
    point: Point
    tolerance: float = Field(gt=0)
    step: int = -1

    def build(self, period: float) -> Constraint:
        """The constraint."""
        return ReachPoint(self.point, self.tolerance, step=self.step)


@final
class GuideFile(_Entry):
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
    """Reads a guide file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: With one line for each mistake.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no guide file {path}.")
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a mapping with the key constraints; got {type(content).__name__}.")
    try:
        return GuideFile.model_validate(content)
    except ValidationError as error:
        raise ValueError(explain(error, GuideFile, str(path))) from None
