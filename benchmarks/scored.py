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

    A finished run in the folder is taken up; an interrupted one goes on, and its seconds are added up.
    """
    arguments = ["train", str(config), "--out", str(folder), "--seed", str(seed), "--resume", *flags]
    return seconds_of(folder, lambda: run(arguments))


def seconds_of(folder: Path, training: Callable[[], None], clock: Callable[[], float] = time.perf_counter) -> float:
    """Trains a run, and returns the seconds that its training took by a clock, those before it was interrupted too.

    Raises:
        ValueError: If the run was trained by another, who did not note them.
    """
    known, finished = folder / "training.json", (folder / "card.md").exists()
    if finished and not known.exists():
        raise ValueError(f"how long {folder} was trained is not known. Take it away, and it is trained here.")
    before = json.loads(known.read_text())["seconds"] if known.exists() else 0.0
    started = clock()
    try:
        training()
    finally:
        if not finished:
            files.write_json(known, {"seconds": before + clock() - started})
    return float(json.loads(known.read_text())["seconds"])


def train_and_score(
    config: Path, folder: Path, *, seed: int, episodes: int, flags: Sequence[str] = ()
) -> dict[str, Any]:
    """The record of eval.json, with the seconds that training took."""
    seconds = train(config, folder, seed=seed, flags=flags)
    run(["evaluate", str(folder), "--episodes", str(episodes)])
    return {**json.loads((folder / "eval.json").read_text()), "training_seconds": seconds}
