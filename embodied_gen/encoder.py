"""Encoders: from observations to the context of a head.

A state encoder standardises each channel by the demonstrations' mean and deviation and lays the history flat:

    c = flatten(clamp((o - mean) / deviation, -limit, limit)).

The clamp keeps a channel that hardly moved in the demonstrations from swamping the others when it does.
"""

from typing import final

import torch
from torch import Tensor, nn

_LIMIT = 10.0  # deviations
_CONSTANT = 1e-6  # deviations below this share of the channel's size are rounding


@final
class StateEncoder(nn.Module):
    """Standardised, flattened histories of state vectors.

    Args:
        history: Number of observations H.
        mean: Of each channel over the demonstrations, shape `(O,)`.
        deviation: Of each channel, shape `(O,)`; a constant channel is only centred.

    Attributes:
        width: Length of a context, H * O.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, history: int, mean: Tensor, deviation: Tensor):
        super().__init__()
        if history < 1:
            raise ValueError(f"history must be at least 1; got {history}.")
        self.history = history
        self.width = history * len(mean)
        constant = deviation <= _CONSTANT * (1 + mean.abs())
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", torch.where(constant, torch.ones_like(deviation), deviation))

    def forward(self, observations: Tensor) -> Tensor:
        """Contexts of shape `(B, H * O)` from observations of shape `(B, H, O)`.

        Raises:
            ValueError: If the shape is another.
        """
        expected = (self.history, len(self.mean))
        if observations.ndim != 3 or tuple(observations.shape[1:]) != expected:
            raise ValueError(
                f"observations must have shape (B, {expected[0]}, {expected[1]}); "
                f"got {tuple(observations.shape)}. Give a history of {self.history} flat observations."
            )
        return ((observations - self.mean) / self.deviation).clamp(-_LIMIT, _LIMIT).flatten(1)
