r"""Discriminators: how likely a step is one of the demonstrations', and the reward that follows from it.

With u the logit of a step from s by a to s', and pi the policy that is being trained,

    loss  =  mean over demonstrations of softplus(-u)  +  mean over steps of the policy of softplus(u),

least where u is the logarithm of the ratio of both densities of steps.

    GAIL    u = f(s, a)                                                                      reward softplus(f)
    AIRL    u = f - log pi(a | s),    f = g(s) + discount h(s') - h(s)                       reward f

GAIL's reward is -log(1 - D), positive: an agent gains by staying alive. AIRL's policy is trained on
log D - log(1 - D) = f - log pi: the reward f, and the policy's entropy, the mean of -log pi, with a weight of 1. AIRL's
g is a reward of states by themselves, apart from shaping by h. The slope of the loss in f is a difference of visits, as
that of -log p of a head over paths: what demonstrations visit less what the policy visits; the policy stands for the
model, and is found by reinforcement learning instead of a backup.

Sources: Ho and Ermon 2016 (arXiv:1606.03476); Fu, Luo and Levine 2018 (arXiv:1710.11248); Finn et al. 2016
(arXiv:1611.03852) on what they have in common with maximum entropy.
"""

import abc
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.demos.episodes import Episodes


@final
@dataclass(frozen=True)
class Moves:
    """Steps, one a row.

    Attributes:
        observations: s, shape `(M, O)`.
        actions: a, shape `(M, A)`.
        following: s', shape `(M, O)`.
    """

    observations: Tensor
    actions: Tensor
    following: Tensor

    def __len__(self) -> int:
        """M."""
        return len(self.actions)

    def at(self, index: Tensor) -> "Moves":
        """The rows of an index, int64."""
        return Moves(self.observations[index], self.actions[index], self.following[index])


def moves_of(episodes: Episodes) -> Moves:
    """All steps of demonstrations but the last of each, of which nothing shows where it led."""
    last = torch.zeros(len(episodes.actions), dtype=torch.bool)
    last[episodes.starts[1:] - 1] = True
    first = (~last).nonzero()[:, 0]
    if not len(first):
        raise ValueError(f"{episodes.source}: every episode has a single step; a discriminator needs two or more.")
    return Moves(episodes.observations[first], episodes.actions[first], episodes.observations[first + 1])


class Discriminator(nn.Module, abc.ABC):
    """Logits and rewards of steps.

    Args:
        demonstrations: Steps, whose observations are standardised.
        width: Hidden features, >= 1.

    Attributes:
        entropy: Weight of the policy's entropy beside the reward.

    Raises:
        ValueError: If the width is not positive.
    """

    entropy: float
    mean: Tensor
    deviation: Tensor

    def __init__(self, demonstrations: Moves, *, width: int = 64):
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be at least 1; got {width}.")
        observations = demonstrations.observations
        self.register_buffer("mean", observations.mean(0))
        self.register_buffer("deviation", observations.std(0, correction=0).clamp(min=1e-3))

    @abc.abstractmethod
    def logit(self, moves: Moves, log_pi: Tensor) -> Tensor:
        """U of steps, given log pi(a | s) `(M,)`, shape `(M,)`."""

    @abc.abstractmethod
    def reward(self, moves: Moves) -> Tensor:
        """Rewards of steps, shape `(M,)`."""

    @final
    def loss(self, own: Moves, own_log_pi: Tensor, theirs: Moves, their_log_pi: Tensor) -> Tensor:
        """The loss of demonstrations and steps of the policy, as many; one for each pair, shape `(M,)`."""
        return functional.softplus(-self.logit(own, own_log_pi)) + functional.softplus(self.logit(theirs, their_log_pi))

    @final
    def _standard(self, observations: Tensor) -> Tensor:
        return ((observations - self.mean) / self.deviation).clamp(-10, 10)


@final
class Gail(Discriminator):
    """A logit of states and actions; arguments and errors are those of `Discriminator`."""

    entropy = 0.0

    def __init__(self, demonstrations: Moves, *, width: int = 64):
        super().__init__(demonstrations, width=width)
        self.net = _mlp(demonstrations.observations.shape[1] + demonstrations.actions.shape[1], width)

    def logit(self, moves: Moves, log_pi: Tensor) -> Tensor:
        """See `Discriminator`; log pi is not read."""
        return self.net(torch.cat([self._standard(moves.observations), moves.actions], 1))[:, 0]

    def reward(self, moves: Moves) -> Tensor:
        """See `Discriminator`."""
        return functional.softplus(self.logit(moves, moves.actions))


@final
class Airl(Discriminator):
    """A reward of states and its shaping.

    Args:
        demonstrations: Steps, whose observations are standardised.
        discount: Of one step, in (0, 1].
        width: Hidden features, >= 1.

    Raises:
        ValueError: If a number is out of range.
    """

    entropy = 1.0

    def __init__(self, demonstrations: Moves, *, discount: float = 0.99, width: int = 64):
        super().__init__(demonstrations, width=width)
        if not 0 < discount <= 1:
            raise ValueError(f"discount must lie in (0, 1]; got {discount}.")
        self.discount = discount
        size = demonstrations.observations.shape[1]
        self.own, self.shaping = _mlp(size, width), _mlp(size, width)

    def logit(self, moves: Moves, log_pi: Tensor) -> Tensor:
        """See `Discriminator`."""
        return self.reward(moves) - log_pi

    def reward(self, moves: Moves) -> Tensor:
        """See `Discriminator`."""
        here, there = self._standard(moves.observations), self._standard(moves.following)
        return self.own(here)[:, 0] + self.discount * self.shaping(there)[:, 0] - self.shaping(here)[:, 0]


def _mlp(inputs: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
