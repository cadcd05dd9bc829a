"""Two modes on a real map: costs learned on the west half of a town, held against costs by hand on the east half.

    EMBODIED_DATA=FOLDER python benchmarks/karlsruhe.py [--file MAP.osm]

The map is that of Karlsruhe of the Lanelet2 project (FZI, BSD-3-Clause). What demonstrations are, how they are noisy,
who learns and how is in benchmarks/map_modes.py. Every seed draws its own demonstrations on both halves.

Writes benchmarks/results/karlsruhe.json after every cell, which is a method for a mode and a seed, and a picture of
each mode at the end: a demonstration on the west half, the learned cost of a part of the east half, and ways over it.
What the file holds of the same settings is kept: take it away to measure all anew.
"""

import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import map_modes
import numpy as np
import records
import torch
import tyro
from map_modes import BY_HAND, JUDGED, LEARNED, LEARNERS, MODES, NOISE, Costs, Half, Score, Shown

from embodied_gen import pictures
from embodied_gen.commands.console import console, progress
from embodied_gen.training import files
from envs.terrain_map import TerrainMap
from envs.terrain_view import colours

HAND, SEARCHED, HIDDEN = "by hand", "by hand, best of a grid on the west", "hidden cost"
PICTURED = "LEARCH, convolutional"
_SIZE, _APART, _PLACES = 144, 90.0, 40  # parts of the east half [m] and their number; the most varied is drawn
_EAST = 1_000_000  # added to a seed for the demonstrations to judge by


@dataclass
class Arguments:
    """Two modes on a real map."""

    file: str = str(Path(os.environ.get("EMBODIED_DATA", ".")) / "lanelet2_karlsruhe" / "mapping_example.osm")
    """The Lanelet2 file; looked for in the folder that EMBODIED_DATA names."""
    seeds: int = 3
    """Sets of demonstrations."""
    first: int = 0
    """Number of the first; settings were chosen on 100."""
    methods: tuple[str, ...] = (HAND, SEARCHED, *LEARNERS)
    """Who is measured."""
    out: str = "benchmarks/results/karlsruhe.json"
    """Record to write."""
    picture: str = "docs/images/karlsruhe"
    """Pictures to write, without their numbers and ending."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    record, target = _begun(Path(arguments.out), list(seeds)), Path(arguments.out)
    cells = list(product(MODES, seeds, arguments.methods))
    with progress("karlsruhe", len(cells)) as advance:
        for mode in MODES:
            west, east = map_modes.halves(Path(arguments.file), mode)
            for seed in seeds:
                shown = map_modes.demonstrations(west, LEARNED, seed=seed, noise=NOISE)
                unseen = map_modes.demonstrations(east, JUDGED, seed=_EAST + seed, noise=0.0)
                for method in arguments.methods:
                    if not _known(record, mode, seed, method):
                        record["cells"].append(_cell(mode, seed, method, shown, unseen))
                        record["rows"] = _rows(record["cells"])
                        files.write_json(target, record)
                    advance(f"{mode}, seed {seed}, {method}")
    for number, mode in enumerate(MODES, 1):
        path = Path(f"{arguments.picture}_{number}.png")
        pictures.save(_picture(mode, *map_modes.halves(Path(arguments.file), mode), arguments.first), path)
        console.print(f"written: {path}")


def _begun(target: Path, seeds: list[int]) -> dict[str, Any]:
    """The record at the target where it is of these settings, or one without cells."""
    same = {"sets": seeds, "settings": map_modes.SETTINGS}
    what = "losses and cost ratios of ways on the east half, of costs learned on the west half"
    return records.begun(target, what, same=same, kept={"cells": [], "rows": []})


def _known(record: dict[str, Any], mode: str, seed: int, method: str) -> bool:
    return any((c["mode"], c["seed"], c["method"]) == (mode, seed, method) for c in record["cells"])


def _cell(mode: str, seed: int, method: str, shown: list[Shown], unseen: list[Shown]) -> dict[str, Any]:
    started = time.process_time()
    costs_of, prices = _costs_of(mode, seed, method, shown)
    seconds = time.process_time() - started
    score, hand = (map_modes.judged(unseen, costs) for costs in (costs_of, map_modes.by_hand(BY_HAND[mode])))
    return {
        "mode": mode,
        "seed": seed,
        "method": method,
        **dataclasses.asdict(score),
        "over_hand": score.ratio / hand.ratio,
        "prices": prices,
        "seconds": seconds,
    }


def _costs_of(
    mode: str, seed: int, method: str, shown: list[Shown]
) -> tuple[Callable[[TerrainMap], Costs], list[float] | None]:
    """Costs by a method, and its table of prices where it has one."""
    if method in LEARNERS:
        return map_modes.learned(method, shown, seed=seed), None
    prices = BY_HAND[mode] if method == HAND else map_modes.searched(mode, shown)
    return map_modes.by_hand(prices), list(prices)


def _rows(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means and ranges over seeds."""
    rows = []
    for mode, method in dict.fromkeys((cell["mode"], cell["method"]) for cell in cells):
        own = [cell for cell in cells if (cell["mode"], cell["method"]) == (mode, method)]
        names = [field.name for field in dataclasses.fields(Score)] + ["over_hand", "seconds"]
        rows.append({"mode": mode, "method": method, **{name: _summary([c[name] for c in own]) for name in names}})
    return rows


def _summary(values: list[float]) -> dict[str, Any]:
    return {"mean": float(np.mean(values)), "least": min(values), "most": max(values)}


def _picture(mode: str, west: Half, east: Half, seed: int) -> Any:
    """A training path, the learned map over a novel region, and ways over it."""
    shown = map_modes.demonstrations(west, LEARNED, seed=seed, noise=NOISE)
    costs_of = map_modes.learned(PICTURED, shown, seed=seed)
    places = map_modes.demonstrations(east, _PLACES, seed=_EAST + seed, noise=0.0, size=_SIZE, apart=_APART)
    novel, taught = max(places, key=_variety), max(shown, key=_variety)
    terrain, costs = novel.place.terrain, costs_of(novel.place.terrain)
    hand = map_modes.by_hand(BY_HAND[mode])(terrain)
    ways = {
        "cheapest under the hidden cost": novel.way,
        "learned": map_modes.planned(costs, novel.way),
        "by hand": map_modes.planned(hand, novel.way),
    }
    drawn = {name: terrain.centres_of(way) for name, way in ways.items()}
    first = taught.place.terrain
    return pictures.rasters(
        {
            f"{mode}: a demonstration in the west": (
                colours(first),
                _extent(first),
                {"demonstration": first.centres_of(taught.way)},
            ),
            "learned cost, in the east": (np.log(costs), _extent(terrain), drawn),
            "the same place": (colours(terrain), _extent(terrain), drawn),
        }
    )


def _variety(shown: Shown) -> float:
    """Much for places with much of many classes."""
    return float(np.sqrt(shown.place.terrain.layers[:4].sum((1, 2))).sum())


def _extent(terrain: TerrainMap) -> tuple[float, float, float, float]:
    (x, y), (rows, columns) = terrain.origin, terrain.shape
    return x, x + columns * terrain.cell, y, y + rows * terrain.cell


if __name__ == "__main__":
    main()
