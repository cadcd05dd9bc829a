"""Blocks of segmenters of objects: images with instance maps, and what is predicted of them."""

from pathlib import Path
from typing import Annotated, Literal, Self, final

import torch
from pydantic import Field, model_validator
from torch import Tensor

from embodied_gen.blocks.image_control import ImageControl
from embodied_gen.config import Block
from embodied_gen.image_encoder import COLOURS, PixelEncoder
from embodied_gen.images import sets
from embodied_gen.images.examples import InstanceExamples, shrunk
from embodied_gen.images.leaves import MOST, leaves

_TEST = 2**32  # number of the first drawn image for testing
Part = Literal["train", "test"]
Side = Annotated[int, Field(ge=16)]
Share = Annotated[float, Field(ge=0, lt=1)]
_HELD_OUT = "Share of the images for training that the loss is measured on instead."


@final
class LeavesBlock(Block):
    """Drawn leaves, one over the other; no image for testing is one for training, whatever the numbers."""

    kind: Literal["leaves"] = "leaves"
    train: int = Field(4000, ge=1, description="Images to train on.")
    test: int = Field(500, ge=1, description="Images to test on.")
    leaves: tuple[int, int] = Field((0, 6), description="Smallest and largest number of leaves in an image.")
    seed: int = Field(0, ge=0, description="Of all images.")
    held_out: Share = Field(0.05, description=_HELD_OUT)

    @model_validator(mode="after")
    def _check_leaves(self) -> Self:
        if not 0 <= self.leaves[0] <= self.leaves[1] <= MOST:
            raise ValueError(
                f"data.leaves must be a smallest and a largest number from 0 to {MOST}, which a byte numbers; got "
                f"{list(self.leaves)}"
            )
        return self

    def examples(self, part: Part, size: tuple[int, int], device: torch.device | str = "cpu") -> InstanceExamples:
        """Images of a part, of a width and height [px]."""
        count, first = (self.train, 0) if part == "train" else (self.test, _TEST)
        drawn = leaves(count, size=size, objects=self.leaves, seed=self.seed, first=first)
        return InstanceExamples(*drawn, source=self.describe(), device=device)

    def describe(self) -> str:
        """In words."""
        return f"drawn leaves, {self.leaves[0]} to {self.leaves[1]} in an image"


@final
class ImageSetBlock(Block):
    """A set of images that `embodied-gen collect` made."""

    kind: Literal["image_set"] = "image_set"
    folder: str = Field(description="Folder of the set.")
    held_out: Share = Field(0.05, description=_HELD_OUT)

    def examples(self, part: Part, size: tuple[int, int], device: torch.device | str = "cpu") -> InstanceExamples:
        """Images of a part, made smaller to a width and height [px].

        Raises:
            FileNotFoundError: If there is no whole set.
            ValueError: If a file is damaged, or the size does not fit.
        """
        images, _ = sets.read(Path(self.folder), part)
        return InstanceExamples(*shrunk(images.images, images.instances, size), source=self.folder, device=device)

    def describe(self) -> str:
        """In words."""
        return f"the images in {self.folder}"


@final
class InstancesControl(ImageControl):
    """The objects of an image, each with its pixels."""

    kind: Literal["instances"] = "instances"
    size: tuple[Side, Side] = Field((48, 48), description="Width and height that images are made smaller to [px].")

    def sizes(self, observation: int, action: int) -> tuple[int, int]:
        """Numbers of a pixel and of its label, whatever an environment has."""
        return COLOURS, 1

    def encoder(self, mean: Tensor, deviation: Tensor) -> PixelEncoder:
        """What reads the images, from the statistics of their colours."""
        return PixelEncoder(self.size, mean, deviation)

    def describe(self) -> str:
        """In words."""
        return f"the objects of an image of {self.size[0]} x {self.size[1]} pixels"
