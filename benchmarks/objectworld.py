"""Rewards learned from demonstrations in Objectworld and Gridworld: expected value difference by method.

    python benchmarks/objectworld.py [--seeds 5]

Every method learns on the world of a seed from 8 to 512 demonstrations of eight steps, and is judged there and on
eight fresh worlds, by how much less the learned behaviour is worth, under the true reward, than the best (see
`envs.slip_grid`). In Objectworld features are the continuous distances to the nearest object of each outer and inner
colour; in Gridworld the bits that tell on which side of every line a cell is, in which the reward is not linear. There
another world has other rewards at the same features, so that nothing transfers and no fresh world is tried. Learners
are those of `benchmarks.tabular`: the same features, demonstrations, optimiser and steps for all.

Writes benchmarks/results/objectworld.json after every cell, which is a method on a problem with a number of
demonstrations, and a picture at the end. What the file holds of the same settings is kept: take it away to measure all
anew.
"""

import dataclasses
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import records
import tabular
import torch
import tyro
from tabular import COUNTS, METHODS, PROBLEMS, Method, Outcome, Problem

from embodied_gen import pictures, statistics
from embodied_gen.commands.console import console, progress
from embodied_gen.training import files

AIMLESS = "random actions"
PANELS = (("Objectworld", "training"), ("Objectworld", "transfer"), ("Gridworld", "training"))


@dataclass
class Arguments:
    """Expected value differences of learned rewards."""

    sizes: tuple[int, ...] = (16, 32)
    """Cells along a side of the worlds."""
    demonstrations: tuple[int, ...] = COUNTS
    """How many are learned from."""
    seeds: int = 5
    """Worlds that are learned on, two or more."""
    out: str = "benchmarks/results/objectworld.json"
    """Record to write."""
    picture: str = "docs/images/objectworld.png"
    """Picture to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    target, seeds = Path(arguments.out), range(arguments.seeds)
    record = _begun(target, list(seeds))
    cells = list(product(PROBLEMS, arguments.sizes, arguments.demonstrations, METHODS))
    with progress("objectworld", len(cells)) as advance:
        for problem, size in product(PROBLEMS, arguments.sizes):
            if not _known(record, problem, size, 0, AIMLESS):
                outcomes = [tabular.aimless(problem, size, seed) for seed in seeds]
                record["rows"].append(_row(problem, size, 0, AIMLESS, outcomes))
        for problem, size, count, method in cells:
            if not _known(record, problem, size, count, method.name):
                record["rows"].append(_measured(problem, size, count, method, seeds))
                files.write_json(target, record)
            advance(f"{problem.name} {size}, {count} demonstrations, {method.name}")
    figure = pictures.by_number(_panels(record["rows"]), across="demonstrations", up="expected value difference")
    pictures.save(figure, Path(arguments.picture))
    console.print(f"written: {arguments.out} and {arguments.picture}")


def _begun(target: Path, seeds: list[int]) -> dict[str, Any]:
    """The record at the target where it is of these settings, or one without rows."""
    same = {"worlds": seeds, "settings": tabular.SETTINGS}
    what = "expected value differences, means over cells, on the world learned on and on fresh ones"
    return records.begun(target, what, same=same, kept={"rows": []})


def _known(record: dict[str, Any], problem: Problem, size: int, count: int, method: str) -> bool:
    wanted = (problem.name, size, count, method)
    return any((r["problem"], r["size"], r["demonstrations"], r["method"]) == wanted for r in record["rows"])


def _measured(problem: Problem, size: int, count: int, method: Method, seeds: range) -> dict[str, Any]:
    started = time.process_time()
    outcomes = [tabular.learned(problem, size, count, method, seed) for seed in seeds]
    seconds = (time.process_time() - started) / len(seeds)
    return {**_row(problem, size, count, method.name, outcomes), "seconds": seconds}


def _row(problem: Problem, size: int, count: int, method: str, outcomes: list[Outcome]) -> dict[str, Any]:
    """Values by world, with means and intervals over worlds."""
    names = [field.name for field in dataclasses.fields(Outcome)]
    values = {name: [getattr(outcome, name) for outcome in outcomes] for name in names}
    return {
        "problem": problem.name,
        "size": size,
        "demonstrations": count,
        "method": method,
        **{name: None if None in found else _summary(found) for name, found in values.items()},
    }


def _summary(values: list[float]) -> dict[str, Any]:
    interval = statistics.student_mean(values)
    return {"mean": float(np.mean(values)), "interval": list(interval), "by_world": values}


def _panels(rows: list[dict[str, Any]]) -> dict[str, dict[str, list[tuple[float, float, float, float]]]]:
    """Curves by problem and size; random actions have no curve."""
    found: dict[str, dict[str, list[tuple[float, float, float, float]]]] = {}
    for size, (problem, judged) in product(sorted({row["size"] for row in rows}), PANELS):
        curves = found.setdefault(f"{problem} {size} x {size}, {judged}", {})
        for row in rows:
            if (row["problem"], row["size"]) == (problem, size) and row["demonstrations"]:
                point = (row["demonstrations"], row[judged]["mean"], *row[judged]["interval"])
                curves.setdefault(row["method"], []).append(point)
    return found


if __name__ == "__main__":
    main()
