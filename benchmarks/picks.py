"""Picks on Tabletop-v0: episodes with some way to aim, and what they come to."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from embodied_gen import statistics
from envs.tabletop_view import View

FIRST_SEED = 1_000_000

Aim = Callable[[View, int, int, np.random.Generator], np.ndarray]
"""Where to pick, shares of the picture's sides: from a view, the asked class and the number of the attempt."""


def picked(aim: Aim, env: gym.Env, seed: int) -> tuple[bool, int]:
    """Whether an episode is a success, and its attempts."""
    bare: Any = env.unwrapped
    generator = np.random.default_rng([seed, 1])
    observation, _ = env.reset(seed=seed)
    target, done, attempt = int(observation["target"].argmax()), False, 0
    while not done:
        place = aim(bare.view(), target, attempt, generator)
        _, _, terminated, truncated, info = env.step(place)
        done, attempt = terminated or truncated, attempt + 1
    return bool(info["is_success"]), attempt


def row(name: str, outcomes: list[tuple[bool, int]]) -> dict[str, Any]:
    """A row of a record: the rate of success with its interval, and attempts an episode."""
    successes, episodes = sum(success for success, _ in outcomes), len(outcomes)
    return {
        "name": name,
        "success_rate": successes / episodes,
        "success_interval": list(statistics.wilson(successes, episodes)),
        "attempts": sum(attempts for _, attempts in outcomes) / episodes,
    }


def difference(ours: list[tuple[bool, int]], theirs: list[tuple[bool, int]]) -> dict[str, Any]:
    """Our rate of success less theirs on the same seeds, with its interval, and McNemar's p."""
    pairs = [(a, b) for (a, _), (b, _) in zip(ours, theirs, strict=True)]
    both, only_ours, only_theirs, neither = (
        pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))
    )
    return {
        "difference": (only_ours - only_theirs) / len(pairs),
        "difference_interval": list(statistics.newcombe_paired(both, only_ours, only_theirs, neither)),
        "p": statistics.mcnemar(only_ours, only_theirs),
    }
