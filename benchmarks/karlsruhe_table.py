"""The table of costs learned on one half of a town: losses and cost ratios on the other half."""

from typing import Any

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
    machine, versions, settings = record["machine"], record["versions"], record["settings"]
    note = (
        f"<sub>Means over {len(record['sets'])} sets of {settings['learned']} demonstrations to learn from and "
        f"{settings['judged']} to judge by, with the least and most; {machine['processor']}, {machine['cores']} cores; "
        f"torch {versions['torch']}.</sub>"
    )
    return "\n".join([*lines, "", note])


def _range(found: dict[str, float]) -> str:
    return f"{found['mean']:.3f} ({found['least']:.3f} to {found['most']:.3f})"
