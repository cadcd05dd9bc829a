"""The table of a leaderboard, and what it shares with the picture: the cells of a family and a ground in one row.

Seeds are pooled: success is of all trials with its Wilson interval, other numbers are means. Only cells that were
measured to the end count.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from embodied_gen import statistics

MARK = "families"
"""Name of the table in a page."""
PICTURE = "images/families.png"
"""Where the picture of a page lies, from the page."""
_HEADER = (
    "| ground | family | seeds | good | 95 % interval | entropy | distance / floor | NLL | calibration error "
    "| training [s] | ms a call | network calls | parameters |"
)


@final
@dataclass(frozen=True)
class Row:
    """A family on a ground.

    Attributes:
        ground, family: Names.
        cells: Measured, one for each seed.
    """

    ground: str
    family: str
    cells: list[dict[str, Any]]

    def mean(self, key: str) -> float | None:
        """The mean over seeds, or None where a cell does not have it."""
        values = [cell.get(key) for cell in self.cells]
        known = [float(value) for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else None

    @property
    def good(self) -> tuple[float, float, float]:
        """The share of good trials, and its interval."""
        successes, trials = (sum(cell[key] for cell in self.cells) for key in ("successes", "trials"))
        return (successes / trials, *statistics.wilson(successes, trials))

    @property
    def entropy(self) -> float | None:
        """Entropy of the parts of all seeds' good trials over its maximum."""
        counted = [cell["parts"] for cell in self.cells if "parts" in cell]
        taken = np.sum(counted, axis=0) if counted else np.zeros(0)
        if not taken.any():
            return None
        return float(statistics.entropy(taken, rng=np.random.default_rng(0)).value)

    @property
    def distance(self) -> float | None:
        """The distance to the truth over that of the truth to itself."""
        distance, floor = self.mean("distance"), self.mean("floor")
        return None if distance is None or not floor else distance / floor


def rows(record: dict[str, Any]) -> list[Row]:
    """Grounds and families in the order in which they were first measured."""
    whole: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in record["cells"]:
        if "failure" not in cell:
            whole.setdefault((cell["ground"], cell["family"]), []).append(cell)
    grounds = list(dict.fromkeys(ground for ground, _ in whole))
    return [Row(*key, cells) for key, cells in sorted(whole.items(), key=lambda item: grounds.index(item[0][0]))]


def table(record: dict[str, Any]) -> str:
    """Markdown: a line for each family and ground, failures below, and on what it was measured."""
    picture = f"![Worth of families against milliseconds a call, by ground]({PICTURE})"
    lines = [picture, "", _HEADER, "|" + "---|" * (_HEADER.count("|") - 1), *(_line(row) for row in rows(record))]
    lines += [f"\n{line}" for line in _failures(record["cells"])]
    machine, versions = record["machine"], record["versions"]
    where = f"{machine['processor']}, {machine['cores']} cores; torch {versions['torch']}"
    return "\n".join([*lines, "", f"<sub>{where}.</sub>"])


def _failures(cells: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each family and way of failing, with all grounds where it was met."""
    places: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        if "failure" in cell:
            places.setdefault((cell["family"], cell["failure"]), []).append(cell["ground"])
    return [f"{family} on {', '.join(dict.fromkeys(on))}: {why}" for (family, why), on in places.items()]


def _line(row: Row) -> str:
    share, low, high = row.good
    entries = [
        row.ground,
        row.family,
        str(len(row.cells)),
        f"{share:.3f}",
        f"[{low:.3f}, {high:.3f}]",
        _shown(row.entropy, ".3f"),
        _shown(row.distance, ".2f"),
        _surprise(row),
        _shown(row.mean("calibration_error"), ".3f"),
        _shown(row.mean("training_seconds"), ".0f"),
        _shown(row.mean("ms_a_call"), ".1f"),
        _shown(row.mean("network_calls"), ".0f"),
        _shown(row.mean("parameters"), ",.0f"),
    ]
    return f"| {' | '.join(entries)} |"


def _shown(value: float | None, form: str) -> str:
    return "" if value is None or math.isnan(value) else format(value, form)


def _surprise(row: Row) -> str:
    """The mean density of held-out events, and the truth's own in brackets where it is known."""
    mean, own = row.mean("nll"), row.mean("nll_of_truth")
    if mean is None:
        return "not finite" if any("nll" in cell for cell in row.cells) else ""
    return f"{mean:.3f}" + ("" if own is None else f" ({own:.3f})")


def into_page(text: str, made: str) -> str:
    """A page with the table between its marks made anew; without marks, as it was."""
    pattern = rf"<!-- table: {MARK} -->\n.*?\n?<!-- end -->"
    return re.sub(pattern, lambda _: f"<!-- table: {MARK} -->\n{made}\n<!-- end -->", text, flags=re.S)
