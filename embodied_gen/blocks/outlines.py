"""Blocks of outlines: files of polygons, and what is predicted of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, final

import shapely
import torch
from pydantic import Field
from torch import Tensor

from embodied_gen.blocks.one_answer import OneAnswerControl
from embodied_gen.config import Block
from embodied_gen.demos.outlines import SIDES, OutlineExamples, Outlines, read, turned
from embodied_gen.encoder import StateEncoder
from embodied_gen.events import Polygon

Learned = Mapping[str, Sequence[shapely.Polygon]]


@final
class OutlinesBlock(Block):
    """Files of outlines, of which the ends are held out."""

    kind: Literal["outlines"] = "outlines"
    files: dict[str, str] = Field(
        min_length=1, description="For each kind of thing a file with a polygon [m] a line in well-known text."
    )
    turns: int = Field(8, ge=1, description="Each outline is learned turned in so many directions, and mirrored.")
    held_out: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="Share of the outlines of each file, the last, that the loss is measured on instead."
    )

    @property
    def channels(self) -> int:
        """Numbers of an observation."""
        return SIDES + len(self.files)

    @property
    def source(self) -> str:
        """The files, for messages."""
        return ", ".join(self.files.values())

    def outlines(self) -> dict[str, Outlines]:
        """The outlines of each kind.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a line of a file is no outline.
        """
        return {kind: read(Path(file)) for kind, file in self.files.items()}


@final
class OutlinesControl(OneAnswerControl):
    """The outline of a thing, from what it is and the size of the box around it."""

    kind: Literal["outlines"] = "outlines"
    vertices: int = Field(24, ge=3, description="The most corners of an outline, as of the event.")

    def examples(
        self, outlines: Learned, data: OutlinesBlock, event: Polygon, device: torch.device | str = "cpu"
    ) -> OutlineExamples:
        """Outlines of each kind as they are; see `OutlineExamples` for what is raised."""
        return OutlineExamples(outlines, event, source=data.source, device=device)

    def varied(
        self, outlines: Learned, data: OutlinesBlock, event: Polygon, device: torch.device | str = "cpu"
    ) -> OutlineExamples:
        """What is learned from: outlines turned and mirrored; see `OutlineExamples` for what is raised."""
        return OutlineExamples(outlines, event, ways=turned(data.turns), source=data.source, device=device)

    def sizes(self, observation: int, action: int) -> tuple[int, int]:
        """Numbers in one observation; of a corner x, y and whether it is there."""
        return observation, 3

    def shape(self, channels: int) -> tuple[int, ...]:
        """Axes of the value."""
        return self.vertices, channels

    def encoder(self, mean: Tensor, deviation: Tensor) -> StateEncoder:
        """What reads the observations, from their statistics."""
        return StateEncoder(self.history, mean, deviation)

    def describe(self) -> str:
        """In words."""
        return f"an outline of up to {self.vertices} corners from the size of the box around it"
