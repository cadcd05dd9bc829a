r"""The signature of networks that read a map in raster order: row after row, and each row from the left.

The output of a cell sees the cells before it, and neither itself nor a later one; it sees the features of its own
row's conditions and of those above. The work is split where drawing needs it split: `above` gives what a row gets from
the rows before it, once a row; `along` reads the row itself, once a cell. With h the features of a row, a^l what came
from above and gate(a, b) = tanh(a) sigmoid(b), the part along is a stack of masked convolutions over the row,

    h^0 = A * x                        mask A: cells strictly to the left
    h^l = h^{l-1} + P^l gate(B^l * h^{l-1} + a^l)        mask B: the cell itself, too
    u   = O relu(Q relu(h^L)),

where O starts at zero. Conditions enter through a^l.

Source: van den Oord et al. 2016, gated PixelCNN (arXiv:1606.05328).
"""

import abc
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.nets.base import require_positive, zero_


class RasterNet(nn.Module, abc.ABC):
    """A network over maps in which no cell sees itself or a later one.

    Args:
        channels_in: Numbers K of a cell, >= 1.
        channels_out: Numbers of an output, >= 1.
        context: Numbers F of the condition of a cell, >= 1.
        width: Features of a cell, >= 1.
        depth: Layers, >= 1.
        kernel: Cells under a convolution, odd, >= 3.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(self, *, channels_in: int, channels_out: int, context: int, width: int, depth: int, kernel: int):
        super().__init__()
        require_positive(channels_in=channels_in, channels_out=channels_out, context=context, width=width, depth=depth)
        if kernel < 3 or kernel % 2 == 0:
            raise ValueError(f"kernel must be odd and at least 3; got {kernel}.")
        self.channels_in, self.channels_out, self.context = channels_in, channels_out, context
        self.row = RowStack(channels_in, channels_out, width, depth, kernel // 2)

    @property
    @abc.abstractmethod
    def reach(self) -> int | None:
        """How many rows before its own a row gets something from; None where all of them."""

    @property
    def span(self) -> int:
        """How many cells before its own `along` reads of a row."""
        return self.row.span

    @abc.abstractmethod
    def above(self, x: Tensor, c: Tensor) -> Tensor:
        """What each row gets from the rows before it, and from conditions.

        Args:
            x: Maps, shape `(M, H, W, K)`, of any number of rows.
            c: Conditions, shape `(M, H, W, F)`.

        Returns:
            For `along`, shape `(M, H, W, A)`; row r is a function of rows before r alone of x.
        """

    def along(self, x: Tensor, above: Tensor) -> Tensor:
        """Reads rows from the left, `(N, W, K)` with what came from above, `(N, W, A)`; `(N, W, D_out)`."""
        return self.row(x, above)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """All cells at once; `(M, H, W, K)` and `(M, H, W, F)` to `(M, H, W, D_out)`.

        Raises:
            ValueError: If a shape is not the one above.
        """
        if x.ndim != 4 or x.shape[3] != self.channels_in:
            raise ValueError(f"x must have shape (M, H, W, {self.channels_in}); got {tuple(x.shape)}.")
        if c.shape != (*x.shape[:3], self.context):
            expected = (*x.shape[:3], self.context)
            raise ValueError(f"c must have shape {expected}; got {tuple(c.shape)}. Give each cell its condition.")
        outputs = self.along(x.flatten(0, 1), self.above(x, c).flatten(0, 1))
        return outputs.unflatten(0, x.shape[:2])


@final
class RowStack(nn.Module):
    """The part along a row.

    Args:
        channels_in, channels_out: Of a cell.
        width: Features.
        depth: Gated layers.
        side: Cells to the left under a convolution.
    """

    def __init__(self, channels_in: int, channels_out: int, width: int, depth: int, side: int):
        super().__init__()
        self.side = side
        self.first = nn.Conv1d(channels_in, width, side)
        self.layers = nn.ModuleList(nn.Conv1d(width, 2 * width, side + 1) for _ in range(depth))
        self.merges = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(depth))
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, channels_out)
        zero_(self.output)

    @property
    def span(self) -> int:
        """As many cells for each convolution along."""
        return self.side * (1 + len(self.layers))

    def forward(self, x: Tensor, above: Tensor) -> Tensor:
        """Rows `(N, W, K)` and what came from above, `(N, W, 2 width depth)`, to `(N, W, D_out)`."""
        h = self.first(functional.pad(x.transpose(1, 2), (self.side, -1)))  # one cell late: never the cell itself
        parts = above.transpose(1, 2).chunk(len(self.layers), 1)
        for layer, merge, part in zip(self.layers, self.merges, parts, strict=True):
            h = h + merge(gated(layer(functional.pad(h, (self.side, 0))) + part))
        h = functional.relu(h.transpose(1, 2))
        return self.output(functional.relu(self.hidden(h)))


def gated(h: Tensor) -> Tensor:
    """tanh(a) sigmoid(b) of features `(M, 2 F, ...)`, shape `(M, F, ...)`."""
    a, b = h.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)
