"""Image encoders: pictures become the levels of a feature pyramid, which are the context of a head.

The encoder runs once for an image, however many draws and steps of a sampler follow.
"""

from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.nets.pyramid import FeaturePyramid


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
        if images.dtype != torch.uint8:
            raise ValueError(
                f"images must be bytes from 0 to 255, torch.uint8; got {images.dtype}. "
                "Multiply shares by 255, round them, and convert with .to(torch.uint8)."
            )
        dtype = next(self.pyramid.parameters()).dtype
        levels = self.pyramid(images.to(dtype) / 127.5 - 1)
        return {f"level{i}": level for i, level in enumerate(levels)}
