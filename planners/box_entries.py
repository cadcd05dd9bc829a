"""Entries of a guide file about sets of boxes, such as a detector draws; see `planners.box_sets`."""

import abc
from typing import Annotated, Literal, final

from pydantic import Field

from planners.box_sets import BoxCount, BoxesApart, BoxesWithin
from planners.constraints import Constraint, Period
from planners.cost_entries import CostBlock, Unit
from planners.costs import Cost
from planners.entries import About, Entry


class AboutBoxes(About, abc.ABC):
    """An entry that reads sets of boxes, which have neither agents nor steps in time."""

    @property
    def last(self) -> None:
        """None: it is about boxes."""

    def refuse_time(self) -> None:
        """Raises `ValueError` if the entry names agents or steps."""
        if self.agents is not None or self.steps is not None:
            raise ValueError("boxes of an image have neither agents nor steps. Leave them out")


class BoxEntry(AboutBoxes, Entry, abc.ABC):
    """A constraint on boxes."""

    def check(self) -> None:
        """Raises `ValueError` if the entry makes no sense."""
        self.refuse_time()
        self.make(1.0)


@final
class BoxesApartEntry(BoxEntry):
    """No two likely boxes in one place: a bound on their overlap."""

    kind: Literal["boxes_apart"]
    bound: float

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return BoxesApart(self.bound)


@final
class BoxesWithinEntry(BoxEntry):
    """Likely boxes lie in a rectangle, in shares of the image from its upper left corner."""

    kind: Literal["boxes_within"]
    low: tuple[float, float]
    high: tuple[float, float]
    likely: float = 0.5

    def make(self, period: Period) -> Constraint:
        """The constraint."""
        return BoxesWithin(self.low, self.high, likely=self.likely)


@final
class BoxCountEntry(AboutBoxes, CostBlock):
    """A known number of things; the unit is a distance of scores."""

    kind: Literal["box_count"]
    count: Annotated[int, Field(ge=0)]
    unit: Unit = 0.1

    def of_agents(self, period: Period) -> Cost:
        """The cost of sets of boxes."""
        self.refuse_time()
        return BoxCount(self.count, unit=self.unit)
