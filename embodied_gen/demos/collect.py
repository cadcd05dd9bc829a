"""Collection: a scripted expert fills a store of demonstrations.

Episode i resets the environment and the expert with the seed `seed + i`; where only successes are kept, further
seeds follow until enough are found. What an expert knows beside the observations, its environment says.

An expert that never errs shows nothing of how errors are mended, and a policy that errs a little is soon where nobody
has shown the way. With a disturbance d the environment is now and then given another action than the expert's,

    u = clip(a + d),   d ~ N(0, size^2 I), begun with a chance and kept for some steps; 0 in between,

and a is what is recorded: the expert's answer to wherever the last disturbances have led. Noise in every step, as in
the source, would keep an expert that waits until it has arrived from ever going on.

Source: Laskey et al. 2017, "DART: Noise Injection for Robust Imitation Learning" (arXiv:1703.09327).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final, runtime_checkable

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

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


@final
@dataclass(frozen=True)
class Disturbance:
    """What is now and then added to an expert's actions.

    Attributes:
        size: Deviation of each number of an action, in its unit, > 0.
        chance: Of a disturbance to begin in a step without one, in (0, 1].
        steps: That one lasts, always in the same direction, >= 1.

    Raises:
        ValueError: If one is out of its range.
    """

    size: float
    chance: float
    steps: int = 1

    def __post_init__(self) -> None:
        if not (0 < self.size < np.inf and 0 < self.chance <= 1 and self.steps >= 1):
            raise ValueError(
                "a disturbance has a positive size, a chance in (0, 1] and lasts a step or more; "
                f"got size {self.size}, chance {self.chance} and {self.steps} steps."
            )

    def added(self, rng: np.random.Generator, space: gym.Space) -> Iterator[np.ndarray]:
        """What is added in one step after the other.

        Raises:
            ValueError: If actions are no numbers within bounds.
        """
        if not isinstance(space, Box):
            raise ValueError(
                f"only actions that are numbers within bounds can be disturbed; got {space}. "
                "Set data.disturbance to null."
            )
        while True:
            if rng.random() < self.chance:
                yield from [rng.normal(0.0, self.size, space.shape)] * self.steps
            else:
                yield np.zeros(space.shape)


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


def record(env: gym.Env, expert: Expert, seed: int, disturbance: Disturbance | None = None) -> Recording:
    """One episode of the expert, with its own actions even where others were executed."""
    observation, _ = env.reset(seed=seed)
    expert.reset(seed)
    # Neither the environment's stream nor that of an expert.
    added = None if disturbance is None else disturbance.added(np.random.default_rng([seed, 2]), env.action_space)
    observations, actions, rewards = [np.array(observation)], [], []
    terminated = truncated = False
    info: dict = {}
    while not (terminated or truncated):
        action = np.asarray(expert.act(observations[-1]), dtype=env.action_space.dtype)
        executed = action if added is None else _within(env.action_space, action + next(added))
        observation, reward, terminated, truncated, info = env.step(executed)
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


def _within(space: gym.Space, action: np.ndarray) -> np.ndarray:
    assert isinstance(space, Box)
    return np.clip(action, space.low, space.high).astype(space.dtype)


def collect(
    env: gym.Env,
    expert: Expert,
    *,
    episodes: int,
    seed: int,
    only_successes: bool,
    disturbance: Disturbance | None,
    progress: Callable[[int, int], None],
) -> tuple[list[Recording], int]:
    """Records episodes of an expert.

    Args:
        env: With flat observations.
        expert: Its scripted expert.
        episodes: How many to keep, >= 1.
        seed: Of the first episode.
        only_successes: Drops failed episodes.
        disturbance: Of the expert's actions; None for none.
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
        recording = record(env, expert, seed + tried, disturbance)
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
    disturbance: Disturbance | None,
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
        disturbance: As `collect`.
        progress: As `collect`.

    Returns:
        The dataset's folder, the kept episodes, and how many were tried.

    Raises:
        FileExistsError: If the dataset exists.
        ValueError: If there is no expert, or `collect` or the store refuses.
    """
    store.check_new(dataset, root=root)
    kept, tried = collect(
        env,
        expert_of(env),
        episodes=episodes,
        seed=seed,
        only_successes=only_successes,
        disturbance=disturbance,
        progress=progress,
    )
    name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    description = f"Scripted expert of {name}, {tried} episodes tried."
    if disturbance is not None:
        description += (
            f" N(0, {disturbance.size:g}^2) was added to what was executed, for {disturbance.steps} steps, begun in "
            f"{disturbance.chance:.0%} of the others; recorded is what the expert wanted."
        )
    return store.write(dataset, kept, env, root=root, description=description), kept, tried
