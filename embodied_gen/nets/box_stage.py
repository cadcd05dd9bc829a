r"""One stage of a box decoder: boxes look at the image and at one another, and are moved.

With f the features under a box (RoIAlign, s x s cells), b the box and h its token,

    h <- attend(h + A mean(f) + P b, e)                      attention among boxes, at time e
    h <- h + O flatten(silu(LN(silu(LN(f V_h)) W_h)))        two 1 x 1 convolutions by weights of the token
    h <- h + mlp(h, e)                                       of what is now known of the box, at time e
    p  = sigmoid(C h),   (dx, dy, dw, dh) = D h
    b <- (cx + w dx / 2, cy + h dy / 2, w exp(dw), h exp(dh))

Scores start at 1 / 100, as most boxes hold nothing, and boxes start where they are.

Sources: Sun et al. 2021 (Sparse R-CNN, arXiv:2011.12450) for the dynamic convolution; Chen et al. 2023 (DiffusionDet,
arXiv:2211.09788) for the order, time last; both parts of the block are those of `nets.transformer`.
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.nets.base import zero_
from embodied_gen.nets.roi_align import Pyramid, roi_align
from embodied_gen.nets.transformer import AttentionBlock

_GROWTH = 2.0  # largest |log| by which one stage changes a size
_PRIOR = 0.01  # of a score before training


@final
class BoxStage(nn.Module):
    """Moves boxes and scores them.

    Args:
        classes: K, >= 1.
        width: Features of a box and of a pixel of the pyramid, a multiple of `heads`.
        heads: Attention heads.
        dynamic: Features between the two dynamic convolutions.
        size: Cells s along a side under a box.
        points: Points along a side of a cell.
    """

    def __init__(self, *, classes: int, width: int, heads: int, dynamic: int, size: int, points: int) -> None:
        super().__init__()
        self.size, self.points, self.dynamic = size, points, dynamic
        self.look, self.place = nn.Linear(width, width), nn.Linear(4, width)
        self.block = AttentionBlock(width=width, heads=heads, expansion=4)
        self.weights = nn.Linear(width, 2 * width * dynamic)
        self.inner, self.outer = nn.LayerNorm(dynamic), nn.LayerNorm(width)
        self.merge = nn.Linear(size * size * width, width)
        self.scores = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, classes))
        self.deltas = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 4))
        self._start()

    def _start(self) -> None:
        """Scores start at the prior; each layer is named, as another may have as many outputs."""
        last, moves = self.scores[-1], self.deltas[-1]
        assert isinstance(last, nn.Linear) and isinstance(moves, nn.Linear)
        nn.init.constant_(last.bias, math.log(_PRIOR / (1 - _PRIOR)))
        zero_(moves)

    def forward(self, boxes: Tensor, h: Tensor, e: Tensor, pyramid: Pyramid) -> tuple[Tensor, Tensor, Tensor]:
        """One stage.

        Args:
            boxes: Middle and size, shares of the image, shape `(M, N, 4)`.
            h: Tokens of the boxes, shape `(M, N, F)`.
            e: Activated conditioning vector, shape `(M, F)`.
            pyramid: Of the M images.

        Returns:
            Boxes `(M, N, 4)`, scores in [0, 1] `(M, N, K)` and tokens; boxes and scores in single precision or more.
        """
        half = boxes[..., 2:] / 2
        ends = torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], -1)
        # What is seen has no slope in where it is seen. Where a training diverges its loss shall say so, and not an
        # index that is none.
        seen = roi_align(pyramid, ends.detach().nan_to_num(), size=self.size, points=self.points)
        modulation = self.block.modulated(e)
        h = self.block.attended(h + self.look(seen.mean(2)) + self.place(boxes), modulation)
        h = self.block.expanded(h + self._interact(h, seen), modulation)
        return _moved(boxes, self.deltas(h).to(boxes.dtype)), self.scores(h).to(boxes.dtype).sigmoid(), h

    def _interact(self, h: Tensor, seen: Tensor) -> Tensor:
        """The two dynamic convolutions of what lies under each box, `(M, N, F)`."""
        first, second = self.weights(h).chunk(2, -1)
        into, back = first.unflatten(-1, (-1, self.dynamic)), second.unflatten(-1, (self.dynamic, -1))
        mixed = functional.silu(self.inner(seen @ into))
        return self.merge(functional.silu(self.outer(mixed @ back)).flatten(2))


def _moved(boxes: Tensor, deltas: Tensor) -> Tensor:
    """Boxes moved by deltas, relative to their sizes."""
    middle = boxes[..., :2] + boxes[..., 2:] * deltas[..., :2] / 2
    return torch.cat([middle, boxes[..., 2:] * deltas[..., 2:].clamp(-_GROWTH, _GROWTH).exp()], -1)
