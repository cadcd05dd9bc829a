r"""A planner in closed loop: ways of several durations, certified, of which the quickest is followed.

At a replan, n ways of each duration s = 1 .. S (strides of a control step) are drawn from the state to the goal. A way
is good if it satisfies every constraint on the exact geometry and ends within `tolerance` of the goal; the good way of
the shortest duration is kept, of several the one with the largest margin. So a planner that has seen slow
demonstrations moves as fast as its constraints allow. Where none of the free draws is good, ways are drawn once more
with the constraints as a guide; where none of these is good either, the way that misses least is kept, and counted.

Way-points are joined linearly, and followed one control step at a time by `Execution`. After `replan` steps, or at its
end, a plan is made anew from where the agent is.
"""

from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from embodied_gen.control import Memory
from embodied_gen.demos.segments import question
from embodied_gen.heads import Guide
from embodied_gen.predictor import Predictor
from planners.constraints import Constraint
from planners.execution import Execution
from planners.guides import guide_of, smallest_margin
from planners.replanning import Follower

Limits = Callable[[Tensor], Sequence[Constraint]]  # from the time between way-points [s], shape (B, 1, 1)


@final
class GuidedPlanner(Follower):
    """Plans to the goal in the observation, certifies, ranks, follows and plans again.

    Args:
        predictor: Of ways, trained with `control.kind: planner`.
        execution: Follows a plan.
        state: Channels of the observation that are planned.
        goal: Channels of the observation that hold the goal.
        reaches: Which of the state's channels the goal is about.
        strides: Longest stride S.
        period: Time of a control step [s].
        limits: Constraints on ways.
        candidates: Ways drawn of each duration, n.
        replan: Control steps after which a plan is made anew.
        tolerance: Distance from the goal at which a way may end, in the unit of the goal.
        block: Episodes that are planned together, filled up; None for as many as there are.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        predictor: Predictor,
        execution: Execution,
        *,
        state: Sequence[int],
        goal: Sequence[int],
        reaches: Sequence[int],
        strides: int,
        period: float,
        limits: Limits = lambda _: (),
        candidates: int = 6,
        replan: int = 20,
        tolerance: float = 0.25,
        block: int | None = None,
    ):
        if candidates < 1 or replan < 1 or not tolerance > 0:
            raise ValueError(
                "candidates and replan must be at least 1 and tolerance positive; "
                f"got {candidates}, {replan} and {tolerance}."
            )
        device = predictor.head.event.low.device
        super().__init__(execution, state=state, replan=replan, block=block, device=device)
        self.predictor = predictor.eval()
        self.goal, self.reaches = list(goal), list(reaches)
        self.strides, self.period, self.limits = strides, period, limits
        self.candidates, self.tolerance = candidates, tolerance
        self._strides = torch.arange(1, strides + 1, device=device)

    def _plan_anew(self, memories: Sequence[Memory]) -> int:
        ways, stride, good = self._best(memories, guided=False)
        bad = [index for index in range(len(memories)) if not good[index]]
        if bad and self.limits(torch.ones(1, 1, 1, device=self._device)):
            again, other, mended = self._best([memories[index] for index in bad], guided=True)
            for row, index in enumerate(bad):
                if mended[row]:
                    ways[index], stride[index], good[index] = again[row], other[row], True
        for memory, way, step in zip(memories, ways, stride, strict=True):
            memory.chunks = [(memory.step, _joined(way, int(step)))]
        return len(memories) - int(good.sum())

    def _best(self, memories: Sequence[Memory], guided: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The best way of each episode `(B, T, C)`, its stride, and whether it is good."""
        generators, observed = self._filled(memories)
        start, goal = observed[:, self.state], observed[:, self.goal]
        strides = self._strides.repeat(len(observed))
        start, goal = (part.repeat_interleave(self.strides, dim=0) for part in (start, goal))
        constraints = list(self.limits((strides * self.period).to(start).view(-1, 1, 1)))
        guide = self._guide(constraints, goal) if guided else None
        asked = question(start, goal, strides / self.strides)
        each = [generator for generator in generators for _ in range(self.strides)]
        y = self.predictor.sample(asked, self.candidates, generator=each, guide=guide)
        y[:, :, 0] = start[:, None]
        margin = smallest_margin(constraints, y).clamp(-1e3, 1e3)
        arrives = self._arrival(y, goal)
        good = (margin >= 0) & (arrives >= 0)
        # Of good ways the quickest, then the widest; of others the one that misses least.
        lacking = margin.clamp(max=0) + arrives.clamp(max=0)
        rank = torch.where(good, -strides[:, None] + margin.clamp(max=1) / 2, lacking - 1e3)
        together = rank.view(len(observed), -1)
        chosen = together.argmax(1)
        flat = y.view(len(observed), -1, *y.shape[2:])
        count = len(memories)
        rows = torch.arange(len(observed), device=self._device)
        stride = chosen // self.candidates + 1
        return (
            flat[rows, chosen][:count].cpu().numpy(),
            stride[:count].cpu().numpy(),
            good.view(len(observed), -1)[rows, chosen][:count].cpu().numpy(),
        )

    def _arrival(self, y: Tensor, goal: Tensor) -> Tensor:
        """Tolerance minus distance of the end from the goal, for ways `(B, N, T, C)` and goals `(B, G)`; `(B, N)`."""
        return self.tolerance - (y[:, :, -1, self.reaches] - goal[:, None]).norm(dim=-1)

    def _guide(self, constraints: list[Constraint], goal: Tensor) -> Guide:
        """The constraints, and to arrive."""
        base = guide_of(constraints)

        def margins(y: Tensor) -> Tensor:
            assert base.margins is not None
            return torch.cat([base.margins(y), self._arrival(y, goal).unsqueeze(-1)], -1)

        def certify(y: Tensor) -> Tensor:
            return torch.minimum(smallest_margin(constraints, y), self._arrival(y, goal))

        return Guide(margins=margins, certify=certify)


def _joined(way: np.ndarray, stride: int) -> np.ndarray:
    """The states of the control steps after the first way-point, linear in between, `(stride (T - 1), C)`."""
    share = np.arange(1, stride + 1)[None, :, None] / stride
    return (way[:-1, None] + share * (way[1:, None] - way[:-1, None])).reshape(-1, way.shape[1])
