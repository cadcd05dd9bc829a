"""Rollouts: episodes of a policy in slots that are refilled as episodes end.

All running episodes plan together, then execute their chunks; an episode that ends in the middle of a chunk waits
for the next round, so that no prediction is computed for fewer rows than there are slots while seeds are left.
Each episode has its own seed, for the environment and for the draws, and its result depends on nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from embodied_gen.control import Agent, Memory
from embodied_gen.slots import Chunk, Slots, succeeded


@final
@dataclass(frozen=True)
class Episode:
    """The result of one episode.

    Attributes:
        seed: Of the environment and of the draws.
        success: Whether the environment called the last step a success.
        sum_reward, max_reward: Over the steps.
        length: Steps.
        jerk: Root mean square of the third difference of the executed actions, action units a step cubed; None
            for fewer than four steps.
        mode: Which of the task's ways was taken, where the environment says so (`info["mode"]` >= 0).
    """

    seed: int
    success: bool
    sum_reward: float
    max_reward: float
    length: int
    jerk: float | None
    mode: int | None


@dataclass
class _Running:
    memory: Memory
    seed: int
    rewards: list[np.ndarray] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)


def rollouts(
    policy: Agent,
    slots: Slots,
    seeds: Sequence[int],
    *,
    progress: Callable[[Episode], None] = lambda _: None,
) -> list[Episode]:
    """Runs one episode for each seed.

    Args:
        policy: Acts.
        slots: Environments.
        seeds: Of the episodes, different.
        progress: Called with each episode as it ends.

    Returns:
        The episodes in the order of the seeds.

    Raises:
        ValueError: If the policy's sizes are not the environment's.
    """
    _check_sizes(policy, slots)
    waiting = list(reversed(seeds))
    running: dict[int, _Running] = {}
    done: dict[int, Episode] = {}
    while waiting or running:
        _refill(policy, slots, running, waiting)
        order = sorted(running)
        actions = policy.plan([running[slot].memory for slot in order])
        actions = np.clip(actions, slots.action_space.low, slots.action_space.high)
        chunk = slots.run(order, actions)
        for row, slot in enumerate(order):
            steps = int(chunk.steps[row])
            running[slot].memory.see(chunk.observations[row, :steps])
            running[slot].rewards.append(chunk.rewards[row, :steps])
            running[slot].actions.append(actions[row, :steps])
            if chunk.done[row]:
                episode = _episode(running.pop(slot), chunk, row)
                done[episode.seed] = episode
                progress(episode)
    return [done[seed] for seed in seeds]


def _refill(policy: Agent, slots: Slots, running: dict[int, _Running], waiting: list[int]) -> None:
    free = [slot for slot in range(slots.num) if slot not in running][: len(waiting)]
    if not free:
        return
    seeds = [waiting.pop() for _ in free]
    for slot, seed, observation in zip(free, seeds, slots.reset(free, seeds), strict=True):
        running[slot] = _Running(policy.remember(seed, observation), seed)


def _episode(running: _Running, chunk: Chunk, row: int) -> Episode:
    rewards, actions = np.concatenate(running.rewards), np.concatenate(running.actions)
    info = chunk.infos[row]
    mode = info.get("mode", -1)
    return Episode(
        seed=running.seed,
        success=succeeded(info),
        sum_reward=float(rewards.sum()),
        max_reward=float(rewards.max()),
        length=len(rewards),
        jerk=jerk(actions),
        mode=mode if mode >= 0 else None,
    )


def jerk(actions: np.ndarray) -> float | None:
    """Root mean square third difference of actions of shape `(n, A)`; None for fewer than four."""
    if len(actions) < 4:
        return None
    third = np.diff(actions.astype(np.float64), n=3, axis=0)
    return float(np.sqrt(np.square(third).sum(-1).mean()))


def _check_sizes(policy: Agent, slots: Slots) -> None:
    channels = policy.action_size
    if channels != slots.action_space.shape[0]:
        raise ValueError(
            f"the policy predicts actions of {channels} numbers; the environment takes "
            f"{slots.action_space.shape[0]}. Evaluate it in the environment that it was trained for."
        )
