r"""Increasing maps of single numbers, of which coupling and autoregressive layers are made.

    affine    y = x exp(a) + b,  a = l tanh(r / l), which stays within +-l
    spline    y = a monotone rational-quadratic spline of K bins (`spline`)

Each has some free numbers for an entry, which a network gives; where these are zero the map is the identity, as a
network whose last layer starts at zero makes it.
"""

import abc
from typing import final

from torch import Tensor

from embodied_gen.heads.flows import spline


class Elementwise(abc.ABC):
    """An increasing map of the real line.

    Attributes:
        numbers: Free numbers for each entry.
    """

    numbers: int

    @abc.abstractmethod
    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Values and logarithms of slopes; x of shape `(...)`, raw of shape `(..., numbers)`."""

    @abc.abstractmethod
    def inverse(self, y: Tensor, raw: Tensor) -> Tensor:
        """Where the map takes the values y; shape `(...)`."""


@final
class Affine(Elementwise):
    """A scale and a shift.

    Args:
        limit: Largest logarithm of a scale, > 0: no layer stretches by more than exp(limit).
    """

    numbers = 2

    def __init__(self, limit: float = 3.0):
        if not limit > 0:
            raise ValueError(f"limit must be positive; got {limit}.")
        self.limit = limit

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Y = x exp(a) + b, and a."""
        log_scale = self._log_scale(raw)
        return x * log_scale.exp() + raw[..., 1], log_scale

    def inverse(self, y: Tensor, raw: Tensor) -> Tensor:
        """(y - b) exp(-a)."""
        return (y - raw[..., 1]) * (-self._log_scale(raw)).exp()

    def _log_scale(self, raw: Tensor) -> Tensor:
        return self.limit * (raw[..., 0] / self.limit).tanh()


@final
class Spline(Elementwise):
    """A monotone rational-quadratic spline, and the identity outside of +-bound.

    Args:
        bins: K, from 2 to 64.
        bound: Where the tails begin, > 0, in deviations of the data.
    """

    def __init__(self, bins: int = 8, bound: float = 4.0):
        if not 2 <= bins <= 64:
            raise ValueError(f"bins must lie between 2 and 64; got {bins}.")
        if not bound > 0:
            raise ValueError(f"bound must be positive; got {bound}.")
        self.numbers = 3 * bins - 1
        self.bound = bound

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The spline."""
        return spline.forward(x, spline.knots(raw, self.bound))

    def inverse(self, y: Tensor, raw: Tensor) -> Tensor:
        """The root of a quadratic equation."""
        return spline.inverse(y, spline.knots(raw, self.bound))
