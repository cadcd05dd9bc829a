r"""U-Net over images: a value for each pixel, from what surrounds it at several scales.

Level l of L has width w m_l and half the pixels a side of level l - 1. Each block computes

    h' = silu(norm(W_2 * silu(norm(W_1 * h)))) + W_0 * h,

where * convolves. The way up sees the features of the way down at equal resolution, so that outlines are as fine as the
image. Group normalisation depends on no batch: an image's values do not depend on the images beside it. Images may have
any size, odd ones too.

A value of each pixel x and a time t enter beside the colours, as a network that refines maps needs them; heads that
have nothing to refine give zeros.

Sources: Ronneberger et al. 2015 (arXiv:1505.04597); Wu and He 2018 (arXiv:1803.08494).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.nets.base import require_positive

IMAGE = "image"
"""Name of the leaf of a context that holds the image."""


@final
class ImageUNet(nn.Module):
    """Convolutional U-Net, `net(x, t, c)` with an image in the context.

    Args:
        channels_in: Numbers D_in of each pixel of x, >= 1.
        channels_out: Numbers D_out of each pixel of the output, >= 1.
        colours: Channels of an image, >= 1.
        width: Channels of the first level; `width * multiplier` must be a multiple of `groups`.
        multipliers: Width of each level relative to the first, at least one level.
        groups: Groups of each group normalisation.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(
        self,
        *,
        channels_in: int,
        channels_out: int,
        colours: int = 3,
        width: int = 16,
        multipliers: Sequence[int] = (1, 2, 4, 8),
        groups: int = 8,
    ) -> None:
        super().__init__()
        require_positive(
            channels_in=channels_in,
            channels_out=channels_out,
            colours=colours,
            groups=groups,
            multipliers=len(multipliers),
        )
        widths = [width * multiplier for multiplier in multipliers]
        if any(level < 1 or level % groups for level in widths):
            raise ValueError(
                f"width * multiplier must be a positive multiple of groups={groups} at every level; got {widths}."
            )
        self.channels_in, self.colours = channels_in, colours
        inputs = [colours + channels_in + 1, *widths]
        self.down = nn.ModuleList(_Block(a, b, groups) for a, b in pairwise(inputs))
        self.up = nn.ModuleList(_Block(a + b, a, groups) for a, b in reversed(list(pairwise(widths))))
        self.output = nn.Conv2d(widths[0], channels_out, 1)

    def forward(self, x: Tensor, t: Tensor, c: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Evaluates the network.

        Args:
            x: Values of pixels, model units, shape `(M, H, W, D_in)`.
            t: Time in [0, 1], shape `(M,)`.
            c: Context with a leaf `image`, 0..255, shape `(M, C, H, W)`.

        Returns:
            Shape `(M, H, W, D_out)`.

        Raises:
            ValueError: If a shape is not the one above.
        """
        image = self._image(x, c)
        times = t.to(image.dtype).view(-1, 1, 1, 1).expand(-1, 1, *image.shape[2:])
        h = torch.cat([image / 127.5 - 1, x.movedim(-1, 1).to(image.dtype), times], 1)
        levels: list[Tensor] = []
        for block in self.down:
            h = block(functional.max_pool2d(h, 2, ceil_mode=True) if levels else h)
            levels.append(h)
        for block, finer in zip(self.up, levels[-2::-1], strict=True):
            h = block(torch.cat([finer, functional.interpolate(h, size=finer.shape[2:])], 1))
        return self.output(h).movedim(1, -1)

    def _image(self, x: Tensor, c: Tensor | Mapping[str, Tensor]) -> Tensor:
        if isinstance(c, Tensor) or IMAGE not in c:
            have = "a tensor" if isinstance(c, Tensor) else f"leaves {sorted(c)}"
            raise ValueError(f"an image U-Net reads the leaf {IMAGE!r} of a mapping context; got {have}.")
        image, rows = c[IMAGE], len(x) if x.ndim else 0
        if x.ndim != 4 or x.shape[3] != self.channels_in:
            raise ValueError(f"x must have shape (M, H, W, {self.channels_in}); got {tuple(x.shape)}.")
        expected = (rows, self.colours, *x.shape[1:3])
        if tuple(image.shape) != expected:
            raise ValueError(f"images must have shape (M, C, H, W) = {expected}; got {tuple(image.shape)}.")
        return image


@final
class _Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, groups: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
            nn.GroupNorm(groups, channels_out),
            nn.SiLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.GroupNorm(groups, channels_out),
            nn.SiLU(),
        )
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, h: Tensor) -> Tensor:
        return self.convolutions(h) + self.shortcut(h)
