r"""Identities of the average velocity u of a flow between two times r <= t, and what a network learns from each.

Along straight paths x_t = (1 - t) x + t z, with velocity v = z - x,

    (t - r) u(x_t, r, t) = int_r^t v(x_s, s) ds,    so that    x_r = x_t - (t - r) u(x_t, r, t).

Differentiated by t this is the MeanFlow identity, cut in halves the shortcut identity; m = (r + t) / 2,

    u(x_t, r, t) = v - (t - r) (v grad_x u + d_t u)(x_t, r, t)
    u(x_t, r, t) = (u(x_t, m, t) + u(x_m, r, m)) / 2,    x_m = x_t - (t - m) u(x_t, m, t).

The right side, without its gradient, is the target of the left. Both hold v fixed at r = t, which is flow matching. The
first is linear in v, so that the velocity of one pair (x, z) may stand for the flow's: its mean given x_t. With r = 0
throughout, the first is consistency training in continuous time, of the function x_t - t u(x_t, 0, t).

Sources: Geng et al. 2025 (arXiv:2505.13447) for MeanFlow; Frans et al. 2025 (arXiv:2410.12557) for shortcuts; Lu and
Song 2025 (arXiv:2410.11081) for consistency in continuous time.
"""

import abc
from collections.abc import Callable
from typing import NamedTuple, final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.context import aligned
from embodied_gen.heads.derivatives import change

Average = Callable[[Tensor, Tensor, Tensor], Tensor]  # u(x_t, r, t): (M, *E), (M,), (M,) to (M, *E)


class Times(NamedTuple):
    """Times r <= t in [0, 1], shapes `(M,)`."""

    r: Tensor
    t: Tensor


class Identity(abc.ABC):
    """An identity of average velocities.

    Args:
        instant: Share of rows with r = t, in [0, 1].
    """

    def __init__(self, instant: float):
        if not 0 <= instant <= 1:
            raise ValueError(f"instant must lie in [0, 1]; got {instant}.")
        self.instant = instant

    @final
    def times(self, rows: int, *, generator: draws.Generator, like: Tensor) -> Times:
        """Random times, with r = t in a share of the rows."""
        u = draws.uniform((rows, 3), generator=generator, like=like)
        r, t = self._span(u[:, 0], u[:, 1])
        return Times(torch.where(u[:, 2] < self.instant, t, r), t)

    @abc.abstractmethod
    def residual(self, average: Average, x_t: Tensor, v: Tensor, at: Times) -> Tensor:
        """By how much u misses its target, with the gradient of u alone.

        Args:
            average: u.
            x_t: Shape `(M, *E)`.
            v: Velocities at x_t, of one pair each or of the flow, same shape.
            at: Times.

        Returns:
            u(x_t, r, t) less its target, shape `(M, *E)`.
        """

    @abc.abstractmethod
    def _span(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Times r < t of two uniform numbers; shapes `(M,)`."""


@final
class MeanFlow(Identity):
    """The derivative along the flow, by forward differentiation of the network.

    Args:
        instant: Share of rows with r = t, in [0, 1].
    """

    def __init__(self, instant: float = 0.5):
        super().__init__(instant)

    def residual(self, average: Average, x_t: Tensor, v: Tensor, at: Times) -> Tensor:
        """U - (v - (t - r) du/dt)."""
        one = torch.ones_like(at.t)
        u, rate = change(average, (x_t, at.r, at.t), (v, torch.zeros_like(one), one))
        return u - (v - aligned(at.t - at.r, v) * rate)

    def _span(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        return torch.minimum(first, second), torch.maximum(first, second)


@final
class Shortcut(Identity):
    """Two steps of half the length are one; lengths are 1, 1/2, 1/4, ..., and end where a step is an instant.

    Args:
        halvings: K, so that the shortest steps have length 2^(1 - K), and their halves are instants; >= 1.
        instant: Share of rows with r = t, in [0, 1].
    """

    def __init__(self, halvings: int = 7, *, instant: float = 0.75):
        super().__init__(instant)
        if halvings < 1:
            raise ValueError(f"halvings must be at least 1; got {halvings}.")
        self.halvings = halvings

    def residual(self, average: Average, x_t: Tensor, v: Tensor, at: Times) -> Tensor:
        """U less the mean of two halves, or less v at an instant."""
        u = average(x_t, at.r, at.t)
        with torch.no_grad():
            half = (at.t - at.r) / 2
            middle = at.t - half
            shortest = half < 2**-self.halvings * 1.5
            first = average(x_t, torch.where(shortest, at.t, middle), at.t)
            x_m = x_t - aligned(half, x_t) * first
            second = average(x_m, torch.where(shortest, middle, at.r), middle)
            target = torch.where(aligned(at.t > at.r, x_t), (first + second) / 2, v)
        return u - target

    def _span(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        length = 2.0 ** -(first * self.halvings).floor()
        r = (second / length).floor() * length
        return r, r + length
