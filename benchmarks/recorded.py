"""Recorded rollouts: where agents went, and the plans that they followed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from embodied_gen.control import Agent, Memory
from planners.guided import GuidedPlanner


@dataclass
class Track:
    """Positions `(steps + 1, 2)` of one episode, and of every new plan its way-points `(T, 2)` [m]."""

    memory: Memory
    positions: list[np.ndarray] = field(default_factory=list)
    plans: list[np.ndarray] = field(default_factory=list)

    def path(self) -> np.ndarray:
        """All positions, the last one included, which no plan was asked for."""
        return np.stack([*self.positions, self.memory.observations[-1, :2]])


class Recorded(Agent):
    """A planner that remembers what it did, by seed."""

    actions = 1

    def __init__(self, planner: GuidedPlanner, spans: int):
        self.planner, self.spans = planner, spans
        self.tracks: dict[int, Track] = {}

    @property
    def action_size(self) -> int:
        """Numbers in one action."""
        return self.planner.action_size

    def with_block(self, block: int | None) -> "Recorded":
        """The same with another number of rows for every prediction."""
        return Recorded(self.planner.with_block(block), self.spans)

    def remember(self, seed: int, observation: np.ndarray) -> Memory:
        """The memory of a new episode."""
        memory = self.planner.remember(seed, observation)
        self.tracks[seed] = Track(memory)
        return memory

    def plan(self, memories: Sequence[Memory]) -> np.ndarray:
        """The planner's actions."""
        followed = {id(memory): memory.chunks for memory in memories}
        actions = self.planner.plan(memories)
        for track in self.tracks.values():
            here = track.memory
            if id(here) not in followed:
                continue
            track.positions.append(here.observations[-1, :2].copy())
            before, now = followed[id(here)], here.chunks
            # What is left of the last plan is a part of its array.
            if now[0].step == here.step and not (before and np.shares_memory(before[0].values, now[0].values)):
                stride = max(len(now[0].values) // self.spans, 1)  # 1 of a stop, which is short
                points = now[0].values[stride - 1 :: stride, :2]
                track.plans.append(np.concatenate([track.positions[-1][None], points]))
        return actions
