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
    """A row of a record: rates of success, of any attempt and of the first, with intervals; attempts an episode."""
    first, episodes = at_first(outcomes), len(outcomes)
    found: dict[str, Any] = {"name": name}
    for key, successes in (("success", sum(success for success, _ in outcomes)), ("first", sum(first))):
        found |= {f"{key}_rate": successes / episodes, f"{key}_interval": list(statistics.wilson(successes, episodes))}
    return found | {"attempts": sum(attempts for _, attempts in outcomes) / episodes}


def at_first(outcomes: list[tuple[bool, int]]) -> list[bool]:
    """Whether the first attempt of each episode is a success."""
    return [success and attempts == 1 for success, attempts in outcomes]


def difference(ours: list[tuple[bool, int]], theirs: list[tuple[bool, int]]) -> dict[str, Any]:
    """Our rates of success less theirs on the same seeds, with their intervals, and McNemar's p."""
    finally_ = [[success for success, _ in outcomes] for outcomes in (ours, theirs)]
    return _paired("", *finally_) | _paired("first_", at_first(ours), at_first(theirs))


def _paired(name: str, ours: list[bool], theirs: list[bool]) -> dict[str, Any]:
    pairs = list(zip(ours, theirs, strict=True))
    both, only_ours, only_theirs, neither = (
        pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))
    )
    return {
        f"{name}difference": (only_ours - only_theirs) / len(pairs),
        f"{name}difference_interval": list(statistics.newcombe_paired(both, only_ours, only_theirs, neither)),
        f"{name}p": statistics.mcnemar(only_ours, only_theirs),
    }
