r"""Orders in which the S positions of an event are drawn.

An order o is a permutation of 0 .. S - 1, and p(x | c) = prod_s p(x_{o_s} | x_{o_0}, ..., x_{o_{s-1}}, c).

`Given` is the order of the event. `Shuffled` draws an order for each example in training, so that one network learns
the conditionals of all orders; events are drawn in the order of the event, or in any other that is set. `Learned` has a
score a_i for each position, and draws orders after Plackett and Luce, position after position with probability
proportional to exp(a) among those that are left:

    log p(o) = sum_s (a_{o_s} - log sum_{r >= s} exp a_{o_r}),

which is the order of a_i + g_i for Gumbel noise g. Scores follow the score-function gradient of the expected loss,

    d/da E_o[l(o)] = E_o[(l(o) - b) d/da log p(o)],    b the mean loss of the other examples,

which is unbiased, as b does not depend on o. Events are drawn in the most probable order, by falling score.

The positions of a scene are the steps of its agents. `InTurn` and `InStep` lift an order of the A agents to all of
them: agent after agent, each with all its steps, or step after step, each with all agents, so that everybody knows what
everybody else did up to now.

Sources: Plackett 1975; Luce 1959; Uria et al. 2014 (arXiv:1310.1757) for training on all orders; Kool et al. 2019
(arXiv:1903.06059) for Gumbel noise, and their 2019 workshop paper "Buy 4 REINFORCE samples" for the mean of the others.
"""

import abc
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws


class Order(nn.Module, abc.ABC):
    """How the order of S positions is chosen.

    Args:
        positions: S, >= 1.

    Attributes:
        in_time: Whether the steps of an event, or of each of its agents, are always drawn from the first to the last.

    Raises:
        ValueError: If there is no position.
    """

    in_time: bool

    def __init__(self, positions: int):
        super().__init__()
        if positions < 1:
            raise ValueError(f"positions must be at least 1; got {positions}.")
        self.positions = positions

    @abc.abstractmethod
    def draw(self, rows: int, *, generator: draws.Generator, like: Tensor) -> Tensor:
        """An order for each example of a batch in training, int64, shape `(M, S)`, on the device of `like`."""

    @abc.abstractmethod
    def settled(self, like: Tensor) -> Tensor:
        """The order in which events are drawn and densities stated, int64, shape `(S,)`."""

    def lesson(self, order: Tensor, loss: Tensor) -> Tensor:
        """Zeros of the shape `(M,)` of `loss`, with the gradient that teaches the order by the losses it led to."""
        return torch.zeros_like(loss)


@final
class Given(Order):
    """The order of the event: step by step, channel by channel."""

    in_time = True

    def draw(self, rows: int, *, generator: draws.Generator, like: Tensor) -> Tensor:
        """The same for every example."""
        return self.settled(like).expand(rows, -1)

    def settled(self, like: Tensor) -> Tensor:
        """0 .. S - 1."""
        return torch.arange(self.positions, device=like.device)


@final
class Shuffled(Order):
    """Every order in training, equally often; that of the event in drawing."""

    in_time = False

    def draw(self, rows: int, *, generator: draws.Generator, like: Tensor) -> Tensor:
        """Uniform over permutations."""
        return draws.uniform((rows, self.positions), generator=generator, like=like).argsort(1)

    def settled(self, like: Tensor) -> Tensor:
        """0 .. S - 1."""
        return torch.arange(self.positions, device=like.device)


@final
class Learned(Order):
    """An order that is learned with the rest."""

    in_time = False

    def __init__(self, positions: int):
        super().__init__(positions)
        self.scores = nn.Parameter(torch.zeros(positions))

    def draw(self, rows: int, *, generator: draws.Generator, like: Tensor) -> Tensor:
        """After Plackett and Luce."""
        noise = draws.gumbel((rows, self.positions), generator=generator, like=like)
        return (self.scores.detach() + noise).argsort(1, descending=True)

    def settled(self, like: Tensor) -> Tensor:
        """By falling score."""
        return self.scores.detach().argsort(descending=True, stable=True)

    def log_prob(self, order: Tensor) -> Tensor:
        """Log p(o), `(M, S)` to `(M,)`."""
        scores = self.scores[order]
        left = scores.flip(1).logcumsumexp(1).flip(1)
        return (scores - left).sum(1)

    def lesson(self, order: Tensor, loss: Tensor) -> Tensor:
        """The score-function gradient; a single example is its own measure, with b = 0."""
        value = loss.detach()
        others = (value.sum() - value) / max(len(value) - 1, 1)
        taught = (value - others) * self.log_prob(order)
        return taught - taught.detach()


class OfAgents(Order, abc.ABC):
    """An order of agents, lifted to the positions of their steps; those of one agent follow each other in the event.

    Args:
        agents: Order of the A agents.
        steps: P, positions of each agent, >= 1, in time.

    Raises:
        ValueError: If there is no step.
    """

    in_time = True

    def __init__(self, agents: Order, steps: int):
        if steps < 1:
            raise ValueError(f"steps must be at least 1; got {steps}.")
        super().__init__(agents.positions * steps)
        self.agents, self.steps = agents, steps

    def draw(self, rows: int, *, generator: draws.Generator, like: Tensor) -> Tensor:
        """That of the agents, lifted."""
        return self._lifted(self.agents.draw(rows, generator=generator, like=like))

    def settled(self, like: Tensor) -> Tensor:
        """That of the agents, lifted."""
        return self._lifted(self.agents.settled(like)[None])[0]

    def lesson(self, order: Tensor, loss: Tensor) -> Tensor:
        """That of the agents."""
        return self.agents.lesson(self._first(order) // self.steps, loss)

    def _lifted(self, agents: Tensor) -> Tensor:
        """Orders of positions `(M, A P)` of orders of agents `(M, A)`."""
        positions = agents.unsqueeze(-1) * self.steps + torch.arange(self.steps, device=agents.device)
        return self._laid(positions)

    @abc.abstractmethod
    def _laid(self, positions: Tensor) -> Tensor:
        """Positions `(M, A, P)` by agent in order and step, one after the other, `(M, A P)`."""

    @abc.abstractmethod
    def _first(self, order: Tensor) -> Tensor:
        """The first position of each agent, in order, `(M, A P)` to `(M, A)`."""


@final
class InTurn(OfAgents):
    """Agent after agent, each with all its steps."""

    def _laid(self, positions: Tensor) -> Tensor:
        return positions.flatten(1)

    def _first(self, order: Tensor) -> Tensor:
        return order[:, :: self.steps]


@final
class InStep(OfAgents):
    """Step after step, each with all agents."""

    def _laid(self, positions: Tensor) -> Tensor:
        return positions.transpose(1, 2).flatten(1)

    def _first(self, order: Tensor) -> Tensor:
        return order[:, : self.agents.positions]
