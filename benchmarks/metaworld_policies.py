"""Meta-World from 50 scripted demonstrations a task: a flow-matching policy beside its expert on the same seeds.

    python benchmarks/metaworld_policies.py [--tasks reach-v3 push-v3 ...] [--out FILE]

For each task: collect with the package's scripted policy, train, run 100 episodes on fresh seeds, and run the expert
on the same seeds. Demonstrations, runs and the record stay in the working folder, so that an interrupted benchmark
continues. Writes benchmarks/results/metaworld.json.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scored
import tyro
import yaml

import envs  # noqa: F401 - registers the environments
from embodied_gen import evaluate as evaluation
from embodied_gen import experiment, provenance, statistics
from embodied_gen.commands.console import console, progress
from embodied_gen.demos.collect import expert_of, record
from embodied_gen.training import files

TASKS = (
    "reach-v3",
    "push-v3",
    "pick-place-v3",
    "door-open-v3",
    "drawer-open-v3",
    "drawer-close-v3",
    "button-press-topdown-v3",
    "window-open-v3",
    "peg-insert-side-v3",
    "assembly-v3",
)


@dataclass
class Arguments:
    """Meta-World from 50 scripted demonstrations a task."""

    tasks: tuple[str, ...] = TASKS
    """Tasks."""
    config: str = "configs/metaworld_flow.yaml"
    """The experiment; its task is replaced."""
    episodes: int = 100
    """Test episodes."""
    out: str = "benchmarks/results/metaworld.json"
    """Record to write."""
    work: str = "runs/metaworld"
    """Folder of runs."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    rows = [_task(task, arguments) for task in arguments.tasks]
    policy, expert = (sum(row[who]["successes"] for row in rows) for who in ("policy", "expert"))
    result = {
        "schema": files.SCHEMA,
        "what": "success of policies trained on 50 scripted demonstrations, and of the expert, on the same fresh seeds",
        "seeds": {"first": evaluation.FIRST_SEED, "count": arguments.episodes, "demonstrations_first": 0},
        "experiment": yaml.safe_load(Path(arguments.config).read_text()),
        "tasks": rows,
        "mean_ratio": sum(row["ratio"] for row in rows) / len(rows),
        "ratio_of_totals": policy / expert,
        "longest_training_seconds": max(row["training_seconds"] for row in rows),
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    files.write_json(Path(arguments.out), result)
    console.print(f"mean ratio to the expert {result['mean_ratio']:.3f}; written: {arguments.out}")


def _task(task: str, arguments: Arguments) -> dict[str, Any]:
    name = task.removesuffix("-v3")
    folder = Path(arguments.work) / name
    config = _config(task, name, folder, arguments)
    scored.run(["collect", str(config), "--if-missing"])
    record = scored.train_and_score(config, folder, seed=0, episodes=arguments.episodes)
    expert = _expert(config, arguments.episodes)
    policy = {key: record["summary"][key] for key in ("successes", "episodes", "success_rate", "success_interval")}
    ratio = policy["success_rate"] / expert["success_rate"]
    console.print(
        f"{task}: policy {policy['success_rate']:.2f}, expert {expert['success_rate']:.2f}, ratio {ratio:.3f}"
    )
    return {
        "task": task,
        "policy": policy,
        "expert": expert,
        "ratio": ratio,
        "latency": record["latency"],
        "training_seconds": record["training_seconds"],
    }


def _config(task: str, name: str, folder: Path, arguments: Arguments) -> Path:
    def change(content: dict[str, Any]) -> None:
        content["name"] = f"metaworld-{name}"
        content["env"]["kwargs"]["task"] = task
        content["data"]["dataset"] = f"embodied/metaworld-{name}/expert-v0"

    return scored.variant(Path(arguments.config), folder / "config.yaml", change)


def _expert(config: Path, episodes: int) -> dict[str, Any]:
    env = experiment.read(config).maker()()
    expert = expert_of(env)
    successes = 0
    with progress("expert", episodes) as advance:
        for index in range(episodes):
            successes += record(env, expert, evaluation.FIRST_SEED + index).success
            advance(f"success {successes}/{index + 1}")
    env.close()
    return {
        "successes": successes,
        "episodes": episodes,
        "success_rate": successes / episodes,
        "success_interval": list(statistics.wilson(successes, episodes)),
    }


if __name__ == "__main__":
    main()
