"""The table of learned rewards: expected value differences by method and number of demonstrations."""

from typing import Any

from footnote import footnote

JUDGED = ("training", "transfer")  # on the world that was learned on, and on fresh ones


def table(record: dict[str, Any]) -> str:
    """Every cell that was measured, with its interval over worlds."""
    rows = record["rows"]
    counts = sorted({row["demonstrations"] for row in rows} - {0})
    lines = [
        f"| world | judged on | method | {' | '.join(map(str, counts))} | s a training |",
        "|---|---|---|" + "---|" * (len(counts) + 1),
    ]
    for problem, size in dict.fromkeys((row["problem"], row["size"]) for row in rows):
        own = [row for row in rows if (row["problem"], row["size"]) == (problem, size)]
        for judged in JUDGED:
            for method in dict.fromkeys(row["method"] for row in own if row[judged]):
                line = _line([row for row in own if row["method"] == method], judged, counts)
                lines.append(f"| {problem} {size} x {size} | {judged} | {method} | {line} |")
    said = f"Means over {len(record['worlds'])} worlds that are learned on, with 95 % intervals of Student's law"
    return "\n".join([*lines, "", footnote(record, said)])


def _line(rows: list[dict[str, Any]], judged: str, counts: list[int]) -> str:
    """A method's values by number of demonstrations, the same for all where it has none, and its seconds."""
    found = {row["demonstrations"]: row for row in rows}
    shown = [_value(found.get(count, found.get(0)), judged) for count in counts]
    times = [row["seconds"] for row in rows if "seconds" in row]
    return " | ".join([*shown, f"{sum(times) / len(times):.1f}" if times else ""])


def _value(row: dict[str, Any] | None, judged: str) -> str:
    if row is None:
        return ""
    low, high = row[judged]["interval"]
    return f"{row[judged]['mean']:.2f} [{low:.2f}, {high:.2f}]"
