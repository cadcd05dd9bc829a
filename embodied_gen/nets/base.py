"""The signature that every network of this package shares, so that any head can use any network.

A network is a map u(x_t, t, c) from a noisy, latent or partial event x_t of T steps and D_in channels, a
time t in [0, 1] and a flat context c of C numbers to T steps of D_out channels. Rows never see each other.
What the output means (clean estimate, velocity, parameters of a distribution) is the head's business.
"""

import abc

import torch
from torch import Tensor, nn
from torch.nn import functional


class Net(nn.Module, abc.ABC):
    """A network u(x, t, c) over event chunks.

    Args:
        horizon: Steps T of an event, >= 1.
        channels_in: Channels D_in of each step of the input, >= 1.
        channels_out: Channels D_out of each step of the output, >= 1.
        context: Numbers C of the context, >= 0; with 0 the context has shape `(M, 0)`.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(self, *, horizon: int, channels_in: int, channels_out: int, context: int) -> None:
        super().__init__()
        require_positive(horizon=horizon, channels_in=channels_in, channels_out=channels_out)
        if context < 0:
            raise ValueError(f"context must be >= 0 (0: no context); got {context}.")
        self.horizon = horizon
        self.channels_in = channels_in
        self.channels_out = channels_out
        self.context = context

    @abc.abstractmethod
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

    def check(self, x: Tensor, t: Tensor, c: Tensor) -> None:
        """Refuses inputs of another shape than the network was built for.

        Args:
            x: Input chunk, shape `(M, T, D_in)`.
            t: Time, shape `(M,)`.
            c: Context, shape `(M, C)`.

        Raises:
            ValueError: If a shape does not fit.
        """
        rows = x.shape[0] if x.ndim else 0
        if x.ndim != 3 or x.shape[1] != self.horizon or x.shape[2] != self.channels_in:
            expected = f"(M, {self.horizon}, {self.channels_in})"
            raise ValueError(f"x must have shape {expected}; got {tuple(x.shape)}. Build the net for this event.")
        if t.ndim != 1 or t.shape[0] != rows:
            raise ValueError(f"t must have shape ({rows},), one time per row; got {tuple(t.shape)}.")
        if c.ndim != 2 or c.shape[0] != rows or c.shape[1] != self.context:
            expected = f"({rows}, {self.context})"
            raise ValueError(f"c must have shape {expected}; got {tuple(c.shape)}. Flatten and repeat the context.")


def require_positive(**sizes: int) -> None:
    """Refuses sizes below 1.

    Args:
        sizes: Sizes by the name of their argument.

    Raises:
        ValueError: Naming the first size that is below 1.
    """
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be >= 1; got {size}.")


def require_heads(width: int, heads: int) -> None:
    """Refuses a width that attention heads do not share out evenly.

    Args:
        width: Features of a token.
        heads: Attention heads, >= 1.

    Raises:
        ValueError: Unless the heads divide the width.
    """
    if width % heads:
        raise ValueError(f"width must be a multiple of heads={heads}; got {width}.")


def layer_norm(h: Tensor) -> Tensor:
    """Layer norm of the last axis, without parameters (Ba et al. 2016, arXiv:1607.06450)."""
    return functional.layer_norm(h, h.shape[-1:], eps=1e-6)


def modulate(h: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Feature-wise affine map h (1 + scale) + shift (FiLM, Perez et al. 2018, arXiv:1709.07871).

    Args:
        h: Features, any shape that `scale` broadcasts to.
        scale: Deviation of the gain from 1, so that a zero leaves the features as they are.
        shift: Offset, shaped as `scale`.

    Returns:
        Features of the shape of `h`.
    """
    return torch.addcmul(h + shift, h, scale)


def zero_(layer: nn.Linear | nn.Conv1d) -> None:
    """Sets weights and bias of a layer to zero, so that the branch behind it starts as the zero map.

    Args:
        layer: Layer to change in place.
    """
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def parameters_of(module: nn.Module) -> int:
    """Numbers that a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())
