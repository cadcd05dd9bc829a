"""Speed of evaluation: slots that are refilled and planned together, against a plain loop over one environment.

    python benchmarks/evaluation_speed.py RUN [RUN ...] [--episodes 200] [--repeats 5]

Both call the same policy on the same seeds in this process, in turn (A B A B ...), and their results are compared
episode by episode. The plain loop predicts for one row without filling up, which is the fastest that it can do.
Writes benchmarks/results/evaluation_speed.json with the ratio of episodes a second, pair by pair.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from spread import median_and_range, spread

import envs  # noqa: F401 - registers the environments
from embodied_gen import evaluate as evaluation
from embodied_gen import experiment, provenance
from embodied_gen.commands.console import console
from embodied_gen.control import RecedingHorizon
from embodied_gen.rollouts import rollouts
from embodied_gen.slots import make_slots
from embodied_gen.training import files


@dataclass
class Arguments:
    """Speed of evaluation against a plain loop."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Folders of trained runs."""
    episodes: int = 200
    """Episodes of each measurement."""
    num_envs: int = 32
    """Environments in parallel."""
    repeats: int = 5
    """Pairs of measurements, after one to warm up."""
    threads: int = 1
    """Threads of torch, for both."""
    out: str = "benchmarks/results/evaluation_speed.json"
    """Record to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(arguments.threads)
    rows = [_measure(Path(run), arguments) for run in arguments.runs]
    record = {
        "schema": files.SCHEMA,
        "what": "episodes a second of evaluate over those of a plain loop over one environment, pair by pair",
        "rows": rows,
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    files.write_json(Path(arguments.out), record)
    console.print(f"written: {arguments.out}")


def _measure(folder: Path, arguments: Arguments) -> dict[str, Any]:
    run = experiment.load(folder)
    maker = run.experiment.maker()
    seeds = [evaluation.FIRST_SEED + i for i in range(arguments.episodes)]
    workers = os.cpu_count() or 1
    together = run.policy(block=evaluation.BLOCK)
    agent = RecedingHorizon(run.policy())
    pairs = []
    with make_slots(maker, arguments.num_envs, workers) as slots:
        env = maker()
        for repeat in range(arguments.repeats + 1):
            started = time.perf_counter()
            results = rollouts(together, slots, seeds)
            middle = time.perf_counter()
            plain = [_plain(env, agent, seed) for seed in seeds]
            ended = time.perf_counter()
            if repeat:
                pairs.append((middle - started, ended - middle))
        env.close()
    agreement = float(np.mean([a.success == b for a, b in zip(results, plain, strict=True)]))
    row = {
        "run": run.experiment.name,
        "env": maker.id,
        "env_kwargs": dict(maker.kwargs),
        "episodes": arguments.episodes,
        "num_envs": arguments.num_envs,
        "workers": workers,
        **spread("ratio", [slow / fast for fast, slow in pairs]),
        "episodes_per_second": float(np.median([arguments.episodes / fast for fast, _ in pairs])),
        "plain_episodes_per_second": float(np.median([arguments.episodes / slow for _, slow in pairs])),
        "same_success_as_plain_loop": agreement,
    }
    console.print(
        f"{row['run']}: {row['episodes_per_second']:.1f} episodes/s against {row['plain_episodes_per_second']:.1f}, "
        f"ratio {median_and_range(row, 'ratio', 2)}"
    )
    return row


def _plain(env: gym.Env, agent: RecedingHorizon, seed: int) -> bool:
    observation, _ = env.reset(seed=seed)
    agent.reset(seed)
    low, high = env.action_space.low, env.action_space.high  # type: ignore[attr-defined]
    while True:
        action = np.clip(agent.act(np.asarray(observation)), low, high)
        observation, _, terminated, truncated, info = env.step(action.astype(np.float32))
        if terminated or truncated:
            return bool(info["is_success"])


if __name__ == "__main__":
    main()
