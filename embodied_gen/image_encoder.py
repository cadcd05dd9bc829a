"""Encoders of images, bytes 0..255: what becomes the context of a head.

An image encoder gives the levels of a feature pyramid; it runs once for an image, however many draws and steps of a
sampler follow. A picture encoder gives the image as the leaf `image`, in 0..255 as kernels of CRFs have their widths;
a surface encoder gives depth and normals beside it, as the leaves `depth` [m] and `normals`. A pixel encoder
standardises its colours, by the data's mean and deviation.
"""

from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.encoder import scale_of
from embodied_gen.nets.pyramid import FeaturePyramid

COLOURS = 3
SURFACES = {"image": COLOURS, "depth": 1, "normals": 3}
"""Leaves of what is seen of surfaces, and their channels, one after the other."""


@final
class ImageEncoder(nn.Module):
    """Pictures to a context of levels by name, the finest first.

    Args:
        pyramid: Reads images about [-1, 1].
    """

    def __init__(self, pyramid: FeaturePyramid):
        super().__init__()
        self.pyramid = pyramid

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Contexts of images.

        Args:
            images: Bytes 0..255, uint8, shape `(B, C, H, W)`.

        Returns:
            Features of each level, `(B, F, H_l, W_l)`.

        Raises:
            ValueError: If the type or the shape is another.
        """
        _check_bytes(images)
        dtype = next(self.pyramid.parameters()).dtype
        levels = self.pyramid(images.to(dtype) / 127.5 - 1)
        return {f"level{i}": level for i, level in enumerate(levels)}


@final
class PictureEncoder(nn.Module):
    """Images as they are, for networks and CRFs that read the leaf `image`.

    Args:
        colours: Channels C of an image.

    Attributes:
        size: C.
        width: C.
    """

    def __init__(self, colours: int):
        super().__init__()
        self.size = self.width = colours

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Contexts of images, bytes, uint8, shape `(B, C, H, W)`: the leaf `image`, 0..255, of the same shape.

        Raises:
            ValueError: If the type or the shape is another.
        """
        _check_bytes(images)
        if images.ndim != 4 or images.shape[1] != self.size:
            raise ValueError(f"images must have shape (B, {self.size}, H, W); got {tuple(images.shape)}.")
        return {"image": images.to(torch.get_default_dtype())}


@final
class SurfaceEncoder(nn.Module):
    """Images with depth and normals, for networks that read the leaf `image`, and CRFs that read any of them.

    Attributes:
        size: Channels of an observation, 7.
        width: Channels of the image, 3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size, self.width = sum(SURFACES.values()), COLOURS

    def forward(self, seen: Tensor) -> dict[str, Tensor]:
        """Contexts of what is seen, as `images.surfaces.observed` makes it, floating point, shape `(B, 7, H, W)`.

        Returns:
            Leaves `image`, 0..255, `(B, 3, H, W)`, `depth` [m], `(B, 1, H, W)`, and `normals`, `(B, 3, H, W)`.

        Raises:
            ValueError: If the type or the shape is another.
        """
        require_tensor(seen)
        if not seen.dtype.is_floating_point or seen.ndim != 4 or seen.shape[1] != self.size:
            raise ValueError(
                f"images with depth and normals must be floating point of shape (B, {self.size}, H, W); got "
                f"{seen.dtype} {tuple(seen.shape)}. Make them with images.surfaces.observed."
            )
        parts = seen.to(torch.get_default_dtype()).split(list(SURFACES.values()), 1)
        return dict(zip(SURFACES, parts, strict=True))


@final
class PixelEncoder(nn.Module):
    """Standardised colours of images.

    Args:
        size: Width and height of images [px].
        mean: Of each channel over the data, 0..255, shape `(C,)`.
        deviation: Of each channel, shape `(C,)`; a constant channel is only centred.

    Attributes:
        size: Numbers of a pixel, C.
        width: Channels of a context, C.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: tuple[int, int], mean: Tensor, deviation: Tensor):
        super().__init__()
        self.pixels = size
        self.size = self.width = len(mean)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", scale_of(mean, deviation))

    def forward(self, images: Tensor) -> Tensor:
        """Contexts of shape `(B, C, H, W)` from images, uint8, of shape `(B, H, W, C)`.

        Raises:
            ValueError: If the type or the shape is another.
        """
        _check_bytes(images)
        expected = (self.pixels[1], self.pixels[0], self.size)
        if images.ndim != 4 or tuple(images.shape[1:]) != expected:
            raise ValueError(
                f"images must have shape (B, {', '.join(map(str, expected))}), channels last; "
                f"got {tuple(images.shape)}."
            )
        return ((images.to(self.mean.dtype) - self.mean) / self.deviation).movedim(-1, 1)


def _check_bytes(images: Tensor) -> None:
    """Raises `ValueError` unless the values are bytes."""
    require_tensor(images)
    if images.dtype != torch.uint8:
        raise ValueError(
            f"images must be bytes from 0 to 255, torch.uint8; got {images.dtype}. "
            "Multiply shares by 255, round them, and convert with .to(torch.uint8)."
        )


def require_tensor(images: object) -> None:
    """Refuses what is no tensor, such as the arrays that readers of pictures give.

    Raises:
        ValueError: If images are no tensor.
    """
    if not isinstance(images, Tensor):
        raise ValueError(f"images must be a tensor; got {type(images).__name__}. Convert arrays with torch.from_numpy.")
