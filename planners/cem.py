r"""CEM: the cross-entropy method.

A normal distribution of plans, independent in every number of them, is fitted to the E best of N that were drawn from
it (the elites): mean and standard deviation of each number. The standard deviation stays above a floor, because that
of the elites of a normal shrinks in every iteration, whether the search has arrived or not.

Sources: Rubinstein 1999, The cross-entropy method for combinatorial and continuous optimization; Kobilarov 2012,
Cross-entropy motion planning (IJRR).
"""

from typing import final

import torch
from torch import Tensor

from planners.sampling import USUAL, Effort, Problem, SamplingPlanner, chosen_rows


@final
class CEM(SamplingPlanner):
    """The cross-entropy method: the distribution of plans is fitted to the best of those drawn from it.

    Args:
        problem: What is planned.
        effort: How much is searched.
        elites: Plans that are fitted, at least 2 and at most `samples`.
        floor: Least standard deviation of an action, in half widths of its bounds, >= 0.
        block: Episodes that are planned together, filled up; None for as many as there are.
        device: Where plans are made.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        problem: Problem,
        effort: Effort = USUAL,
        *,
        elites: int = 16,
        floor: float = 0.05,
        block: int | None = None,
        device: torch.device | str = "cpu",
    ):
        if not 2 <= elites <= effort.samples or not floor >= 0:
            raise ValueError(
                f"elites must lie between 2 and samples {effort.samples} and floor must not be negative; "
                f"got {elites} and {floor}."
            )
        super().__init__(problem, effort, block, device)
        self.elites = elites
        self._floor = floor * (self._high - self._low) / 2

    def _moved(self, drawn: Tensor, costs: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        best = chosen_rows(drawn, costs.topk(self.elites, 1, largest=False).indices)
        return best.mean(1), torch.maximum(best.std(1), self._floor)
