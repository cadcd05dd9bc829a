"""Evaluation: closed-loop scores that can be believed.

Every episode has its own seed, results do not depend on how many run in parallel, success has a Wilson interval and
scores a bootstrap interval, and the record says on what versions, seeds and machine it was measured. The same
results are also given in the layout of lerobot's eval_info.json.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from embodied_gen import provenance, statistics
from embodied_gen.control import Agent
from embodied_gen.rollouts import Episode, rollouts
from embodied_gen.slots import EnvMaker, make_slots
from embodied_gen.training import files

BLOCK = 32  # rows of every prediction while evaluating, whatever the number of environments
FIRST_SEED = 1_000_000  # of the test episodes: demonstrations count from 0
_UNTIMED, _TIMED = 5, 10  # calls before those that are timed, and the fewest that are


def evaluate(
    policy: Agent,
    maker: EnvMaker,
    *,
    episodes: int,
    num_envs: int,
    workers: int,
    seed: int = FIRST_SEED,
    progress: Callable[[Episode], None] = lambda _: None,
) -> dict[str, Any]:
    """Runs a policy on consecutive seeds and summarises.

    Args:
        policy: With `block` set, for results that do not depend on `num_envs`.
        maker: Makes the environment.
        episodes: Number of episodes, >= 1.
        num_envs: Environments in parallel, >= 1.
        workers: Processes that hold them.
        seed: Of the first episode.
        progress: Called with each episode as it ends.

    Returns:
        A record that is plain JSON.

    Raises:
        ValueError: If a number is out of range, or policy and environment do not fit.
    """
    played = play(policy, maker, episodes=episodes, num_envs=num_envs, workers=workers, seed=seed, progress=progress)
    return {
        "schema": files.SCHEMA,
        "env": {"id": maker.id, "kwargs": dict(maker.kwargs)},
        "seeds": {"first": seed, "count": episodes},
        "num_envs": num_envs,
        "summary": summarise(played.episodes, modes_of(maker)),
        "latency": latency(policy, played.first),
        "seconds": played.seconds,
        "episodes_per_second": episodes / played.seconds,
        "episodes": [dataclasses.asdict(result) for result in played.episodes],
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }


class Played(NamedTuple):
    """Episodes of a policy."""

    episodes: list[Episode]  # in the order of their seeds
    seconds: float  # that they took together
    first: np.ndarray  # observation of the first of them, (O,)


def play(
    policy: Agent,
    maker: EnvMaker,
    *,
    episodes: int,
    num_envs: int,
    workers: int,
    seed: int = FIRST_SEED,
    progress: Callable[[Episode], None] = lambda _: None,
) -> Played:
    """Runs a policy on consecutive seeds; see `evaluate` for the arguments.

    Raises:
        ValueError: If a number is out of range, or policy and environment do not fit.
    """
    if episodes < 1 or num_envs < 1:
        raise ValueError(f"episodes and num-envs must be at least 1; got {episodes} and {num_envs}.")
    if seed < 0:
        raise ValueError(f"seed must be at least 0; got {seed}.")
    seeds = [seed + i for i in range(episodes)]
    with make_slots(maker, min(num_envs, episodes), workers) as slots:
        started = time.perf_counter()
        results = rollouts(policy, slots, seeds, progress=progress)
        seconds = time.perf_counter() - started
        return Played(results, seconds, slots.reset([0], seeds[:1])[0])


def modes_of(maker: EnvMaker) -> int | None:
    """Number of ways that the environment counts (`metadata["modes"]`), or None."""
    env = maker()
    modes = env.metadata.get("modes")
    env.close()
    return modes


def summarise(results: Sequence[Episode], modes: int | None) -> dict[str, Any]:
    """Success, scores and their 95 % intervals; the entropy of the ways taken where there are modes."""
    successes = sum(result.success for result in results)
    rng = np.random.default_rng(0)  # of the bootstrap alone: the same results give the same intervals
    summary: dict[str, Any] = {
        "episodes": len(results),
        "successes": successes,
        "success_rate": successes / len(results),
        "success_interval": list(statistics.wilson(successes, len(results))),
    }
    for name, values in (
        ("return", [result.sum_reward for result in results]),
        ("length", [result.length for result in results]),
        ("jerk", [result.jerk for result in results if result.jerk is not None]),
    ):
        if values:
            summary[name] = _score(np.array(values, dtype=np.float64), rng)
    if modes is not None:
        summary["modes"] = _modes(results, modes)
    return summary


def _score(values: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """The mean and its interval, which a single value does not have."""
    interval = list(statistics.bootstrap_mean(values, rng=rng)) if len(values) > 1 else None
    return {"mean": float(values.mean()), "interval": interval}


def _modes(results: Sequence[Episode], modes: int) -> dict[str, Any]:
    """Ways taken by the successful episodes: counts, and entropy over log(modes)."""
    taken = [r.mode for r in results if r.success and r.mode is not None]
    counts = np.bincount(np.array(taken, dtype=np.int64), minlength=modes)
    summary: dict[str, Any] = {"count": modes, "taken": counts.tolist()}
    if taken:
        estimate = statistics.entropy(counts, rng=np.random.default_rng(0))
        summary["entropy"] = float(estimate.value)
        summary["entropy_interval"] = [estimate.low, estimate.high]
    return summary


def latency(
    policy: Agent,
    observation: np.ndarray,
    calls: int = 50,
    *,
    seconds: float = math.inf,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Milliseconds to predict one chunk for one episode, and for each executed action: median and 95th percentile.

    Args:
        policy: Asked for one episode at a time.
        observation: The first of each, shape `(O,)`.
        calls: That are timed, after five that are not.
        seconds: After which no more are timed, once there are ten; half of it ends the calls that are not.
        clock: Seconds.
    """
    alone = policy.with_block(None)
    _timed(alone, observation, _UNTIMED, least=1, seconds=seconds / 2, clock=clock)
    times = _timed(alone, observation, calls, least=_TIMED, seconds=seconds, clock=clock)
    p50, p95 = np.percentile(times, [50, 95])
    return {
        "chunk_ms_p50": float(p50),
        "chunk_ms_p95": float(p95),
        "action_ms_p50": float(p50 / policy.actions),
        "action_ms_p95": float(p95 / policy.actions),
        "calls": len(times),
    }


