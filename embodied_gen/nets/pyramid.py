r"""Feature pyramids: what an image shows, at several scales.

Residual stages of convolutions halve an image, the first to a quarter; levels below the last are mixed with what
coarser ones know,

    P_l = A_l * (W_l * C_l + up(P_(l+1))),       C_l the features of stage l, at 1 / (4 2^l) of the image,

where * convolves and `up` repeats pixels. Group normalisation depends on no batch, so that an image's features do not
depend on the images beside it, and trains from scratch. Images may have any size of 16 pixels or more.

Sources: He et al. 2016 (arXiv:1512.03385); Lin et al. 2017 (arXiv:1612.03144); Wu and He 2018 (arXiv:1803.08494).
"""

from collections.abc import Sequence
from typing import final

from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.nets.base import require_positive

SMALLEST = 16
"""Pixels along the shorter side of an image, at least."""
_GROUPED = 8  # channels of a group


@final
class FeaturePyramid(nn.Module):
    """Features of images at 1/4, 1/8, ... of their size.

    Args:
        channels_in: Channels of an image, >= 1.
        width: Features of each pixel of the pyramid, a multiple of 8.
        stages: Channels of each stage, multiples of 8; as many levels.
        depth: Residual blocks of a stage, >= 1.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(
        self, *, channels_in: int = 3, width: int = 64, stages: Sequence[int] = (32, 64, 96), depth: int = 1
    ) -> None:
        super().__init__()
        require_positive(channels_in=channels_in, depth=depth, stages=len(stages))
        if any(size < 1 or size % _GROUPED for size in (width, *stages)):
            raise ValueError(
                f"width and stages must be positive multiples of {_GROUPED}, for groups of channels; got {width} and "
                f"{list(stages)}."
            )
        self.channels_in, self.width, self.levels = channels_in, width, len(stages)
        self.stem = nn.Sequential(_halved(channels_in, stages[0]), _norm(stages[0]), nn.SiLU())
        before = (stages[0], *stages)
        self.stages = nn.ModuleList(
            nn.Sequential(_halved(a, b), _norm(b), *(_Residual(b) for _ in range(depth)))
            for a, b in zip(before, stages, strict=False)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in stages)
        self.mixed = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in stages)

    def pixels(self, rows: int, columns: int) -> int:
        """Pixels of all levels of an image of so many rows and columns."""
        shares = [4 * 2**i for i in range(self.levels)]
        return sum(-(-rows // share) * -(-columns // share) for share in shares)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images `(B, C, H, W)`, about [-1, 1], to levels `(B, F, H_l, W_l)`, the finest first.

        Raises:
            ValueError: If the shape is another, or the images are too small.
        """
        if images.ndim != 4 or images.shape[1] != self.channels_in or min(images.shape[2:]) < SMALLEST:
            raise ValueError(
                f"images must have shape (B, {self.channels_in}, H, W) with {SMALLEST} pixels a side or more; "
                f"got {tuple(images.shape)}."
            )
        h, found = self.stem(images), []
        for stage in self.stages:
            h = stage(h)
            found.append(h)
        level, levels = None, []
        for features, lateral, mixed in zip(found[::-1], self.lateral[::-1], self.mixed[::-1], strict=True):
            own = lateral(features)
            level = own if level is None else own + functional.interpolate(level, size=own.shape[2:])
            levels.append(mixed(level))
        return levels[::-1]


@final
class _Residual(nn.Module):
    """Two convolutions beside the identity, behind an activation each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _norm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _norm(channels),
        )

    def forward(self, h: Tensor) -> Tensor:
        return h + self.convolutions(h)


def _halved(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels // _GROUPED, channels)
