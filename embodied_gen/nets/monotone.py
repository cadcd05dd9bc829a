r"""Block autoregressive perceptron: each output entry increases in its own input entry and reads those before it.

Each of the n = T D entries of a chunk owns a block of a features in every hidden layer. Weights between layers are
block lower triangular, with positive blocks on the diagonal,

    V_ij = exp(R_ii) for i = j,  R_ij for j < i,  0 else,    W = exp(g) V / |V|  with |V| the norm of a row,

and h_l = tanh(W_l h_(l-1) + b_l + A_l e(t, c)), the last layer without tanh. So the slope of output i by entry i is a
product of positive matrices and of slopes of tanh, taken in logarithms throughout,

    log dy_i / dx_i = log[ W_L,ii diag(tanh') W_(L-1),ii .. diag(tanh') W_1,ii ].

Rows are normalised as each feature sums over up to n blocks.

An entry and its slope need the features of the entries before it, which do not change while that entry is looked for,
and blocks of its own. So entries can be read one by one (`start`, `step`, `extend`), for the cost of a blocks instead
of n a of them, as decoders read positions.

Source: De Cao et al. 2019, "Block Neural Autoregressive Flow" (arXiv:1904.04676).
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.nets.base import Net, require_positive
from embodied_gen.nets.time import TimeEmbedding


@final
@dataclass(frozen=True)
class Prefix:
    """What the next entry of rows is read with, for each layer from the input.

    Attributes:
        weights: W, shape `(n O, n I)`.
        log_blocks: Logarithms of the blocks on its diagonal, shape `(n, O, I)`.
        shifts: What time and context add, shape `(M, n, O)`.
        known: Features of the entries that are known, shape `(M, i I)`.
        offsets: What those and the shifts add up to for the next entry, shape `(M, O)`; none after the last one.
    """

    weights: list[Tensor]
    log_blocks: list[Tensor]
    shifts: list[Tensor]
    known: list[Tensor]
    offsets: list[Tensor]


@final
class MonotoneMLP(Net):
    """Perceptron whose output for an entry increases in that entry; it gives the logarithms of the slopes too.

    Args:
        horizon: Steps T of an event, >= 1.
        channels_in: Channels D of the input.
        channels_out: 2 D: the values, then the logarithms of their slopes.
        context: Numbers C of the context, >= 0.
        block: Features a of each entry in a hidden layer, >= 1.
        depth: Number of hidden layers, >= 1.
        embedding: Numbers of the conditioning vector e(t, c), >= 1.

    Raises:
        ValueError: If a size is out of its range.
    """

    monotone = True

    def __init__(
        self,
        *,
        horizon: int,
        channels_in: int,
        channels_out: int,
        context: int,
        block: int = 8,
        depth: int = 2,
        embedding: int = 64,
    ) -> None:
        super().__init__(horizon=horizon, channels_in=channels_in, channels_out=channels_out, context=context)
        require_positive(block=block, depth=depth, embedding=embedding)
        if channels_out != 2 * channels_in:
            raise ValueError(
                f"channels_out must be 2 * channels_in = {2 * channels_in}, a value and a slope for each entry; "
                f"got {channels_out}."
            )
        entries = horizon * channels_in
        sizes = [1, *[block] * depth, 1]
        self.embed = TimeEmbedding(width=embedding, context=context)
        self.layers = nn.ModuleList(BlockLinear(entries, *pair) for pair in pairwise(sizes))
        self.shifts = nn.ModuleList(nn.Linear(embedding, entries * size) for size in sizes[1:])

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """Evaluates the network.

        Args:
            x: Input chunk, shape `(M, T, D)`, model units.
            t: Time in [0, 1], shape `(M,)`.
            c: Context, shape `(M, C)`.

        Returns:
            Values and logarithms of slopes, shape `(M, T, 2 D)`.

        Raises:
            ValueError: If a shape is not the one above.
        """
        self.check(x, t, c)
        e = functional.silu(self.embed(t, c))
        h = x.flatten(1)
        log_slope = torch.zeros_like(h).unsqueeze(-1)
        for number, (layer, shift) in enumerate(zip(self.layers, self.shifts, strict=True)):
            if number:
                log_slope = log_slope + _log_slope_of_tanh(h).view_as(log_slope)
                h = h.tanh()
            h, log_slope = layer(h, log_slope)
            h = h + shift(e)
        return torch.cat([part.view_as(x) for part in (h, log_slope)], -1)

    def start(self, t: Tensor, c: Tensor) -> Prefix:
        """What the first entry is read with, for rows of times `(M,)` and contexts `(M, C)`."""
        e = functional.silu(self.embed(t, c))
        layers = [cast(BlockLinear, layer) for layer in self.layers]
        read = [layer.weights() for layer in layers]
        shifts = [shift(e).unflatten(1, (layer.entries, -1)) for layer, shift in zip(layers, self.shifts, strict=True)]
        none = [e.new_zeros(len(e), 0) for _ in layers]
        return Prefix([w for w, _ in read], [b for _, b in read], shifts, none, [shift[:, 0] for shift in shifts])

    def step(self, x: Tensor, prefix: Prefix) -> tuple[Tensor, Tensor]:
        """The value of the next entry and the logarithm of its slope, if the entry is x; shapes `(M,)`."""
        value, log_slope, _ = self._walk(x, prefix)
        return value, log_slope

    def extend(self, x: Tensor, prefix: Prefix) -> Prefix:
        """What the entry after the next one is read with, if the next one is x, `(M,)`."""
        _, _, own = self._walk(x, prefix)
        known = [torch.cat(pair, 1) for pair in zip(prefix.known, own, strict=True)]
        entry = known[0].shape[1]
        offsets = []
        for weights, shift, features in zip(prefix.weights, prefix.shifts, known, strict=True):
            rows = weights.unflatten(0, (shift.shape[1], -1))[entry : entry + 1].flatten(0, 1)
            if len(rows):
                offsets.append(functional.linear(features, rows[:, : features.shape[1]]) + shift[:, entry])
        return Prefix(prefix.weights, prefix.log_blocks, prefix.shifts, known, offsets)

    def _walk(self, x: Tensor, prefix: Prefix) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The next entry's value, the logarithm of its slope, and its features at the input of each layer."""
        entry = prefix.known[0].shape[1]
        h, own = x.unsqueeze(1), []
        log_slope = torch.zeros_like(h)
        for number, (log_blocks, offset) in enumerate(zip(prefix.log_blocks, prefix.offsets, strict=True)):
            if number:
                log_slope = log_slope + _log_slope_of_tanh(h)
                h = h.tanh()
            own.append(h)
            block = log_blocks[entry]
            h = offset + functional.linear(h, block.exp())
            log_slope = torch.logsumexp(block + log_slope.unsqueeze(1), -1)
        return h[:, 0], log_slope[:, 0], own


