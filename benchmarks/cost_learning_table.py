"""The table of learning a cost: seconds, and what the cost is worth on fresh maps."""

from typing import Any

from footnote import footnote


def table(record: dict[str, Any]) -> str:
    """Seconds and cost ratios by kind of cost."""
    lines = ["| cost | s a training | cost ratio on fresh maps, by seed |", "|---|---|---|"]
    for name in dict.fromkeys(row["cost"] for row in record["rows"]):
        rows = [row for row in record["rows"] if row["cost"] == name]
        ratios = ", ".join(f"{row['cost_ratio']:.3f}" for row in rows)
        lines.append(f"| {name} | {sum(row['seconds'] for row in rows) / len(rows):.0f} | {ratios} |")
    equal = {row["seed"]: f"{row['cost_ratio_of_equal_costs']:.3f}" for row in record["rows"]}
    lines.append(f"| equal everywhere | | {', '.join(equal.values())} |")
    settings = record["settings"]
    sizes = f"{settings['demonstrations']} demonstrations, {settings['fresh']} fresh maps"
    said = f"{sizes}, {settings['steps']} steps of {settings['batch']}"
    return "\n".join([*lines, "", footnote(record, said, "one thread")])
