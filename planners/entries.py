"""What entries of a guide file share: numbers in units that make sense, agents and steps, and how they build.

An entry is checked as it is read, so that what is wrong is told with its place in the file.
"""

import abc
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self, final

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from embodied_gen.config import Block
from planners.constraints import Constraint, Period
from planners.regions import polygon_of
from planners.scenes import OfAgents, checked_agents
from planners.spans import During, require_order


def within(low: float, high: float, unit: str) -> Callable[[float], float]:
    """A check that a number lies in a range, which names its unit."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"must lie in [{low:g}, {high:g}] {unit}")
        return value

    return check


def _agents(value: Any) -> tuple[int, ...] | Literal["all"] | None:
    numbers = isinstance(value, list | tuple) and all(type(number) is int for number in value)
    if value is not None and value != "all" and not numbers:
        raise ValueError("agents must be the word all or a list of numbers from 0")
    return value if value is None or value == "all" else checked_agents(value)


def _steps(value: tuple[int, int] | None) -> tuple[int, int] | None:
    if value is not None:
        require_order(*value)
    return value


def _different(value: tuple[int, int]) -> tuple[int, int]:
    if value[0] == value[1]:
        raise ValueError("channels must name two different channels")
    return value


Metres = Annotated[float, AfterValidator(within(-1e6, 1e6, "m"))]
Length = Annotated[float, Field(gt=0), AfterValidator(within(0, 1e6, "m"))]
Speed = Annotated[float, Field(gt=0), AfterValidator(within(0, 100, "m/s"))]
Point = tuple[Metres, Metres]
Ring = tuple[Point, ...]
Channel = Annotated[int, Field(ge=0)]
Plane = Annotated[tuple[Channel, Channel], AfterValidator(_different)]
Agents = Annotated[tuple[int, ...] | Literal["all"] | None, PlainValidator(_agents)]
Steps = Annotated[tuple[int, int] | None, AfterValidator(_steps)]


class About(Block):
    """Which agents and steps an entry is about.

    Attributes:
        agents: Agents of a scene: `all`, or numbers; none for paths.
        steps: First and last step of a span; none for all.
    """

    agents: Agents = None
    steps: Steps = None

    @property
    def last(self) -> int | None:
        """The highest channel of a path that the entry reads; None where it is about scenes alone."""
        return 1

    @property
    def numbers(self) -> tuple[int, ...] | None:
        """Numbers of the agents; None for all."""
        return None if self.agents == "all" else self.agents


class Entry(About, abc.ABC):
    """A constraint of a file."""

    @abc.abstractmethod
    def make(self, period: Period) -> Constraint:
        """The constraint without agents and steps."""

    def check(self) -> None:
        """Raises `ValueError` if the entry makes no sense, whatever the path."""
        self.make(1.0)

    def of_agents(self, period: Period) -> Constraint:
        """The constraint on the agents."""
        constraint = self.make(period)
        return constraint if self.agents is None else OfAgents(constraint, self.numbers)

    @final
    def build(self, period: Period) -> Constraint:
        """The constraint; `period` is the time between steps [s]."""
        constraint = self.of_agents(period)
        return constraint if self.steps is None else During(constraint, *self.steps)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        self.check()
        return self


class SceneEntry(Entry, abc.ABC):
    """A constraint that reads scenes, and knows its agents."""

    @property
    def last(self) -> None:
        """None: it is about scenes."""

    def of_agents(self, period: Period) -> Constraint:
        """The constraint as it is made."""
        return self.make(period)


class PlaneEntry(Entry, abc.ABC):
    """A constraint on two channels, which are the position unless the file says otherwise.

    Attributes:
        channels: Channels of a way-point; a speed limit on those of a velocity limits the acceleration.
    """

    channels: Plane = (0, 1)

    @property
    def last(self) -> int:
        """The higher of both channels."""
        return max(self.channels)


class RegionEntry(Entry, abc.ABC):
    """A polygon with holes; the time between steps does not matter to it."""

    points: Ring
    holes: tuple[Ring, ...] = ()

    def check(self) -> None:
        """Raises `ValueError` if they are none; cheaper than to make the constraint."""
        polygon_of(self.points, self.holes)