def _timed(
    policy: Agent, observation: np.ndarray, calls: int, *, least: int, seconds: float, clock: Callable[[], float]
) -> list[float]:
    """Milliseconds of each of some calls, of `least` where they take longer."""
    times: list[float] = []
    while len(times) < calls and (len(times) < least or sum(times) < 1e3 * seconds):
        memory = policy.remember(len(times), observation)
        started = clock()
        policy.plan([memory])
        times.append(1e3 * (clock() - started))
    return times


def lerobot_info(record: dict[str, Any], videos: Sequence[str] = ()) -> dict[str, Any]:
    """A record in the layout of lerobot's eval_info.json, with its success intervals in percent."""
    episodes, summary = record["episodes"], record["summary"]
    interval = [100 * bound for bound in summary["success_interval"]]
    totals = {
        "avg_sum_reward": float(np.mean([e["sum_reward"] for e in episodes])),
        "avg_max_reward": float(np.mean([e["max_reward"] for e in episodes])),
        "pc_success": 100 * summary["success_rate"],
        "pc_success_ci95": interval,
        "n_episodes": len(episodes),
        "n_success": summary["successes"],
        "video_paths": list(videos),
    }
    metrics = {
        "sum_rewards": [e["sum_reward"] for e in episodes],
        "max_rewards": [e["max_reward"] for e in episodes],
        "successes": [e["success"] for e in episodes],
        "video_paths": list(videos),
        "per_episode": [
            {
                "episode_ix": index,
                "sum_reward": e["sum_reward"],
                "max_reward": e["max_reward"],
                "success": e["success"],
                "seed": e["seed"],
            }
            for index, e in enumerate(episodes)
        ],
    }
    group = record["env"]["id"]
    timing = {"eval_s": record["seconds"], "eval_ep_s": record["seconds"] / len(episodes)}
    task = {"task_group": group, "task_id": 0, "metrics": {**metrics, **totals}}
    return {"per_task": [task], "per_group": {group: totals}, "overall": {**totals, **timing}}
