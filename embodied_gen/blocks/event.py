"""Blocks of events."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from embodied_gen.config import Block
from embodied_gen.events import Binary, Event, InstanceMap, Path, Scene, Trajectory, Walk


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


class BinaryBlock(Block):
    """Units of two values each."""

    kind: Literal["binary"] = "binary"
    low: float = Field(0.0, description="Value of a unit that is off.")
    high: float = Field(1.0, description="Value of a unit that is on.")

    def build(self, chunks: Tensor) -> Event:
        """The event of chunks of the same shape `(W, T, D)`."""
        return Binary(chunks.shape[-1], steps=chunks.shape[1], low=self.low, high=self.high)


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


EventBlock = Annotated[
    TrajectoryBlock | PathBlock | WalkBlock | SceneBlock | BinaryBlock | InstancesBlock, Field(discriminator="kind")
]
