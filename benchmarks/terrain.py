"""Learned cost maps in closed loop: regret under the true cost on maps never seen, by map and by planner.

    python benchmarks/terrain.py [--episodes 200]

Heads learn costs of places from whole ways on 100 maps (configs/terrain_max_ent.yaml, terrain_margin.yaml,
terrain_learch.yaml, each with a linear and a convolutional network). On the maps of other seeds the same learned map is
given to A*, to the soft policy, to MPPI and, as a guide, to flow matching over the stretch ahead, which knows no map
(configs/terrain_planner.yaml); and so is the map of the true cost. One executor follows all ways. Beside them stands
behaviour cloning from the layers around the robot. How maps and planners are set is in benchmarks/terrain_rides.py.

The regret of an episode is what its way and the cheapest one from where it ends cost above the cheapest, as a share; an
episode that fails counts with at least 1. Differences are paired with A* on the true map.

Trains in the folder WORK what is not trained there yet. Writes benchmarks/results/terrain.json after every cell, which
is a planner on a kind of map for a group of episodes, and a picture at the end. What the file holds of the same
settings is kept: take it away to measure all anew.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import records
import terrain_rides as rides
import torch
import tyro
from terrain_rides import CLONING, LEARNERS, PLANNER, REPLAN, TRUE, Ride

from embodied_gen import pictures, statistics
from embodied_gen.commands.console import console, progress
from embodied_gen.evaluate import FIRST_SEED
from embodied_gen.training import files
from envs.terrain_view import colours

PREFERENCE = "roads"
PICTURED = "max-ent, convolutional"
REFERENCE = (TRUE, "A*")
Key = tuple[str, str]


@dataclass
class Arguments:
    """Learned cost maps in closed loop."""

    episodes: int = 200
    """Test episodes, on consecutive seeds."""
    group: int = 20
    """Episodes of a cell."""
    first: int = FIRST_SEED
    """Seed of the first; settings were chosen from 2,000,000 on."""
    learners: tuple[str, ...] = tuple(LEARNERS)
    """Which maps are learned."""
    out: str = "benchmarks/results/terrain.json"
    """Record to write."""
    picture: str = "docs/images/terrain_ways.png"
    """Picture to write."""
    work: str = "runs/terrain"
    """Folder of runs."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    riders = _riders(arguments)
    record, target = _begun(arguments), Path(arguments.out)
    groups = range(arguments.first, arguments.first + arguments.episodes, arguments.group)
    cells = list(product(groups, riders))
    with progress("terrain", len(cells)) as advance:
        for first, key in cells:
            if not _known(record, key, first):
                seeds = range(first, min(first + arguments.group, arguments.first + arguments.episodes))
                record["cells"].append(_cell(key, [(seed, riders[key](seed)) for seed in seeds]))
                record["rows"] = _rows(record["cells"])
                files.write_json(target, record)
            advance(f"{key[0]}: {key[1]}, from seed {first}")
    pictures.save(_picture(riders, arguments), Path(arguments.picture))
    console.print(f"written: {arguments.out} and {arguments.picture}")


def _riders(arguments: Arguments) -> dict[Key, Callable[[int], Ride]]:
    """How each planner on each map, and each policy, rides the episode of a seed."""
    work = Path(arguments.work)
    ahead = rides.trained(PLANNER, work / "planner")
    runs = {}
    for name in arguments.learners:
        config, how = LEARNERS[name]
        runs[name] = rides.trained(config, work / name.replace(", ", "-").replace(" ", "-"), how)
    if not runs:
        raise SystemExit("terrain needs one learner or more, whose demonstrations say what a metre is worth.")
    maps = {TRUE: rides.true_maps(PREFERENCE, next(iter(runs.values())))}
    maps |= {name: rides.learned_maps(run) for name, run in runs.items()}

    def planned(map_: str, planner: str) -> Callable[[int], Ride]:
        return lambda seed: rides.ridden(planner, maps[map_], ahead, seed, PREFERENCE)

    def policy(config: str, name: str) -> Callable[[int], Ride]:
        run = rides.trained(config, work / name.replace(", ", "-").replace(" ", "-"))
        return lambda seed: rides.cloned(run, seed, PREFERENCE)

    found = {(map_, planner): planned(map_, planner) for map_, planner in product(maps, REPLAN)}
    return found | {("none", name): policy(config, name) for name, config in CLONING.items()}


