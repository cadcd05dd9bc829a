"""Blocks of segmenters: folders of images with labels, and what is predicted of them."""

from pathlib import Path
from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor

from embodied_gen.blocks.image_control import COLOURS, ImageControl
from embodied_gen.config import Block
from embodied_gen.image_encoder import PictureEncoder
from embodied_gen.images.label_examples import LabelExamples
from embodied_gen.images.label_folder import LabelledImages, read_part


@final
class LabelledImagesBlock(Block):
    """A folder of images with a label image beside each."""

    kind: Literal["labelled_images"] = "labelled_images"
    folder: str = Field(description="Holds lists of names, images and labels.")
    classes: tuple[str, ...] = Field(min_length=2, max_length=255, description="Names of labels, from 0.")
    void: int | None = Field(None, ge=0, le=255, description="Label of pixels that have none; null where all have one.")
    train: str = Field("train", description="Part that is learned from.")
    val: str = Field("val", description="Part that the loss is measured on.")
    variants: int = Field(64, ge=0, description="Windows of each image to learn from; 0 for whole images alone.")
    zoom: float = Field(0.5, gt=0, le=1, description="Smallest side of a window, over that of the image.")
    balanced: bool = Field(False, description="Whether pixels of rare classes count more, by median frequency.")


@final
class SegmentationControl(ImageControl):
    """The class of each pixel of an image."""

    kind: Literal["segmentation"] = "segmentation"
    size: tuple[int, int] = Field((160, 120), description="Width and height that images are reduced to [px].")

    def images(self, data: LabelledImagesBlock, part: str) -> LabelledImages:
        """The images of a part at that size; see `read_part` for what is raised."""
        return read_part(Path(data.folder), part, classes=len(data.classes), void=data.void, size=self.size)

    def examples(
        self, labelled: LabelledImages, data: LabelledImagesBlock, device: torch.device | str = "cpu"
    ) -> LabelExamples:
        """Images as they are."""
        return LabelExamples(labelled, classes=len(data.classes), device=device)

    def varied(
        self, labelled: LabelledImages, data: LabelledImagesBlock, seed: int, device: torch.device | str = "cpu"
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
        """Colours of an image, and classes."""
        return COLOURS, action

    def encoder(self, mean: Tensor, deviation: Tensor) -> PictureEncoder:
        """What reads images; of their statistics only the number of colours counts."""
        return PictureEncoder(len(mean))

    def describe(self) -> str:
        """In words."""
        return f"the class of each pixel of an image of {self.size[0]} x {self.size[1]}"
