"""Gridworld: macro-cells with random rewards.

A grid of n x n cells is cut into macro-cells of b x b. One in ten of them, at least one, has a reward uniform in
[0, 1]; the others have none. Features are bits: which macro-cell a cell is in, of which the reward is a linear
function, or on which side of every line between two rows and two columns it is, of which it is none. Moves,
demonstrations and the measure are those of `envs.slip_grid`.

Source: Abbeel and Ng 2004, Apprenticeship learning via inverse reinforcement learning; the discount and the slip are
those of Levine, Popovic and Koltun 2011.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

_SHARE = 0.1  # of macro-cells with a reward


@final
@dataclass(frozen=True, eq=False)
class Gridworld:
    """A world; made by `gridworld`.

    Attributes:
        block: Cells along a side of a macro-cell, b.
        rewards: Of the macro-cells, shape `(m, m)` with m = n / b.
    """

    block: int
    rewards: NDArray[np.float64]

    @property
    def size(self) -> int:
        """Cells along a side, n."""
        return self.block * len(self.rewards)

    def macro_cells(self) -> NDArray[np.bool_]:
        """Features of which the reward is a linear function, shape `(m^2, n, n)`: whether a cell is in a macro-cell."""
        number = np.kron(np.arange(self.rewards.size).reshape(self.rewards.shape), self._ones())
        return number == np.arange(self.rewards.size)[:, None, None]

    def sides(self) -> NDArray[np.bool_]:
        """Features of which it is none, shape `(2 (n - 1), n, n)`: whether row, then column, is below 1, ..., n - 1."""
        indices = np.indices((self.size, self.size))
        below = indices[:, None] < np.arange(1, self.size)[:, None, None]
        return below.reshape(-1, self.size, self.size)

    def reward(self) -> NDArray[np.float64]:
        """True reward, shape `(n, n)`."""
        return np.asarray(np.kron(self.rewards, self._ones()), dtype=np.float64)

    def _ones(self) -> NDArray[np.int64]:
        return np.ones((self.block, self.block), dtype=np.int64)


def gridworld(seed: int, *, size: int = 32, block: int = 4) -> Gridworld:
    """The world of a seed.

    Args:
        seed: At least 0.
        size: Cells along a side, n, a multiple of b.
        block: Cells along a side of a macro-cell, b.

    Raises:
        ValueError: If the grid cannot be cut so.
    """
    if block < 1 or size < block or size % block:
        raise ValueError(f"size must be a multiple of block, both positive; got {size} and {block}.")
    generator = np.random.default_rng(seed)
    macro = size // block
    rewards = np.zeros(macro**2)
    some = generator.choice(macro**2, max(1, round(_SHARE * macro**2)), replace=False)
    rewards[some] = generator.uniform(size=len(some))
    return Gridworld(block, rewards.reshape(macro, macro))
