r"""Glimpses: a window of an image, of any place and size, as G x G cells; and back.

Along each axis a window of middle m and extent e [shares of the image] has G cells of stride d = e A / G pixels, of
which cell g lies at u_g = A (m + e ((g + 1/2) / G - 1/2)), and

    K_ga = exp(-(a + 1/2 - u_g)^2 / (2 s^2)),    s = max(d, 1) / 2    for pixel a of A.

Reading divides K by its sums over pixels: a cell is an average around its place, and zero far outside of the image.
Pasting divides it by its sums over cells, so that inside of the window a pixel is an average of the cells around it;
far outside it is zero, as is what a small constant under the division makes of it. Both are linear in what is read or
pasted and smooth in the window.

Source: Gregor et al. 2015 (DRAW, arXiv:1502.04623) for grids of Gaussian filters.
"""

from typing import final

import torch
from torch import Tensor

_UNSEEN = 1e-3  # sum of K over pixels below which a cell lies outside of the image
_UNREACHED = 0.05  # sum of K over cells below which a pixel lies outside of the window


@final
class Glimpse:
    """Windows of B images of H x W pixels.

    Args:
        boxes: Middle and size (cx, cy, w, h), shares of the image, shape `(B, 4)`.
        cells: G, >= 1.
        height, width: H and W.
    """

    def __init__(self, boxes: Tensor, *, cells: int, height: int, width: int):
        self._rows = _weights(boxes[:, 1], boxes[:, 3], cells, height)
        self._columns = _weights(boxes[:, 0], boxes[:, 2], cells, width)

    def read(self, images: Tensor) -> Tensor:
        """What the windows show of images, `(B, C, H, W)` to `(B, C, G, G)`."""
        rows, columns = (_shares(weights, 2, _UNSEEN).unsqueeze(1) for weights in (self._rows, self._columns))
        return rows @ images @ columns.mT

    def paste(self, cells: Tensor) -> Tensor:
        """Images that show cells in the windows and zero elsewhere, `(B, C, G, G)` to `(B, C, H, W)`."""
        rows, columns = (_shares(weights, 1, _UNREACHED).unsqueeze(1) for weights in (self._rows, self._columns))
        return rows.mT @ cells @ columns


def _weights(middle: Tensor, extent: Tensor, cells: int, pixels: int) -> Tensor:
    """K along one axis, `(B, G, A)`."""
    inside = (torch.arange(cells, device=middle.device, dtype=middle.dtype) + 0.5) / cells - 0.5
    places = pixels * (middle[:, None] + extent[:, None] * inside)
    deviation = (extent * pixels / cells).clamp(min=1) / 2
    pixel = torch.arange(pixels, device=middle.device, dtype=middle.dtype) + 0.5
    apart = (pixel - places.unsqueeze(2)) / deviation[:, None, None]
    return (-apart.square() / 2).exp()


def _shares(weights: Tensor, along: int, least: float) -> Tensor:
    return weights / (weights.sum(along, keepdim=True) + least)
