"""Tables of planners in the point mazes."""

from typing import Any

from footnote import episodes, footnote
from spread import median_and_range

MAZES = {"umaze": "U", "medium": "medium", "large": "large"}


def maze2d(*records: dict[str, Any]) -> str:
    """Planners in point mazes, with what each of them knows."""
    names = {row["name"]: row["knows"] for record in records for row in record["rows"]}
    mazes = [MAZES[record["maze"]] for record in records]
    lines = [
        f"| planner | knows | {' | '.join(mazes)} |",
        "|---|---|" + "---|" * len(mazes),
        *(
            f"| {name} | {knows} | {' | '.join(_score(record, name) for record in records)} |"
            for name, knows in names.items()
        ),
    ]
    return "\n".join([*lines, "", footnote(records[0], episodes(records[0]))])


def maze2d_details(*records: dict[str, Any]) -> str:
    """The same over references measured here, with times and plans."""
    lines = [
        "| maze | planner | score | over controller here | ms a plan, p50 | p95 | plans without a good way |",
        "|---|---|---|---|---|---|---|",
    ]
    for record in records:
        for row in record["rows"]:
            plans = f"{row['infeasible']} of {row['plans']}" if "plans" in row else ""
            times = [f"{row['replan_ms'][key]:.0f}" if "replan_ms" in row else "" for key in ("p50", "p95")]
            lines.append(
                f"| {MAZES[record['maze']]} | {row['name']} | {row['score']:.1f} | {row['score_here']:.1f} "
                f"| {times[0]} | {times[1]} | {plans} |"
            )
    return "\n".join([*lines, "", footnote(records[0], episodes(records[0]))])


def obstacles(*records: dict[str, Any]) -> str:
    """Obstacles that training never saw."""
    lines = [
        "| maze | method | rollouts that collide | 95 % interval | plans that collide, at way-points | swept "
        "| score | kept | plans without a good way |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in [row for record in records for row in record["rows"]]:
        low, high = row["rollouts_interval"]
        strength = f", {row['strength']:g}" if row["strength"] else ""
        lines.append(
            f"| {MAZES[row['maze']]} | {row['method']}{strength} | {row['rollouts_collide']} of {row['rollouts']} "
            f"| [{low:.3f}, {high:.3f}] | {row['collide_points']} of {row['plans']} | {row['collide_swept']} "
            f"| {row['score']:.1f} | {row['kept']:.2f} | {row['infeasible']} of {row['replans']} |"
        )
    return "\n".join([*lines, "", footnote(records[0], episodes(records[0]))])


def guidance(record: dict[str, Any]) -> str:
    """Cost of guided sampling."""
    lines = [
        "| method | guide | over free sampling (median, range) | ms a sample | free |",
        "|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        lines.append(
            f"| {row['method']} | {row['guide']} | {median_and_range(row, 'ratio', 2)} "
            f"| {row['guided_ms_a_sample']:.2f} | {row['free_ms_a_sample']:.2f} |"
        )
    return "\n".join([*lines, "", footnote(record)])


def _score(record: dict[str, Any], name: str) -> str:
    """Score with its interval, and the milliseconds of a plan; a dash where it was not measured."""
    rows = [row for row in record["rows"] if row["name"] == name]
    if not rows:
        return "-"
    low, high = rows[0]["score_interval"]
    shown = f"{rows[0]['score']:.1f} [{low:.1f}, {high:.1f}]"
    return f"{shown}, {rows[0]['replan_ms']['p50']:.0f} ms" if "replan_ms" in rows[0] else shown
