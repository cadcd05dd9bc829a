"""Table of a robot in a crowd, by what it knows of people."""

from typing import Any

from footnote import footnote


def table(record: dict[str, Any]) -> str:
    """Collisions, times, and paired differences from constant velocity, which have no entry of their own."""
    lines = [
        "| forecast | collisions | 95 % interval | difference | p | late | s to the goal | difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    most = max(row["episodes"] for row in record["rows"])
    lines += [_line(row, most) for row in record["rows"]]
    who = f"people of {record['tracks']}" if record["tracks"] else f"{record['pedestrians']} people"
    said = f"{most} episodes of each from seed {record['first_seed']}, {who}"
    return "\n".join([*lines, "", footnote(record, said)])


def _line(row: dict[str, Any], most: int) -> str:
    arm = row["arm"] if row["episodes"] == most else f"{row['arm']} ({row['episodes']} episodes so far)"
    low, high = row["collision_interval"]
    paired = "difference" in row
    p = f"{row['p']:.1g}" if paired else ""
    return (
        f"| {arm} | {row['collisions'] / row['episodes']:.3f} | [{low:.3f}, {high:.3f}] "
        f"| {_with_interval(row, 'difference', '+.3f') if paired else ''} | {p} "
        f"| {row['late']} | {_with_interval(row, 'time', '.2f')} "
        f"| {_with_interval(row, 'time_difference', '+.2f') if paired else ''} |"
    )


def _with_interval(row: dict[str, Any], name: str, digits: str) -> str:
    if row[name] is None:
        return ""
    interval = row[f"{name}_interval"]
    shown = "" if interval is None else f" [{interval[0]:{digits}}, {interval[1]:{digits}}]"
    return f"{row[name]:{digits}}{shown}"
