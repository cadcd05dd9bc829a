"""The table of objects one a step; see instances.py."""

from typing import Any

import numpy as np
from footnote import footnote

from embodied_gen import statistics

ANSWERS = {"likely": "most likely", "drawn": "one draw"}


def table(record: dict[str, Any]) -> str:
    """Scores by set and answer: means over images of means over seeds, with intervals over images."""
    lines = [
        "| images | answer | SBD | 95 % interval | by seed | \\|DiC\\| | 95 % interval | training [s] | ms an image |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["set"] for row in record["rows"]):
        rows = [row for row in record["rows"] if row["set"] == name]
        training, each = (np.mean([row[key] for row in rows]) for key in ("training_seconds", "seconds_an_image"))
        for answer, said in ANSWERS.items():
            sbd = np.array([row[answer]["sbd"] for row in rows])
            error = np.abs([row[answer]["difference"] for row in rows])
            by_seed = ", ".join(f"{value:.3f}" for value in sbd.mean(1))
            lines.append(
                f"| {name} | {said} | {_with_interval(sbd.mean(0), 3)} | {by_seed} | "
                f"{_with_interval(error.mean(0), 2)} | {training:.0f} | {1e3 * each:.1f} |"
            )
    return "\n".join([*lines, "", footnote(record, "CPU time of one thread")])


def _with_interval(values: np.ndarray, digits: int) -> str:
    low, high = statistics.bootstrap_mean(values, rng=np.random.default_rng(0))
    return f"{values.mean():.{digits}f} | [{low:.{digits}f}, {high:.{digits}f}]"
