"""The point between two goals in 1 to 32 dimensions: how far policies reach, three training seeds each.

    python benchmarks/particle.py [--dimensions 1 2 4 8 16 32] [--seeds 0 1 2]

Every config is trained anew for each dimension on 2000 demonstrations and scored on the same test seeds. Writes
benchmarks/results/particle.json after every run. Runs that the file holds of the same config and versions are kept:
take the file away to measure all anew. Runs lie in WORK, and one that was killed goes on where it was.

Published, with one action at a time from a history of two (Florence et al. 2021, arXiv:2109.00137): an energy-based
policy holds 95 % up to 16 dimensions, least squares up to 8. Here chunks of 8 actions are executed.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import scored
import tyro
from policy_record import PolicyRecord

import envs  # noqa: F401 - registers the environments
from embodied_gen import experiment, statistics
from embodied_gen.commands.console import console

CONFIGS = ("configs/particle_regression.yaml", "configs/particle_flow.yaml", "configs/particle_mlp.yaml")


@dataclass
class Arguments:
    """The point between two goals."""

    configs: tuple[str, ...] = CONFIGS
    """Experiments."""
    dimensions: tuple[int, ...] = (32, 16, 8, 4, 2, 1)
    """Numbers of dimensions."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    episodes: int = 200
    """Test episodes of each run."""
    out: str = "benchmarks/results/particle.json"
    """Record to write."""
    work: str = "runs/particle"
    """Folder of runs."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    what = "success of policies between two goals by dimension, each training seed on the same fresh seeds"
    record = PolicyRecord(Path(arguments.out), what, episodes=arguments.episodes, kept=_kept, pooled=_pooled)
    for dimension, config in product(arguments.dimensions, arguments.configs):
        path = _written(Path(config), dimension, Path(arguments.work))
        cell = {"name": experiment.read(path).name, "dimension": dimension}
        row = record.add(cell, path, path.with_suffix(""), arguments.seeds)
        console.print(f"{row['name']}, {dimension} dimensions: success {row['success_rate']:.3f}")
    console.print(f"written: {arguments.out}")


def _written(config: Path, dimension: int, work: Path) -> Path:
    """A config in a number of dimensions, as a file."""

    def change(content: dict[str, Any]) -> None:
        content["env"]["kwargs"]["dimension"] = dimension
        content["data"]["dataset"] = f"embodied/particle-{dimension}d/expert-v0"

    return scored.variant(config, work / f"{config.stem}-{dimension}d.yaml", change)


def _kept(found: dict[str, Any]) -> dict[str, Any]:
    return {"episodes": len(found["episodes"]), "successes": found["summary"]["successes"]}


def _pooled(runs: list[dict[str, Any]]) -> dict[str, Any]:
    successes, trials = (sum(run[key] for run in runs) for key in ("successes", "episodes"))
    return {"success_rate": successes / trials, "success_interval": list(statistics.wilson(successes, trials))}


if __name__ == "__main__":
    main()
