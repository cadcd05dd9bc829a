"""The table of benchmarks/push_blocks.py."""

from typing import Any

from footnote import episodes, footnote


def table(record: dict[str, Any]) -> str:
    """Cubes delivered and orders taken."""
    lines = [
        "| policy | seeds | p1 | 95 % interval | p2 | 95 % interval | cubes of 2 | order entropy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        shares = " | ".join(f"{row[p]:.3f} | {_range(row[f'{p}_interval'])}" for p in ("p1", "p2"))
        entropy = row["entropy"]
        ways = "" if entropy is None else f"{entropy['value']:.2f} {_range(entropy['interval'])}"
        cubes = row["p1"] + row["p2"]
        lines.append(f"| {row['name']} | {len(row['runs'])} | {shares} | {cubes:.2f} | {ways} |")
    return "\n".join([*lines, "", footnote(record, f"{episodes(record)}, each training seed on the same")])


def _range(interval: list[float]) -> str:
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]"
