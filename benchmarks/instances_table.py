"""The table of objects one a step; see instances.py."""

from typing import Any

import numpy as np
from footnote import footnote
from image_speed import REPEATS

from embodied_gen import statistics

ANSWERS = {"likely": "most likely", "drawn": "one draw"}


def table(record: dict[str, Any]) -> str:
    """Scores by set and answer: means over images of means over seeds, with intervals over images."""
    names = (
        "images",
        "answer",
        "SBD",
        "95 % interval",
        "by seed",
        "\\|DiC\\|",
        "95 % interval",
        "steps",
        "training, s",
    )
    lines = [f"| {' | '.join([*names, 'images/s', '8'])} |", f"|{'---|' * (len(names) + 2)}"]
    empty = []
    for name in dict.fromkeys(row["set"] for row in record["rows"]):
        rows = [row for row in record["rows"] if row["set"] == name]
        some = np.array(rows[0]["objects"]) > 0
        empty.append(f"{(~some).sum()} of {len(some)} {name}")
        training = f"{rows[0]['steps']:,} | {np.mean([row['training_seconds'] for row in rows]):,.0f}"
        timed = [row["images_per_second"] for row in rows if "images_per_second" in row]
        speeds = [f"{np.median([t[key] for t in timed]):.2g}" if timed else "" for key in ("batch_1", "batch_8")]
        for answer, said in ANSWERS.items():
            sbd = np.array([row[answer]["sbd"] for row in rows])[:, some]
            error = np.abs([row[answer]["difference"] for row in rows])
            by_seed = ", ".join(f"{value:.3f}" for value in sbd.mean(1))
            own = [training, *speeds] if answer == "likely" else [""] * 4
            entries = [name, said, _with_interval(sbd.mean(0), 3), by_seed, _with_interval(error.mean(0), 2), *own]
            lines.append(f"| {' | '.join(entries)} |")
    said = f"Images without an object have no SBD: {', '.join(empty)}."
    clocks = f"training: CPU time of one thread; images/s, one by one and 8 at once: medians of {REPEATS} calls"
    return "\n".join([*lines, "", said, "", footnote(record, clocks)])


def _with_interval(values: np.ndarray, digits: int) -> str:
    low, high = statistics.bootstrap_mean(values, rng=np.random.default_rng(0))
    return f"{values.mean():.{digits}f} | [{low:.{digits}f}, {high:.{digits}f}]"
