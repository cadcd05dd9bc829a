"""Numbers of steps that differ from row to row."""

from typing import final

import torch
from torch import Tensor


@final
class Counts:
    """How many steps each row makes.

    Args:
        steps: Of each row, int64, shape `(B,)`.
        like: What the steps change, shape `(B, ...)`.

    Attributes:
        least: Of any row.
        most: Of any row.
    """

    def __init__(self, steps: Tensor, like: Tensor):
        self._steps = steps.view(-1, *[1] * (like.ndim - 1)).to(like.device)
        self.least, self.most = int(steps.min()), int(steps.max())

    def running(self, k: int) -> Tensor | None:
        """Rows that make a k-th step, bool, `(B, 1, ...)`; None where all do."""
        return None if k <= self.least else self._steps >= k

    def after(self, k: int, new: Tensor, old: Tensor | float) -> Tensor:
        """What the k-th step makes new in rows that make it, and the old in others."""
        running = self.running(k)
        return new if running is None else torch.where(running, new, old)
