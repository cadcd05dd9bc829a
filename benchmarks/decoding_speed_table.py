"""The table of what the state of decoders saves."""

from typing import Any

from footnote import footnote
from spread import median_and_range


def table(record: dict[str, Any]) -> str:
    """What the state of decoders saves, and the rollouts of a scene."""
    lines = [
        "| decoder | drawn | ms (median, range) | ms without its state | ratio (median, range) |",
        "|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        lines.append(
            f"| {row['family']} | {row['rows']} sequences of {row['positions']} | {row['ms_median']:.0f} "
            f"| {row['uncached_ms_median']:.0f} | {median_and_range(row, 'ratio', 1)} |"
        )
    for row in record["rollouts"]:
        drawn = f"{row['futures']} futures of {row['pedestrians']} pedestrians"
        lines.append(f"| {row['family']} | {drawn} | {median_and_range(row, 'ms', 0)} | | |")
    return "\n".join([*lines, "", footnote(record, f"{record['threads']} threads")])
