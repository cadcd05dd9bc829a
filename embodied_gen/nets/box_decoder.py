r"""Box decoders: from boxes and an image to better boxes, in a cascade of stages of which each is trained.

All are networks u(x, t, c) over sets of boxes in model units, x = s (2 y / e - 1) with y the box (cx, cy, w, h) and the
scores of K classes, e the extent of sizes and one for the others, and c the levels of a feature pyramid. `BoxDecoder`
starts from the boxes of x, whatever their number, and does not read its scores; `BoxQueries` starts from N boxes that
it has learned, at first as large as noise is (a quarter to three quarters of the extent), and reads nothing of x.
Boxes are passed on from stage to stage without a slope, so that each stage is trained to improve the boxes that it
gets.

Sources: Chen et al. 2023 (DiffusionDet, arXiv:2211.09788); Sun et al. 2021 (Sparse R-CNN, arXiv:2011.12450).
"""

import abc
from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.nets.base import require_heads, require_positive
from embodied_gen.nets.box_stage import BoxStage
from embodied_gen.nets.roi_align import pyramid_of
from embodied_gen.nets.time import TimeEmbedding

_LEAST, _MOST = 1e-3, 2.0  # sizes of boxes that are looked at, shares of the image


class BoxCascade(nn.Module, abc.ABC):
    """Stages that move boxes.

    Args:
        classes: K, >= 1.
        width: Features of a box and of a pixel of the pyramid, a multiple of `heads`.
        depth: Stages S, >= 1.
        heads: Attention heads.
        dynamic: Features between the dynamic convolutions of a stage.
        size: Cells along a side under a box.
        points: Points along a side of a cell.
        signal: Scale s of model units.
        extent: Width and height e of sizes in model units, shares of the image, those of the event.

    Raises:
        ValueError: If a size is out of its range.
    """

    extent: Tensor

    def __init__(
        self,
        *,
        classes: int,
        width: int = 64,
        depth: int = 3,
        heads: int = 4,
        dynamic: int = 16,
        size: int = 5,
        points: int = 1,
        signal: float = 2.0,
        extent: Sequence[float] = (1.0, 1.0),
    ) -> None:
        super().__init__()
        require_positive(
            classes=classes, width=width, depth=depth, heads=heads, dynamic=dynamic, size=size, points=points
        )
        require_heads(width, heads)
        if not signal > 0:
            raise ValueError(f"signal must be positive; got {signal}.")
        if len(extent) != 2 or not all(side > 0 for side in extent):
            raise ValueError(f"extent must be a width and a height, both positive; got {list(extent)}.")
        self.classes, self.width, self.signal = classes, width, signal
        self.register_buffer("extent", torch.tensor([1.0, 1.0, *extent]))
        self.embed = TimeEmbedding(width=width, context=0)
        self.cascade = nn.ModuleList(
            BoxStage(classes=classes, width=width, heads=heads, dynamic=dynamic, size=size, points=points)
            for _ in range(depth)
        )

    @abc.abstractmethod
    def start(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (shares of the image, `(M, N, 4)`) and tokens `(M, N, F)` of the first stage, for sets x."""

    def forward(self, x: Tensor, t: Tensor, c: Mapping[str, Tensor]) -> Tensor:
        """The sets of the last stage, of the shape of x; see `stages`."""
        return self.stages(x, t, c)[-1]

    def stages(self, x: Tensor, t: Tensor, c: Mapping[str, Tensor]) -> Tensor:
        """The sets of all stages.

        Args:
            x: Sets in model units, shape `(M, N, 4 + K)`.
            t: Time in [0, 1], shape `(M,)`.
            c: Levels of a pyramid, the finest first, each `(M, F, H_l, W_l)`.

        Returns:
            Model units, shape `(S, M, N, 4 + K)`.

        Raises:
            ValueError: If a shape does not fit.
        """
        self._check(x, t, c)
        pyramid = pyramid_of(list(c.values()))
        e = functional.silu(self.embed(t, t.new_zeros(len(t), 0)))
        boxes, h = self.start(x)
        found = []
        for stage in self.cascade:
            looked = torch.cat([boxes[..., :2].clamp(0, 1), boxes[..., 2:].clamp(_LEAST, _MOST)], -1)
            boxes, scores, h = stage(looked, h, e, pyramid)
            found.append(self.signal * (2 * torch.cat([boxes / self.extent, scores], -1) - 1))
            boxes = boxes.detach()
        return torch.stack(found)

    def _check(self, x: Tensor, t: Tensor, c: Mapping[str, Tensor]) -> None:
        if x.ndim != 3 or x.shape[2] != 4 + self.classes or t.shape != x.shape[:1]:
            raise ValueError(
                f"x and t must have shapes (M, N, {4 + self.classes}) and (M,); got {tuple(x.shape)} and "
                f"{tuple(t.shape)}. Build the decoder for the classes of the event."
            )
        require_levels(c, len(x), self.width)


@final
class BoxDecoder(BoxCascade):
    """Starts from the boxes that it is given. Arguments are those of `BoxCascade`."""

    def start(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The boxes of x, confined to the image, and tokens of zeros."""
        boxes = (x[..., :4] / self.signal + 1) / 2 * self.extent
        return boxes.clamp(0, 1), x.new_zeros(*x.shape[:2], self.width)


@final
class BoxQueries(BoxCascade):
    """Starts from boxes and tokens that it has learned.

    Args:
        count: Boxes N, >= 1.
        classes: K, >= 1.
        width: Features of a box and of a pixel of the pyramid, a multiple of `heads`.
        depth: Stages S, >= 1.
        heads: Attention heads.
        dynamic: Features between the dynamic convolutions of a stage.
        size: Cells along a side under a box.
        points: Points along a side of a cell.
        signal: Scale s of model units.
        extent: Width and height e of sizes in model units, shares of the image, those of the event.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(
        self,
        *,
        count: int,
        classes: int,
        width: int = 64,
        depth: int = 3,
        heads: int = 4,
        dynamic: int = 16,
        size: int = 5,
        points: int = 1,
        signal: float = 2.0,
        extent: Sequence[float] = (1.0, 1.0),
    ) -> None:
        super().__init__(
            classes=classes,
            width=width,
            depth=depth,
            heads=heads,
            dynamic=dynamic,
            size=size,
            points=points,
            signal=signal,
            extent=extent,
        )
        require_positive(count=count)
        middle, sides = torch.rand(count, 2), torch.tensor(list(extent)) * (0.25 + 0.5 * torch.rand(count, 2))
        self.boxes = nn.Parameter(torch.cat([middle, sides], 1))
        self.tokens = nn.Parameter(torch.randn(count, width))

    def start(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The learned boxes and tokens, for each set."""
        if x.shape[1] != len(self.boxes):
            raise ValueError(
                f"the network has learned {len(self.boxes)} boxes; got sets of {x.shape[1]}. Only a decoder that "
                "starts from the boxes of x takes any number."
            )
        return self.boxes.expand(len(x), -1, -1), self.tokens.expand(len(x), -1, -1)


def require_levels(c: Mapping[str, Tensor], rows: int, width: int) -> None:
    """Raises `ValueError` unless a context is the levels of pyramids of so many images, with so many features."""
    levels = list(c.values()) if isinstance(c, Mapping) else []
    if not levels or any(level.ndim != 4 or level.shape[:2] != (rows, width) for level in levels):
        got = {name: tuple(leaf.shape) for name, leaf in c.items()} if isinstance(c, Mapping) else "a tensor"
        raise ValueError(
            f"a detector's context must be levels of shape ({rows}, {width}, H, W) by name; got {got}. "
            "Encode images with an ImageEncoder of this width."
        )
