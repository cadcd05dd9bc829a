r"""Rules of choice: what a state is worth, given what its actions are, and the share that each action has of it.

    Soft    L(s) = log sum_a exp q(s, a)    pi(a | s) = exp(q(s, a) - L(s))     with q = -cost / temperature + ...
    Hard    L(s) = max_a q(s, a)            pi(a | s) = 1 / ties for the best   with q = -cost + ...

Values in costs are V = -temperature L. As the temperature falls, the soft ones rise to the hard ones, which are at most
temperature * log(number of paths) above.
"""

import abc
import math
from typing import final

import torch
from torch import Tensor

from embodied_gen.graphs.dynamics import Dynamics


class Rule(abc.ABC):
    """How a state chooses among its actions; all in log weights, q `(B, *Q)` and L `(B, *S)`.

    Attributes:
        temperature: Cost of a unit of log weight.
    """

    temperature: float

    @abc.abstractmethod
    def best(self, dynamics: Dynamics, q: Tensor) -> Tensor:
        """L of q."""

    @abc.abstractmethod
    def shares(self, dynamics: Dynamics, q: Tensor, best: Tensor) -> Tensor:
        """The policy of q and its L, `(B, *Q)`; zero where a state has no action."""


@final
class Soft(Rule):
    """Maximum entropy: paths are drawn in proportion to exp(-cost / temperature).

    Args:
        temperature: In units of cost, > 0.

    Raises:
        ValueError: If it is not positive.
    """

    def __init__(self, temperature: float = 1.0):
        if not 0 < temperature < math.inf:
            raise ValueError(
                f"temperature must be positive and finite; got {temperature}. Hard() is the limit of zero."
            )
        self.temperature = temperature

    def best(self, dynamics: Dynamics, q: Tensor) -> Tensor:
        """See `Rule`."""
        return dynamics.log_sum(q)

    def shares(self, dynamics: Dynamics, q: Tensor, best: Tensor) -> Tensor:
        """See `Rule`."""
        # Where values are large their rounding is a factor of every share, which many steps would multiply.
        kind = torch.finfo(q.dtype)
        shares = (q - dynamics.spread(best.clamp(min=kind.min))).exp_()
        return shares.div_(dynamics.spread(dynamics.collect(shares).clamp_(min=kind.tiny)))


@final
class Hard(Rule):
    """The least cost; actions that tie share alike. Slopes are subgradients: visits of the best paths."""

    temperature = 1.0

    def best(self, dynamics: Dynamics, q: Tensor) -> Tensor:
        """See `Rule`."""
        return dynamics.largest(q)

    def shares(self, dynamics: Dynamics, q: Tensor, best: Tensor) -> Tensor:
        """See `Rule`."""
        ties = ((q == dynamics.spread(best)) & (q > -math.inf)).to(q.dtype)
        return ties / dynamics.spread(dynamics.collect(ties).clamp(min=1))
