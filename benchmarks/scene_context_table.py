"""The table of scene context; see scene_context.py."""

from typing import Any

import numpy as np
from footnote import footnote

from embodied_gen import statistics

NAMES = {"half_seen": "half seen [nat a unit]", "out_of_place": "out of place", "missing": "missing"}


def table(record: dict[str, Any]) -> str:
    """Means over seeds with Student's intervals."""
    header = [part for name in NAMES.values() for part in (name, "95 % interval")]
    lines = [f"| model | {' | '.join(header)} |", "|---" * (1 + len(header)) + "|"]
    for row in record["rows"]:
        cells = [_shown(row[key]) for key in NAMES]
        lines.append(f"| {row['model']} | {' | '.join(cells)} |")
    images = record["images"]
    said = f"{record['units']} units, {images['train']} scenes to learn from and {images['test']} to be asked of"
    return "\n".join([*lines, "", footnote(record, said, f"means over {record['seeds']} seeds")])


def _shown(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.3f} | "
    low, high = statistics.student_mean(values)
    return f"{np.mean(values):.3f} | [{low:.3f}, {high:.3f}]"
