r"""Masked convolutions over maps: what a cell gets from above comes from a stack of its own, without a blind spot.

The vertical stack sees whole rows before that of a cell: with x shifted down by one row, and convolutions over the row
and those above it (half of an odd kernel), v[r] is a function of rows before r,

    v^0 = C^0 * shift(x),    v^l = v^{l-1} + gate(C^l * v^{l-1} + D^l c),    a^l = E^l v^l.

Its field widens to both sides, row by row: a single stack of masked convolutions would never see some of the cells up
and to the right. See `raster` for the part along the row.

Source: van den Oord et al. 2016, gated PixelCNN (arXiv:1606.05328).
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.nets.raster import RasterNet, gated


@final
class MaskedConvNet(RasterNet):
    """Gated PixelCNN.

    Args:
        channels_in: Numbers K of a cell, >= 1.
        channels_out: Numbers of an output, >= 1.
        context: Numbers F of the condition of a cell, >= 1.
        width: Features of a cell, >= 1.
        depth: Gated layers of both stacks, >= 1.
        kernel: Cells under a convolution, odd, >= 3.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(
        self, *, channels_in: int, channels_out: int, context: int, width: int = 32, depth: int = 4, kernel: int = 3
    ):
        super().__init__(
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=width,
            depth=depth,
            kernel=kernel,
        )
        self.side = kernel // 2
        size = (self.side + 1, kernel)
        self.first = nn.Conv2d(channels_in, width, size)
        self.layers = nn.ModuleList(nn.Conv2d(width, 2 * width, size) for _ in range(depth))
        self.conditions = nn.ModuleList(nn.Conv2d(context, 2 * width, 1, bias=False) for _ in range(depth))
        self.links = nn.ModuleList(nn.Conv2d(width, 2 * width, 1, bias=False) for _ in range(depth))

    @property
    def reach(self) -> int:
        """One row for the shift, and half a kernel for each convolution."""
        return 1 + self.side * (1 + len(self.layers))

    def above(self, x: Tensor, c: Tensor) -> Tensor:
        """The vertical stack; shape `(M, H, W, 2 width depth)`."""
        x, c = x.permute(0, 3, 1, 2), c.permute(0, 3, 1, 2)
        v = self.first(self._padded(functional.pad(x, (0, 0, 1, -1))))
        parts = []
        for layer, condition, link in zip(self.layers, self.conditions, self.links, strict=True):
            v = v + gated(layer(self._padded(v)) + condition(c))
            parts.append(link(v))
        return torch.cat(parts, 1).permute(0, 2, 3, 1)

    def _padded(self, v: Tensor) -> Tensor:
        """Zeros to both sides and above."""
        return functional.pad(v, (self.side, self.side, self.side, 0))
