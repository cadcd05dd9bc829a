r"""Control: a predictor of action chunks as a policy in closed loop.

Every n actions the policy looks at the last H observations, predicts a chunk of T actions and executes the first n
of them. With temporal ensembling (Zhao et al. 2023, arXiv:2304.13705) the action of a step is the average of all
chunks that cover it, the i-th oldest with weight exp(-m i).

Episodes are planned together but do not depend on each other: each has its own generator, and with `block` rows a
prediction is always computed for that many rows, filled up where there are fewer episodes, because matrix products
change in the last bits with the number of rows.
"""

import abc
import copy
from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np
import torch

from embodied_gen import draws
from embodied_gen.heads.guidance import Guide
from embodied_gen.predictor import Predictor


class Chunk(NamedTuple):
    """What was predicted for some coming steps."""

    step: int  # of the episode, the first that it is about
    values: np.ndarray  # (L, ...), one for each step
    feasible: bool = True


@final
class Memory:
    """What one episode remembers.

    Args:
        seed: Of the episode's draws.
        observation: The first, shape `(O,)`.
        history: Observations remembered H; the first stands for those before it.
        device: Where the predictor draws.
    """

    def __init__(self, seed: int, observation: np.ndarray, history: int, device: torch.device):
        self.generator = draws.generator(seed, device=device)
        self.observations = np.repeat(observation[None].astype(np.float32), history, axis=0)
        self.step = 0
        self.chunks: list[Chunk] = []  # that may still be executed

    def see(self, observations: np.ndarray) -> None:
        """Remembers the observations after each of the last actions, shape `(n, O)`."""
        self.step += len(observations)
        together = np.concatenate([self.observations, observations.astype(np.float32)])
        self.observations = together[-len(self.observations) :]


def filled(rows: np.ndarray, block: int | None) -> np.ndarray:
    """Rows filled up to a block with copies of the first, shape `(block, ...)`; as they are without a block."""
    missing = max((block or 0) - len(rows), 0)
    return np.concatenate([rows, np.repeat(rows[:1], missing, axis=0)])


class Agent(abc.ABC):
    """What acts in many episodes at once.

    Attributes:
        actions: Actions of each answer, n.
    """

    actions: int

    @property
    @abc.abstractmethod
    def action_size(self) -> int:
        """Numbers in one action, A."""

    @abc.abstractmethod
    def remember(self, seed: int, observation: np.ndarray) -> Memory:
        """The memory of a new episode."""

    @abc.abstractmethod
    def plan(self, memories: Sequence[Memory]) -> np.ndarray:
        """The next n actions of each episode, physical units, shape `(S, n, A)`."""

    @abc.abstractmethod
    def with_block(self, block: int | None) -> "Agent":
        """The same agent with another number of rows for every prediction."""


@final
class Policy(Agent):
    """A predictor and how its chunks are executed.

    Args:
        predictor: Of action chunks, physical units, shape `(T, A)`.
        history: Observations that the predictor sees, H.
        actions: Actions executed of each chunk, n, in [1, T].
        ensemble: m of temporal ensembling; None executes the newest chunk alone.
        samples: Draws for each chunk, reduced by the predictor.
        guide: What is wanted of the chunks at test time.
        block: Rows of every prediction, a power of two (an odd last row is added up in another order); None takes
            as many as there are episodes.

    Raises:
        ValueError: If `actions` is out of range.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        history: int,
        actions: int,
        ensemble: float | None = None,
        samples: int = 1,
        guide: Guide | None = None,
        block: int | None = None,
    ):
        horizon = predictor.head.event.shape[0]
        if not 1 <= actions <= horizon:
            raise ValueError(f"actions executed must lie between 1 and the horizon {horizon}; got {actions}.")
        self.predictor = predictor.eval()
        self.history, self.actions, self.ensemble = history, actions, ensemble
        self.samples, self.guide = samples, guide
        self.device = predictor.head.event.low.device
        self._fill_to(block)

    @property
    def action_size(self) -> int:
        """Numbers in one action."""
        return self.predictor.head.event.shape[-1]

    def with_block(self, block: int | None) -> "Policy":
        """The same policy with another number of rows for every prediction."""
        other = copy.copy(self)
        other._fill_to(block)
        return other

    def _fill_to(self, block: int | None) -> None:
        self.block = block
        self._spare = [torch.Generator(self.device) for _ in range(block or 0)]

    def remember(self, seed: int, observation: np.ndarray) -> Memory:
        """The memory of a new episode."""
        return Memory(seed, observation, self.history, self.device)

    def plan(self, memories: Sequence[Memory]) -> np.ndarray:
        """The next n actions of each episode, physical units, shape `(S, n, A)`."""
        block = self.block or len(memories)
        chunks = np.concatenate(
            [self._predict(memories[start : start + block]) for start in range(0, len(memories), block)]
        )
        if self.ensemble is None:
            return chunks[:, : self.actions]
        weighted = [self._average(m, chunk) for m, chunk in zip(memories, chunks, strict=True)]
        return np.stack(weighted)

    def _predict(self, memories: Sequence[Memory]) -> np.ndarray:
        observations = filled(np.stack([memory.observations for memory in memories]), self.block)
        chunks = self.predictor.predict(
            torch.from_numpy(observations).to(self.device),
            self.samples,
            generator=[memory.generator for memory in memories] + self._spare[: len(observations) - len(memories)],
            guide=self.guide,
        )
        return chunks[: len(memories)].cpu().numpy()

    def _average(self, memory: Memory, chunk: np.ndarray) -> np.ndarray:
        memory.chunks.append(Chunk(memory.step, chunk))
        memory.chunks = [past for past in memory.chunks if past.step + len(past.values) > memory.step]
        return np.stack([self._blend(memory, memory.step + offset) for offset in range(self.actions)])

    def _blend(self, memory: Memory, step: int) -> np.ndarray:
        assert self.ensemble is not None
        covering = [c[step - start] for start, c, _ in memory.chunks if start <= step < start + len(c)]
        weights = np.exp(-self.ensemble * np.arange(len(covering), dtype=np.float32))
        return np.average(covering, axis=0, weights=weights).astype(np.float32)


@final
class RecedingHorizon:
    """An agent in one environment: `reset`, then `act` on every observation.

    Args:
        policy: Predicts and executes chunks.
    """

    def __init__(self, policy: Agent):
        self.policy = policy
        self._seed = 0
        self._memory: Memory | None = None
        self._queue: list[np.ndarray] = []

    def reset(self, seed: int) -> None:
        """Starts an episode, whose draws are fixed by the seed."""
        self._seed, self._memory, self._queue = seed, None, []

    def act(self, observation: np.ndarray) -> np.ndarray:
        """The action for an observation of shape `(O,)`, physical units, shape `(A,)`."""
        if self._memory is None:
            self._memory = self.policy.remember(self._seed, observation)
        else:
            self._memory.see(observation[None])
        if not self._queue:
            self._queue = list(self.policy.plan([self._memory])[0])
        return self._queue.pop(0)
