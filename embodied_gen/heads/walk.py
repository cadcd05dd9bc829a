"""Walks from noise to events, as methods of guidance see them: levels, noise, and clean estimates.

`Guidance` is how a denoising head follows a guide; each method is a final class. `Steered` is the plain one: every
clean estimate of an ordinary sampler is steered. `particles` holds the exact one.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor

from embodied_gen import draws
from embodied_gen.context import Context
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.samplers import Denoise, Sampler
from embodied_gen.heads.schedules import Level
from embodied_gen.heads.steering import steer


@final
@dataclass(frozen=True)
class Walk:
    """What a head lends to a method of guidance for M rows of B contexts.

    Attributes:
        grid: Levels from noise to the clean level.
        sampler: The head's own.
        denoise: Clean estimates of x_t at a level, `(M, *E)`, as the head gives them without a guide.
        variance: Variance of the clean estimate in each entry at a level, model units squared, shape `*E`.
        noise: Draws N(0, 1) of shape `(M, *E)`.
        initial_deviation: Of x_t at the first level.
        generator: For other draws.
        c: Contexts of the rows, every leaf `(M, ...)`.
    """

    grid: list[Level]
    sampler: Sampler
    denoise: Denoise
    variance: Callable[[Level], Tensor]
    noise: Callable[[], Tensor]
    initial_deviation: float
    generator: draws.Generator
    c: Context

    def start(self) -> Tensor:
        """Noise of the first level, shape `(M, *E)`."""
        return self.initial_deviation * self.noise()


class Guidance(abc.ABC):
    """How a denoising head follows a guide."""

    def population(self, n: int) -> int:
        """Rows that are walked for each context when n samples are asked for; at least n."""
        return n

    @abc.abstractmethod
    def run(self, walk: Walk, guide: RowGuide, n: int) -> Tensor:
        """Walks the rows of `population(n)` for each context.

        Args:
            walk: Of the head.
            guide: What is wanted.
            n: Samples asked for.

        Returns:
            Events, model units, n for each context, shape `(B * n, *E)`.
        """


@final
class Steered(Guidance):
    """Every clean estimate of the head's own sampler is steered, row by row.

    The fastest method. It follows a cost well where the estimate's variance is well described by one number an entry;
    samples concentrate more than they should, and a constraint may be broken.

    Args:
        iterations: Gradient steps for each estimate.
    """

    def __init__(self, iterations: int = 3):
        self.iterations = iterations

    def run(self, walk: Walk, guide: RowGuide, n: int) -> Tensor:
        """The head's sampler on steered estimates."""

        def denoise(x_t: Tensor, level: Level) -> Tensor:
            x_hat = walk.denoise(x_t, level)
            return steer(x_hat, walk.variance(level), guide, iterations=self.iterations)

        return walk.sampler.run(walk.start(), walk.grid, denoise, walk.noise)
