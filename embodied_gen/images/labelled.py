"""Images whose pixels have classes, with depth where a renderer or a sensor gave it."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from embodied_gen.images.surfaces import DepthPictures, observed

VOID = 255
"""Label of pixels without one, once they are read."""


@final
@dataclass(frozen=True)
class LabelledImages:
    """N images whose pixels have classes.

    Attributes:
        images: Colours, uint8, shape `(N, 3, H, W)`.
        labels: Classes, or `VOID`, uint8, shape `(N, H, W)`.
        source: Where they come from, for messages.
        surfaces: Their depth; None where it is not known.

    Raises:
        ValueError: If colours or labels have another type or shape.
    """

    images: Tensor
    labels: Tensor
    source: str
    surfaces: DepthPictures | None = None

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        fits = labels.ndim == 3 and images.shape == (len(labels), 3, *labels.shape[1:])
        if not fits or not images.dtype == labels.dtype == torch.uint8:
            raise ValueError(
                f"{self.source}: images and labels must be bytes, torch.uint8, of shapes (N, 3, H, W) and (N, H, W); "
                f"got {images.dtype} {tuple(images.shape)} and {labels.dtype} {tuple(labels.shape)}. "
                "Repeat the channel of a grey image three times, and multiply shares of colours by 255."
            )

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    def observed(self, index: Tensor | slice) -> Tensor:
        """What a segmenter sees of some images: colours, uint8 `(B, 3, H, W)`; with depth, `surfaces.observed`."""
        if self.surfaces is None:
            return self.images[index]
        return observed(self.images[index], self.surfaces.metres(index), self.surfaces.fov)

    def some(self, part: slice) -> "LabelledImages":
        """Some of the images."""
        surfaces = None if self.surfaces is None else replace(self.surfaces, depth=self.surfaces.depth[part])
        return replace(self, images=self.images[part], labels=self.labels[part], surfaces=surfaces)

    def to(self, device: torch.device | str) -> "LabelledImages":
        """The same images on a device."""
        surfaces = None if self.surfaces is None else replace(self.surfaces, depth=self.surfaces.depth.to(device))
        return replace(self, images=self.images.to(device), labels=self.labels.to(device), surfaces=surfaces)
