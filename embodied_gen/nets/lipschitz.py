r"""Lipschitz multilayer perceptron: two inputs are never further apart at the output than L < 1 times at the input.

Layers h -> a(W h + b + A e(t, c)) with the activation a(x) = x sigmoid(b x) / 1.1, whose slope is at most one, are
Lipschitz in h with the spectral norm |W|; the last layer has no activation. Each of the layers is scaled to a norm of
at most L^(1 / layers). Time and context shift the features and change no distance.

The norm is bounded from above by Gram iteration: with G_0 = W and G_(k+1) = G_k^T G_k,

    |W|  <=  |G_k|_F^(1 / 2^k)  <=  n^(1 / 2^(k+1)) |W|.

Power iteration approaches the norm from below, so that L would hold only nearly, and keeps vectors from call to call,
so that equal calls would give different numbers. The bound here is certain, a function of the weights alone, and has a
gradient.

Sources: Chen et al. 2019, "Residual Flows" (arXiv:1906.02735), section 3.3 for the activation; Delattre et al. 2023
(arXiv:2305.16173) for the iteration.
"""

from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from embodied_gen.nets.base import Net, require_positive
from embodied_gen.nets.time import TimeEmbedding
from embodied_gen.rounding import unrounded

SQUARINGS = 6  # the bound is within 4 % for matrices of up to 2^14 columns


@final
class LipschitzMLP(Net):
    """MLP on flattened chunks with a Lipschitz constant below one in its input.

    Args:
        horizon: Steps T of an event, >= 1.
        channels_in: Channels D_in of the input.
        channels_out: Channels D_out of the output.
        context: Numbers C of the context, >= 0.
        width: Hidden features, >= 1.
        depth: Number of hidden layers, >= 1.
        lipschitz: L in (0, 1).
        embedding: Numbers of the conditioning vector e(t, c), >= 1.

    Raises:
        ValueError: If a size is out of its range.
    """

    contracting = True

    def __init__(
        self,
        *,
        horizon: int,
        channels_in: int,
        channels_out: int,
        context: int,
        width: int = 128,
        depth: int = 2,
        lipschitz: float = 0.8,
        embedding: int = 64,
    ) -> None:
        super().__init__(horizon=horizon, channels_in=channels_in, channels_out=channels_out, context=context)
        require_positive(width=width, depth=depth, embedding=embedding)
        if not 0 < lipschitz < 1:
            raise ValueError(f"lipschitz must lie strictly between 0 and 1; got {lipschitz}.")
        self.lipschitz = lipschitz
        sizes = [horizon * channels_in, *[width] * depth, horizon * channels_out]
        self.embed = TimeEmbedding(width=embedding, context=context)
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.shifts = nn.ModuleList(nn.Linear(embedding, size, bias=False) for size in sizes[1:])
        self.sharpness = nn.Parameter(torch.full((depth,), 0.5))
        for layer in self.layers:
            parametrize.register_parametrization(layer, "weight", Bounded(lipschitz ** (1 / len(self.layers))))

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
        h = x.flatten(1)
        for number, (layer, shift) in enumerate(zip(self.layers, self.shifts, strict=True)):
            if number:
                h = h * (functional.softplus(self.sharpness[number - 1]) * h).sigmoid() / 1.1
            h = layer(h) + shift(e)
        return h.view(-1, self.horizon, self.channels_out)


@final
class Bounded(nn.Module):
    """Weights scaled down to a spectral norm of at most `largest`.

    Args:
        largest: Bound of the norm, > 0.
    """

    def __init__(self, largest: float) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, weight: Tensor) -> Tensor:
        """The weight times min(1, largest / norm)."""
        return weight * (self.largest / spectral_bound(weight)).clamp(max=1)


def spectral_bound(weight: Tensor) -> Tensor:
    """An upper bound of the spectral norm of a matrix that is not zero, close from above; a number."""
    with unrounded(weight):
        gram = weight.T @ weight if weight.shape[0] > weight.shape[1] else weight @ weight.T
        log_bound = torch.zeros_like(gram[0, 0])
        for k in range(1, SQUARINGS + 1):
            size = gram.square().sum().clamp(min=torch.finfo(gram.dtype).tiny).sqrt()
            log_bound = log_bound + size.log() / 2**k
            gram = gram / size
            gram = gram.T @ gram
        return (log_bound + gram.square().sum().sqrt().log() / 2 ** (SQUARINGS + 1)).exp()
