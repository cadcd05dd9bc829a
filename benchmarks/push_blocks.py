"""Two cubes into two zones: success, orders taken, and what disturbed demonstrations and places are worth.

    python benchmarks/push_blocks.py [--seeds 0 1 2] [--others 0]

Flow matching by configs/push_blocks_flow.yaml, and with one training seed, for comparison, the same without disturbed
demonstrations, the same without places, and least squares in its stead; all are scored on the same test seeds. p1 is
the share of episodes in which a cube has been in a zone, p2 that in which both have. Writes
benchmarks/results/push_blocks.json after every run. Runs that the file holds of the same config and versions are kept:
take the file away to measure all anew. Runs lie in WORK, and one that was killed goes on where it was.

Published on the original, in PyBullet (Chi et al. 2023, arXiv:2303.04137): p1 and p2 of a diffusion transformer .99 and
.94, of a convolutional one .36 and .11, of behaviour transformers .96 and .71; 1.79 cubes of 2 by VQ-BeT (Lee et al.
2024, arXiv:2403.03181).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scored
import tyro
from policy_record import PolicyRecord

import envs  # noqa: F401 - registers the environments
from embodied_gen import statistics
from embodied_gen.commands.console import console

CONFIG = Path("configs/push_blocks_flow.yaml")


def _as_it_is(content: dict[str, Any]) -> None:
    """The config."""


def _undisturbed(content: dict[str, Any]) -> None:
    del content["data"]["disturbance"]
    content["data"]["dataset"] = "embodied/push-blocks/expert12k-v0"


def _without_places(content: dict[str, Any]) -> None:
    del content["control"]["places"]


def _least_squares(content: dict[str, Any]) -> None:
    content["head"] = {"kind": "regression"}


VARIANTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "flow matching": _as_it_is,
    "without disturbance": _undisturbed,
    "without places": _without_places,
    "least squares": _least_squares,
}


@dataclass
class Arguments:
    """Two cubes into two zones."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds of the config as it is."""
    others: tuple[int, ...] = (0,)
    """Training seeds of each other variant."""
    episodes: int = 200
    """Test episodes of each run."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """What is trained."""
    out: str = "benchmarks/results/push_blocks.json"
    """Record to write."""
    work: str = "runs/push"
    """Folder of runs."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    what = "cubes delivered by policies on PushBlocks, each training seed on the same fresh seeds"
    record = PolicyRecord(Path(arguments.out), what, episodes=arguments.episodes, kept=_kept, pooled=_pooled)
    for variant in arguments.variants:
        config = _written(variant, Path(arguments.work))
        seeds = arguments.seeds if VARIANTS[variant] is _as_it_is else arguments.others
        row = record.add({"name": variant}, config, config.with_suffix(""), seeds)
        console.print(f"{variant}: p1 {row['p1']:.3f}, p2 {row['p2']:.3f}")
    console.print(f"written: {arguments.out}")


def _written(variant: str, work: Path) -> Path:
    """The config of a variant, as a file."""
    name = variant.replace(" ", "-")

    def change(content: dict[str, Any]) -> None:
        content["name"] = name
        VARIANTS[variant](content)

    return scored.variant(CONFIG, work / f"{name}.yaml", change)


def _kept(found: dict[str, Any]) -> dict[str, Any]:
    """Counts of episodes with a cube and with both in zones, and the orders taken."""
    return {
        "episodes": len(found["episodes"]),
        "p1": sum(episode["max_reward"] > 0 for episode in found["episodes"]),
        "p2": found["summary"]["successes"],
        "orders": found["summary"]["modes"]["taken"],
    }


def _pooled(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares and the entropy of orders over all runs, with intervals."""
    trials = sum(run["episodes"] for run in runs)
    counts = {p: sum(run[p] for run in runs) for p in ("p1", "p2")}
    orders = np.sum([run["orders"] for run in runs], axis=0)
    entropy = statistics.entropy(orders, rng=np.random.default_rng(0)) if orders.any() else None
    return {
        **{p: count / trials for p, count in counts.items()},
        **{f"{p}_interval": list(statistics.wilson(count, trials)) for p, count in counts.items()},
        "entropy": None if entropy is None else {"value": entropy.value, "interval": [entropy.low, entropy.high]},
    }


if __name__ == "__main__":
    main()
