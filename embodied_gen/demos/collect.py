"""Collection: a scripted expert fills a store of demonstrations.

Episode i resets the environment and the expert with the seed `seed + i`; where only successes are kept, further
seeds follow until enough are found. The expert sees what a policy sees.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

import gymnasium as gym
import numpy as np

from embodied_gen.demos import store
from embodied_gen.demos.store import Recording
from embodied_gen.slots import succeeded


class Expert(Protocol):
    """A scripted policy."""

    def reset(self, seed: int) -> None:
        """Starts an episode; `seed` fixes the expert's random choices."""

    def act(self, observation: np.ndarray) -> np.ndarray:
        """The action for an observation."""


@runtime_checkable
class HasExpert(Protocol):
    """Environments that come with an expert."""

    def expert(self) -> Expert:
        """A scripted policy for this environment."""


def expert_of(env: gym.Env) -> Expert:
    """The scripted expert of an environment.

    Raises:
        ValueError: If it has none.
    """
    bare = env.unwrapped
    if not isinstance(bare, HasExpert):
        raise ValueError(
            f"{type(bare).__name__} has no method expert(), so there is nothing to collect from. "
            "Use an environment with a scripted expert, or bring a Minari dataset of demonstrations."
        )
    return bare.expert()


def record(env: gym.Env, expert: Expert, seed: int) -> Recording:
    """One episode of the expert."""
    observation, _ = env.reset(seed=seed)
    expert.reset(seed)
    observations, actions, rewards = [np.array(observation)], [], []
    terminated = truncated = False
    info: dict = {}
    while not (terminated or truncated):
        action = np.asarray(expert.act(observations[-1]), dtype=env.action_space.dtype)
        observation, reward, terminated, truncated, info = env.step(action)
        # Some environments return one array again and again: keep copies.
        observations.append(np.array(observation))
        actions.append(action)
        rewards.append(float(reward))
    return Recording(
        seed,
        np.stack(observations),
        np.stack(actions),
        np.array(rewards),
        bool(terminated),
        succeeded(info),
    )


def collect(
    env: gym.Env,
    expert: Expert,
    *,
    episodes: int,
    seed: int,
    only_successes: bool,
    progress: Callable[[int, int], None],
) -> tuple[list[Recording], int]:
    """Records episodes of an expert.

    Args:
        env: With flat observations.
        expert: Its scripted expert.
        episodes: How many to keep, >= 1.
        seed: Of the first episode.
        only_successes: Drops failed episodes.
        progress: Called after each episode with the numbers kept and tried.

    Returns:
        The kept episodes and how many were tried.

    Raises:
        ValueError: If `episodes` is not positive, `seed` is negative, or the expert hardly ever succeeds.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1; got {episodes}.")
    if seed < 0:
        raise ValueError(f"seed must be at least 0; got {seed}.")
    kept: list[Recording] = []
    tried = 0
    while len(kept) < episodes:
        recording = record(env, expert, seed + tried)
        tried += 1
        if recording.success or not only_successes:
            kept.append(recording)
        elif tried >= 20 + 10 * episodes:
            raise ValueError(
                f"the expert succeeded in {len(kept)} of {tried} episodes; {episodes} were asked for. "
                "Check the environment, or keep failures with data.only_successes false."
            )
        progress(len(kept), tried)
    return kept, tried


def fill(
    dataset: str,
    env: gym.Env,
    *,
    root: Path,
    episodes: int,
    seed: int,
    only_successes: bool,
    progress: Callable[[int, int], None],
) -> tuple[Path, list[Recording], int]:
    """Records episodes of an environment's own expert into a new dataset of the store.

    Args:
        dataset: Minari id.
        env: With flat observations and an expert.
        root: Folder of datasets.
        episodes: As `collect`.
        seed: As `collect`.
        only_successes: As `collect`.
        progress: As `collect`.

    Returns:
        The dataset's folder, the kept episodes, and how many were tried.

    Raises:
        FileExistsError: If the dataset exists.
        ValueError: If there is no expert, or `collect` or the store refuses.
    """
    store.check_new(dataset, root=root)
    kept, tried = collect(
        env, expert_of(env), episodes=episodes, seed=seed, only_successes=only_successes, progress=progress
    )
    name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    description = f"Scripted expert of {name}, {tried} episodes tried."
    return store.write(dataset, kept, env, root=root, description=description), kept, tried