def _begun(arguments: Arguments) -> dict[str, Any]:
    """The record at the target where it is of these settings, or one without cells."""
    same = {
        "seeds": {"first": arguments.first, "count": arguments.episodes},
        "preference": PREFERENCE,
        "settings": rides.SETTINGS,
    }
    what = "regret under the true cost on maps never seen, a failed episode counting with at least 1"
    return records.begun(Path(arguments.out), what, same=same, kept={"cells": [], "rows": []})


def _known(record: dict[str, Any], key: Key, first: int) -> bool:
    return any((c["map"], c["planner"], c["episodes"][0]["seed"]) == (*key, first) for c in record["cells"])


def _cell(key: Key, done: list[tuple[int, Ride]]) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(Ride) if field.name != "trail"]
    episodes = [{"seed": seed, **{name: getattr(ride, name) for name in names}} for seed, ride in done]
    return {"map": key[0], "planner": key[1], "episodes": episodes}


def _rows(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every planner on every map over its episodes, and beside the reference on the same ones."""
    episodes: dict[Key, dict[int, dict[str, Any]]] = {}
    for cell in cells:
        found = episodes.setdefault((cell["map"], cell["planner"]), {})
        found.update({episode["seed"]: episode for episode in cell["episodes"]})
    return [_row(key, found, episodes.get(REFERENCE, {})) for key, found in episodes.items()]


def _row(key: Key, own: dict[int, dict[str, Any]], reference: dict[int, dict[str, Any]]) -> dict[str, Any]:
    seeds = sorted(own)
    regrets = np.array([own[seed]["regret"] for seed in seeds])
    successes = sum(own[seed]["success"] for seed in seeds)
    rng = np.random.default_rng(0)
    row = {
        "map": key[0],
        "planner": key[1],
        "episodes": len(seeds),
        "regret": float(regrets.mean()),
        "regret_interval": list(statistics.bootstrap_mean(regrets, rng=rng)),
        "median": float(np.median(regrets)),
        "success_rate": successes / len(seeds),
        "success_interval": list(statistics.wilson(successes, len(seeds))),
        "collisions": sum(own[seed]["collision"] for seed in seeds),
        "plan_ms": 1e3 * float(np.median([own[seed]["plan_seconds"] for seed in seeds])),
    }
    both = [seed for seed in seeds if seed in reference]
    if len(both) == len(seeds):
        there = np.array([reference[seed]["regret"] for seed in seeds])
        row["above"] = float((regrets - there).mean())
        row["above_interval"] = list(statistics.bootstrap_paired_difference(regrets, there, rng=rng))
    return row


def _picture(riders: dict[Key, Callable[[int], Ride]], arguments: Arguments) -> Any:
    """The first episode: its map with the true cheapest way, and all ways over the true map and over a learned one."""
    name = PICTURED if PICTURED in arguments.learners else arguments.learners[0]
    env: Any = gymnasium.make("embodied/Terrain-v0", preference=PREFERENCE).unwrapped
    env.reset(seed=arguments.first)
    site = env.site
    rows, columns = site.terrain.shape
    extent = (0.0, columns * env.cell, 0.0, rows * env.cell)
    work = Path(arguments.work) / name.replace(", ", "-").replace(" ", "-")
    run = rides.trained(LEARNERS[name][0], work, LEARNERS[name][1])
    panels = {"map": (colours(site.terrain), extent, {"cheapest under the true cost": site.way_from(site.start)})}
    for title, map_, makes in (
        ("true cost", TRUE, rides.true_maps(PREFERENCE, run)),
        (f"learned, {name}", name, rides.learned_maps(run)),
    ):
        trails = {planner: riders[map_, planner](arguments.first).trail for planner in REPLAN}
        panels[title] = (makes(site).values.numpy(), extent, trails)
    first, policy = next((key[1], riders[key]) for key in riders if key[0] == "none")
    panels["map"][2][first] = policy(arguments.first).trail
    return pictures.rasters(panels)


if __name__ == "__main__":
    main()
