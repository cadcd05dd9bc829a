"""The table of soft backups, visits and shortest paths."""

from typing import Any

from footnote import footnote
from spread import median_and_range


def table(record: dict[str, Any]) -> str:
    """Backups, visits and shortest paths."""
    dense, large, graph, peer = (record[name] for name in ("dense", "large", "csgraph", "networkx"))
    lines = ["| what | other | ms of the other | ms | ratio (median, range) |", "|---|---|---|---|---|"]
    for name in ("backup", "visits"):
        row = dense[name]
        lines.append(
            f"| {name}, 32 x 32 | dense | {1e3 * row['dense_seconds']:.0f} | {1e3 * row['ours_seconds']:.1f} "
            f"| {median_and_range(row, 'ratio', 0)} |"
        )
    lines += [f"| {name}, 256 x 256 | | | {1e3 * large[f'{name}_seconds']:.0f} | |" for name in ("backup", "visits")]
    side, own = peer["side"], 1e3 * peer["planning_seconds"]
    both = 1e3 * (peer["networkx_building_seconds"] + peer["networkx_search_seconds"])
    lines.append(
        f"| map to path, {side} x {side} | networkx | {both:.0f} | {own:.0f} | {peer['networkx_over_planning']:.0f} |"
    )
    lines.append(
        f"| the same, its graph made before | networkx | {1e3 * peer['networkx_search_seconds']:.0f} | {own:.0f} "
        f"| {peer['networkx_search_over_planning']:.0f} |"
    )
    lines.append(
        f"| map to path, {graph['side']} x {graph['side']} | csgraph, its matrix made before "
        f"| {1e3 * graph['csgraph_seconds']:.0f} | {1e3 * graph['planning_seconds']:.0f} "
        f"| {1 / graph['planning_over_csgraph']:.2f} |"
    )
    return "\n".join([*lines, "", footnote(record)])
