r"""Recurrent rows: what a cell gets from above is the state of gated recurrent units that go down the map.

A row has a state s_r of F features a cell. With convolutions along the row,

    i_r = C * x_{r-1} + D c_r
    z, u = sigmoid(i_r^{z,u} + R^{z,u} * s_{r-1}),    n = tanh(i_r^n + R^n * (u s_{r-1}))
    s_r = (1 - z) s_{r-1} + z n,    a^l = E^l s_r,

so that a cell sees all rows above it, in a triangle that widens by half a kernel a row. See `raster` for the part
along the row.

Sources: van den Oord et al. 2016, Row LSTM (arXiv:1601.06759); gated recurrent units in the place of its memory cells
(Cho et al. 2014, arXiv:1406.1078).
"""

from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.nets.raster import RasterNet


@final
class RowRecurrentNet(RasterNet):
    """Gated recurrent units over rows.

    Args:
        channels_in: Numbers K of a cell, >= 1.
        channels_out: Numbers of an output, >= 1.
        context: Numbers F of the condition of a cell, >= 1.
        width: Features of a cell, >= 1.
        depth: Gated layers along the row, >= 1.
        kernel: Cells under a convolution, odd, >= 3.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(
        self, *, channels_in: int, channels_out: int, context: int, width: int = 32, depth: int = 2, kernel: int = 3
    ):
        super().__init__(
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=width,
            depth=depth,
            kernel=kernel,
        )
        self.width = width
        self.entering = nn.Conv1d(channels_in, 3 * width, kernel, padding="same")
        self.condition = nn.Linear(context, 3 * width, bias=False)
        self.gates = nn.Conv1d(width, 2 * width, kernel, padding="same", bias=False)
        self.renewal = nn.Conv1d(width, width, kernel, padding="same", bias=False)
        self.link = nn.Linear(width, 2 * width * depth)

    @property
    def reach(self) -> None:
        """All rows."""
        return

    def above(self, x: Tensor, c: Tensor) -> Tensor:
        """States after the rows before; shape `(M, H, W, 2 width depth)`."""
        before = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)
        entering = self.entering(before.flatten(0, 1).transpose(1, 2)).unflatten(0, x.shape[:2])
        entering = entering + self.condition(c).transpose(2, 3)
        state, states = x.new_zeros(x.shape[0], self.width, x.shape[2]), []
        for row in entering.unbind(1):
            gates, renewal = row.split([2 * self.width, self.width], 1)
            z, u = torch.sigmoid(gates + self.gates(state)).chunk(2, 1)
            state = (1 - z) * state + z * torch.tanh(renewal + self.renewal(u * state))
            states.append(state)
        return self.link(torch.stack(states, 1).transpose(2, 3))
