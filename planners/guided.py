r"""A planner in closed loop: ways of several durations, certified, of which the quickest is followed.

At a replan, n ways of each of several durations s (strides of a control step) are drawn from the state to the goal. A
way is what its `Execution` is expected to make of it. It is good if it satisfies every constraint on the exact geometry
and ends within `tolerance` of the goal; the good way of the shortest duration is kept, of several the one with the
largest margin. So a planner that has seen slow demonstrations moves as fast as its constraints and its body allow.
Further constraints are made anew for every plan from what is observed then, such as forecasts of others (`seen`). They
are in time, and each is about the ways of its own episode; what is left of the last plan has to satisfy them too.

The first plan of an episode tries all durations 1 .. S. Later ones start from what is left of the last plan, which goes
on unless a better way of about its duration is found. Where nothing is good all durations are drawn, then all with the
constraints as a guide, a few times. Where none of these is good either, this is counted, and a plan is made anew soon.
Until then a way is followed that holds and ends nearest to the goal, if the body can stop after it without breaking a
constraint; else the body stops, if it can; else the way is followed that breaks least.

Way-points are joined linearly, and followed one control step at a time by `Execution`. After `replan` steps, at its
end, or where the agent has strayed from it, a plan is made anew from where the agent is.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from embodied_gen.blocks import PlannerControl
from embodied_gen.control import Chunk, Memory, filled
from embodied_gen.demos.segments import question
from embodied_gen.predictor import Predictor
from planners.arrival import Arrival
from planners.constraints import Constraint
from planners.course import course_of
from planners.execution import Execution, OnCourse
from planners.guides import guide_of, smallest_margin
from planners.replanning import Follower, joined
from planners.seen import AlongWays, Seen, nothing

Limits = Callable[[Tensor], Sequence[Constraint]]  # from the time between way-points [s], shape (B, 1, 1)
NEARBY = 4  # strides drawn about the duration of a plan that is being followed
ATTEMPTS = 3  # draws with the constraints as a guide, before a plan is called infeasible
LACKING = -1e3  # ranks of ways that are not good lie below
BREAKING = -2e3  # ranks of ways that break a constraint lie below


class _Episode(NamedTuple):
    """What a plan is made of: what an episode remembers, and what constrains this plan alone."""

    memory: Memory
    seen: Sequence[Constraint]


class _Way(NamedTuple):
    """States of the coming control steps `(L, C)`, and how good they are."""

    rank: float
    states: np.ndarray


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
        seen: Further constraints on the states of the coming control steps, for every plan from what is observed then;
            asked for one episode at a time, so that a forecast depends on its own episode alone.
        ahead: Control steps that `seen` is about; a way that ends sooner stands still there.
        candidates: Ways drawn of each duration, n.
        replan: Control steps after which a plan is made anew.
        tolerance: Distance from the goal at which a way may end, in the unit of the goal.
        drift: Distance from where a plan wants the agent beyond which a plan is made anew, in the unit of the goal.
        buffer: Margin aimed at beyond each constraint where ways are drawn with them as a guide; see `guide_of`.
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
        seen: Seen = nothing,
        ahead: int = 32,
        candidates: int = 6,
        replan: int = 20,
        tolerance: float = 0.25,
        drift: float = 0.05,
        buffer: float = 0.0,
        block: int | None = None,
    ):
        if candidates < 1 or replan < 1 or not tolerance > 0 or not drift >= 0 or not buffer >= 0:
            raise ValueError(
                "candidates and replan must be at least 1, tolerance positive, drift and buffer not negative; "
                f"got {candidates}, {replan}, {tolerance}, {drift} and {buffer}."
            )
        if ahead < 1:
            raise ValueError(f"ahead must be at least 1; got {ahead}.")
        device = predictor.head.event.low.device
        super().__init__(execution, state=state, replan=replan, block=block, device=device)
        self.predictor = predictor.eval()
        self.goal, self.reaches = list(goal), list(reaches)
        self.strides, self.period, self.limits = strides, period, limits
        self.seen, self.ahead = seen, ahead
        self.candidates, self.tolerance, self.drift, self.buffer = candidates, tolerance, drift, buffer
        self._spans = predictor.head.event.shape[0] - 1

    def _plan_anew(self, memories: Sequence[Memory]) -> int:
        episodes = [self._episode(memory) for memory in memories]
        best = [self._rest(episode) for episode in episodes]
        running = [index for index, memory in enumerate(memories) if memory.chunks]
        self._improve(best, episodes, running, self._nearby, block=self.block, guided=False)
        # All strides of one episode are rows enough, and few episodes need them: no block is filled up for these.
        alone = None if self.block is None else 1
        self._improve(best, episodes, _lacking(best), self._all, block=alone, guided=False)
        limited = len(self.limits(torch.ones(1, 1, 1, device=self._device))) > 0
        for _ in range(ATTEMPTS):
            open_ = [number for number in _lacking(best) if limited or episodes[number].seen]
            self._improve(best, episodes, open_, self._all, block=alone, guided=True)
        for number in _lacking(best):
            best[number] = self._careful(episodes[number], best[number])
        for memory, way in zip(memories, best, strict=True):
            memory.chunks = [Chunk(memory.step, way.states, way.rank > LACKING)]
        return len(_lacking(best))

    def _episode(self, memory: Memory) -> _Episode:
        observed = torch.from_numpy(memory.observations[-1:]).to(self._device)
        return _Episode(memory, self.seen(observed, [memory.generator]))

    def _rest(self, episode: _Episode) -> _Way:
        """What is left of the last plan, if it was good and still is, and the agent is where it should be."""
        memory, none = episode.memory, _Way(-math.inf, np.zeros((0, len(self.state)), np.float32))
        if not memory.chunks:
            return none
        made, states, good = memory.chunks[0]
        rest = states[memory.step - made :]
        if not good or not len(rest) or self._strayed(memory):
            return none
        holds = not episode.seen or self._margin(episode.seen, self._path(memory, rest)) >= 0
        return _Way(-len(rest) / self._spans, rest) if holds else none

    def _is_due(self, memory: Memory) -> bool:
        return super()._is_due(memory) or (memory.step > memory.chunks[0].step and self._strayed(memory))

    def _strayed(self, memory: Memory) -> bool:
        """Whether the agent is not where its last plan wanted it."""
        made, states, _ = memory.chunks[0]
        away = memory.observations[-1, self.state] - states[memory.step - made - 1]
        return float(np.linalg.norm(away[self.reaches])) > self.drift

    def _careful(self, episode: _Episode, way: _Way) -> _Way:
        """A way that is not good, or a stop where the body could not stop after what is followed of the way."""
        followed = way.states[: self._soon]
        if way.rank > BREAKING:
            later = self.execution.stopping(followed[-1])
            if later is None or self._holds(episode, np.concatenate([followed, later])):
                return way
        now = self.execution.stopping(episode.memory.observations[-1, self.state])
        return way if now is None or not self._holds(episode, now) else _Way(LACKING, now)

    def _holds(self, episode: _Episode, states: np.ndarray) -> bool:
        """Whether the states of the coming control steps satisfy the constraints."""
        way = self._path(episode.memory, states)
        limits = self.limits(torch.full((1, 1, 1), self.period, device=self._device))
        return bool(smallest_margin(limits, way) >= 0) and self._margin(episode.seen, way) >= 0

    def _margin(self, seen: Sequence[Constraint], path: Tensor) -> float:
        """The smallest margin of what an episode sees, along states of control steps `(1, 1, L, C)`."""
        step = torch.ones(1, dtype=torch.int64, device=self._device)
        return float(AlongWays([seen], step, self.ahead).margin(path))

    def _path(self, memory: Memory, states: np.ndarray) -> Tensor:
        """Where the agent is, and states `(L, C)` of the coming control steps, `(1, 1, L + 1, C)`."""
        path = np.concatenate([memory.observations[-1:, self.state], states])
        return torch.from_numpy(path).to(self._device)[None, None]

    def _nearby(self, memory: Memory) -> np.ndarray:
        """Strides about the duration that is left of the last plan."""
        count = min(NEARBY, self.strides)
        made, states, _ = memory.chunks[0]
        left = math.ceil((len(states) - (memory.step - made)) / self._spans)
        return min(max(left - count + 2, 1), self.strides - count + 1) + np.arange(count)

    def _all(self, memory: Memory) -> np.ndarray:
        return np.arange(1, self.strides + 1)

    def _improve(
        self,
        best: list[_Way],
        episodes: Sequence[_Episode],
        open_: Sequence[int],
        strides: Callable[[Memory], np.ndarray],
        *,
        block: int | None,
        guided: bool,
    ) -> None:
        """Draws ways of the given strides for the open episodes, in blocks, and keeps those that are better."""
        size = block or max(len(open_), 1)
        for first in range(0, len(open_), size):
            numbers = open_[first : first + size]
            asked = [episodes[number] for number in numbers]
            ways = self._draw(asked, np.stack([strides(episode.memory) for episode in asked]), block, guided)
            for number, way in zip(numbers, ways, strict=True):
                if way.rank > best[number].rank:
                    best[number] = way

    def _draw(self, episodes: Sequence[_Episode], strides: np.ndarray, block: int | None, guided: bool) -> list[_Way]:
        """The best of the ways of the strides `(len(episodes), W)`, for each episode."""
        generators, observed = self._filled([episode.memory for episode in episodes], block)
        rows = len(observed)
        strides = filled(strides, rows)
        observed = observed.repeat_interleave(strides.shape[1], dim=0)
        start, goal = observed[:, self.state], observed[:, self.goal]
        number = torch.from_numpy(strides.reshape(-1)).to(self._device)
        stride = number.to(start)
        limits = list(self.limits((stride * self.period).view(-1, 1, 1)))
        seen = self._along(episodes, number, rows)
        arrival = Arrival(goal, self.tolerance, self.reaches)
        guide = guide_of([*limits, *seen, arrival], buffer=self.buffer) if guided else None
        each = [generator for generator in generators for _ in range(strides.shape[1])]
        y = self.predictor.sample(
            question(start, goal, stride / self.strides), self.candidates, generator=each, guide=guide
        )
        y[:, :, 0] = start[:, None]
        y = self.execution.held(y, stride * self.period)
        rank = self._rank(y, stride, limits, seen, arrival).view(rows, -1)
        chosen = rank.argmax(1)
        taken = strides[np.arange(rows), (chosen // self.candidates).cpu().numpy()]
        chosen_ways = y.view(rows, -1, *y.shape[2:])[torch.arange(rows, device=self._device), chosen].cpu().numpy()
        ranks = rank.amax(1).tolist()
        return [_Way(ranks[k], joined(chosen_ways[k], int(taken[k]))) for k in range(len(episodes))]

    def _along(self, episodes: Sequence[_Episode], strides: Tensor, rows: int) -> list[Constraint]:
        """What the episodes see, filled up to so many rows, along ways of the strides; empty where that is nothing."""
        seen = [episode.seen for episode in episodes]
        if not any(seen):
            return []
        return [AlongWays([*seen, *seen[:1] * (rows - len(seen))], strides, self.ahead)]

    def _rank(
        self, y: Tensor, stride: Tensor, limits: Sequence[Constraint], seen: Sequence[Constraint], arrival: Arrival
    ) -> Tensor:
        """Of good ways the quickest, then the one that the limits leave the widest, is best; `(B, N)`.

        Of others one that holds and ends nearest to the goal, then the one that breaks least.
        """
        arrives = arrival.margin(y)
        finite = y.isfinite().flatten(2).all(2)  # what is no number breaks every constraint, and never arrives
        width = smallest_margin(limits, y).clamp(-1e3, 1e3).masked_fill(~finite, -1e3)
        margin = torch.minimum(width, smallest_margin(seen, y).clamp(-1e3, 1e3))
        lacking = torch.where(margin >= 0, arrives.clamp(-900, 0) + LACKING, margin + BREAKING)
        good = (margin >= 0) & (arrives >= 0)
        return torch.where(good, -stride[:, None] + width.clamp(max=1) / 2, lacking)


def planner_of(
    predictor: Predictor,
    control: PlannerControl,
    execution: Execution,
    *,
    period: float,
    limits: Limits = lambda _: (),
    seen: Seen = nothing,
    ahead: int = 32,
    buffer: float = 0.0,
    block: int | None = None,
) -> GuidedPlanner:
    """The planner of a run, which keeps to the course of its control where there is one.

    Args:
        predictor: The run's.
        control: The run's block of that name.
        execution: Follows a plan.
        period: Time of a control step [s].
        limits: Constraints on ways.
        seen: Further constraints for every plan; see `GuidedPlanner`.
        ahead: Control steps that they are about.
        buffer: Margin aimed at beyond each of them.
        block: Episodes that are planned together, filled up; None for as many as there are.
    """
    course = course_of(control, period)
    return GuidedPlanner(
        predictor,
        execution if course is None else OnCourse(execution, course),
        state=control.state,
        goal=control.goal,
        reaches=control.reaches,
        strides=control.strides,
        period=period,
        limits=limits,
        seen=seen,
        ahead=ahead,
        candidates=control.candidates,
        replan=control.replan,
        tolerance=control.tolerance,
        buffer=buffer,
        block=block,
    )


def _lacking(ways: Sequence[_Way]) -> list[int]:
    """Numbers of the ways that are not good."""
    return [index for index, way in enumerate(ways) if way.rank <= LACKING]
