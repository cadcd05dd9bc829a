r"""Bounds of log-densities by weighted draws.

With w_k = p(x, z_k | c) / q(z_k | x, c) the bound of K draws of a latent is

    log p(x | c) >= E log mean_k w_k,    z_k ~ q,

which grows with K to the exact value; K = 1 is the evidence lower bound (ELBO). It comes in two ways. `log_prob` takes
draws of one fixed seed that all rows share: it is a function of x and c, smooth in x, and does not depend on the batch,
but its errors are alike in all rows, and a mean over rows keeps them. `bound` takes independent draws for each row, and
its mean over many rows tends to the mean of the bound.

Source: Burda, Grosse and Salakhutdinov 2016 (arXiv:1509.00519).
"""

import abc
import math
from typing import Literal, final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.context import Context
from embodied_gen.events.base import Event


class DrawnBound(abc.ABC):
    """What heads with such a bound share; implements `HasDrawnBound`.

    Attributes:
        importance: K of the bound, >= 1; may be replaced on a trained head.
        seed: Of the draws of `log_prob`; may be replaced.
    """

    lower_bound: Literal[True] = True
    event: Event
    importance: int
    seed: int = 0

    @abc.abstractmethod
    def _log_weight(self, x: Tensor, c: Context, noise: Tensor, valid: Tensor | None) -> Tensor:
        """Log w of the valid parts at the draws of q that belong to noise N(0, 1), `(B, K, Q)`; `(B, K)`."""

    @property
    @abc.abstractmethod
    def _posterior_numbers(self) -> int:
        """Q, numbers of noise that a draw of q takes."""

    @final
    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """The bound of K = `importance` draws of the fixed seed, nat with respect to model units, shape `(B,)`.

        A lower bound of log p(x | c) in the mean over seeds; not of itself at every seed.
        """
        shape = (1, self.importance, self._posterior_numbers)
        noise = draws.normal(shape, generator=draws.generator(self.seed), like=x)
        return self._bound(x, c, noise.expand(len(x), -1, -1))

    @final
    def bound(self, x: Tensor, c: Context, *, generator: draws.Generator) -> Tensor:
        """The bound of K = `importance` draws for each row of its own, nat with respect to model units, `(B,)`.

        A lower bound of log p(x | c) in the mean over draws.
        """
        shape = (len(x), self.importance, self._posterior_numbers)
        return self._bound(x, c, draws.normal(shape, generator=generator, like=x))

    def _bound(self, x: Tensor, c: Context, noise: Tensor) -> Tensor:
        self.event.check(x)
        log_weight = self._log_weight(x, c, noise, None)
        return torch.logsumexp(log_weight, 1) - math.log(log_weight.shape[1])
