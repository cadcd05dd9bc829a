r"""RoIAlign: what lies under a box, on a grid of fixed size, from the level of a pyramid that suits its size.

A box is cut into s x s cells, and each cell read at r x r points, bilinearly between the middles of pixels; a cell is
the mean of its points. So what is read of an image that is linear in the place is exact. Beyond the middles of the
pixels at the rim the rim is read. A box of w x h shares of an image is read at level

    l = round(log2(sqrt(w h) A / s)),    confined to the levels there are,

where A is the geometric mean of the rows and columns of the finest level, so that a cell of the grid is about a pixel
of the level.

All levels lie in one table of pixels, and a cell is one weighted sum of 4 r^2 of its rows: one call reads all boxes of
all images at all levels, and is differentiable in the table and in the boxes.

Sources: He et al. 2017 (arXiv:1703.06870) for RoIAlign; Lin et al. 2017 (arXiv:1612.03144) for the choice of a level.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Pyramid(NamedTuple):
    """All levels of B pyramids as one table.

    Attributes:
        table: Pixels of all levels of all images, image by image, shape `(B P, C)`.
        sizes: Rows and columns of each level, int64, shape `(L, 2)`.
        starts: First pixel of each level in an image, int64, shape `(L,)`.
        pixels: P, of all levels of an image.
    """

    table: Tensor
    sizes: Tensor
    starts: Tensor
    pixels: int


def pyramid_of(levels: Sequence[Tensor]) -> Pyramid:
    """A table of levels `(B, C, H_l, W_l)`, the finest first."""
    device = levels[0].device
    table = torch.cat([level.flatten(2) for level in levels], 2)
    counts = [level.shape[2] * level.shape[3] for level in levels]
    starts = [sum(counts[:i]) for i in range(len(counts))]
    return Pyramid(
        table.transpose(1, 2).flatten(0, 1),
        torch.tensor([list(level.shape[2:]) for level in levels], device=device),
        torch.tensor(starts, device=device),
        sum(counts),
    )


def roi_align(pyramid: Pyramid, boxes: Tensor, *, size: int = 7, points: int = 2) -> Tensor:
    """What lies under boxes.

    Args:
        pyramid: Of B images.
        boxes: Corners (x0, y0, x1, y1), shares of the image, finite, shape `(B, N, 4)`.
        size: Cells s along a side.
        points: Points r along a side of a cell.

    Returns:
        Shape `(B, N, s s, C)`, row after row.
    """
    level = _level(pyramid, boxes, size)
    rows, columns = pyramid.sizes[level].unbind(-1)  # (B, N)
    along = (torch.arange(size * points, device=boxes.device, dtype=boxes.dtype) + 0.5) / (size * points)
    x, right = _between(boxes[..., 0:1], boxes[..., 2:3], along, columns)
    y, down = _between(boxes[..., 1:2], boxes[..., 3:4], along, rows)
    first = pyramid.starts[level] + pyramid.pixels * torch.arange(len(boxes), device=boxes.device).unsqueeze(1)
    index, weight = _corners(first, columns, (x, right), (y, down), rows)
    bags = (*boxes.shape[:2], size * size, 4 * points * points)
    index, weight = (_by_cell(part, size, points).reshape(-1, bags[3]) for part in (index, weight))
    weight = weight.to(pyramid.table.dtype) / points**2
    read = functional.embedding_bag(index, pyramid.table, mode="sum", per_sample_weights=weight)
    return read.view(*bags[:3], -1)


def _level(pyramid: Pyramid, boxes: Tensor, size: int) -> Tensor:
    """The level that each box is read at, int64, `(B, N)`."""
    with torch.no_grad():
        sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-6)
        across = pyramid.sizes[0].prod().to(boxes.dtype).sqrt()
        wanted = (sides.prod(-1).sqrt() * across / size).log2().round()
        return wanted.clamp(0, len(pyramid.sizes) - 1).long()


def _between(low: Tensor, high: Tensor, along: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """The pixel before each point of an axis, int64, and how far the point is towards the next; `(B, N, s r)`."""
    last = (count - 1).unsqueeze(-1).to(along.dtype)
    at = (low + (high - low) * along) * count.unsqueeze(-1) - 0.5
    at = torch.minimum(at.clamp(min=0), last)
    before = torch.minimum(at.detach().floor(), (last - 1).clamp(min=0))
    return before.long(), at - before


def _corners(
    first: Tensor, columns: Tensor, x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor], rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Rows of the table and weights of the four pixels around all points, `(B, N, s r, s r, 4)`."""
    (left, right), (up, down) = x, y
    # A level of one column has no pixel to the right of it, and needs none: its share is zero.
    step_x = (columns > 1).long()[..., None, None]
    step_y = (columns * (rows > 1))[..., None, None]
    corner = first[..., None, None] + up.unsqueeze(-1) * columns[..., None, None] + left.unsqueeze(-2)
    index = torch.stack([corner, corner + step_x, corner + step_y, corner + step_x + step_y], -1)
    a, b = right.unsqueeze(-2), down.unsqueeze(-1)
    weight = torch.stack([(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b], -1)
    return index, weight


def _by_cell(points: Tensor, size: int, count: int) -> Tensor:
    """Numbers of points `(B, N, s r, s r, 4)` by the cell that they lie in, `(B, N, s, s, r r 4)`."""
    cells = points.unflatten(3, (size, count)).unflatten(2, (size, count))  # (B, N, s, r, s, r, 4)
    return cells.transpose(3, 4).flatten(4)
