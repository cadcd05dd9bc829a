"""Two cubes into two zones: success, orders taken, and what disturbed demonstrations and places are worth.

    python benchmarks/push_blocks.py [--seeds 0 1 2] [--others 0]

Flow matching by configs/push_blocks_flow.yaml, and with one training seed, for comparison, the same without disturbed
demonstrations, the same without places, and least squares in its stead; all are scored on the same test seeds. p1 is
the share of episodes in which a cube has been in a zone, p2 that in which both have. Runs stay in the working folder
and the record is written after each, so that an interrupted benchmark continues. Writes
benchmarks/results/push_blocks.json.

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
import yaml

import envs  # noqa: F401 - registers the environments
from embodied_gen import evaluate as evaluation
from embodied_gen import provenance, statistics
from embodied_gen.commands.console import console
from embodied_gen.training import files

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
    record: dict[str, Any] = {
        "schema": files.SCHEMA,
        "what": "cubes delivered by policies on PushBlocks, each training seed on the same fresh seeds",
        "seeds": {"first": evaluation.FIRST_SEED, "count": arguments.episodes, "training": list(arguments.seeds)},
        "rows": [],
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    for variant in arguments.variants:
        record["rows"].append(_row(variant, _written(variant, Path(arguments.work)), arguments))
        files.write_json(Path(arguments.out), record)
    console.print(f"written: {arguments.out}")


def _written(variant: str, work: Path) -> Path:
    """The config of a variant, as a file."""
    content = yaml.safe_load(CONFIG.read_text())
    VARIANTS[variant](content)
    content["name"] = variant.replace(" ", "-")
    work.mkdir(parents=True, exist_ok=True)
    path = work / f"{content['name']}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def _row(variant: str, config: Path, arguments: Arguments) -> dict[str, Any]:
    scored.run(["collect", str(config), "--if-missing"])
    runs = []
    for seed in arguments.seeds if VARIANTS[variant] is _as_it_is else arguments.others:
        found = scored.train_and_score(
            config, config.with_suffix("") / str(seed), seed=seed, episodes=arguments.episodes
        )
        first = sum(episode["max_reward"] > 0 for episode in found["episodes"])
        runs.append(
            {
                "training_seed": seed,
                "training_seconds": found["training_seconds"],
                "p1": first / arguments.episodes,
                "p2": found["summary"]["success_rate"],
                "orders": found["summary"]["modes"]["taken"],
            }
        )
    trials = arguments.episodes * len(runs)
    counts = {p: round(sum(run[p] for run in runs) * arguments.episodes) for p in ("p1", "p2")}
    orders = np.sum([run["orders"] for run in runs], axis=0)
    entropy = statistics.entropy(orders, rng=np.random.default_rng(0)) if orders.any() else None
    row = {
        "name": variant,
        "runs": runs,
        **{p: count / trials for p, count in counts.items()},
        **{f"{p}_interval": list(statistics.wilson(count, trials)) for p, count in counts.items()},
        "entropy": None if entropy is None else {"value": entropy.value, "interval": [entropy.low, entropy.high]},
    }
    console.print(f"{variant}: p1 {row['p1']:.3f}, p2 {row['p2']:.3f}")
    return row


if __name__ == "__main__":
    main()
