"""Simulators stepped a chunk of actions at a time.

A slot holds one environment. `reset` starts an episode there with a seed of its own, and `run` executes n
actions in order until the episode ends. Slots share nothing and nothing here draws at random, so an episode
depends on its seed and its actions alone: not on its slot, the number of slots or processes, or the order.

Only numpy and gymnasium are imported, since workers load this module.
"""

import abc
import difflib
import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, final

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.wrappers import FilterObservation, FlattenObservation


@final
@dataclass(frozen=True)
class EnvMaker:
    """A recipe for one environment, small enough to be sent to another process.

    Attributes:
        id: Registered gymnasium id.
        kwargs: Arguments of `gymnasium.make`, `max_episode_steps` included.
        imports: Modules to import first, which register the id.
        keys: Entries of a Dict observation to keep, all if empty. They are concatenated in the order of the
            observation space, which gymnasium sorts by name.
    """

    id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def __call__(self, render_mode: str | None = None) -> gym.Env:
        """Makes the environment, with flat observations of shape `(O,)`.

        Args:
            render_mode: Mode of rendering, as gymnasium names it; None renders nothing.

        Returns:
            The environment.

        Raises:
            ValueError: If the id is not registered, or `kwargs` or `keys` do not fit the environment; if
                `max_episode_steps` is outside of `limits_of_steps`, least and largest, of an environment that has them.
            ImportError: If one of `imports` cannot be imported.
        """
        for name in self.imports:
            importlib.import_module(name)
        kwargs = dict(self.kwargs) if render_mode is None else {**self.kwargs, "render_mode": render_mode}
        try:
            env = gym.make(self.id, **kwargs)
        except (gym.error.UnregisteredEnv, gym.error.DeprecatedEnv) as error:
            raise ValueError(self._unregistered()) from error
        except (gym.error.Error, TypeError) as error:
            raise ValueError(f"Environment {self.id!r} cannot be made with {kwargs}: {error}.") from error
        self._check_steps(env)
        if self.keys:
            env = self._filtered(env)
        space = env.observation_space
        return env if isinstance(space, Box) and len(space.shape) == 1 else FlattenObservation(env)

    def _unregistered(self) -> str:
        close = difflib.get_close_matches(self.id, gym.registry.keys(), n=3, cutoff=0.5)
        hint = f"the closest are {', '.join(close)}" if close else "none is close"
        return f"Environment id {self.id!r} is not registered after importing {list(self.imports)}; {hint}."

    def _check_steps(self, env: gym.Env) -> None:
        limits, asked = getattr(env.unwrapped, "limits_of_steps", None), self.kwargs.get("max_episode_steps")
        if limits is not None and asked is not None and not limits[0] <= asked <= limits[1]:
            raise ValueError(
                f"max_episode_steps must be in {limits[0]}..{limits[1]}, since the number of steps is part of the task "
                f"of {self.id}; got {asked}. Leave it out."
            )

    def _filtered(self, env: gym.Env) -> gym.Env:
        space = env.observation_space
        if not isinstance(space, gym.spaces.Dict):
            raise ValueError(f"keys need a Dict observation; {self.id} has {space}. Leave keys empty.")
        unknown = sorted(set(self.keys) - set(space))
        if unknown:
            raise ValueError(f"keys {unknown} are not observations of {self.id}, which has {sorted(space)}.")
        return FilterObservation(env, filter_keys=[key for key in space if key in self.keys])


@final
@dataclass(frozen=True)
class Chunk:
    """What happened in S slots while they executed n actions each.

    Attributes:
        observations: Observation after each action, shape `(S, n, O)`; after the end, the last one again.
        rewards: Reward of each action, shape `(S, n)`; 0 after the end of an episode.
        steps: Actions executed, shape `(S,)`.
        terminated: Whether the episode reached a terminal state, shape `(S,)`.
        truncated: Whether the episode was cut off, by a time limit say, shape `(S,)`.
        infos: Scalar entries of the info of each slot's last action, S dictionaries of Python scalars.
    """

    observations: np.ndarray
    rewards: np.ndarray
    steps: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    infos: list[dict[str, Any]]

    @property
    def done(self) -> np.ndarray:
        """Whether the episode has ended, shape `(S,)`."""
        return self.terminated | self.truncated


