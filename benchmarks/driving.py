"""Driving in closed loop by generated scenes: one vehicle among reactive ones, with a guide and without.

    python benchmarks/driving.py RUN --maps crossing merge FILE ... [--episodes 10]

Both drivers are the same model on the same seeds. The guide asks that the driven vehicle collides with nobody and stays
on the road; the free driver follows the first draw. The score of an episode is 0 if it ends with a collision or off the
road, else the speed of its progress over that of the traffic model's driver on the same seed, at most 1. Differences
are paired. Writes benchmarks/results/driving.json.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from scenes import CELL, model_of

import envs  # noqa: F401 - registers the environments
from embodied_gen import provenance, statistics
from embodied_gen.commands.console import console, progress
from embodied_gen.demos.collect import expert_of, record
from embodied_gen.evaluate import latency
from embodied_gen.heads import Guide
from embodied_gen.rollouts import Episode, rollouts
from embodied_gen.slots import EnvMaker, make_slots
from embodied_gen.training import files
from planners import guide_of
from planners.collisions import NoCollision
from planners.regions import SignedDistance
from planners.roads import OnRoad
from planners.scene_driver import Guides, SceneDriver, Steering

FIRST_SEED = 1_000_000
CLEARANCE = 0.25  # inside of where the environment lets corners be [m]
BLOCK = 8  # episodes planned together
CELLS = 1_000_000  # of the grid of a map, about


@dataclass
class Arguments:
    """Driving by generated scenes."""

    run: tyro.conf.Positional[str]
    """Folder of a trained run with control.kind scene."""
    maps: tuple[str, ...] = ("crossing", "merge")
    """Built-in maps and map files."""
    episodes: int = 10
    """Episodes on each map."""
    out: str = "benchmarks/results/driving.json"
    """Record to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    model = model_of(arguments.run)
    seeds = [FIRST_SEED + index for index in range(arguments.episodes)]
    rows = []
    with progress("driving", 2 * len(arguments.maps) * len(seeds)) as advance:
        for map_ in arguments.maps:
            maker = EnvMaker("embodied/Traffic-v0", {"map": map_, "agents": model.agents}, ("envs",))
            reference = _reference(maker, seeds)
            for name, guide in (("free", None), ("guided", _guide(maker))):
                driver = SceneDriver(model, Steering(), _always(guide), block=BLOCK)
                rows.append(_row(Path(map_).stem, name, driver, maker, seeds, reference, advance))
            _write(rows, seeds, Path(arguments.out))  # a map at a time: it takes long
    for row in rows:
        console.print(
            f"{row['map']}, {row['driver']}: score {row['score']:.3f}, failed {row['failed']} of {len(seeds)}"
        )
    console.print(str(_together(rows)))


def _write(rows: Sequence[dict[str, Any]], seeds: Sequence[int], path: Path) -> None:
    record_ = {
        "schema": files.SCHEMA,
        "what": "score: 0 after a failure, else speed of progress over the traffic model's driver, at most 1",
        "seeds": {"first": FIRST_SEED, "count": len(seeds)},
        "rows": rows,
        "together": _together(rows),
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    files.write_json(path, record_)


def _always(guide: Guide | None) -> Guides:
    return lambda _: guide


def _guide(maker: EnvMaker) -> Guide:
    env = maker()
    region = env.unwrapped.free_space().buffer(-CLEARANCE)  # type: ignore[attr-defined]
    env.close()
    left, bottom, right, top = region.bounds
    cell = max(CELL, ((right - left) * (top - bottom) / CELLS) ** 0.5)
    return guide_of([NoCollision(agents=[0]), OnRoad(SignedDistance(region, cell=cell), agents=[0])])


def _reference(maker: EnvMaker, seeds: Sequence[int]) -> list[float]:
    """Reward a step of the traffic model's driver on each seed."""
    env = maker()
    expert = expert_of(env)
    found = [float(record(env, expert, seed).rewards.mean()) for seed in seeds]
    env.close()
    return found


def _row(
    map_: str,
    name: str,
    driver: SceneDriver,
    maker: EnvMaker,
    seeds: Sequence[int],
    reference: Sequence[float],
    advance: Any,
) -> dict[str, Any]:
    with make_slots(maker, BLOCK, 1) as slots:
        episodes = rollouts(driver, slots, seeds, progress=lambda _: advance(f"{map_}, {name}"))
        first = slots.reset([0], seeds[:1])[0]
    plans, infeasible = driver.plans, driver.infeasible
    scores = [_score(episode, fast) for episode, fast in zip(episodes, reference, strict=True)]
    timing = latency(driver, first, calls=10)
    return {
        "map": map_,
        "driver": name,
        "score": float(np.mean(scores)),
        "scores": scores,
        "failed": sum(_failed(episode) for episode in episodes),
        "success": sum(episode.success for episode in episodes),
        "plans": plans,
        "infeasible": infeasible,
        "plan_ms": {"p50": timing["chunk_ms_p50"], "p95": timing["chunk_ms_p95"]},
    }


def _failed(episode: Episode) -> bool:
    """Whether it ended early, and not because the vehicle left the map."""
    return episode.length < 100 and not episode.success


def _score(episode: Episode, fast: float) -> float:
    return 0.0 if _failed(episode) else min(1.0, episode.sum_reward / episode.length / max(fast, 1e-3))


def _together(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Both drivers over all maps: scores, failures and their paired differences."""
    scores = {
        name: np.concatenate([row["scores"] for row in rows if row["driver"] == name]) for name in ("free", "guided")
    }
    failed = {name: sum(row["failed"] for row in rows if row["driver"] == name) for name in scores}
    count = len(scores["free"])
    difference = scores["guided"] - scores["free"]
    rng = np.random.default_rng(0)
    return {
        "episodes": count,
        "score": {name: float(values.mean()) for name, values in scores.items()},
        "difference": float(difference.mean()),
        "difference_interval": list(statistics.bootstrap_mean(difference, rng=rng)),
        "failed": failed,
        "failed_interval": {name: list(statistics.wilson(number, count)) for name, number in failed.items()},
    }


if __name__ == "__main__":
    main()
