"""The table of dense CRFs beside their peers."""

from typing import Any

from footnote import footnote
from spread import median_and_range

# Ratios of ours in other ways, of which records that were made before they were measured have none.
WAYS = {"anew_ratio": "size not seen before", "one_thread_ratio": "one thread", "one_thread_anew_ratio": "both"}


def table(record: dict[str, Any]) -> str:
    """Dense CRFs against pydensecrf and crfasrnn_pytorch."""
    ways = {name: title for name, title in WAYS.items() if f"{name}_median" in record["speed"][0]}
    titles = ["image", "labels", "iterations", "ms", "pydensecrf, ms", "ratio (median, range)", *ways.values()]
    lines = [f"| {' | '.join(titles)} | largest \\|dQ\\| |", "|---" * (len(titles) + 1) + "|"]
    for row in record["speed"]:
        ratios = " | ".join(median_and_range(row, name, 2) for name in ("ratio", *ways))
        lines.append(
            f"| {row['size']} | {row['labels']} | {row['iterations']} | {row['ours_ms']:.0f} "
            f"| {row['pydensecrf_ms']:.0f} | {ratios} | {row['largest_difference']:.1e} |"
        )
    step = record["training_step"]
    equal = ", ".join(f"{100 * row['equal_labels']:.1f} % ({row['method']})" for row in record["accuracy"])
    said = (
        f"A training step at {step['size']} with 21 labels, 5 iterations and fixed widths takes\n"
        f"{step['ours_ms']:.0f} ms on one thread, that of crfasrnn_pytorch {step['crfasrnn_ms']:.0f} ms, "
        f"{median_and_range(step, 'ratio', 2)} times as long.{_with_widths(step)} At 120 x 80\n"
        f"{equal} of the labels are those of the exact mean field."
    )
    return "\n".join([*lines, "", said, "", footnote(record)])


def _with_widths(step: dict[str, Any]) -> str:
    """What a step costs whose widths are learned; nothing where the record was made without."""
    if "learned_widths_ms" not in step:
        return ""
    return f" With widths that are learned, by low rank, it takes {step['learned_widths_ms']:.0f} ms."
