r"""An energy of trajectories: a learned cost of places, read bilinearly and integrated along the way.

    u_k = mean over j = 1 .. n of m(x_{k-1} + j / n (x_k - x_{k-1})) + w |x_k - x_{k-1}|^2,        u_1 = m(x_1),

with m the map that a network makes of layers of features and w > 0 learned too. Summed over steps this is what a
trajectory of steps of equal duration costs, and with it an energy of trajectories:

    E(x) = sum_k u_k,        slope of -log p(x)  =  what the trajectory meets  -  what trajectories of exp(-E) meet,

maximum entropy for trajectories that are not bound to cells, by draws where paths over cells have a backup.

Positions are the event's model units: the map must cover the event's bounds, row 0 at the low end of the second
channel and column 0 at that of the first, which are the rows and columns of paths over a map. Beyond, the rim is read.
A bilinear reading has no second slopes in x, which objectives of score matching would need.
"""

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.nets.base import require_positive
from embodied_gen.nets.bilinear import bilinear
from embodied_gen.nets.map import MapNet


@final
class AlongMap(nn.Module):
    """A network u(x, t, c) with one channel out, for an energy of trajectories in the plane.

    Args:
        net: Makes a map of the leaf `layers` of the context, with one number of a cell.
        between: n, points that are read of each step, >= 1.
        roughness: w at first, > 0.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, net: MapNet, *, between: int = 2, roughness: float = 1.0):
        super().__init__()
        require_positive(between=between)
        if net.channels_out != 1:
            raise ValueError(f"a cost along a way needs one number of a cell; got {net.channels_out}.")
        if not roughness > 0:
            raise ValueError(f"roughness must be positive; got {roughness}.")
        self.net, self.between = net, between
        self.log_roughness = nn.Parameter(torch.tensor(roughness).log())

    def forward(self, x: Tensor, t: Tensor, c: Mapping[str, Tensor]) -> Tensor:
        """Costs of steps: `under` what is read of each row's context.

        Args:
            x: Trajectories, model units, shape `(M, T, 2)`.
            t: Not read.
            c: With the leaf `layers`, shape `(M, C, H, W)`.

        Returns:
            Shape `(M, T, 1)`.

        Raises:
            ValueError: If a shape is another.
        """
        return self.under(x, t, self.read(c))

    def read(self, c: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The map of each context: of the leaf `layers` `(B, C, H, W)` the leaf `cells` `(B, H, W)`."""
        return {"cells": self.net(c["layers"])[:, 0]}

    def under(self, x: Tensor, t: Tensor, read: Mapping[str, Tensor]) -> Tensor:
        """As `forward`, of maps with the leaf `cells`, shape `(M, H, W)`."""
        if x.ndim != 3 or x.shape[2] != 2:
            raise ValueError(f"trajectories in the plane must have shape (M, T, 2); got {tuple(x.shape)}.")
        steps = x.diff(dim=1)
        shares = torch.arange(1, self.between + 1, device=x.device).to(x) / self.between
        points = x[:, :-1, None] + shares[:, None] * steps.unsqueeze(2)  # (M, T - 1, n, 2)
        met = _met(torch.cat([x[:, :1], points.flatten(1, 2)], 1), read["cells"])
        along = met[:, 1:].unflatten(1, points.shape[1:3]).mean(2) + self.log_roughness.exp() * steps.square().sum(2)
        return torch.cat([met[:, :1], along], 1).unsqueeze(-1)


def _met(points: Tensor, cells: Tensor) -> Tensor:
    """Maps `(M, H, W)` at points, `(M, P, 2)` to `(M, P)`."""
    count = points.new_tensor([cells.shape[2], cells.shape[1]])
    # From edges to the outermost centres.
    return bilinear(cells.to(points.dtype), points * count / (count - 1).clamp(min=1))