@final
class BlockLinear(nn.Module):
    """A block lower-triangular linear layer with positive blocks on the diagonal.

    Args:
        entries: Blocks n.
        inputs: Features I of a block of the input.
        outputs: Features O of a block of the output.
    """

    own: Tensor
    before: Tensor

    def __init__(self, entries: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.entries, self.inputs, self.outputs = entries, inputs, outputs
        blocks = torch.eye(entries).bool()
        earlier = torch.ones(entries, entries).tril(-1).bool()
        self.raw = nn.Parameter(torch.randn(entries * outputs, entries * inputs) / math.sqrt(entries * inputs))
        self.gain = nn.Parameter(torch.zeros(entries * outputs, 1))
        self.register_buffer("own", self._entrywise(blocks), persistent=False)
        self.register_buffer("before", self._entrywise(earlier), persistent=False)

    def forward(self, h: Tensor, log_slope: Tensor) -> tuple[Tensor, Tensor]:
        """Features and the logarithms of their slopes by the entry that owns them.

        Args:
            h: Features, shape `(M, n I)`.
            log_slope: Shape `(M, n, I)`.

        Returns:
            Shapes `(M, n O)` and `(M, n, O)`.
        """
        weights, log_blocks = self.weights()
        spread = torch.logsumexp(log_blocks + log_slope.unsqueeze(2), -1)
        return functional.linear(h, weights), spread

    def weights(self) -> tuple[Tensor, Tensor]:
        """W, shape `(n O, n I)`, and the logarithms of its blocks on the diagonal, `(n, O, I)`."""
        free = torch.where(self.own, self.raw.exp(), self.raw * self.before)
        log_scale = self.gain - free.square().sum(1, keepdim=True).log() / 2
        return free * log_scale.exp(), self._diagonal(self.raw + log_scale)

    def _entrywise(self, mask: Tensor) -> Tensor:
        return mask.repeat_interleave(self.outputs, 0).repeat_interleave(self.inputs, 1)

    def _diagonal(self, matrix: Tensor) -> Tensor:
        """The blocks on the diagonal, shape `(n, O, I)`."""
        blocks = matrix.view(self.entries, self.outputs, self.entries, self.inputs)
        return blocks.diagonal(dim1=0, dim2=2).movedim(-1, 0)


def _log_slope_of_tanh(x: Tensor) -> Tensor:
    """log(1 - tanh(x)^2) = 2 (log 2 - x - softplus(-2 x)), without cancellation where tanh is near one."""
    return 2 * (math.log(2) - x - functional.softplus(-2 * x))
