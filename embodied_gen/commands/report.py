"""`embodied-gen report`: runs become one HTML file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
import yaml

from embodied_gen import experiment
from embodied_gen.commands.compare import compare, names_of, read_record
from embodied_gen.commands.console import console, parse
from embodied_gen.config import Block
from embodied_gen.detection import experiment as detector
from embodied_gen.report import Entry, render
from embodied_gen.training import files
from embodied_gen.training.metrics_log import read
from embodied_gen.video import path_of

_ANIMATIONS = 3  # of each run, so that the file stays light


@dataclass
class Arguments:
    """Writes one self-contained HTML file about one or more runs.

    It shows whatever exists in the folders: scores with intervals, differences on the same seeds, scores on data of
    what acts in no environment, ways taken, plans, animations, training curves, settings and versions.
    """

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Folders of runs; the first is the reference of comparisons."""
    out: str = "report.html"
    """File to write."""


def main(arguments: list[str]) -> None:
    """Runs the verb."""
    parsed = parse(Arguments, "report", arguments)
    if not parsed.runs:
        raise ValueError("report needs one run or more; got none.")
    folders = [Path(run) for run in parsed.runs]
    entries = [entry_of(folder, name) for folder, name in zip(folders, names_of(parsed.runs), strict=True)]
    page = render(entries, _comparison(entries))
    files.write_bytes(Path(parsed.out), page.encode())
    console.print(f"written: {parsed.out}, {len(page) / 1e6:.1f} MB", soft_wrap=True)


def entry_of(folder: Path, name: str) -> Entry:
    """All that a run's folder holds.

    Raises:
        FileNotFoundError: If the folder is not a run.
        ValueError: If a file in it is damaged.
    """
    of_detector = detector.is_run(folder)
    config: Block = detector.load_config(folder)[0] if of_detector else experiment.load_config(folder)[0]
    plan, record = folder / "plan.png", folder / "plan.json"
    measured = _measured(folder / "eval.json")
    evaluation = read_record(folder) if measured is None and (folder / "eval.json").is_file() else None
    return Entry(
        name=name,
        config=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False),
        log=read(folder / "metrics.jsonl"),
        evaluation=evaluation,
        measured=measured,
        plan=plan if plan.is_file() else None,
        plan_record=_plan_record(record) if record.is_file() else None,
        animations=_animations(folder / "videos", evaluation)[:_ANIMATIONS],
    )


def _measured(path: Path) -> dict[str, Any] | None:
    """The record of what is scored on data; None without one, or where it is of episodes."""
    record = files.read_json(path) if path.is_file() else {}
    return record if {"scores", "rows"} & record.keys() else None


def _animations(folder: Path, evaluation: Mapping[str, Any] | None) -> list[Path]:
    """Those of episodes of the evaluation; others may be in the folder, of earlier ones."""
    paths = [path_of(folder, episode["seed"]) for episode in evaluation["episodes"]] if evaluation else []
    return [path for path in paths if path.is_file()]


def _plan_record(path: Path) -> dict[str, Any]:
    return files.read_json(path, "plan", ("constraints",), "Draw it again: embodied-gen plan RUN.")


def _comparison(entries: Sequence[Entry]) -> dict[str, Any] | None:
    """The comparison of the runs with the first, where all were evaluated on the same seeds of one environment."""
    records = [dict(entry.evaluation) for entry in entries if entry.evaluation is not None]
    alike = all(r["env"] == records[0]["env"] and r["seeds"] == records[0]["seeds"] for r in records)
    if len(records) < 2 or len(records) < len(entries) or not alike:
        return None
    return compare(records, [entry.name for entry in entries])
