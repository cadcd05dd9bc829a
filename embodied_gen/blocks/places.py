"""Blocks of places: what a policy compares."""

import math
from typing import Annotated, final

from pydantic import Field, field_validator
from torch import Tensor

from embodied_gen.config import Block
from embodied_gen.place_encoder import Place, PlaceEncoder, turns


@final
class PlaceBlock(Block):
    """Where something is, in the plane."""

    x: int = Field(ge=0, description="Channel of the observation.")
    y: int = Field(ge=0, description="Channel of the observation.")
    heading: int | None = Field(None, ge=0, description="Channel of its heading [rad]; null where it has none.")


@final
class PlacesBlock(Block):
    """Places that a policy compares: how they lie to each other joins what it observes."""

    of: tuple[PlaceBlock, ...] = Field(min_length=2, description="The places.")
    period: float = Field(2 * math.pi, description="After which headings look the same [rad], 2 pi over whole numbers.")
    lengths: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.005, 0.03), min_length=1, description="Distances about which directions are told apart, in their unit."
    )

    @field_validator("period")
    @classmethod
    def _repeats(cls, period: float) -> float:
        turns(period)
        return period

    def encoder(self, history: int, mean: Tensor, deviation: Tensor) -> PlaceEncoder:
        """What reads observations with these places."""
        places = [Place(place.x, place.y, place.heading) for place in self.of]
        return PlaceEncoder(history, mean, deviation, places, period=self.period, lengths=self.lengths)
