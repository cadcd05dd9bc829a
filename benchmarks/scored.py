"""Scored runs: what benchmarks share. A run is trained once, by the command that users call, and scored every time."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from embodied_gen.commands.main import main as command
from embodied_gen.training import files


def run(arguments: list[str]) -> None:
    """Runs a verb of the command line; a failure ends the benchmark."""
    status = command(arguments)
    if status != 0:
        raise SystemExit(status)


def variant(config: Path, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Writes a config with what `change` alters in it to a path, and returns the path."""
    content = yaml.safe_load(config.read_text())
    change(content)
    files.write_bytes(path, yaml.safe_dump(content, sort_keys=False).encode())
    return path


def train(config: Path, folder: Path, *, seed: int, flags: Sequence[str] = ()) -> float:
    """Trains a run, with values of its config that flags give, and returns the seconds that it took.

    A finished run in the folder is not trained again; an interrupted one goes on, and its seconds are added up.
    """
    clock = folder / "training.json"
    if not (folder / "card.md").exists():
        before = json.loads(clock.read_text())["seconds"] if clock.exists() else 0.0
        started = time.perf_counter()
        try:
            run(["train", str(config), "--out", str(folder), "--seed", str(seed), "--resume", *flags])
        finally:
            files.write_json(clock, {"seconds": before + time.perf_counter() - started})
    return float(json.loads(clock.read_text())["seconds"])


def train_and_score(
    config: Path, folder: Path, *, seed: int, episodes: int, flags: Sequence[str] = ()
) -> dict[str, Any]:
    """The record of eval.json, with the seconds that training took."""
    seconds = train(config, folder, seed=seed, flags=flags)
    run(["evaluate", str(folder), "--episodes", str(episodes)])
    return {**json.loads((folder / "eval.json").read_text()), "training_seconds": seconds}
