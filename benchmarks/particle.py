"""The point between two goals in 1 to 32 dimensions: how far policies reach, three training seeds each.

    python benchmarks/particle.py [--dimensions 1 2 4 8 16 32] [--seeds 0 1 2]

Every config is trained anew for each dimension on 2000 demonstrations and scored on the same test seeds. Runs stay in
the working folder and the record is written after each, so that an interrupted benchmark continues. Writes
benchmarks/results/particle.json.

Published, with one action at a time from a history of two (Florence et al. 2021, arXiv:2109.00137): an energy-based
policy holds 95 % up to 16 dimensions, least squares up to 8. Here chunks of 8 actions are executed.
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
    record: dict[str, Any] = {
        "schema": files.SCHEMA,
        "what": "success of policies between two goals by dimension, each training seed on the same fresh seeds",
        "seeds": {"first": evaluation.FIRST_SEED, "count": arguments.episodes, "training": list(arguments.seeds)},
        "rows": [],
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    for dimension in arguments.dimensions:
        flags = [
            "--env.kwargs.dimension",
            str(dimension),
            "--data.dataset",
            f"embodied/particle-{dimension}d/expert-v0",
        ]
        scored.run(["collect", arguments.configs[0], *flags, "--if-missing"])
        for config in arguments.configs:
            record["rows"].append(_row(Path(config), dimension, flags, arguments))
            files.write_json(Path(arguments.out), record)
    console.print(f"written: {arguments.out}")


def _row(config: Path, dimension: int, flags: list[str], arguments: Arguments) -> dict[str, Any]:
    name = experiment.read(config).name
    runs = []
    for seed in arguments.seeds:
        folder = Path(arguments.work) / f"{name}-{dimension}d-{seed}"
        found = scored.train_and_score(config, folder, seed=seed, episodes=arguments.episodes, flags=flags)
        kept = {key: found["summary"][key] for key in ("successes", "success_rate", "success_interval")}
        runs.append({"training_seed": seed, "training_seconds": found["training_seconds"], **kept})
    successes, trials = sum(run["successes"] for run in runs), arguments.episodes * len(runs)
    row = {
        "name": name,
        "dimension": dimension,
        "runs": runs,
        "success_rate": successes / trials,
        "success_interval": list(statistics.wilson(successes, trials)),
    }
    console.print(f"{name}, {dimension} dimensions: success {row['success_rate']:.3f}")
    return row


if __name__ == "__main__":
    main()
