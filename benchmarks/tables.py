"""Tables of the results: rewrites the tables of README.md and of docs/*.md from benchmarks/results/*.json.

    python benchmarks/tables.py [--check]

With --check nothing is written, and the exit status is 1 where a page is not what the results say.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def main() -> int:
    """Rewrites or checks the pages."""
    changed = False
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        old = page.read_text()
        new = with_tables(old)
        changed |= new != old
        if new != old and "--check" not in sys.argv:
            page.write_text(new)
    return int(changed and "--check" in sys.argv)


def with_tables(text: str) -> str:
    """The text with every table between its marks made anew."""
    makers = {
        "avoid": avoid,
        "metaworld": metaworld,
        "evaluation_speed": speed,
        "maze2d_umaze": maze2d,
        "guidance_speed": guidance,
    }

    def replace(match: re.Match[str]) -> str:
        path = RESULTS / f"{match[1]}.json"
        table = makers[match[1]](json.loads(path.read_text())) if path.is_file() else "Not measured yet."
        return f"<!-- table: {match[1]} -->\n{table}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?\n?<!-- end -->", replace, text, flags=re.S)


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
    return "\n".join([*lines, "", _footnote(record)])


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
    return "\n".join([*lines, "", _footnote(record)])


def maze2d(record: dict[str, Any]) -> str:
    """Planners in a point maze."""
    lines = [
        "| followed by | score | 95 % interval | ms a plan, p50 | plans without a good way |",
        "|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        low, high = row["score_interval"]
        latency = f"{row['replan_ms']['p50']:.0f}" if "replan_ms" in row else ""
        infeasible = f"{row['infeasible']} of {row['plans']}" if "plans" in row else ""
        lines.append(f"| {row['name']} | {row['score']:.1f} | [{low:.1f}, {high:.1f}] | {latency} | {infeasible} |")
    return "\n".join([*lines, "", _footnote(record)])


def speed(record: dict[str, Any]) -> str:
    """Speed of evaluation."""
    lines = ["| environment | episodes/s | plain loop | ratio (median, range) |", "|---|---|---|---|"]
    for row in record["rows"]:
        name = " ".join([row["env"], *map(str, row["env_kwargs"].values())])
        lines.append(
            f"| {name} | {row['episodes_per_second']:.1f} | {row['plain_episodes_per_second']:.1f} "
            f"| {row['ratio_median']:.1f} ({row['ratio_min']:.1f} to {row['ratio_max']:.1f}) |"
        )
    return "\n".join([*lines, "", _footnote(record)])


def guidance(record: dict[str, Any]) -> str:
    """Cost of guided sampling."""
    lines = [
        "| method | guide | over free sampling (median, range) | ms a sample | free |",
        "|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        low, high = row["ratio_min"], row["ratio_max"]
        lines.append(
            f"| {row['method']} | {row['guide']} | {row['ratio_median']:.2f} ({low:.2f} to {high:.2f}) "
            f"| {row['guided_ms_a_sample']:.2f} | {row['free_ms_a_sample']:.2f} |"
        )
    return "\n".join([*lines, "", _footnote(record)])


def _footnote(record: dict[str, Any]) -> str:
    machine, versions = record["machine"], record["versions"]
    seeds = record.get("seeds")
    shown = f"{seeds['count']} episodes from seed {seeds['first']}; " if seeds else ""
    return (
        f"<sub>{shown}{machine['processor']}, {machine['cores']} cores; torch {versions['torch']}, "
        f"mujoco {versions['mujoco']}.</sub>"
    )


if __name__ == "__main__":
    sys.exit(main())
