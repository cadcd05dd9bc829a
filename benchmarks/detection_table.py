"""Tables of detectors: kinds with equal training time, numbers of boxes and of steps, photographs, picks."""

from typing import Any

import numpy as np
from footnote import episodes, footnote

from embodied_gen import statistics

Record = dict[str, Any]
NAMES = {"ap": "AP", "ap50": "AP50", "ap75": "AP75"}


def table(record: Record) -> str:
    """Kinds on Tabletop images."""
    return "\n".join([*_kinds(record, "tabletop"), "", _against(record), "", _note(record)])


def photos(record: Record) -> str:
    """Kinds on the photographs."""
    return "\n".join([*_kinds(record, "bccd"), "", _note(record)])


def effort(record: Record) -> str:
    """AP by the number of boxes and of steps, each with AP50 and images a second one by one."""
    entries = [entry for row in _rows(record, "tabletop", "denoising") for entry in row.get("table", [])]
    steps = sorted({entry["steps"] for entry in entries})
    lines = [
        f"| boxes | {' | '.join('1 step' if n == 1 else f'{n} steps' for n in steps)} |",
        "|---|" + "---|" * len(steps),
    ]
    for boxes in sorted({entry["boxes"] for entry in entries}):
        cells = []
        for n in steps:
            some = [entry for entry in entries if (entry["boxes"], entry["steps"]) == (boxes, n)]
            ap, ap50 = (_mean([entry["scores"][key] for entry in some]) for key in ("ap", "ap50"))
            speed = _speed(some, 1)
            cells.append(f"{ap:.3f} / {ap50:.3f}{f', {speed}/s' if speed else ''}" if some else "")
        lines.append(f"| {boxes} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _note(record)])


def picks(record: Record) -> str:
    """Picks by the boxes of a detector, and paired differences."""
    lines = ["| aim | success | 95 % interval | attempts |", "|---|---|---|---|"]
    for row in record["rows"]:
        low, high = row["success_interval"]
        shown = f"{row['success_rate']:.3f} | [{low:.3f}, {high:.3f}] | {row['attempts']:.2f}"
        lines.append(f"| {row['name']} | {shown} |")
    said = []
    for pair in record["differences"]:
        low, high = pair["difference_interval"]
        said.append(f"{pair['ours']} less {pair['theirs']}: {pair['difference']:+.3f} [{low:+.3f}, {high:+.3f}]")
    run = f"{record['detector']['name']}, {record['detector']['step']:,} steps of training"
    note = footnote(record, episodes(record), run, f"{record['draws']} draws in {record['steps']} steps")
    return "\n".join([*lines, "", f"Paired differences: {'; '.join(said)}.", "", note])


def _kinds(record: Record, data: str) -> list[str]:
    lines = [
        "| detector | AP | 95 % interval | AP50 | AP75 | calibration error | images/s, one | eight | steps |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(row["kind"] for row in record["rows"] if row["data"] == data):
        rows = _rows(record, data, kind)
        found = {name: [row["scores"][name] for row in rows] for name in (*NAMES, "calibration")}
        speeds = [_speed(rows, batch) for batch in (1, 8)]
        scores = [f"{_mean(found[name]):.3f}" for name in ("ap50", "ap75", "calibration")]
        steps = f"{np.mean([row['steps'] for row in rows]):,.0f}"
        entries = [f"{_mean(found['ap']):.3f}", _interval(found["ap"]), *scores, *speeds, steps]
        lines.append(f"| {kind} | {' | '.join(entries)} |")
    return lines


def _against(record: Record) -> str:
    """Denoising less queries, by seed."""
    kinds = (
        {row["seed"]: row["scores"]["ap"] for row in _rows(record, "tabletop", k)} for k in ("denoising", "queries")
    )
    ours, theirs = kinds
    seeds = sorted(ours.keys() & theirs.keys())
    gains = [ours[seed] - theirs[seed] for seed in seeds]
    return f"AP of denoising less that of queries, by seed: {', '.join(f'{gain:+.3f}' for gain in gains)}."


def _rows(record: Record, data: str, kind: str) -> list[Record]:
    return [row for row in record["rows"] if (row["data"], row["kind"]) == (data, kind)]


def _speed(entries: list[Record], batch: int) -> str:
    """Images a second, of those that are timed: the median over seeds."""
    speeds = [speed for entry in entries for speed in entry.get("speeds", ()) if speed["batch"] == batch]
    return f"{np.median([speed['images_a_second'] for speed in speeds]):.2g}" if speeds else ""


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _interval(values: list[float]) -> str:
    if len(values) < 2:
        return ""
    low, high = statistics.bootstrap_mean(values, rng=np.random.default_rng(0))
    return f"[{low:.3f}, {high:.3f}]"


def _note(record: Record) -> str:
    seeds = len({row["seed"] for row in record["rows"]})
    minutes = f"{record['seconds'] / 60:.0f} minutes of training on {record['device']}"
    return footnote(record, f"{minutes}, {record['images']:,} Tabletop images, means over {seeds} seeds")
