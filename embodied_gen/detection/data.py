"""Blocks of what a detector learns from: a set of rendered images, or a folder of annotated photographs."""

from pathlib import Path
from typing import Annotated, Literal, final

from pydantic import Field

from embodied_gen.config import Block
from embodied_gen.demos.boxed_images import Axis, BoxedImages, values_of
from embodied_gen.images import photos, sets

Boxed = tuple[BoxedImages, tuple[str, ...]]
"""Images with boxes, and the names of their classes."""


class _DataBlock(Block):
    """Images with boxes, of which a part is learned from and another one tested on."""

    folder: str = Field(description="Folder of the images.")
    held_out: float = Field(0.05, ge=0, lt=1, description="Share of the training images held out of training.")
    mirrors: tuple[Axis, ...] = Field((), description="Axes along which training images are mirrored: x, y.")


@final
class RenderedBlock(_DataBlock):
    """A set that `embodied-gen collect` has rendered."""

    kind: Literal["rendered"] = "rendered"

    def training(self) -> Boxed:
        """Images to train on, with mirrors; see `images.sets.read` for what is raised."""
        examples, classes = self._part("train")
        return examples.with_mirrors(self.mirrors), classes

    def testing(self) -> Boxed:
        """Images to test on."""
        return self._part("test")

    def _part(self, part: str) -> Boxed:
        found, classes = sets.read(Path(self.folder), part)
        rows, columns = found.images.shape[1:3]
        values = values_of(found.boxes, found.labels, found.counts, rows=rows, columns=columns)
        images = found.images.permute(0, 3, 1, 2).contiguous()
        return BoxedImages(images, values, source=f"{self.folder}, {part}"), classes


@final
class PhotosBlock(_DataBlock):
    """Photographs with a table of boxes, as `images.photos` reads them."""

    kind: Literal["photos"] = "photos"
    size: tuple[Annotated[int, Field(ge=16)], Annotated[int, Field(ge=16)]] = Field(
        description="Width and height that all pictures are made [px]."
    )
    train: str = Field("train", description="Name of the list of images to train on.")
    test: str = Field("test", description="Name of the list of images to test on.")

    def training(self) -> Boxed:
        """Images to train on, with mirrors; see `images.photos.read_photos` for what is raised."""
        examples, classes = photos.read_photos(Path(self.folder), self.train, self.size)
        return examples.with_mirrors(self.mirrors), classes

    def testing(self) -> Boxed:
        """Images to test on."""
        return photos.read_photos(Path(self.folder), self.test, self.size)


BoxedBlock = Annotated[RenderedBlock | PhotosBlock, Field(discriminator="kind")]
