"""Examples of images with instance maps: what a segmenter of objects learns from."""

from typing import final

import torch
from torch import Tensor

from embodied_gen.demos.examples import Batch, Examples

_SOME = 64  # images of which colours are taken for statistics


@final
class InstanceExamples(Examples):
    """Images and their instance maps; nothing is padding.

    Args:
        images: Colours, uint8, shape `(N, H, W, 3)`.
        instances: 0 where there is no object, else its number in the image, integers, shape `(N, H, W)`.
        source: Where they come from, for messages.
        device: Where the data are kept.

    Raises:
        ValueError: If a type or a shape is wrong, or there is no image.
    """

    def __init__(self, images: Tensor, instances: Tensor, *, source: str, device: torch.device | str = "cpu"):
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) == 0:
            raise ValueError(
                f"{source}: images must be bytes, torch.uint8, of shape (N, H, W, 3) with N >= 1; got {images.dtype} "
                f"{tuple(images.shape)}."
            )
        if instances.dtype.is_floating_point or instances.shape != images.shape[:3]:
            raise ValueError(
                f"{source}: instances must be integers of shape {tuple(images.shape[:3])}; got {instances.dtype} "
                f"{tuple(instances.shape)}."
            )
        self.source = source
        self.images, self.instances = images.to(device), instances.to(device)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """Where the data are kept."""
        return self.images.device

    def batch(self, index: Tensor) -> Batch:
        """Images `(B, H, W, 3)`, instances `(B, H, W)` and valid pixels, which all are."""
        value = self.instances[index]
        return Batch(self.images[index], value, torch.ones_like(value, dtype=torch.bool))

    def values(self) -> Tensor:
        """All instance maps, on the CPU, `(N, H, W)`."""
        return self.instances.cpu()

    def observations(self) -> Tensor:
        """Colours of the pixels of images spread over all, 0..255, on the CPU, shape `(P, 3)`."""
        some = self.images[:: max(1, len(self) // _SOME)]
        return some.flatten(0, 2).cpu().to(torch.get_default_dtype())

    def place(self, example: int) -> tuple[int, int]:
        """The number of the image, and zero."""
        return example, 0

    def split(self, share: float) -> tuple["InstanceExamples", "InstanceExamples | None"]:
        """All but the last images, and those, which are a share of all; None where that is none of them."""
        kept = len(self) - round(share * len(self))
        first, last = ((self.images[part], self.instances[part]) for part in (slice(kept), slice(kept, None)))
        rest = InstanceExamples(*last, source=self.source, device=self.device) if kept < len(self) else None
        return InstanceExamples(*first, source=self.source, device=self.device), rest


def shrunk(images: Tensor, instances: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Images and instance maps of a size that theirs is a multiple of: means of colours, and labels of middles.

    Args:
        images: Colours, uint8, shape `(N, H, W, 3)`.
        instances: Shape `(N, H, W)`; objects may vanish, and the numbers of the others stay.
        size: Width and height [px].

    Raises:
        ValueError: If it is no whole number of times smaller, by the same number along both sides.
    """
    return means(images, size), middles(instances, size)


def means(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images, uint8 `(N, H, W, 3)`, of a width and height [px] that theirs are a multiple of; see `shrunk`."""
    factor = _factor(images, size)
    if factor == 1:
        return images
    blocks = images.unflatten(1, (-1, factor)).unflatten(3, (-1, factor))
    return torch.cat([part.float().mean((2, 4)).round().to(torch.uint8) for part in blocks.split(256)])


def middles(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Values that maps `(N, H, W)` have in the middle of each new pixel, of that width and height; see `shrunk`."""
    factor = _factor(maps, size)
    return maps if factor == 1 else maps[:, factor // 2 :: factor, factor // 2 :: factor].contiguous()


def _factor(maps: Tensor, size: tuple[int, int]) -> int:
    """How many times smaller a size is along both sides."""
    height, width = maps.shape[1:3]
    factor = max(width // size[0], 1)
    if (size[0] * factor, size[1] * factor) != (width, height):
        raise ValueError(
            f"images of {width} x {height} pixels can be made smaller by a whole number alone; got "
            f"{size[0]} x {size[1]}. Set control.size to the images' size over a whole number."
        )
    return factor
