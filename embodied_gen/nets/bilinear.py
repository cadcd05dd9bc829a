r"""Bilinear reading of grids: what lies between four numbers is their mean, weighted by how near each is.

    v(a, b) = (1 - a) (1 - b) v_00 + a (1 - b) v_01 + (1 - a) b v_10 + a b v_11,        0 <= a, b <= 1

It is continuous, equal to the grid's numbers at its nodes, and differentiable but on the lines between nodes.
"""

from torch import Tensor
from torch.nn import functional


def bilinear(values: Tensor, at: Tensor) -> Tensor:
    """Grids read at points.

    Args:
        values: Finite, shape `(R, H, W)`.
        at: Column and row, -1 at the first node of an axis and 1 at its last, shape `(R, P, 2)`; beyond, the rim is
            read. The same dtype and device as the values.

    Returns:
        Shape `(R, P)`; differentiable in both.
    """
    read = functional.grid_sample(
        values.unsqueeze(1), at.unsqueeze(1), mode="bilinear", padding_mode="border", align_corners=True
    )
    return read[:, 0, 0]
