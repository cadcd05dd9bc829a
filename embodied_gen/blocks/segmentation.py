"""Blocks of segmenters: images whose pixels have classes, in a folder or rendered, and what is predicted of them."""

import math
from pathlib import Path
from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor

from embodied_gen.blocks.image_control import ImageControl
from embodied_gen.config import Block
from embodied_gen.image_encoder import COLOURS, SURFACES, PictureEncoder, SurfaceEncoder
from embodied_gen.images.label_examples import LabelExamples
from embodied_gen.images.label_folder import read_part
from embodied_gen.images.label_sets import read_labels
from embodied_gen.images.labelled import LabelledImages

_SEEN = sum(SURFACES.values())
Learned = tuple[LabelledImages, LabelledImages | None]
"""Images to learn from, and those that the loss is measured on."""


class _LabelsBlock(Block):
    """Images whose pixels have classes, and how they are varied."""

    folder: str
    classes: tuple[str, ...]
    variants: int = Field(64, ge=0, description="Windows of each image to learn from; 0 for whole images alone.")
    zoom: float = Field(0.5, gt=0, le=1, description="Smallest side of a window, over that of the image.")
    balanced: bool = Field(False, description="Whether pixels of rare classes count more, by median frequency.")


@final
class LabelledImagesBlock(_LabelsBlock):
    """A folder of images with a label image beside each."""

    kind: Literal["labelled_images"] = "labelled_images"
    folder: str = Field(description="Holds lists of names, images and labels.")
    classes: tuple[str, ...] = Field(min_length=2, max_length=255, description="Names of labels, from 0.")
    void: int | None = Field(None, ge=0, le=255, description="Label of pixels that have none; null where all have one.")
    train: str = Field("train", description="Part that is learned from.")
    val: str = Field("val", description="Part that the loss is measured on.")
    test: str = Field("test", description="Part that is scored on.")

    @property
    def channels(self) -> int:
        """Of an observation: colours."""
        return COLOURS

    def part(self, name: str, size: tuple[int, int]) -> LabelledImages:
        """The images of a part at a width and height [px]; see `read_part` for what is raised."""
        return read_part(Path(self.folder), name, classes=len(self.classes), void=self.void, size=size)

    def training(self, size: tuple[int, int]) -> Learned:
        """Images to learn from and to measure the loss on, at a width and height [px]; see `part`."""
        return self.part(self.train, size), self.part(self.val, size)

    def testing(self, size: tuple[int, int]) -> LabelledImages:
        """Images to score on."""
        return self.part(self.test, size)


@final
class LabelledSetBlock(_LabelsBlock):
    """A set of images that `embodied-gen collect` made: the class of what each pixel shows, with depth and normals."""

    kind: Literal["labelled_set"] = "labelled_set"
    folder: str = Field(description="Folder of the set.")
    classes: tuple[str, ...] = Field(
        min_length=2, max_length=255, description="A name for what is no thing, and then the classes of the set."
    )
    fov: float | None = Field(
        None, gt=0, lt=math.pi, description="Vertical field of view of the camera [rad]; null for what the set tells."
    )
    held_out: float = Field(
        0.05, ge=0, lt=1, description="Share of the images for training that the loss is measured on instead."
    )

    @property
    def channels(self) -> int:
        """Of an observation: colours, depth and normals."""
        return _SEEN

    def training(self, size: tuple[int, int]) -> Learned:
        """Images to learn from and to measure the loss on, at a width and height [px]; see `read_labels`."""
        found = self._part("train", size)
        kept = len(found) - round(self.held_out * len(found))
        return found.some(slice(kept)), found.some(slice(kept, None)) if kept < len(found) else None

    def testing(self, size: tuple[int, int]) -> LabelledImages:
        """Images to score on."""
        return self._part("test", size)

    def _part(self, name: str, size: tuple[int, int]) -> LabelledImages:
        return read_labels(Path(self.folder), name, classes=self.classes, size=size, fov=self.fov)


LabelsBlock = LabelledImagesBlock | LabelledSetBlock


@final
class SegmentationControl(ImageControl):
    """The class of each pixel of an image."""

    kind: Literal["segmentation"] = "segmentation"
    size: tuple[int, int] = Field((160, 120), description="Width and height that images are reduced to [px].")

    def examples(
        self, labelled: LabelledImages, data: LabelsBlock, device: torch.device | str = "cpu"
    ) -> LabelExamples:
        """Images as they are."""
        return LabelExamples(labelled, classes=len(data.classes), device=device)

    def varied(
        self, labelled: LabelledImages, data: LabelsBlock, seed: int, device: torch.device | str = "cpu"
    ) -> LabelExamples:
        """What the segmenter learns from: windows of images, mirrored or not."""
        return LabelExamples(
            labelled,
            classes=len(data.classes),
            variants=data.variants,
            zoom=data.zoom,
            balanced=data.balanced,
            seed=seed,
            device=device,
        )

    def sizes(self, observation: int, action: int) -> tuple[int, int]:
        """Channels of what is seen, and classes."""
        return observation, action

    def encoder(self, mean: Tensor, deviation: Tensor) -> PictureEncoder | SurfaceEncoder:
        """What reads images; of their statistics only the number of channels counts."""
        return SurfaceEncoder() if len(mean) == _SEEN else PictureEncoder(len(mean))

    def describe(self) -> str:
        """In words."""
        return f"the class of each pixel of an image of {self.size[0]} x {self.size[1]}"
