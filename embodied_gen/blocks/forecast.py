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
from embodied_gen.encoder import SceneEncoder
from embodied_gen.events.scene import STATE
from embodied_gen.forecasting import eth_ucy, track_file, walls
from embodied_gen.forecasting.answers import forecaster_of
from embodied_gen.forecasting.examples import AgentExamples, Around, CrowdExamples, SetExamples
from embodied_gen.forecasting.forecaster import Forecaster
from embodied_gen.forecasting.groups import GroupForecaster
from embodied_gen.forecasting.things import SetForecaster
from embodied_gen.forecasting.tracks import Tracks
from embodied_gen.forecasting.variants import Varied
from embodied_gen.forecasting.windows import ALONE_TOO, OBSERVED, PREDICTED, CrowdWindows, windows_of
from embodied_gen.nets.neighbours import POINT, NeighbourAttention
from embodied_gen.predictor import Predictor


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

    def walls(self) -> Tensor | None:
        """Ends of the walls by which people walk [m], shape `(K, 2, 2)`; None where none are known.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file is none of walls.
        """
        return None

    @abc.abstractmethod
    def judged(self) -> dict[str, list[Tracks]]:
        """Recordings that a forecaster is judged on, of which it learned nothing, by the names of their scenes.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file is not the one expected.
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

    def judged(self) -> dict[str, list[Tracks]]:
        """The recordings of the scene; eth as published and at its true rate."""
        return eth_ucy.at_each_rate(self.scene, eth_ucy.read_test(Path(self.folder), self.scene))

    def describe(self) -> tuple[str, str]:
        """The scene, and the others."""
        return f"`{self.scene}` of ETH and UCY", "all but that scene"


@final
class TracksBlock(RecordingsBlock):
    """A track file, of which the end is held out."""

    kind: Literal["tracks"] = "tracks"
    file: str = Field(description="Rows of frame, pedestrian, x, y; such as `embodied-gen data crowd` writes.")
    held_out: float = Field(0.1, gt=0, lt=1, description="Share of the frames, the last, that the loss is measured on.")
    map: str | None = Field(None, description="File of walls, a line of well-known text for each; null for none.")

    def windows(self) -> tuple[CrowdWindows, CrowdWindows]:
        """What lies before the cut, and what lies after it."""
        before, after = self._parts()
        return _whole([before]), _whole([after])

    def judged(self) -> dict[str, list[Tracks]]:
        """What lies after the cut."""
        _, after = self._parts()
        return {Path(self.file).stem: [after]}

    def _parts(self) -> tuple[Tracks, Tracks]:
        """The recording before and after the cut."""
        tracks = track_file.read(Path(self.file))
        cut = round((1 - self.held_out) * len(tracks.frames))
        return tracks.part(0, cut), tracks.part(cut, None)

    def walls(self) -> Tensor | None:
        """Those of the map."""
        return None if self.map is None else walls.pieces_of(walls.read(Path(self.map)))

    def describe(self) -> tuple[str, str]:
        """The file."""
        return f"the pedestrians of `{self.file}`", f"all but the last {self.held_out:g} of its frames"


def _whole(recordings: Sequence[Tracks]) -> CrowdWindows:
    """Windows of pedestrians, alone or not, who are seen without a break in time."""
    return windows_of(recordings, ALONE_TOO).contiguous()


class RecordingsControl(Block, abc.ABC):
    """What is predicted of pedestrians, and from what."""

    @property
    def history(self) -> int:
        """Observed frames."""
        return OBSERVED

    @property
    def horizon(self) -> int:
        """Predicted frames."""
        return PREDICTED

    @abc.abstractmethod
    def examples(self, windows: CrowdWindows, data: RecordingsBlock, device: torch.device | str = "cpu") -> Around:
        """What is predicted of the pedestrians of some windows of the data."""

    def varied(self, windows: CrowdWindows, data: RecordingsBlock, device: torch.device | str = "cpu") -> Examples:
        """What the forecaster learns from: the same in several sizes, and mirrored."""
        return Varied(self.examples(windows, data, device), sizes=data.sizes)

    @abc.abstractmethod
    def forecaster(self, predictor: Predictor) -> Forecaster:
        """What draws with a trained predictor."""


@final
class ForecastControl(RecordingsControl):
    """How a pedestrian goes on, from what it and those around it did."""

    kind: Literal["forecast"] = "forecast"
    neighbours: int = Field(8, ge=0, description="The nearest pedestrians that are seen.")
    radius: float = Field(6.0, gt=0, description="Within which they are seen [m].")
    width: int = Field(64, ge=1, description="Features of oneself, and of all neighbours together.")
    heads: int = Field(4, ge=1, description="Attention heads over neighbours; divide the width.")

    def examples(self, windows: CrowdWindows, data: RecordingsBlock, device: torch.device | str = "cpu") -> Around:
        """Each on its own."""
        return AgentExamples(windows, neighbours=self.neighbours, device=device)

    def forecaster(self, predictor: Predictor) -> Forecaster:
        """Draws each on its own."""
        return forecaster_of(predictor, neighbours=self.neighbours)

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


@final
class CrowdControl(RecordingsControl):
    """How a pedestrian and those nearest to it go on together, from what they did and the walls around them."""

    kind: Literal["crowd"] = "crowd"
    neighbours: int = Field(4, ge=0, description="The nearest pedestrians, who are predicted together with one.")
    points: int = Field(0, ge=0, description="Nearest points of walls that each of them sees; the data need a map.")

    def examples(self, windows: CrowdWindows, data: RecordingsBlock, device: torch.device | str = "cpu") -> Around:
        """All together.

        Raises:
            ValueError: If points are asked for and the data have no map.
        """
        return CrowdExamples(windows, neighbours=self.neighbours, walls=data.walls(), points=self.points, device=device)

    def forecaster(self, predictor: Predictor) -> Forecaster:
        """Draws groups."""
        return GroupForecaster(predictor, neighbours=self.neighbours, points=self.points)

    def sizes(self, observation: int, action: int) -> tuple[int, int]:
        """Numbers of an observed frame and of a position, whatever an environment has."""
        return (STATE + 2 * self.points) * (1 + self.neighbours), 2

    def shape(self, channels: int) -> tuple[int, ...]:
        """Axes of the value."""
        return 1 + self.neighbours, self.horizon, channels

    def encoder(self, mean: Tensor, deviation: Tensor) -> SceneEncoder:
        """What reads the observations; only their number counts."""
        return SceneEncoder(self.history, 1 + self.neighbours, len(mean))

    def describe(self) -> str:
        """In words."""
        walls = f", and the {self.points} points of walls nearest to each" if self.points else ""
        return (
            f"{PREDICTED} positions of a pedestrian and of the {self.neighbours} nearest to it together, from "
            f"{OBSERVED} of each{walls}"
        )


@final
class CrowdSetControl(RecordingsControl):
    """Where a pedestrian and those nearest to it will be, in no order, from what all of them did."""

    kind: Literal["crowd_set"] = "crowd_set"
    neighbours: int = Field(4, ge=0, description="The nearest pedestrians, who are seen and predicted with one.")
    radius: float = Field(6.0, gt=0, description="Within which they are seen [m].")
    width: int = Field(64, ge=1, description="Features of oneself, and of all neighbours together.")
    heads: int = Field(4, ge=1, description="Attention heads over neighbours; divide the width.")

    def examples(self, windows: CrowdWindows, data: RecordingsBlock, device: torch.device | str = "cpu") -> Around:
        """Sets of futures."""
        return SetExamples(windows, neighbours=self.neighbours, device=device)

    def forecaster(self, predictor: Predictor) -> Forecaster:
        """Draws sets, and finds out who is who."""
        return SetForecaster(predictor, neighbours=self.neighbours)

    def sizes(self, observation: int, action: int) -> tuple[int, int]:
        """Numbers of an observed frame and of a thing, whatever an environment has."""
        return POINT * (1 + self.neighbours), 2 * PREDICTED + 1

    def shape(self, channels: int) -> tuple[int, ...]:
        """Axes of the value."""
        return 1 + self.neighbours, channels

    def encoder(self, mean: Tensor, deviation: Tensor) -> NeighbourAttention:
        """That of `ForecastControl`."""
        return NeighbourAttention(
            history=self.history, neighbours=self.neighbours, radius=self.radius, width=self.width, heads=self.heads
        )

    def describe(self) -> str:
        """In words."""
        return (
            f"{PREDICTED} positions of a pedestrian and of the {self.neighbours} nearest to it within "
            f"{self.radius:g} m, as a set in no order, from {OBSERVED} of each"
        )
