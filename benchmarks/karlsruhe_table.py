"""The table of costs learned on one half of a town: losses and cost ratios on the other half."""

from typing import Any

from footnote import footnote

NAMES = ("hamming", "smoothed", "ratio", "over_hand")


def table(record: dict[str, Any]) -> str:
    """One row for each method and mode."""
    lines = [
        "| mode | costs | Hamming loss | smoothed loss | cost ratio | over that by hand | s a training |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        shown = " | ".join(_range(row[name]) for name in NAMES)
        lines.append(f"| {row['mode']} | {row['method']} | {shown} | {row['seconds']['mean']:.0f} |")
    settings = record["settings"]
    sets = f"{len(record['sets'])} sets of {settings['learned']} demonstrations to learn from"
    said = f"Means over {sets} and {settings['judged']} to judge by, with the least and most"
    return "\n".join([*lines, "", footnote(record, said)])


def _range(found: dict[str, float]) -> str:
    return f"{found['mean']:.3f} ({found['least']:.3f} to {found['most']:.3f})"
