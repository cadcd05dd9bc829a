r"""Grids on which moves slip: exact values, optimal policies, demonstrations and what a learned policy loses.

In a cell s of a grid there are five actions: stay, and a move to each side. With probability p = 0.3 a uniformly random
one of the five is made instead; a move off the grid stays. A cell has a reward r(s), and with the discount gamma = 0.9

    V(s) = r(s) + gamma max_a E[V(s') | s, a],        V_pi(s) = r(s) + gamma sum_a pi(a | s) E[V_pi(s') | s, a],

both by iteration until the change, times gamma / (1 - gamma), is below 1e-10 of the largest reward, which bounds the
error. Optimal actions that are equally good to 1e-8 of the largest reward are equally likely.

The expected value difference of a policy is the mean over all starts of V - V_pi under the true reward; for a learned
reward its optimal policy is judged. Nothing here depends on features, so that it judges any learner.

Source: Levine, Popovic and Koltun 2011, Nonlinear inverse reinforcement learning with Gaussian processes.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

MOVES = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)])
"""Steps (row, column) of the actions."""
LENGTH = 8
"""Steps of a demonstration."""
_TOLERANCE, _TIE = 1e-10, 1e-8  # shares of the largest reward

Values = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Demonstrations:
    """N walks of T steps.

    Attributes:
        cells: Cells (row, column) before each action, shape `(N, T, 2)`.
        actions: Chosen actions, indices into `MOVES`, shape `(N, T)`; where the move slipped another was made.
    """

    cells: NDArray[np.int64]
    actions: NDArray[np.int64]


@final
class SlipGrid:
    """A grid with its dynamics; rewards are `(..., H, W)`, policies `(..., 5, H, W)`, probabilities of actions.

    Args:
        shape: Rows and columns H, W.
        slip: Probability p of a random move.
        discount: gamma.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, shape: tuple[int, int], *, slip: float = 0.3, discount: float = 0.9) -> None:
        if min(shape) < 1 or not 0 <= slip <= 1 or not 0 <= discount < 1:
            raise ValueError(
                f"a grid needs cells, slip in [0, 1] and discount in [0, 1); got {shape}, {slip} and {discount}."
            )
        self.shape, self.slip, self.discount = shape, slip, discount

    def ahead(self, values: Values) -> Values:
        """E[values of the next cell] for every action, shape `(..., 5, H, W)`, from values `(..., H, W)`."""
        rows, columns = self.shape
        # A border that repeats the outermost cells: who would leave the grid stays.
        padded = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
        made = np.stack(
            [
                padded[..., 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
                for down, right in MOVES.tolist()
            ],
            axis=-3,
        )
        return (1 - self.slip) * made + self.slip * made.mean(axis=-3, keepdims=True)

    def values(self, reward: Values) -> Values:
        """Values V of the best policy, shape `(..., H, W)`.

        Raises:
            ValueError: If the reward has another shape or is not finite.
        """
        reward = self._checked(reward)
        values = reward
        while True:
            last, values = values, reward + self.discount * self.ahead(values).max(axis=-3)
            if self._close(values, last, reward):
                return values

    def policy(self, reward: Values) -> Values:
        """The best policy, shape `(..., 5, H, W)`; equally good actions are equally likely.

        Raises:
            ValueError: As `values`.
        """
        ahead = self.ahead(self.values(reward))
        scale = np.abs(reward).max(axis=(-2, -1), keepdims=True)[..., None, :, :]
        best = ahead >= ahead.max(axis=-3, keepdims=True) - _TIE * scale
        return best / best.sum(axis=-3, keepdims=True)

    def value_of(self, policy: Values, reward: Values) -> Values:
        """Values V_pi of a policy, shape `(..., H, W)`.

        Raises:
            ValueError: If the reward or the policy has another shape, or the policy's entries are no probabilities.
        """
        reward = self._checked(reward)
        if policy.shape[-3:] != (len(MOVES), *self.shape) or not (policy >= 0).all():
            raise ValueError(f"a policy must be probabilities (..., 5, {self.shape}); got shape {policy.shape}.")
        if not np.allclose(policy.sum(axis=-3), 1, atol=1e-6):
            raise ValueError("the probabilities of the five actions must sum to 1 in every cell.")
        values = np.broadcast_arrays(reward, policy[..., 0, :, :])[0]
        while True:
            last, values = values, reward + self.discount * (policy * self.ahead(values)).sum(axis=-3)
            if self._close(values, last, reward):
                return values

    def lost_by_policy(self, policy: Values, truth: Values) -> Values:
        """Expected value difference of a policy under the true reward, shape `(...)`.

        Raises:
            ValueError: As `value_of`.
        """
        return (self.values(truth) - self.value_of(policy, truth)).mean(axis=(-2, -1))

    def lost_by_reward(self, learned: Values, truth: Values) -> Values:
        """Expected value difference of the policy that is optimal for a learned reward, shape `(...)`.

        Raises:
            ValueError: As `values`.
        """
        return self.lost_by_policy(self.policy(learned), truth)

    def demonstrations(self, policy: Values, count: int, *, seed: int, length: int = LENGTH) -> Demonstrations:
        """Walks of a policy, shape `(5, H, W)`, from uniformly random starts.

        Raises:
            ValueError: If the policy has another shape, or no walk or step is asked for.
        """
        if policy.shape != (len(MOVES), *self.shape) or count < 1 or length < 1:
            raise ValueError(
                f"walks need a policy (5, {self.shape}), count and length of 1 or more; "
                f"got {policy.shape}, {count} and {length}."
            )
        generator = np.random.default_rng(seed)
        cell = generator.integers(self.shape, size=(count, 2))
        cells, actions = np.empty((count, length, 2), np.int64), np.empty((count, length), np.int64)
        for step in range(length):
            shares = policy[:, cell[:, 0], cell[:, 1]].cumsum(axis=0)
            action = (generator.random(count) * shares[-1] >= shares[:-1]).sum(axis=0)
            cells[:, step], actions[:, step] = cell, action
            slipped = generator.random(count) < self.slip
            made = np.where(slipped, generator.integers(len(MOVES), size=count), action)
            cell = np.clip(cell + MOVES[made], 0, np.array(self.shape) - 1)
        return Demonstrations(cells, actions)

    def _close(self, values: Values, last: Values, reward: Values) -> bool:
        change = np.abs(values - last).max() * self.discount / (1 - self.discount)
        return bool(change <= _TOLERANCE * max(float(np.abs(reward).max()), np.finfo(np.float64).tiny))

    def _checked(self, reward: Values) -> Values:
        reward = np.asarray(reward, dtype=np.float64)
        if reward.shape[-2:] != self.shape or not np.isfinite(reward).all():
            raise ValueError(f"a reward must be finite numbers (..., {self.shape}); got shape {reward.shape}.")
        return reward
