"""Diffusion transformers: attention over the steps of a chunk, conditioned by adaptive layer norm.

Tokens are the T steps, h_0 = W x + p with learned positions p; without them the order of steps means nothing, and
the output is permuted as the input is. With LN the layer norm without parameters and the six vectors (scale, shift,
gate) x 2 linear in silu(e(t, c)), each block computes

    h <- h + gate_1 attention((1 + scale_1) LN(h) + shift_1)
    h <- h + gate_2 mlp((1 + scale_2) LN(h) + shift_2).

All six start at zero ("AdaLN-zero"), as does the last layer, so that every block starts as the identity.

Source: Peebles & Xie 2023 (arXiv:2212.09748), section 3.2. One departure: queries, keys and values have no
bias, since the softmax does not depend on that of the keys.
"""

import abc
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.nets.base import Net, layer_norm, modulate, require_heads, require_positive, zero_
from embodied_gen.nets.time import TimeEmbedding


class TokenTransformer(Net, abc.ABC):
    """AdaLN-zero blocks (DiT) over tokens.

    Args:
        horizon: Steps T of an event, >= 1.
        channels_in: Channels D_in of the input.
        channels_out: Channels D_out of the output.
        context: Numbers C of the context, >= 0.
        width: Features of a token, a multiple of `heads`.
        depth: Number of blocks, >= 1.
        heads: Attention heads, >= 1.
        expansion: Hidden features of a block's MLP divided by `width`, >= 1.

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
        width: int = 256,
        depth: int = 4,
        heads: int = 4,
        expansion: int = 4,
    ) -> None:
        super().__init__(horizon=horizon, channels_in=channels_in, channels_out=channels_out, context=context)
        require_positive(width=width, depth=depth, heads=heads, expansion=expansion)
        require_heads(width, heads)
        self.embed = TimeEmbedding(width=width, context=context)
        self.input = nn.Linear(channels_in, width)
        self.blocks = nn.ModuleList(AttentionBlock(width=width, heads=heads, expansion=expansion) for _ in range(depth))
        self.modulation = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, channels_out)
        zero_(self.modulation)
        zero_(self.output)

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
        h = self.place(self.input(x))
        for block in self.blocks:
            h = block(h, e)
        scale, shift = self.modulation(e).unsqueeze(1).chunk(2, dim=-1)
        return self.output(modulate(layer_norm(h), scale, shift))

    @abc.abstractmethod
    def place(self, h: Tensor) -> Tensor:
        """Tokens that know where they are, or do not; shape `(M, T, width)`."""


@final
class Transformer(TokenTransformer):
    """Transformer over steps that know their position.

    Args:
        horizon: Steps T of an event, >= 1.
        channels_in: Channels D_in of the input.
        channels_out: Channels D_out of the output.
        context: Numbers C of the context, >= 0.
        width: Features of a token, a multiple of `heads`.
        depth: Number of blocks, >= 1.
        heads: Attention heads, >= 1.
        expansion: Hidden features of a block's MLP divided by `width`, >= 1.

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
        width: int = 256,
        depth: int = 4,
        heads: int = 4,
        expansion: int = 4,
    ) -> None:
        super().__init__(
            horizon=horizon,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=width,
            depth=depth,
            heads=heads,
            expansion=expansion,
        )
        self.positions = nn.Parameter(0.02 * torch.randn(horizon, width))

    def place(self, h: Tensor) -> Tensor:
        """Adds the position of each token."""
        return h + self.positions


@final
class SetTransformer(TokenTransformer):
    """Transformer over slots in no order: it commutes with permutations of them.

    Arguments are those of `Transformer`, with slots for steps.
    """

    def place(self, h: Tensor) -> Tensor:
        """Tokens as they are."""
        return h


@final
class AttentionBlock(nn.Module):
    """Self-attention and an MLP, each behind an adaptive layer norm and a gate that starts at zero.

    Args:
        width: Features of a token, a multiple of `heads`.
        heads: Attention heads.
        expansion: Hidden features of the MLP divided by `width`.
    """

    def __init__(self, *, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.heads = heads
        self.modulation = nn.Linear(width, 6 * width)
        self.attend = nn.Linear(width, 3 * width, bias=False)
        self.merge = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, expansion * width),
            nn.GELU(approximate="tanh"),
            nn.Linear(expansion * width, width),
        )
        zero_(self.modulation)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        """Evaluates the block.

        Args:
            h: Tokens, shape `(M, T, width)`.
            e: Activated conditioning vector, shape `(M, width)`.

        Returns:
            Tokens, shape `(M, T, width)`.
        """
        parts = self.modulated(e)
        return self.expanded(self.attended(h, parts), parts)

    def modulated(self, e: Tensor) -> tuple[Tensor, ...]:
        """Scales, shifts and gates of both parts at a conditioning vector, six of shape `(M, 1, width)`."""
        return self.modulation(e).unsqueeze(1).chunk(6, dim=-1)

    def attended(self, h: Tensor, parts: tuple[Tensor, ...]) -> Tensor:
        """The first part: tokens that have looked at one another."""
        return h + parts[2] * self._attention(modulate(layer_norm(h), parts[0], parts[1]))

    def expanded(self, h: Tensor, parts: tuple[Tensor, ...]) -> Tensor:
        """The second part: tokens after the MLP."""
        return h + parts[5] * self.mlp(modulate(layer_norm(h), parts[3], parts[4]))

    def _attention(self, h: Tensor) -> Tensor:
        split = self.attend(h).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = split.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        return self.merge(mixed.transpose(1, 2).flatten(2))
