r"""MPPI: model predictive path integral control.

The plan that minimises the free energy of its cost S is a mean over all plans, with the information theoretic weights

    w_n ∝ exp(-(S(u_n) - min S) / temperature),        m <- sum_n w_n u_n.

The weights compare plans with a distribution of no control. Here that is centred at the plan so far, so that the term
temperature * m' Sigma^-1 e of the likelihood ratio is zero, and what an action costs is a matter of the cost alone.

Source: Williams et al. 2017, Information theoretic MPC for model-based reinforcement learning (ICRA).
"""

from typing import final

import torch
from torch import Tensor

from planners.sampling import USUAL, Effort, Problem, SamplingPlanner


@final
class MPPI(SamplingPlanner):
    """Model predictive path integral control: every drawn plan counts, weighted by its cost.

    Args:
        problem: What is planned.
        effort: How much is searched.
        temperature: Difference of costs that counts e-fold, in the unit of the cost, > 0.
        block: Episodes that are planned together, filled up; None for as many as there are.
        device: Where plans are made.

    Raises:
        ValueError: If the temperature is not positive.
    """

    def __init__(
        self,
        problem: Problem,
        effort: Effort = USUAL,
        *,
        temperature: float = 0.01,
        block: int | None = None,
        device: torch.device | str = "cpu",
    ):
        if not temperature > 0:
            raise ValueError(f"temperature must be positive; got {temperature}.")
        super().__init__(problem, effort, block, device)
        self.temperature = temperature

    def _moved(self, drawn: Tensor, costs: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        weights = (-costs / self.temperature).softmax(1)
        return (weights[:, :, None, None] * drawn).sum(1), spread
