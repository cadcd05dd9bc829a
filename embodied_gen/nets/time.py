"""How time and context enter a network: one vector e(t, c).

Fourier features of t in [0, 1] at F/2 frequencies w_i, spaced geometrically from 1000 down to 0.1 [rad],

    f(t) = [sin(w_i t), cos(w_i t)],        w_i = 1000 * 10000^(-i / (F/2 - 1)),

are the sinusoids of Ho et al. 2020 (arXiv:2006.11239) with the 1000 steps of their chain mapped to [0, 1]:
the fastest tells times apart that differ by 1/1000, the slowest is almost linear in t. A small MLP reads them
together with the context, e = W_2 silu(W_t f(t) + W_c c + b_1) + b_2, so that time and context can interact.
"""

import math
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.nets.base import require_positive

STEPS = 1000.0  # times that differ by 1/STEPS are told apart
RANGE = 10_000.0  # fastest frequency divided by the slowest


@final
class FourierFeatures(nn.Module):
    """Fixed sinusoids of a time in [0, 1].

    Args:
        width: Number F of features, even and >= 4.

    Raises:
        ValueError: If `width` is odd or below 4.
    """

    frequencies: Tensor
    phases: Tensor

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        if width < 4 or width % 2:
            raise ValueError(f"width of the Fourier features must be even and >= 4; got {width}.")
        self.width = width
        half = width // 2
        exponents = torch.arange(half, dtype=torch.float64) / (half - 1)
        frequencies = STEPS * RANGE**-exponents
        phases = torch.cat([torch.zeros(half), torch.full((half,), math.pi / 2)])  # cos is a shifted sin
        self.register_buffer("frequencies", frequencies.repeat(2).to(torch.get_default_dtype()))
        self.register_buffer("phases", phases.to(torch.get_default_dtype()))

    def forward(self, t: Tensor) -> Tensor:
        """Computes the features.

        Args:
            t: Time in [0, 1], shape `(M,)`.

        Returns:
            Features in [-1, 1], shape `(M, F)`.
        """
        return torch.sin(torch.addcmul(self.phases, t.unsqueeze(-1), self.frequencies))


@final
class TimeEmbedding(nn.Module):
    """The conditioning vector e(t, c) of a network.

    Args:
        width: Numbers E of the conditioning vector, >= 1.
        context: Numbers C of the context, >= 0.
        features: Fourier features of the time, even and >= 4.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(self, *, width: int, context: int, features: int = 64) -> None:
        super().__init__()
        require_positive(width=width)
        self.features = FourierFeatures(width=features)
        self.hidden = nn.Linear(features + context, width)
        self.output = nn.Linear(width, width)

    def forward(self, t: Tensor, c: Tensor) -> Tensor:
        """Embeds time and context.

        Args:
            t: Time in [0, 1], shape `(M,)`.
            c: Context, shape `(M, C)`.

        Returns:
            Conditioning vector, shape `(M, E)`.
        """
        joint = torch.cat([self.features(t), c], dim=-1)
        return self.output(nn.functional.silu(self.hidden(joint)))
