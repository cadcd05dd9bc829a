"""The table of learned maps in closed loop: regret by map and planner."""

from typing import Any

from footnote import episodes, footnote


def table(record: dict[str, Any]) -> str:
    """One row for each planner on each map."""
    lines = [
        "| map | planner | regret | 95 % interval | above A* on the true map, paired | success | collisions "
        "| ms a plan |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row) for row in sorted(record["rows"], key=lambda row: row["map"] == "none")]
    return "\n".join([*lines, "", footnote(record, episodes(record))])


def brief(record: dict[str, Any]) -> str:
    """Regret alone, maps by planners; without those that need no map."""
    rows = {(row["map"], row["planner"]): row for row in record["rows"] if row["map"] != "none"}
    maps, planners = (list(dict.fromkeys(key[place] for key in rows)) for place in (0, 1))
    lines = [f"| map | {' | '.join(planners)} |", "|---|" + "---|" * len(planners)]
    for name in maps:
        lines.append(f"| {name} | {' | '.join(_regret(rows[name, planner]) for planner in planners)} |")
    return "\n".join([*lines, "", footnote(record, episodes(record))])


def _regret(row: dict[str, Any]) -> str:
    return f"{row['regret']:.3f} {_range(row)}"


def _range(row: dict[str, Any]) -> str:
    low, high = row["regret_interval"]
    return f"[{low:.3f}, {high:.3f}]"


def _line(row: dict[str, Any]) -> str:
    above = ""
    if "above" in row:
        least, most = row["above_interval"]
        above = f"{row['above']:+.3f} [{least:+.3f}, {most:+.3f}]"
    first, last = row["success_interval"]
    return (
        f"| {row['map']} | {row['planner']} | {row['regret']:.3f} | {_range(row)} | {above} "
        f"| {row['success_rate']:.3f} [{first:.3f}, {last:.3f}] | {row['collisions']} | {row['plan_ms']:.0f} |"
    )
