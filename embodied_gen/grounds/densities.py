r"""Densities in the plane under a context: what the smallest comparison of families is drawn from.

A shape (see `shapes`) with K parts is seen through a condition, y = A(c) u with u from the shape:

    free   c = 0                    y = u
    angle  c = (cos a, sin a)       y = R(a) u,   a uniform on the circle
    scale  c = s                    y = s u,      s uniform in [1/2, 1]
    label  c = one of two, one-hot  y = u, from the even parts or from the odd ones

    log p(y | c) = logsumexp_k (log w_k(c) + log p(u | k)) - log |det A(c)|,    u = A(c)^-1 y
"""

import abc
import math
from typing import final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.grounds.shapes import HasLogDensity, Shape, turned


class Condition(abc.ABC):
    """How a context acts on a shape; contexts have shape `(B, C)`."""

    @abc.abstractmethod
    def contexts(self, rows: int, *, generator: draws.Generator) -> Tensor:
        """Random contexts, shape `(rows, C)`."""

    def apply(self, u: Tensor, c: Tensor) -> Tensor:
        """Points of the shape `(B, 2)` under their contexts, same shape."""
        return u

    def undo(self, y: Tensor, c: Tensor) -> Tensor:
        """The inverse of `apply`."""
        return y

    def log_volume(self, c: Tensor) -> Tensor:
        """Log |det A(c)|, shape `(B,)`."""
        return c.new_zeros(len(c))

    def log_weights(self, c: Tensor, parts: int) -> Tensor:
        """Logarithm of the share of each part, shape `(B, K)`."""
        return c.new_full((len(c), parts), -math.log(parts))

    def reach(self, shape: Shape) -> float:
        """Half the side of the square about the origin that holds the shape under every context."""
        return shape.side


@final
class Free(Condition):
    """One density whatever the context, a zero."""

    def contexts(self, rows: int, *, generator: draws.Generator) -> Tensor:
        """Zeros, shape `(rows, 1)`."""
        return torch.zeros(rows, 1)


@final
class Angle(Condition):
    """Turned about the middle."""

    def contexts(self, rows: int, *, generator: draws.Generator) -> Tensor:
        """Cosine and sine of the angle."""
        angle = 2 * math.pi * draws.uniform((rows,), generator=generator, like=torch.zeros(()))
        return torch.stack([angle.cos(), angle.sin()], -1)

    def apply(self, u: Tensor, c: Tensor) -> Tensor:
        """R(a) u."""
        return turned(u, torch.atan2(c[:, 1], c[:, 0]))

    def undo(self, y: Tensor, c: Tensor) -> Tensor:
        """R(-a) y."""
        return turned(y, -torch.atan2(c[:, 1], c[:, 0]))

    def reach(self, shape: Shape) -> float:
        """The radius of the shape."""
        return shape.radius


@final
class Scale(Condition):
    """Smaller or larger."""

    def contexts(self, rows: int, *, generator: draws.Generator) -> Tensor:
        """The scale, shape `(rows, 1)`."""
        return (1 + draws.uniform((rows, 1), generator=generator, like=torch.zeros(()))) / 2

    def apply(self, u: Tensor, c: Tensor) -> Tensor:
        """S u."""
        return c * u

    def undo(self, y: Tensor, c: Tensor) -> Tensor:
        """Y / s."""
        return y / c

    def log_volume(self, c: Tensor) -> Tensor:
        """2 log s."""
        return 2 * c[:, 0].log()


@final
class Label(Condition):
    """Half of the parts."""

    def contexts(self, rows: int, *, generator: draws.Generator) -> Tensor:
        """(1, 0) for the even parts, (0, 1) for the odd ones."""
        odd = draws.uniform((rows, 1), generator=generator, like=torch.zeros(())) >= 0.5
        return torch.cat([~odd, odd], 1).to(torch.get_default_dtype())

    def log_weights(self, c: Tensor, parts: int) -> Tensor:
        """Equal among the parts of the label."""
        odd = torch.arange(parts, device=c.device) % 2
        return c[:, odd].log().log_softmax(-1)


@final
class Density:
    """p(y | c) in the plane.

    Args:
        shape: What is drawn.
        condition: How the context acts on it.
    """

    def __init__(self, shape: Shape, condition: Condition):
        self.shape, self.condition = shape, condition

    @property
    def reach(self) -> float:
        """Half the side of the square about the origin beyond which no points lie but one in 10^8."""
        return self.condition.reach(self.shape)

    def contexts(self, rows: int, *, generator: draws.Generator) -> Tensor:
        """Random contexts, shape `(rows, C)`."""
        return self.condition.contexts(rows, generator=generator)

    def shares(self, c: Tensor) -> Tensor:
        """The share of each part, shape `(B, K)`; zero for those of no part of c."""
        return self.condition.log_weights(c, self.shape.parts).exp()

    def sample(self, c: Tensor, *, generator: draws.Generator) -> Tensor:
        """One point for each context, shape `(B, 2)`."""
        part = draws.categorical(self.condition.log_weights(c, self.shape.parts), generator=generator)
        return self.condition.apply(self.shape.draw(part, generator=generator, like=c), c)

    def part_of(self, y: Tensor, c: Tensor) -> Tensor:
        """The part of each point `(B, 2)`, int64, shape `(B,)`; -1 for stray points and those of no part of c."""
        part = self.shape.part_of(self.condition.undo(y, c))
        allowed = self.condition.log_weights(c, self.shape.parts).gather(1, part.clamp(min=0).unsqueeze(1)).squeeze(1)
        return torch.where(allowed > -math.inf, part, -1)

    @property
    def closed(self) -> bool:
        """Whether `log_density` is known."""
        return isinstance(self.shape, HasLogDensity)

    def log_density(self, y: Tensor, c: Tensor) -> Tensor:
        """Log p(y | c) of points `(B, 2)`, nat, shape `(B,)`.

        Raises:
            ValueError: If the shape has no closed density.
        """
        if not isinstance(self.shape, HasLogDensity):
            raise ValueError(
                f"the density of {type(self.shape).__name__} is not closed. Compare samples by their distance instead."
            )
        parts = self.shape.log_density(self.condition.undo(y, c))
        weighted = parts + self.condition.log_weights(c, self.shape.parts)
        return torch.logsumexp(weighted, -1) - self.condition.log_volume(c)
