r"""Kernels of a dense CRF: what makes two pixels alike.

    k(i, j) = exp(-|p_i - p_j|^2 / (2 a^2) - sum_c (g_ic - g_jc)^2 / (2 b_c^2))

with positions p in pixels and guide channels g of any kind: colours, depth, normals. Without guide channels it is the
smoothness kernel, with them the appearance kernel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class Kernel:
    """The widths of a kernel.

    Attributes:
        position: a [pixels], > 0.
        guide: b of each guide channel in its own unit, > 0; none for a kernel of positions alone.

    Raises:
        ValueError: If a width is not positive and finite.
    """

    position: float
    guide: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not all(0 < width < math.inf for width in (self.position, *self.guide)):
            raise ValueError(
                f"widths of a kernel must be positive and finite; got position {self.position}, guide {self.guide}."
            )


# The usual kernels for photographs in 0..255, and their weights.
PHOTOGRAPH = (Kernel(3.0), Kernel(80.0, (13.0, 13.0, 13.0)))
PHOTOGRAPH_WEIGHTS = (3.0, 10.0)


@final
@dataclass(frozen=True)
class Points:
    """The pixels of B images as points of a kernel's feature space.

    Attributes:
        features: In deviations, shape `(B, P, d)`; positions first, equal for all images.
        grid: Height and width, P in all.
        position: The width of positions [pixels], a scalar.
    """

    features: Tensor
    grid: tuple[int, int]
    position: Tensor

    @property
    def plain(self) -> bool:
        """Whether positions are all."""
        return self.features.shape[2] == 2

    @classmethod
    def of(cls, guide: Tensor, widths: Tensor) -> "Points":
        """The points of images.

        Args:
            guide: Guide channels, shape `(B, C, H, W)`.
            widths: Of positions, and of the guide channels, shape `(1 + C,)`; `(1,)` for positions alone.
        """
        height, width = guide.shape[2:]
        places = (positions(height, width, guide) / widths[0]).expand(len(guide), -1, -1)
        if len(widths) == 1:
            return cls(places, (height, width), widths[0])
        channels = guide.flatten(2).transpose(1, 2) / widths[1:]
        return cls(torch.cat([places, channels], 2), (height, width), widths[0])


def positions(height: int, width: int, like: Tensor) -> Tensor:
    """Columns and rows of pixels [pixels], row by row, shape `(1, H W, 2)`."""
    y = torch.arange(height, dtype=like.dtype, device=like.device).view(-1, 1).expand(height, width)
    x = torch.arange(width, dtype=like.dtype, device=like.device).expand(height, width)
    return torch.stack([x, y], -1).view(1, -1, 2)


def require_guide(guide: Tensor, channels: int, images: int, grid: Sequence[int]) -> None:
    """Refuses guide images that do not fit.

    Raises:
        ValueError: If the dtype or the shape is wrong, or a number is not finite.
    """
    if not guide.dtype.is_floating_point:
        raise ValueError(f"guide channels must be floating point; got {guide.dtype}. Convert the image with .float().")
    expected = (images, channels, *grid)
    if tuple(guide.shape) != expected:
        raise ValueError(
            f"guide channels must have shape (B, C, H, W) = {expected}, one for each width of the kernels; "
            f"got {tuple(guide.shape)}."
        )
    if not bool(guide.isfinite().all()):
        image = int(guide.isfinite().flatten(1).all(1).logical_not().nonzero()[0])
        raise ValueError(
            f"guide channels must be finite; image {image} has some that are not. Fill the holes of depth and normals."
        )
