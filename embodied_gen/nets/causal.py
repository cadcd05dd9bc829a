"""Causal transformer: attention of each position to itself and to those before it.

With h_0 = W [x_s, c_s] + p_s, learned positions p and LN the layer norm without parameters, each block computes

    h <- h + attention(LN(h)),    h <- h + mlp(LN(h)),

and u = O LN(h). Keys and values of positions that were read are kept (the cache), so that one more position costs one
row of attention and not the whole sequence again. The last layer O starts at zero.

Sources: Vaswani et al. 2017 (arXiv:1706.03762); Radford et al. 2019 for the place of the layer norms.
"""

from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.nets.base import layer_norm, require_heads, require_positive, zero_
from embodied_gen.nets.decoder import Decoder

_FEW = 16  # positions, from which on batched products are quicker than sums


@final
class CausalTransformer(Decoder):
    """Transformer decoder with a cache of keys and values.

    Args:
        length: Most positions S of a sequence, >= 1.
        channels_in: Numbers D_in of an input: of tokens, how many there are.
        channels_out: Numbers D_out of an output.
        context: Numbers C of the condition of a position, >= 0.
        width: Features of a position, a multiple of `heads`.
        depth: Number of blocks, >= 1.
        heads: Attention heads, >= 1.
        expansion: Hidden features of a block's MLP divided by `width`, >= 1.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(
        self,
        *,
        length: int,
        channels_in: int,
        channels_out: int,
        context: int,
        width: int = 128,
        depth: int = 3,
        heads: int = 4,
        expansion: int = 4,
    ) -> None:
        super().__init__(length=length, channels_in=channels_in, channels_out=channels_out, context=context)
        require_positive(width=width, depth=depth, heads=heads, expansion=expansion)
        require_heads(width, heads)
        self.heads = heads
        self.input = nn.Linear(channels_in + context, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(CausalBlock(width=width, heads=heads, expansion=expansion) for _ in range(depth))
        self.output = nn.Linear(width, channels_out)
        zero_(self.output)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Reads a sequence at once; shapes `(M, S, D_in)` and `(M, S, C)` to `(M, S, D_out)`."""
        self.check(x, c)
        h = self.input(torch.cat([x, c], -1)) + self.positions[: x.shape[1]]
        for block in self.blocks:
            h = block(h)
        return self.output(layer_norm(h))

    def start(self, rows: int, like: Tensor) -> Tensor:
        """An empty cache, keys and values of each block: `(2 depth, rows, heads, length, width / heads)`."""
        size = self.positions.shape[1] // self.heads
        return like.new_empty(2 * len(self.blocks), rows, self.heads, self.length, size)

    def step(self, x: Tensor, c: Tensor, position: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """Reads one position and writes its keys and values into the cache."""
        h = (self.input(torch.cat([x, c], -1)) + self.positions[position]).unsqueeze(1)
        for block, cache in zip(self.blocks, state.unflatten(0, (-1, 2)), strict=True):
            h = cast(CausalBlock, block).step(h, position, cache)
        return self.output(layer_norm(h))[:, 0], state


@final
class CausalBlock(nn.Module):
    """Causal self-attention and an MLP, each behind a layer norm.

    Args:
        width: Features of a position, a multiple of `heads`.
        heads: Attention heads.
        expansion: Hidden features of the MLP divided by `width`.
    """

    def __init__(self, *, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.heads = heads
        self.attend = nn.Linear(width, 3 * width, bias=False)
        self.merge = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, expansion * width),
            nn.GELU(approximate="tanh"),
            nn.Linear(expansion * width, width),
        )

    def forward(self, h: Tensor) -> Tensor:
        """All positions at once, shape `(M, S, width)`."""
        queries, keys, values = self._split(h)
        return self._merge(h, functional.scaled_dot_product_attention(queries, keys, values, is_causal=True))

    def step(self, h: Tensor, position: int, cache: Tensor) -> Tensor:
        """One position, shape `(M, 1, width)`; its keys and values are written into `cache`, those before read."""
        queries, *now = self._split(h)
        for kept, own in zip(cache, now, strict=True):
            kept[:, :, position] = own[:, :, 0]
        keys, values = cache[:, :, :, : position + 1].unbind(0)
        return self._merge(h, _mixed(queries * queries.shape[-1] ** -0.5, keys, values))

    def _split(self, h: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each `(M, heads, S, width / heads)`."""
        split = self.attend(layer_norm(h)).unflatten(-1, (3, self.heads, -1))
        return split.permute(2, 0, 3, 1, 4).unbind(0)

    def _merge(self, h: Tensor, mixed: Tensor) -> Tensor:
        h = h + self.merge(mixed.transpose(1, 2).flatten(2))
        return h + self.mlp(layer_norm(h))


def _mixed(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """What one query `(M, heads, 1, E)` takes from values `(M, heads, S, E)`; its shape is that of the query.

    On a CPU, plain products are up to twice as quick as fused attention, and sums of few products quicker still.
    """
    if keys.shape[2] < _FEW:
        weights = (query * keys).sum(-1, keepdim=True).softmax(2)
        return (weights * values).sum(2, keepdim=True)
    return torch.matmul(torch.matmul(query, keys.mT).softmax(-1), values)
