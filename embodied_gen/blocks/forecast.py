"""Blocks of forecasters: recordings of pedestrians, and what is predicted of them from what."""

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from embodied_gen.config import Block
from embodied_gen.demos.examples import Examples
from embodied_gen.forecasting import eth_ucy, track_file
from embodied_gen.forecasting.examples import AgentExamples
from embodied_gen.forecasting.tracks import Tracks
from embodied_gen.forecasting.variants import Varied
from embodied_gen.forecasting.windows import ALONE_TOO, OBSERVED, PREDICTED, CrowdWindows, windows_of
from embodied_gen.nets.neighbours import POINT, NeighbourAttention


class RecordingsBlock(Block, abc.ABC):
    """Recordings that a forecaster learns from."""

    sizes: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (1.0,), min_length=1, description="Every scene is learned in each of these, and mirrored."
    )

    @abc.abstractmethod
    def windows(self) -> tuple[CrowdWindows, CrowdWindows]:
        """What is learned from and what the loss is measured on, without windows that straddle a gap.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file is not the one expected, or holds too little.
        """

    @abc.abstractmethod
    def describe(self) -> tuple[str, str]:
        """What is learned of, and from which recordings, as a card calls them."""


@final
class EthUcyBlock(RecordingsBlock):
    """ETH and UCY without the scene that a forecaster is to be judged on."""

    kind: Literal["eth_ucy"] = "eth_ucy"
    scene: Literal["eth", "hotel", "univ", "zara1", "zara2"] = Field(description="Left out of training: the test.")
    folder: str = Field("data/eth_ucy", description="Holds all_data, train and val.")
    sizes: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.6, 0.8, 1.0, 1.3, 1.7), min_length=1, description="Every scene is learned in each of these, and mirrored."
    )

    def windows(self) -> tuple[CrowdWindows, CrowdWindows]:
        """The train and val parts of all recordings but those of the scene."""
        split = eth_ucy.read_split(Path(self.folder), self.scene)
        return _whole(split.train), _whole(split.val)

    def describe(self) -> tuple[str, str]:
        """The scene, and the others."""
        return f"`{self.scene}` of ETH and UCY", "all but that scene"


@final
class TracksBlock(RecordingsBlock):
    """A track file, of which the end is held out."""

    kind: Literal["tracks"] = "tracks"
    file: str = Field(description="Rows of frame, pedestrian, x, y; such as `embodied-gen data crowd` writes.")
    held_out: float = Field(0.1, gt=0, lt=1, description="Share of the frames, the last, that the loss is measured on.")

    def windows(self) -> tuple[CrowdWindows, CrowdWindows]:
        """What lies before the cut, and what lies after it."""
        tracks = track_file.read(Path(self.file))
        cut = round((1 - self.held_out) * len(tracks.frames))
        return _whole([tracks.part(0, cut)]), _whole([tracks.part(cut, None)])

    def describe(self) -> tuple[str, str]:
        """The file."""
        return f"the pedestrians of `{self.file}`", f"all but the last {self.held_out:g} of its frames"


def _whole(recordings: Sequence[Tracks]) -> CrowdWindows:
    """Windows of pedestrians, alone or not, who are seen without a break in time."""
    return windows_of(recordings, ALONE_TOO).contiguous()


@final
class ForecastControl(Block):
    """How a pedestrian goes on, from what it and those around it did."""

    kind: Literal["forecast"] = "forecast"
    neighbours: int = Field(8, ge=0, description="The nearest pedestrians that are seen.")
    radius: float = Field(6.0, gt=0, description="Within which they are seen [m].")
    width: int = Field(64, ge=1, description="Features of oneself, and of all neighbours together.")
    heads: int = Field(4, ge=1, description="Attention heads over neighbours; divide the width.")

    @property
    def history(self) -> int:
        """Observed frames."""
        return OBSERVED

    @property
    def horizon(self) -> int:
        """Predicted frames."""
        return PREDICTED

    def examples(self, windows: CrowdWindows, device: torch.device | str = "cpu") -> Examples:
        """What is predicted of the pedestrians of some windows."""
        return AgentExamples(windows, neighbours=self.neighbours, device=device)

    def varied(self, windows: CrowdWindows, data: RecordingsBlock, device: torch.device | str = "cpu") -> Examples:
        """What the forecaster learns from: the same in several sizes, and mirrored."""
        return Varied(self.examples(windows, device), sizes=data.sizes)

    def sizes(self, observation: int, action: int) -> tuple[int, int]:
        """Numbers of an observed frame and of a position, whatever an environment has."""
        return POINT * (1 + self.neighbours), 2

    def shape(self, channels: int) -> tuple[int, ...]:
        """Axes of the value."""
        return self.horizon, channels

    def encoder(self, mean: Tensor, deviation: Tensor) -> NeighbourAttention:
        """What reads the observations; their statistics do not count, as units are fixed."""
        return NeighbourAttention(
            history=self.history, neighbours=self.neighbours, radius=self.radius, width=self.width, heads=self.heads
        )

    def describe(self) -> str:
        """In words."""
        return (
            f"{PREDICTED} positions of a pedestrian from {OBSERVED} of its own and of the {self.neighbours} nearest to "
            f"it within {self.radius:g} m"
        )
