"""Tables of detectors: kinds with equal training time, numbers of boxes and of steps, photographs, picks."""

from collections.abc import Callable
from typing import Any

import numpy as np
from footnote import episodes, footnote

from embodied_gen import statistics

Record = dict[str, Any]
NAMES = {"ap": "AP", "ap50": "AP50", "ap75": "AP75"}
MORE = (300, 4)
"""Boxes and steps of the row beside those of the config."""
_PUBLISHED = (
    "Published, from weights that were trained on COCO, and on a split of its own: test AP 0.903 (Faster R-CNN, "
    "ResNet-101-FPN) and 0.945 (YOLOv5-s, the best of 21), of which the abstract does not say at which IoU "
    "(Information Technology and Control 54(3), 2025, doi 10.5755/j01.itc.54.3.39342). Ours start from random weights."
)

Scores = Callable[[Record], Record]
"""The scores of a row."""


def table(record: Record) -> str:
    """Kinds on Tabletop images."""
    said = [_against(record, _own, "denoising"), _against(record, _more, f"denoising, {_said(MORE)},")]
    return "\n".join([*_kinds(record, "tabletop"), "", *filter(None, said), "", _note(record)])


def photos(record: Record) -> str:
    """Kinds on the photographs, and what others have published."""
    return "\n".join([*_kinds(record, "bccd"), "", _PUBLISHED, "", _note(record, "bccd")])


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


