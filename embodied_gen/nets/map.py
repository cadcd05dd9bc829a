r"""Networks over maps: layers of features in, numbers of cells out.

    linear          u_i = W f_i                            no constant: give the map a layer of ones for one
    cells           u_i = MLP(f_i)                         the same for every cell, 1 x 1 convolutions
    convolutions    h^l = h^(l-1) + B^l * silu(A^l * silu(h^(l-1))),    u = O h^L

and `Positive` over any of them, u -> floor + softplus(u). Maps may have any height and width, and what is learned on
one serves another; beyond the rim convolutions read the cells of the rim.

Sources: Wulfmeier et al. 2015 (arXiv:1507.04888) for networks of 1 x 1 and of wider convolutions as costs of cells.
"""

import abc
from typing import final

from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.nets.base import require_positive


class MapNet(nn.Module, abc.ABC):
    """A network over maps.

    Args:
        channels_in: Layers C of a map, >= 1.
        channels_out: Numbers K of a cell, >= 1.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(self, *, channels_in: int, channels_out: int):
        super().__init__()
        require_positive(channels_in=channels_in, channels_out=channels_out)
        self.channels_in, self.channels_out = channels_in, channels_out

    def forward(self, layers: Tensor) -> Tensor:
        """Layers `(B, C, H, W)` to numbers of cells `(B, K, H, W)`.

        Raises:
            ValueError: If the shape is another.
        """
        if layers.ndim != 4 or layers.shape[1] != self.channels_in:
            raise ValueError(f"layers must have shape (B, {self.channels_in}, H, W); got {tuple(layers.shape)}.")
        return self._numbers(layers)

    @abc.abstractmethod
    def _numbers(self, layers: Tensor) -> Tensor:
        """What a kind of network writes."""


@final
class LinearMap(MapNet):
    """One weight for each layer, which start at zero.

    Args:
        channels_in: Layers C of a map, >= 1.
        channels_out: Numbers K of a cell, >= 1.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(self, *, channels_in: int, channels_out: int = 1):
        super().__init__(channels_in=channels_in, channels_out=channels_out)
        self.weights = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        nn.init.zeros_(self.weights.weight)

    def _numbers(self, layers: Tensor) -> Tensor:
        return self.weights(layers)


@final
class CellMLP(MapNet):
    """The same MLP for every cell.

    Args:
        channels_in: Layers C of a map, >= 1.
        channels_out: Numbers K of a cell, >= 1.
        width: Hidden features, >= 1.
        depth: Hidden layers, >= 1.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(self, *, channels_in: int, channels_out: int = 1, width: int = 32, depth: int = 2):
        super().__init__(channels_in=channels_in, channels_out=channels_out)
        require_positive(width=width, depth=depth)
        self.first = nn.Conv2d(channels_in, width, 1)
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(depth - 1))
        self.last = nn.Conv2d(width, channels_out, 1)

    def _numbers(self, layers: Tensor) -> Tensor:
        h = functional.silu(self.first(layers))
        for layer in self.layers:
            h = functional.silu(layer(h))
        return self.last(h)


@final
class ConvMap(MapNet):
    """Residual convolutions, which see the neighbourhood of a cell.

    Args:
        channels_in: Layers C of a map, >= 1.
        channels_out: Numbers K of a cell, >= 1.
        width: Features of a cell, >= 1.
        depth: Residual blocks, >= 1; a cell sees 1 + 2 depth (kernel - 1) + kernel - 1 cells across.
        kernel: Cells under a convolution, odd.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(self, *, channels_in: int, channels_out: int = 1, width: int = 16, depth: int = 2, kernel: int = 3):
        super().__init__(channels_in=channels_in, channels_out=channels_out)
        require_positive(width=width, depth=depth, kernel=kernel)
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd; got {kernel}.")

        def convolution(channels: int) -> nn.Conv2d:
            return nn.Conv2d(channels, width, kernel, padding=kernel // 2, padding_mode="replicate")

        self.first = convolution(channels_in)
        self.inner = nn.ModuleList(convolution(width) for _ in range(depth))
        self.outer = nn.ModuleList(convolution(width) for _ in range(depth))
        self.last = nn.Conv2d(width, channels_out, 1)

    def _numbers(self, layers: Tensor) -> Tensor:
        h = self.first(layers)
        for inner, outer in zip(self.inner, self.outer, strict=True):
            h = h + outer(functional.silu(inner(functional.silu(h))))
        return self.last(h)


@final
class Positive(MapNet):
    """Numbers of another network made positive, floor + softplus(u).

    Args:
        net: The other.
        floor: Least number, >= 0. Paths of all lengths have a finite sum for certain where the floor of a move's cost
            is the logarithm of the number of moves.

    Raises:
        ValueError: If the floor is negative.
    """

    def __init__(self, net: MapNet, *, floor: float = 0.0):
        super().__init__(channels_in=net.channels_in, channels_out=net.channels_out)
        if not 0 <= floor < float("inf"):
            raise ValueError(f"floor must be at least 0 and finite; got {floor}.")
        self.net, self.floor = net, floor

    def _numbers(self, layers: Tensor) -> Tensor:
        return self.floor + functional.softplus(self.net(layers))
