"""Backups by autograd: the same values as those of horizons, differentiated step by step; a reference for tests.

The steps are computed again, segment by segment, when slopes are asked for (`torch.utils.checkpoint`), so that memory
grows with the square root of their number. Unlike the values of horizons these can be differentiated twice.
"""

import math

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from embodied_gen.graphs.backups import Backup
from embodied_gen.graphs.dynamics import Dynamics
from embodied_gen.graphs.fixed_points import start
from embodied_gen.graphs.rules import Rule


def unrolled(
    dynamics: Dynamics,
    costs: Tensor,
    steps: int,
    rule: Rule,
    *,
    discount: float = 1.0,
    goal: Tensor | None = None,
) -> Tensor:
    """V after a number of backups from nothing: paths of that many steps, or, with a goal, of at most as many.

    Args:
        dynamics: States and actions.
        costs: Of actions, shape `(B, *Q)`.
        steps: Number of backups.
        rule: Of choice.
        discount: In (0, 1].
        goal: States whose value is 0, bool, shape `(B, *S)`; none where None.

    Returns:
        Shape `(B, *S)`.

    Raises:
        ValueError: If a cost is no number or minus infinity.
    """
    weights = -dynamics.checked(costs) / rule.temperature
    backup = Backup(dynamics, rule, weights, discount=discount, goal=goal)
    values, stride = start(backup), max(1, math.isqrt(steps))
    for first in range(0, steps, stride):
        values = checkpoint(_repeated, backup, values, min(stride, steps - first), use_reentrant=False)
    return -rule.temperature * values


def _repeated(backup: Backup, values: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        values = backup(values)
    return values
