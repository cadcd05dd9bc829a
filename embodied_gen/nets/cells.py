"""Networks over chunks as networks over maps: cells are steps, row after row."""

from typing import final

from torch import Tensor, nn

from embodied_gen.nets.base import Net


@final
class OverCells(nn.Module):
    """A network u(x, t, c) over maps of H x W cells.

    Args:
        net: Over chunks of H W steps.
        height, width: H and W.

    Raises:
        ValueError: If the network is one of another number of steps.
    """

    def __init__(self, net: Net, *, height: int, width: int):
        super().__init__()
        if net.horizon != height * width:
            raise ValueError(f"the network must have horizon {height} * {width}; got {net.horizon}.")
        self.net, self.cells = net, (height, width)

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """Maps `(M, H, W, D_in)`, times `(M,)` and contexts to `(M, H, W, D_out)`."""
        return self.net(x.flatten(1, 2), t, c).unflatten(1, self.cells)
