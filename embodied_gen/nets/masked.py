r"""Masked multilayer perceptron: each output entry reads the input entries before it alone (MADE).

The n = T D entries of a chunk are in the order of its memory, step after step. A hidden feature of degree m in 0 .. n-1
reads the entries 0 .. m-1 and features of degrees up to m; the outputs of entry i read features of degrees up to i.
Weights are multiplied by masks that say so. With e = silu(e(t, c)), which every feature may read,

    h_0 = M W x + A e,
    h_i = h_(i-1) + M V_i silu(M U_i silu(h_(i-1)) + B_i e),     i = 1 .. depth,
    u   = M O silu(h_depth) + C e,

where brackets and biases are left out. The output starts at zero. Features of degree 0 and C carry what the first
entry, which reads nothing, needs of the context.

Sources: Germain et al. 2015, MADE (arXiv:1502.03509); residual blocks as in Durkan et al. 2019 (arXiv:1906.04032).
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.nets.base import Net, require_positive, zero_
from embodied_gen.nets.time import TimeEmbedding


@final
class MaskedMLP(Net):
    """Residual MLP whose output for an entry depends on the entries before it, and on time and context.

    Args:
        horizon: Steps T of an event, >= 1.
        channels_in: Channels D of the input.
        channels_out: A multiple of `channels_in`: the k-th D channels are the k-th number of each entry.
        context: Numbers C of the context, >= 0.
        width: Hidden features, >= 1; at least as many as entries, or some entries are not told apart.
        depth: Number of blocks, >= 0.
        embedding: Numbers of the conditioning vector e(t, c), >= 1.

    Raises:
        ValueError: If a size is out of its range.
    """

    autoregressive = True

    def __init__(
        self,
        *,
        horizon: int,
        channels_in: int,
        channels_out: int,
        context: int,
        width: int = 256,
        depth: int = 2,
        embedding: int = 64,
    ) -> None:
        super().__init__(horizon=horizon, channels_in=channels_in, channels_out=channels_out, context=context)
        require_positive(width=width, embedding=embedding)
        require_multiple(channels_out, channels_in)
        entries = torch.arange(horizon * channels_in)
        features = torch.arange(width) * len(entries) // width
        outputs = entries.view(horizon, channels_in).repeat(1, channels_out // channels_in).flatten()
        self.embed = TimeEmbedding(width=embedding, context=context)
        self.input = MaskedLinear(entries + 1, features)
        self.shift = nn.Linear(embedding, width)
        self.blocks = nn.ModuleList(_Block(features, embedding) for _ in range(depth))
        self.output = MaskedLinear(features, outputs)
        self.first = nn.Linear(embedding, len(outputs), bias=False)
        zero_(self.output)
        zero_(self.first)

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """Evaluates the network.

        Args:
            x: Input chunk, shape `(M, T, D)`, model units.
            t: Time in [0, 1], shape `(M,)`.
            c: Context, shape `(M, C)`.

        Returns:
            Output chunk, shape `(M, T, D_out)`.

        Raises:
            ValueError: If a shape is not the one above.
        """
        self.check(x, t, c)
        e = functional.silu(self.embed(t, c))
        h = self.input(x.flatten(1)) + self.shift(e)
        for block in self.blocks:
            h = block(h, e)
        u = self.output(functional.silu(h)) + self.first(e)
        return u.view(-1, self.horizon, self.channels_out)


@final
class MaskedLinear(nn.Linear):
    """A linear layer in which an output reads the inputs of degrees up to its own.

    Args:
        inputs: Degrees of the inputs, shape `(I,)`.
        outputs: Degrees of the outputs, shape `(O,)`.
    """

    mask: Tensor

    def __init__(self, inputs: Tensor, outputs: Tensor) -> None:
        super().__init__(len(inputs), len(outputs))
        self.register_buffer("mask", inputs <= outputs[:, None], persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Masked weights times features, and the bias; shape `(M, I)` to `(M, O)`."""
        return functional.linear(input, self.weight * self.mask, self.bias)


def require_multiple(channels_out: int, channels_in: int) -> None:
    """Refuses outputs that are not as many numbers for each entry of the input.

    Raises:
        ValueError: Naming both.
    """
    if channels_out % channels_in:
        raise ValueError(
            f"channels_out must be a multiple of channels_in={channels_in}, so many numbers for each entry; "
            f"got {channels_out}."
        )


@final
class _Block(nn.Module):
    """h + V silu(U silu(h) + B e), masked."""

    def __init__(self, degrees: Tensor, embedding: int) -> None:
        super().__init__()
        self.inner = MaskedLinear(degrees, degrees)
        self.shift = nn.Linear(embedding, len(degrees), bias=False)
        self.outer = MaskedLinear(degrees, degrees)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        inner = self.inner(functional.silu(h)) + self.shift(e)
        return h + self.outer(functional.silu(inner))