class Slots(abc.ABC):
    """A fixed number of environments of one kind.

    Attributes:
        num: Number of slots.
        observation_space: Space of one flat observation, shape `(O,)`.
        action_space: Space of one action, a Box of shape `(A,)`.
    """

    def __init__(self, *, num: int, observation_space: Box, action_space: Box) -> None:
        self.num = num
        self.observation_space = observation_space
        self.action_space = action_space
        self._live = np.zeros(num, dtype=bool)

    @final
    def reset(self, slots: Sequence[int], seeds: Sequence[int]) -> np.ndarray:
        """Starts one episode in each slot named; an episode still running there is dropped.

        Args:
            slots: S different slots, each in [0, num).
            seeds: Seed of each episode, S integers >= 0.

        Returns:
            First observations, shape `(S, O)`.

        Raises:
            ValueError: If slots or seeds are not as above.
        """
        self._check_slots(slots)
        if len(seeds) != len(slots):
            raise ValueError(f"seeds must be one per slot ({len(slots)}); got {len(seeds)}.")
        self._live[list(slots)] = False
        observations = self._reset(slots, seeds)
        self._live[list(slots)] = True
        return observations

    @final
    def run(self, slots: Sequence[int], actions: np.ndarray) -> Chunk:
        """Executes a chunk of actions in each slot named, until its episode ends.

        Args:
            slots: S different slots with a running episode.
            actions: Actions, shape `(S, n, A)`; clipped to the action space and cast to its dtype.

        Returns:
            What happened.

        Raises:
            ValueError: If a slot has no running episode, or the actions have another shape or hold a NaN.
        """
        self._check_slots(slots)
        idle = [int(slot) for slot in slots if not self._live[slot]]
        if idle:
            raise ValueError(f"Slots {idle} have no running episode. Start one with reset(slots, seeds).")
        size = self.action_space.shape[0]
        if actions.ndim != 3 or actions.shape[::2] != (len(slots), size) or not actions.shape[1]:
            raise ValueError(f"actions must have shape ({len(slots)}, n >= 1, {size}); got {actions.shape}.")
        broken = [int(slot) for slot, rows in zip(slots, actions, strict=True) if np.isnan(rows).any()]
        if broken:
            raise ValueError(f"actions of slots {broken} contain NaN: the policy that made them diverged.")
        clipped = np.clip(actions, self.action_space.low, self.action_space.high)
        self._live[list(slots)] = False  # stays so if an environment raises: its state is then unknown
        chunk = self._run(slots, clipped.astype(self.action_space.dtype))
        self._live[list(slots)] = ~chunk.done
        return chunk

    @abc.abstractmethod
    def _reset(self, slots: Sequence[int], seeds: Sequence[int]) -> np.ndarray: ...

    @abc.abstractmethod
    def _run(self, slots: Sequence[int], actions: np.ndarray) -> Chunk: ...

    @abc.abstractmethod
    def close(self) -> None:
        """Ends all environments; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _check_slots(self, slots: Sequence[int]) -> None:
        if not len(slots) or len(set(slots)) != len(slots) or not all(0 <= slot < self.num for slot in slots):
            raise ValueError(f"slots must be one or more distinct numbers in [0, {self.num}); got {slots}.")


@final
class SerialSlots(Slots):
    """Slots in this process, run one after the other.

    Args:
        maker: Recipe of the environment.
        num: Number of slots, >= 1.

    Raises:
        ValueError: If `num` is below 1, or the environment has no flat Box of actions.
    """

    def __init__(self, maker: EnvMaker, num: int) -> None:
        if num < 1:
            raise ValueError(f"num must be >= 1; got {num}.")
        self._envs: list[gym.Env] = []
        try:
            for _ in range(num):
                self._envs.append(maker())
            observations, actions = self._envs[0].observation_space, self._envs[0].action_space
            if not isinstance(actions, Box) or len(actions.shape) != 1:
                raise ValueError(f"Slots need actions in a Box of shape (A,); {maker.id} has {actions}.")
        except BaseException:
            self.close()
            raise
        assert isinstance(observations, Box)
        super().__init__(num=num, observation_space=observations, action_space=actions)

    def _reset(self, slots: Sequence[int], seeds: Sequence[int]) -> np.ndarray:
        observations = np.empty((len(slots), *self.observation_space.shape), self.observation_space.dtype)
        for row, (slot, seed) in enumerate(zip(slots, seeds, strict=True)):
            observations[row], _ = self._envs[slot].reset(seed=int(seed))
        return observations

    def _run(self, slots: Sequence[int], actions: np.ndarray) -> Chunk:
        rows, length = actions.shape[:2]
        chunk = Chunk(
            observations=np.empty((rows, length, *self.observation_space.shape), self.observation_space.dtype),
            rewards=np.zeros((rows, length)),
            steps=np.zeros(rows, dtype=np.int64),
            terminated=np.zeros(rows, dtype=bool),
            truncated=np.zeros(rows, dtype=bool),
            infos=[{} for _ in range(rows)],
        )
        for row, slot in enumerate(slots):
            self._run_one(self._envs[slot], actions[row], chunk, row)
        return chunk

    def _run_one(self, env: gym.Env, actions: np.ndarray, chunk: Chunk, row: int) -> None:
        for step, action in enumerate(actions):
            observation, reward, terminated, truncated, info = env.step(action.copy())
            chunk.observations[row, step] = observation
            chunk.rewards[row, step] = reward
            if terminated or truncated:
                chunk.observations[row, step:] = observation
                break
        chunk.steps[row] = step + 1
        chunk.terminated[row], chunk.truncated[row] = terminated, truncated
        chunk.infos[row] = _scalars(info)

    def close(self) -> None:
        """Closes all environments."""
        for env in self._envs:
            env.close()


def succeeded(info: Mapping[str, Any]) -> bool:
    """Whether the info of an episode's last step says that the task is done; false where it says nothing.

    Raises:
        ValueError: If what it says is not one number or truth value.
    """
    value = _plain(info.get("is_success", info.get("success")))
    if not isinstance(value, bool | int | float | None):
        raise ValueError(
            f"is_success, or success, in an environment's info must be one number or truth value; got {value!r}. "
            "Wrap the environment to say whether the whole task is done."
        )
    return bool(value)


def make_slots(maker: EnvMaker, num: int, workers: int) -> Slots:
    """Makes slots in this process, or in worker processes when there is more than one.

    Args:
        maker: Recipe of the environment.
        num: Number of slots, >= 1.
        workers: Processes to use; at most `num` are started.

    Returns:
        The slots; they give the same results for any number of workers.
    """
    if min(workers, num) <= 1:
        return SerialSlots(maker, num)
    from embodied_gen.slots_process import ProcessSlots

    return ProcessSlots(maker, num, min(workers, num))


def _scalars(info: Mapping[str, Any]) -> dict[str, Any]:
    succeeded(info)  # what cannot be judged is refused, not dropped
    plain = {k: _plain(v) for k, v in info.items()}
    return {k: v for k, v in plain.items() if isinstance(v, bool | int | float | str)}


def _plain(value: Any) -> Any:
    """The one element of an array or tensor as a Python scalar; anything else as it is."""
    return value.item() if hasattr(value, "item") and math.prod(np.shape(value)) == 1 else value
