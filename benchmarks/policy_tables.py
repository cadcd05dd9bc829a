"""Tables of policies and of the tasks that they do."""

from typing import Any

from detection_table import aims
from footnote import episodes, footnote
from spread import median_and_range


def avoid(record: dict[str, Any]) -> str:
    """Families on the multimodal crossing."""
    lines = [
        "| head | success | 95 % interval | by seed | entropy of routes | routes taken of 24 | ms a chunk |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        low, high = row["success_interval"]
        entropy = "" if row["mean_entropy"] is None else f"{row['mean_entropy']:.3f}"
        routes = ", ".join(map(str, row["routes_taken"]))
        by_seed = ", ".join(f"{run['success_rate']:.3f}" for run in row["runs"])
        latency = sorted(run["latency"]["chunk_ms_p50"] for run in row["runs"])[len(row["runs"]) // 2]
        name = row["name"].removeprefix("avoid-").replace("-", " ")
        lines.append(
            f"| {name} | {row['success_rate']:.3f} | [{low:.3f}, {high:.3f}] | {by_seed} | {entropy} | {routes} "
            f"| {latency:.1f} |"
        )
    return "\n".join([*lines, "", footnote(record, episodes(record))])


def particle(record: dict[str, Any]) -> str:
    """Policies between two goals by dimension."""
    dimensions = sorted({row["dimension"] for row in record["rows"]})
    lines = [f"| policy | {' | '.join(map(str, dimensions))} |", "|---|" + "---|" * len(dimensions)]
    for name in dict.fromkeys(row["name"] for row in record["rows"]):
        rows = {row["dimension"]: row for row in record["rows"] if row["name"] == name}
        shown = [
            f"{row['success_rate']:.3f} [{row['success_interval'][0]:.3f}, {row['success_interval'][1]:.3f}]"
            if (row := rows.get(dimension))
            else ""
            for dimension in dimensions
        ]
        lines.append(f"| {name.removeprefix('particle-')} | {' | '.join(shown)} |")
    return "\n".join([*lines, "", footnote(record, episodes(record))])


def tabletop(record: dict[str, Any]) -> str:
    """Picks by true boxes and by others."""
    lines, cost = aims(record["rows"]), record["scenes"]
    said = (
        f"A scene of 0 to 12 things settles in {cost['settle_ms']:.0f} ms and is rendered at 160 x 120 in "
        f"{cost['render_ms']:.0f} ms of one core, on average; in a set it takes {cost['bytes'] / 1e3:.0f} kB."
    )
    return "\n".join([*lines, "", said, "", footnote(record, episodes(record))])


def metaworld(record: dict[str, Any]) -> str:
    """Meta-World beside the expert."""
    lines = ["| task | policy | 95 % interval | expert | training [s] |", "|---|---|---|---|---|"]
    for row in record["tasks"]:
        low, high = row["policy"]["success_interval"]
        lines.append(
            f"| {row['task']} | {row['policy']['success_rate']:.2f} | [{low:.2f}, {high:.2f}] "
            f"| {row['expert']['success_rate']:.2f} | {row['training_seconds']:.0f} |"
        )
    lines.append(f"| mean ratio to the expert | {record['mean_ratio']:.3f} | | | |")
    return "\n".join([*lines, "", footnote(record, episodes(record))])


def speed(record: dict[str, Any]) -> str:
    """Speed of evaluation."""
    lines = ["| environment | episodes/s | plain loop | ratio (median, range) |", "|---|---|---|---|"]
    for row in record["rows"]:
        name = " ".join([row["env"], *map(str, row["env_kwargs"].values())])
        lines.append(
            f"| {name} | {row['episodes_per_second']:.1f} | {row['plain_episodes_per_second']:.1f} "
            f"| {median_and_range(row, 'ratio', 1)} |"
        )
    return "\n".join([*lines, "", footnote(record, f"mujoco {record['versions']['mujoco']}")])
