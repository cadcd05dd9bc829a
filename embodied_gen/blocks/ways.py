"""Blocks of control over maps: a whole way from layers, and the stretch ahead from nothing but where the goal lies."""

from typing import Annotated, Literal, Self, final

import torch
from pydantic import Field, model_validator
from torch import Tensor

from embodied_gen.config import Block
from embodied_gen.demos.ahead import Ahead
from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Examples
from embodied_gen.demos.whole_ways import WholeWays
from embodied_gen.encoder import MapEncoder, StateEncoder

Channels = tuple[Annotated[int, Field(ge=0)], ...]


@final
class WholeWayControl(Block):
    """A whole way over the map of the observation, which is one action."""

    kind: Literal["whole_way"] = "whole_way"
    layers: int = Field(6, ge=1, description="Of the map.")
    rows: int = Field(64, ge=1, description="Of the map.")
    columns: int = Field(64, ge=1, description="Of the map.")
    obstacle: int | None = Field(None, ge=0, description="The layer that blocks cells; None where nothing does.")
    moves: int = Field(96, ge=1, description="Most moves of a way.")

    @property
    def history(self) -> int:
        """One map at a time."""
        return 1

    @property
    def horizon(self) -> int:
        """Way-points."""
        return self.moves + 1

    def examples(self, episodes: Episodes, device: torch.device | str = "cpu") -> Examples:
        """What is learned from: the way of each episode.

        Raises:
            ValueError: If actions are no such ways.
        """
        return WholeWays(episodes, points=self.horizon, device=device)

    def sizes(self, observation: int, action: int) -> tuple[int, int]:
        """Numbers in one observation and in one way-point."""
        return observation, 2

    def shape(self, channels: int) -> tuple[int, ...]:
        """Axes of the value."""
        return self.horizon, channels

    def encoder(self, mean: Tensor, deviation: Tensor) -> MapEncoder:
        """What reads the observations; only their number counts."""
        return MapEncoder(self.layers, self.rows, self.columns, self.obstacle, len(mean))

    def check(self, episodes: Episodes) -> None:
        """Every episode is one example, however short."""

    def describe(self) -> str:
        """In words."""
        return f"ways of up to {self.moves} moves over a map of {self.rows} x {self.columns} cells"


@final
class AheadControl(Block):
    """The stretch ahead, from where the goal lies: what a planner guides over a map that it has not seen."""

    kind: Literal["ahead"] = "ahead"
    position: Channels = Field(description="Channels of the observation that are the position.")
    goal: Channels = Field(description="Those that are the goal, as many.")
    horizon: int = Field(16, ge=2, description="Way-points.")
    stride: int = Field(4, ge=1, description="Control steps from one to the next.")

    @model_validator(mode="after")
    def _check_channels(self) -> Self:
        if len(self.position) != len(self.goal) or not self.position:
            raise ValueError(
                f"control.position and control.goal must name as many channels; got {list(self.position)} and "
                f"{list(self.goal)}"
            )
        return self

    @property
    def history(self) -> int:
        """One question at a time."""
        return 1

    def examples(self, episodes: Episodes, device: torch.device | str = "cpu") -> Examples:
        """What is learned from.

        Raises:
            ValueError: If a channel does not exist.
        """
        return Ahead(
            episodes, position=self.position, goal=self.goal, horizon=self.horizon, stride=self.stride, device=device
        )

    def sizes(self, observation: int, action: int) -> tuple[int, int]:
        """The way to the goal, and a way-point."""
        return len(self.goal), len(self.position)

    def shape(self, channels: int) -> tuple[int, ...]:
        """Axes of the value."""
        return self.horizon, channels

    def encoder(self, mean: Tensor, deviation: Tensor) -> StateEncoder:
        """What reads the observations, from their statistics."""
        return StateEncoder(self.history, mean, deviation)

    def check(self, episodes: Episodes) -> None:
        """Raises `ValueError` if every episode is shorter than a stretch: all of them would end at a goal."""
        episodes.check_horizon((self.horizon - 1) * self.stride + 1)

    def describe(self) -> str:
        """In words."""
        return f"stretches ahead of {self.horizon} way-points, {self.stride} control steps apart"
