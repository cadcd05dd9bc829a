"""Blocks of events."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from embodied_gen.config import Block
from embodied_gen.events import Event, Path, Trajectory


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


EventBlock = Annotated[TrajectoryBlock | PathBlock, Field(discriminator="kind")]
