"""The multimodal crossing: families with one network, one data set and one number of steps, three training seeds.

    python benchmarks/avoid.py [--configs configs/avoid_flow.yaml ...] [--seeds 0 1 2]

Trains and evaluates every config for every seed on the same test seeds. Runs stay in the working folder, so that an
interrupted benchmark continues. Writes benchmarks/results/avoid.json.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scored
import tyro

import envs  # noqa: F401 - registers the environments
from embodied_gen import evaluate as evaluation
from embodied_gen import experiment, provenance, statistics
from embodied_gen.commands.console import console
from embodied_gen.training import files

CONFIGS = (
    "configs/avoid_flow.yaml",
    "configs/avoid_diffusion.yaml",
    "configs/avoid_regression.yaml",
    "configs/avoid_two_step.yaml",
    "configs/avoid_mixture.yaml",
)


@dataclass
class Arguments:
    """The multimodal crossing."""

    configs: tuple[str, ...] = CONFIGS
    """Experiments."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    episodes: int = 200
    """Test episodes of each run."""
    out: str = "benchmarks/results/avoid.json"
    """Record to write."""
    work: str = "runs/avoid"
    """Folder of runs."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    scored.run(["collect", arguments.configs[0], "--if-missing"])
    rows = [_row(config, arguments) for config in arguments.configs]
    record = {
        "schema": files.SCHEMA,
        "what": "success and entropy of the 24 routes on the same fresh seeds, for each training seed and together",
        "seeds": {"first": evaluation.FIRST_SEED, "count": arguments.episodes, "training": list(arguments.seeds)},
        "rows": rows,
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    files.write_json(Path(arguments.out), record)
    console.print(f"written: {arguments.out}")


def _row(config: str, arguments: Arguments) -> dict[str, Any]:
    loaded = experiment.read(Path(config))
    runs = [_run(Path(config), loaded.name, seed, arguments) for seed in arguments.seeds]
    successes = sum(run["successes"] for run in runs)
    trials = arguments.episodes * len(runs)
    entropies = [run["entropy"] for run in runs if run["entropy"] is not None]
    row = {
        "name": loaded.name,
        "config": loaded.model_dump(mode="json"),
        "runs": runs,
        "success_rate": successes / trials,
        "success_interval": list(statistics.wilson(successes, trials)),
        "lowest_success_rate": min(run["success_rate"] for run in runs),
        "mean_entropy": sum(entropies) / len(entropies) if entropies else None,
        "lowest_entropy": min(entropies) if entropies else None,
        "routes_taken": [sum(count > 0 for count in run["taken"]) for run in runs],
    }
    console.print(f"{loaded.name}: success {row['success_rate']:.3f}, entropy {row['mean_entropy']}")
    return row


def _run(config: Path, name: str, seed: int, arguments: Arguments) -> dict[str, Any]:
    folder = Path(arguments.work) / f"{name}-{seed}"
    record = scored.train_and_score(config, folder, seed=seed, episodes=arguments.episodes)
    summary = record["summary"]
    return {
        "training_seed": seed,
        "training_seconds": record["training_seconds"],
        "successes": summary["successes"],
        "success_rate": summary["success_rate"],
        "success_interval": summary["success_interval"],
        "entropy": summary["modes"].get("entropy"),
        "entropy_interval": summary["modes"].get("entropy_interval"),
        "taken": summary["modes"]["taken"],
        "latency": record["latency"],
    }


if __name__ == "__main__":
    main()
