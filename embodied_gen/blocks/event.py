"""Blocks of events."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from embodied_gen.config import Block
from embodied_gen.demos.outlines import BOUNDS
from embodied_gen.events import (
    Binary,
    Event,
    GridPath,
    InstanceMap,
    LabelMap,
    Path,
    Polygon,
    Scene,
    SetEvent,
    Trajectory,
    Walk,
)
from embodied_gen.events.polygon import MOST_LEVELS
from embodied_gen.graphs import Grid


class TrajectoryBlock(Block):
    """Action chunks whose steps are coded on their own."""

    kind: Literal["trajectory"] = "trajectory"

    def build(self, chunks: Tensor) -> Event:
        """The event with the bounds of the chunks, physical units, shape `(W, T, D)`."""
        return Trajectory.from_data(chunks)


class PathBlock(Block):
    """Action chunks that are positions, coded as a start and its steps."""

    kind: Literal["path"] = "path"

    def build(self, chunks: Tensor) -> Event:
        """The event with the bounds of the chunks, physical units, shape `(W, T, D)`."""
        return Path.from_data(chunks)


class WalkBlock(Block):
    """Chunks that are positions after one that is known to be the origin, coded as their steps."""

    kind: Literal["walk"] = "walk"

    def build(self, chunks: Tensor) -> Event:
        """The event with the statistics of the chunks, physical units, shape `(W, T, D)`."""
        return Walk.from_data(chunks)


class SceneBlock(Block):
    """Motions of several agents, each in its own frame."""

    kind: Literal["scene"] = "scene"

    def build(self, motions: Tensor) -> Event:
        """The event with the bounds of motions, physical units, shape `(W, A, T, D)`."""
        return Scene.from_data(motions)


class SetBlock(Block):
    """Things in no order, compared in the best one."""

    kind: Literal["set"] = "set"
    empty: float = Field(0.1, ge=0, le=1, description="Weight of the numbers of an empty slot in the error.")

    def build(self, sets: Tensor) -> Event:
        """The event with the bounds of the things of sets, physical units, shape `(W, N, D + 1)`."""
        return SetEvent.from_data(sets, empty=self.empty)


class BinaryBlock(Block):
    """Units of two values each."""

    kind: Literal["binary"] = "binary"
    low: float = Field(0.0, description="Value of a unit that is off.")
    high: float = Field(1.0, description="Value of a unit that is on.")

    def build(self, chunks: Tensor) -> Event:
        """The event of chunks of the same shape `(W, T, D)`."""
        return Binary(chunks.shape[-1], steps=chunks.shape[1], low=self.low, high=self.high)


class GridPathBlock(Block):
    """Paths over the cells of a map, moves to the eight cells around."""

    kind: Literal["grid_path"] = "grid_path"
    rows: int = Field(64, ge=1, description="Of the map.")
    columns: int = Field(64, ge=1, description="Of the map.")
    cell: float = Field(0.5, gt=0, description="Side of a cell [m].")

    def build(self, ways: Tensor) -> Event:
        """The event of paths with as many way-points as ways `(W, T + 1, 2)`."""
        return GridPath(Grid(self.rows, self.columns), ways.shape[1] - 1, cell=self.cell)


class LabelMapBlock(Block):
    """A class for each pixel of an image."""

    kind: Literal["label_map"] = "label_map"

    def build(self, maps: Tensor) -> Event:
        """The event of maps of that shape, `(N, H, W, K)`."""
        return LabelMap(*maps.shape[1:])


class InstancesBlock(Block):
    """Instance maps of images."""

    kind: Literal["instances"] = "instances"
    objects: int = Field(6, ge=1, description="The most objects of an image.")

    def build(self, maps: Tensor) -> Event:
        """The event of labels `(N, H, W)`, or of zeros `(1, H, W, K)` where nothing but the size is known.

        Raises:
            ValueError: If a map has more objects.
        """
        event, most = InstanceMap(maps.shape[1], maps.shape[2], self.objects), int(maps.max())
        if most > self.objects:
            raise ValueError(
                f"event.objects is {self.objects}, and an image of the data has an object of number {most}. "
                f"Set event.objects to {most} or more."
            )
        return event


class PolygonEventBlock(Block):
    """Outlines in shares of the boxes around them."""

    kind: Literal["polygon"] = "polygon"
    vertices: int = Field(24, ge=3, description="The most corners of an outline.")
    levels: int = Field(64, ge=3, le=MOST_LEVELS, description="Of the width and of the height of a box.")

    def build(self, outlines: Tensor) -> Polygon:
        """The event of outlines `(N, V, 3)`, whatever they are."""
        return Polygon(self.vertices, *BOUNDS, levels=self.levels)


EventBlock = Annotated[
    TrajectoryBlock
    | PathBlock
    | WalkBlock
    | SceneBlock
    | SetBlock
    | BinaryBlock
    | GridPathBlock
    | LabelMapBlock
    | InstancesBlock
    | PolygonEventBlock,
    Field(discriminator="kind"),
]