def guided(record: Record) -> str:
    """What a detector is told, and how right it then is."""
    rows = [row["guided"] for row in _rows(record, "tabletop", "denoising") if "guided" in row]
    lines = ["| told | precision | recall | F1 | 95 % interval | AP |", "|---|---|---|---|---|---|"]
    for entries in zip(*rows, strict=True):
        precision, recall, f1, ap = ([entry[key] for entry in entries] for key in ("precision", "recall", "f1", "ap"))
        cells = [_number(precision), _number(recall), _number(f1), _interval(f1), _number(ap)]
        lines.append(f"| {entries[0]['told']} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _note(record)])


def picks(record: Record) -> str:
    """Picks by the boxes of a detector, and paired differences."""
    lines = aims(record["rows"])
    said = [
        f"{pair['ours']} less {pair['theirs']}: {pair['first_difference']:+.3f} "
        f"{_shown(pair['first_difference_interval'], '+.3f')}, {pair['difference']:+.3f} "
        f"{_shown(pair['difference_interval'], '+.3f')}"
        for pair in record["differences"]
    ]
    differences = f"Paired differences at the first attempt, and at any: {'; '.join(said)}."
    said = [differences, *_spread(record["spread"])]
    run = f"{record['detector']['name']}, {record['detector']['step']:,} steps of training"
    note = footnote(record, episodes(record), run, f"{record['draws']} draws in {record['steps']} steps")
    return "\n".join([*lines, "", "\n".join(said), "", note])


def aims(rows: list[Record]) -> list[str]:
    """Success by the way to aim."""
    lines = [
        "| aim | at the first attempt | 95 % interval | success | 95 % interval | attempts |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        rates = [f"{row[f'{key}_rate']:.3f} | {_shown(row[f'{key}_interval'], '.3f')}" for key in ("first", "success")]
        lines.append(f"| {row['name']} | {' | '.join(rates)} | {row['attempts']:.2f} |")
    return lines


def _spread(spread: Record) -> list[str]:
    """What draws hold of the truth; nothing where nothing was detected."""
    if "levels" not in spread:
        return []
    said = []
    for name, way in (("as they are drawn", "drawn"), ("with residuals of the other half of the images", "learned")):
        if held := spread[way]:
            shares = ", ".join(f"{a:.2f} by {b:.0%}" for a, b in zip(held["coverage"], spread["levels"], strict=True))
            wide = ", ".join(f"{w:.3f}" for w in held["width"])
            said.append(f"{name} {shares} of them, by intervals of {wide} sides of the thing")
    return [f"The boxes of {spread['things']} things in {spread['draws']} draws hold the truth: {'; '.join(said)}."]


def _shown(interval: list[float], form: str) -> str:
    low, high = interval
    return f"[{low:{form}}, {high:{form}}]"


def _kinds(record: Record, data: str) -> list[str]:
    lines = [
        "| detector | AP | 95 % interval | AP50 | AP75 | calibration error | images/s, one | eight | steps "
        "| training |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(row["kind"] for row in record["rows"] if row["data"] == data):
        rows = _rows(record, data, kind)
        lines.append(_line(kind, rows, rows))
        more = [entry for row in rows if (entry := _entry(row))]
        if more:
            lines.append(_line(f"{kind}, {_said(MORE)}", more, rows))
    return lines


def _line(name: str, entries: list[Record], rows: list[Record]) -> str:
    """Scores and speeds of entries, and what their rows' training took."""
    found = {key: [entry["scores"][key] for entry in entries] for key in (*NAMES, "calibration")}
    speeds = [_speed(entries, batch) for batch in (1, 8)]
    scores = [_number(found[key]) for key in ("ap50", "ap75", "calibration")]
    steps = f"{np.mean([row['steps'] for row in rows]):,.0f}"
    seconds = f"{np.mean([row['training_seconds'] for row in rows]):,.0f} s"
    cells = [_number(found["ap"]), _interval(found["ap"]), *scores, *speeds, steps, seconds]
    return f"| {name} | {' | '.join(cells)} |"


def _said(effort: tuple[int, int]) -> str:
    return f"{effort[0]} boxes and {effort[1]} steps"


def _entry(row: Record) -> Record | None:
    """What a row has for more boxes and steps."""
    return next((entry for entry in row.get("table", ()) if (entry["boxes"], entry["steps"]) == MORE), None)


def _own(row: Record) -> Record:
    return row["scores"]


def _more(row: Record) -> Record:
    return (_entry(row) or {"scores": {}})["scores"]


def _against(record: Record, ours: Scores, name: str) -> str:
    """AP of denoising less that of queries, by seed, with an interval over seeds where there are several."""
    denoised, queried = (
        {row["seed"]: scores(row).get("ap") for row in _rows(record, "tabletop", kind)}
        for kind, scores in (("denoising", ours), ("queries", _own))
    )
    pairs = [(denoised[seed], queried[seed]) for seed in sorted(denoised.keys() & queried.keys())]
    gains = [a - b for a, b in pairs if a is not None and b is not None]
    if not gains:
        return ""
    said = f"AP of {name} less that of queries, by seed: {', '.join(f'{gain:+.3f}' for gain in gains)}"
    if len(gains) < 2:
        return f"{said}."
    interval = statistics.student_mean(gains)
    return f"{said}; mean {np.mean(gains):+.3f} [{interval[0]:+.3f}, {interval[1]:+.3f}]."


def _rows(record: Record, data: str, kind: str) -> list[Record]:
    return [row for row in record["rows"] if (row["data"], row["kind"]) == (data, kind)]


def _speed(entries: list[Record], batch: int) -> str:
    """Images a second, of those that are timed: the median over seeds."""
    speeds = [speed for entry in entries for speed in entry.get("speeds", ()) if speed["batch"] == batch]
    return f"{np.median([speed['images_a_second'] for speed in speeds]):.2g}" if speeds else ""


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _number(values: list[float | None]) -> str:
    """The mean; empty where a score is missing, as nothing was found."""
    return "" if None in values else f"{np.mean(np.array(values, float)):.3f}"


def _interval(values: list[float | None]) -> str:
    if len(values) < 2 or None in values:
        return ""
    low, high = statistics.student_mean(values)
    return f"[{low:.3f}, {high:.3f}]"


def _note(record: Record, data: str = "tabletop") -> str:
    seeds = len({row["seed"] for row in record["rows"] if row["data"] == data})
    minutes = f"{record['seconds'] / 60:.0f} minutes of training on {record['device']}"
    images = [f"{record['images']:,} Tabletop images"] if data == "tabletop" else []
    return footnote(record, ", ".join([minutes, *images, f"means over {seeds} seeds"]))
