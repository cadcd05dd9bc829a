r"""Hopfield networks: memories that are recalled from a part of them.

    E(x) = -1/2 sum_ij w_ij x_i x_j - sum_i b_i x_i,    x in {-1, +1}^N,  w symmetric without a diagonal

Asynchronous updates  x_i <- sign(sum_j w_ij x_j + b_i),  unit by unit and keeping a unit whose field is zero, never
raise E. Hebb's rule  w_ij = (1/N) sum_k p_i p_j  stores patterns p in closed form; `loss` learns weights and biases
from events instead, by their pseudo-likelihood, which is what makes draws resemble them. A draw is the stochastic
network at temperature one. Units are -1 and +1 whatever their physical values are.

The continuous network stores K patterns as they are, rows of a matrix X, and updates

    x <- X' softmax(beta X x),    E(x) = -logsumexp(beta X x) / beta + |x|^2 / 2,

which never raises this E and recalls one of exponentially many patterns in one step where beta is large.

Sources: Hopfield 1982; Besag 1975 for the pseudo-likelihood; Ramsauer et al. 2020 (arXiv:2008.02217).
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen import draws
from embodied_gen.context import Context
from embodied_gen.events.base import Event
from embodied_gen.heads.binary import BinaryHead
from embodied_gen.rounding import product


@final
class HopfieldHead(BinaryHead):
    """A network of pairwise weights between all units; implements `HasEnergy`.

    Args:
        event: What is predicted, a `Binary` of N units in all.
        net: `net(x_t, t, c)`, returns a channel for each unit of a step: the biases.
        sweeps: Of a draw, >= 1.
    """

    def __init__(self, event: Event, net: nn.Module, *, sweeps: int = 20):
        super().__init__(event, net, hidden=0, sweeps=sweeps)
        self.raw = nn.Parameter(torch.zeros(self.units, self.units))

    @property
    def weights(self) -> Tensor:
        """W, symmetric without a diagonal, shape `(N, N)`."""
        half = (self.raw + self.raw.T) / 2
        return half - torch.diag(half.diagonal())

    @torch.no_grad()
    def store(self, patterns: Tensor) -> None:
        """Sets the weights by Hebb's rule; biases stay.

        Args:
            patterns: Model units, -1 and +1, shape `(K, T, D)`.
        """
        self.event.check(patterns, "patterns")
        flat = patterns.flatten(1)
        self.raw.copy_(flat.T @ flat / self.units)

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """Mean surprise at a unit given the others, nat, shape `(B,)`; padding is learned as it is."""
        self.event.check(x)
        flat = x.flatten(1)
        field = product(flat, self.weights) + self._biases(c)[0]
        return functional.softplus(-2 * flat * field).mean(1)

    @torch.no_grad()
    def recall(self, x: Tensor, c: Context, *, sweeps: int = 10) -> Tensor:
        """What the network settles to.

        Args:
            x: Where it starts, -1 and +1, shape `(B, T, D)`.
            c: Contexts.
            sweeps: Asynchronous updates of every unit, in order.

        Returns:
            States of no higher energy, of the same shape.
        """
        self.event.check(x)
        weights, bias, state = self.weights, self._biases(c)[0], x.flatten(1).clone()
        for _ in range(sweeps):
            for i in range(self.units):
                field = state @ weights[i] + bias[:, i]
                state[:, i] = torch.where(field == 0, state[:, i], field.sign())
        return state.view_as(x)

    def _energy(self, x: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        return -(product(x, self.weights) * x).sum(1) / 2 - (visible * x).sum(1)


def associate(patterns: Tensor, x: Tensor, *, beta: float, steps: int = 1) -> Tensor:
    """Updates of the continuous network.

    Args:
        patterns: X, shape `(K, N)`.
        x: States, shape `(M, N)`.
        beta: Sharpness, > 0.
        steps: Updates, >= 0.

    Returns:
        States of no higher `association_energy`, shape `(M, N)`.

    Raises:
        ValueError: If beta is not positive.
    """
    _require_sharpness(beta)
    for _ in range(steps):
        x = (beta * x @ patterns.T).softmax(1) @ patterns
    return x


def association_energy(patterns: Tensor, x: Tensor, *, beta: float) -> Tensor:
    """E of states `(M, N)` of the continuous network, shape `(M,)`; see `associate`."""
    _require_sharpness(beta)
    return x.square().sum(1) / 2 - torch.logsumexp(beta * x @ patterns.T, 1) / beta


def _require_sharpness(beta: float) -> None:
    if not beta > 0:
        raise ValueError(f"beta must be positive; got {beta}.")
