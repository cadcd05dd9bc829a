"""The table of CamVid: arms by means over seeds, with intervals, and paired differences."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from footnote import footnote
from image_speed import REPEATS

NAMES = {
    "unary": "no CRF",
    "further": "no CRF, trained on",
    "searched": "dense CRF, searched",
    "learned": "CRF-RNN",
}
SHOWN = {"mean_iou": "mIoU", "accuracy": "accuracy", "class_accuracy": "class average", "boundary": "boundary F1"}


def table(record: dict[str, Any]) -> str:
    """Percent, by arm."""
    lines = [
        f"| network with | {' | '.join(SHOWN.values())} | ECE | training [s] | images/s, batch 1 | batch 8 | seeds |",
        "|---|" + "---|" * (len(SHOWN) + 5),
    ]
    for row in record["summary"]:
        runs = [run for run in record["rows"] if run["arm"] == row["arm"]]
        error = np.mean([run["scores"]["calibration_error"] for run in runs])
        seconds = np.mean([run["training_seconds"] + run["search_seconds"] for run in runs])
        timed = [run["images_per_second"] for run in runs if "images_per_second" in run]
        speeds = [f"{np.median([t[key] for t in timed]):.1f}" if timed else "" for key in ("batch_1", "batch_8")]
        shown = " | ".join(_shown(row[name], row["arm"] == "unary") for name in SHOWN)
        entries = [NAMES[row["arm"]], shown, f"{error:.3f}", f"{seconds:,.0f}", *speeds, str(row["seeds"])]
        lines.append(f"| {' | '.join(entries)} |")
    if record["beyond_steps"]:
        beyond = " | ".join(_difference(record["beyond_steps"][name]) for name in SHOWN)
        lines.append(f"| {NAMES['learned']} less {NAMES['further']} | {beyond} |" + " |" * 5)
    width, height = record["size"]
    said = f"{width} x {height}, {' and '.join(map(str, record['steps']))} steps"
    clocks = f"training and images/s on one thread; images/s: medians of {REPEATS} calls"
    return "\n".join([*lines, "", footnote(record, said, clocks)])


def _shown(found: Mapping[str, Any], first: bool) -> str:
    """The mean with its interval, or with its difference to the first arm."""
    if first:
        low, high = found["interval"]
        return f"{100 * found['mean']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * found['mean']:.1f}, {_difference(found)}"


def _difference(found: Mapping[str, Any]) -> str:
    low, high = found["difference_interval"]
    return f"{100 * found['difference']:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
