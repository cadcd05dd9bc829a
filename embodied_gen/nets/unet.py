"""Temporal U-Net: one-dimensional convolutions over the steps of a chunk.

Level l of L has width w m_l and half the steps of level l - 1. Each block computes

    h' = W_2 * silu(norm((1 + s) norm(W_1 * h) + b)) + W_0 * h,        (s, b) linear in silu(e(t, c)),

where * convolves over steps. The way up sees the features of the way down at equal resolution. A chunk whose
horizon is not a multiple of 2^(L-1) is padded with zeros at its end, and the padding is cut off the output.

Sources: Janner et al. 2022 (arXiv:2205.09991), the network; Chi et al. 2023 (arXiv:2303.04137), its FiLM.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.nets.base import Net, modulate, require_positive
from embodied_gen.nets.time import TimeEmbedding


@final
class TemporalUNet(Net):
    """Convolutional U-Net over the steps, for any horizon >= 1.

    Args:
        horizon: Steps T of an event, >= 1.
        channels_in: Channels D_in of the input.
        channels_out: Channels D_out of the output.
        context: Numbers C of the context, >= 0.
        width: Channels of the first level; `width * multiplier` must be a multiple of `groups`.
        multipliers: Width of each level relative to the first, at least one level.
        kernel: Steps that a convolution sees, odd.
        groups: Groups of each group normalisation.
        embedding: Numbers of the conditioning vector e(t, c).

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(
        self,
        *,
        horizon: int,
        channels_in: int,
        channels_out: int,
        context: int,
        width: int = 64,
        multipliers: Sequence[int] = (1, 2, 4),
        kernel: int = 5,
        groups: int = 8,
        embedding: int = 128,
    ) -> None:
        super().__init__(horizon=horizon, channels_in=channels_in, channels_out=channels_out, context=context)
        require_positive(width=width, kernel=kernel, groups=groups, embedding=embedding)
        if not multipliers:
            raise ValueError("multipliers must name at least one level; got none. The default is (1, 2, 4).")
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, to keep the number of steps; got {kernel}.")
        widths = [width * multiplier for multiplier in multipliers]
        for level in widths:
            if level < 1 or level % groups:
                raise ValueError(
                    f"width * multiplier must be a positive multiple of groups={groups} at every level; got {widths}."
                )
        self.padding = -horizon % 2 ** (len(widths) - 1)
        self.embed = TimeEmbedding(width=embedding, context=context)

        def block(inputs: int, outputs: int) -> FiLMBlock:
            return FiLMBlock(
                channels_in=inputs, channels_out=outputs, embedding=embedding, kernel=kernel, groups=groups
            )

        self.down = nn.ModuleList(
            nn.ModuleList([block(inputs, outputs), block(outputs, outputs)])
            for inputs, outputs in pairwise([channels_in, *widths])
        )
        self.shrink = nn.ModuleList(
            nn.Conv1d(level, level, kernel_size=3, stride=2, padding=1) for level in widths[:-1]
        )
        self.middle = nn.ModuleList([block(widths[-1], widths[-1]), block(widths[-1], widths[-1])])
        self.grow = nn.ModuleList(
            nn.ConvTranspose1d(coarse, fine, kernel_size=4, stride=2, padding=1)
            for fine, coarse in reversed(list(pairwise(widths)))
        )
        self.up = nn.ModuleList(
            nn.ModuleList([block(2 * level, level), block(level, level)]) for level in reversed(widths[:-1])
        )
        self.output = nn.Sequential(
            nn.Conv1d(widths[0], widths[0], kernel_size=kernel, padding=kernel // 2),
            nn.GroupNorm(groups, widths[0]),
            nn.SiLU(),
            nn.Conv1d(widths[0], channels_out, kernel_size=1),
        )

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """Evaluates the network.

        Args:
            x: Input chunk, shape `(M, T, D_in)`, model units.
            t: Time in [0, 1], shape `(M,)`.
            c: Context, shape `(M, C)`.

        Returns:
            Output chunk, shape `(M, T, D_out)`, model units.

        Raises:
            ValueError: If a shape is not the one above.
        """
        self.check(x, t, c)
        e = functional.silu(self.embed(t, c))
        h = functional.pad(x.transpose(1, 2), (0, self.padding))
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            if level:
                skips.append(h)
                h = self.shrink[level - 1](h)
            h = _chain(blocks, h, e)
        h = _chain(self.middle, h, e)
        for grow, blocks in zip(self.grow, self.up, strict=True):
            h = _chain(blocks, torch.cat([grow(h), skips.pop()], dim=1), e)
        return self.output(h)[..., : self.horizon].transpose(1, 2)


@final
class FiLMBlock(nn.Module):
    """Two convolutions, modulated by the conditioning vector in between, and a shortcut.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of the output, a multiple of `groups`.
        embedding: Numbers E of the conditioning vector.
        kernel: Steps that a convolution sees, odd.
        groups: Groups of each group normalisation.
    """

    def __init__(self, *, channels_in: int, channels_out: int, embedding: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(channels_in, channels_out, kernel_size=kernel, padding=kernel // 2)
        self.first_norm = nn.GroupNorm(groups, channels_out)
        self.film = nn.Linear(embedding, 2 * channels_out)
        self.second = nn.Conv1d(channels_out, channels_out, kernel_size=kernel, padding=kernel // 2)
        self.second_norm = nn.GroupNorm(groups, channels_out)
        self.shortcut = (
            nn.Identity() if channels_in == channels_out else nn.Conv1d(channels_in, channels_out, kernel_size=1)
        )

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        """Evaluates the block.

        Args:
            h: Features, shape `(M, channels_in, T)`.
            e: Activated conditioning vector, shape `(M, E)`.

        Returns:
            Features, shape `(M, channels_out, T)`.
        """
        scale, shift = self.film(e).unsqueeze(-1).chunk(2, dim=1)
        z = functional.silu(modulate(self.first_norm(self.first(h)), scale, shift))
        z = functional.silu(self.second_norm(self.second(z)))
        return z + self.shortcut(h)


def _chain(blocks: nn.Module, h: Tensor, e: Tensor) -> Tensor:
    assert isinstance(blocks, nn.ModuleList)
    for block in blocks:
        h = block(h, e)
    return h
