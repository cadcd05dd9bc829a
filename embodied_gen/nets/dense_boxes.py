r"""Dense boxes: one box for every pixel of a feature pyramid, in one stage.

Convolutions shared by all levels give each pixel scores of K classes and four numbers,

    (cx, cy) = middle of the pixel + (a, b) / (W_l, H_l),    (w, h) = 4 g_l (exp(d) / W_l, exp(e) / H_l),

with one learned factor g_l a level. The set that the network estimates is that of all boxes, so that it has as many
slots as the pyramid has pixels. It reads nothing of x but its size.

Sources: Tian et al. 2019 (FCOS, arXiv:1904.01355); Ge et al. 2021 (YOLOX, arXiv:2107.08430), which is trained by the
same matching.
"""

import math
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.nets.base import require_positive
from embodied_gen.nets.box_decoder import require_levels

_PRIOR = 0.01  # of a score before training
_LIMIT = 4.0  # largest |log| of a size, in four pixels of its level


@final
class DenseBoxes(nn.Module):
    """A network u(x, t, c) over sets of boxes that estimates one for each pixel of the pyramid c.

    Args:
        classes: K, >= 1.
        levels: Of the pyramid, >= 1.
        width: Features of a pixel of the pyramid, a multiple of 8.
        depth: Convolutions before the last, >= 1.
        signal: Scale s of model units.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(self, *, classes: int, levels: int, width: int = 64, depth: int = 2, signal: float = 2.0) -> None:
        super().__init__()
        require_positive(classes=classes, levels=levels, width=width, depth=depth)
        if width % 8:
            raise ValueError(f"width must be a multiple of 8, for groups of channels; got {width}.")
        self.classes, self.width, self.signal = classes, width, signal
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(width // 8, width), nn.SiLU()]
        self.tower = nn.Sequential(*layers)
        self.scores, self.sides = nn.Conv2d(width, classes, 3, padding=1), nn.Conv2d(width, 4, 3, padding=1)
        self.factors = nn.Parameter(torch.zeros(levels))  # log g_l
        nn.init.constant_(_bias(self.scores), math.log(_PRIOR / (1 - _PRIOR)))

    def forward(self, x: Tensor, t: Tensor, c: Mapping[str, Tensor]) -> Tensor:
        """The boxes of all pixels.

        Args:
            x: Sets in model units, shape `(M, N, 4 + K)`; only their size is read.
            t: Not read.
            c: Levels of a pyramid, the finest first, each `(M, F, H_l, W_l)`.

        Returns:
            Model units, the shape of x.

        Raises:
            ValueError: If a shape does not fit, or N is not the number of pixels.
        """
        require_levels(c, len(x), self.width)
        levels = list(c.values())
        pixels = sum(level.shape[2] * level.shape[3] for level in levels)
        if len(levels) != len(self.factors) or x.shape[1:] != (pixels, 4 + self.classes):
            raise ValueError(
                f"x must have shape (M, {pixels}, {4 + self.classes}), a slot for each pixel of {len(self.factors)} "
                f"levels; got {tuple(x.shape)} for {len(levels)}. Build the event with that many slots."
            )
        pairs = zip(levels, self.factors, strict=True)
        y = torch.cat([self._boxes(level, factor, x.dtype) for level, factor in pairs], 1)
        return self.signal * (2 * y - 1)

    def _boxes(self, level: Tensor, factor: Tensor, dtype: torch.dtype) -> Tensor:
        """Boxes and scores of one level in physical units, `(M, H W, 4 + K)`."""
        h = self.tower(level)
        sides, scores = (of(h).flatten(2).transpose(1, 2).to(dtype) for of in (self.sides, self.scores))
        rows, columns = level.shape[2:]
        count = sides.new_tensor([columns, rows])
        down, right = (torch.arange(size, device=h.device, dtype=dtype) + 0.5 for size in (rows, columns))
        middle = torch.stack(torch.meshgrid(right, down, indexing="xy"), -1).flatten(0, 1)
        size = 4 * (factor + sides[..., 2:].clamp(-_LIMIT, _LIMIT)).exp()
        return torch.cat([(middle + sides[..., :2]) / count, size / count, scores.sigmoid()], -1)


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
