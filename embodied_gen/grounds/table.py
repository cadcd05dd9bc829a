"""The table of a leaderboard, and what it shares with the picture: the cells of a family and a ground in one row.

Success is that of all trials of all seeds with its Wilson interval, which knows nothing of how trainings differ: the
range over seeds stands beside it. A seed that failed has no success; other numbers are means over the seeds that did
not. The ways that were taken are counted for each seed and context, and what follows from them is averaged: ways that
are taken by one seed or in one context alone do not make up for those that another dropped. Where fewer than two trials
are good there are no ways to compare.

    entropy    of the ways taken, over that of as many good trials of the truth in the mean
    modes      ways that were taken at least a tenth as often as is their due, over those of the truth likewise
    spread     of draws within a way over that of the truth where it is known; 0 where each way is but one point
    rewarded   share of episodes with any reward at all, of all seeds
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from embodied_gen import statistics

MARK = "families"
"""Name of the table in a page."""
PICTURE = "images/families.png"
"""Where the picture of a page lies, from the page."""
_HEADER = (
    "| ground | family | seeds | good | 95 % interval | over seeds | rewarded | entropy | modes | spread "
    "| distance / floor | NLL | calibration error | training [s] | ms a call | network calls | parameters [1000] |"
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

    @property
    def judged(self) -> list[dict[str, Any]]:
        """The cells that did not fail."""
        return [cell for cell in self.cells if "failure" not in cell]

    def mean(self, key: str) -> float | None:
        """The mean over the seeds that did not fail, or None where one of them does not have it."""
        values = [cell.get(key) for cell in self.judged]
        known = [float(value) for value in values if value is not None]
        return sum(known) / len(known) if known and len(known) == len(values) else None

    @property
    def seeds(self) -> str:
        """How many there are, or how many of them failed."""
        failed = Counter("diverged" if cell["diverged"] else "failed" for cell in self.cells if "failure" in cell)
        told = [f"{count} of {len(self.cells)} {how}" for how, count in failed.items()]
        return ", ".join(told) or str(len(self.cells))

    @property
    def good(self) -> tuple[float, float, float]:
        """The share of good trials, and its interval."""
        successes, trials = (sum(cell[key] for cell in self.cells) for key in ("successes", "trials"))
        return (successes / trials, *statistics.wilson(successes, trials))

    @property
    def shares(self) -> list[float]:
        """The share of good trials of each seed."""
        return [cell["successes"] / cell["trials"] for cell in self.cells]

    @property
    def rewarded(self) -> float | None:
        """The share of episodes with any reward, those of failed seeds among them; None where there are no rewards."""
        if not any("rewarded" in cell for cell in self.cells):
            return None
        return sum(cell.get("rewarded", 0) for cell in self.cells) / sum(cell["trials"] for cell in self.cells)

    @property
    def entropy(self) -> float | None:
        """Entropy of the ways taken over the truth's, averaged; None where ways are not counted or there is but one."""
        return self._averaged(statistics.relative_entropy)

    @property
    def modes(self) -> float | None:
        """Ways that are not dropped over those of the truth, averaged; None where ways are not counted."""
        return self._averaged(statistics.relative_reach)

    @property
    def distance(self) -> float | None:
        """The distance to the truth over that of the truth to itself."""
        distance, floor = self.mean("distance"), self.mean("floor")
        return None if distance is None or not floor else distance / floor

    def _averaged(self, measure: Callable[[np.ndarray, np.ndarray], float | None]) -> float | None:
        """The mean over seeds of the mean over contexts of a measure of counts and what is due, where that is known."""
        found = []
        for cell in self.judged:
            contexts = zip(np.array(cell.get("parts", [])), np.array(cell.get("due", [])), strict=True)
            known = [value for counts in contexts if (value := measure(*counts)) is not None]
            if known:
                found.append(sum(known) / len(known))
        return sum(found) / len(found) if found else None


def rows(record: dict[str, Any]) -> list[Row]:
    """Grounds and families in the order in which they were first measured; what was refused has no row."""
    whole: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in record["cells"]:
        if "refusal" not in cell:
            whole.setdefault((cell["ground"], cell["family"]), []).append(cell)
    grounds = list(dict.fromkeys(ground for ground, _ in whole))
    return [Row(*key, cells) for key, cells in sorted(whole.items(), key=lambda item: grounds.index(item[0][0]))]


def table(record: dict[str, Any]) -> str:
    """Markdown: a line for each family and ground, failures and refusals below, and on what it was measured."""
    picture = f"![Worth of families against milliseconds a call, by ground]({PICTURE})"
    lines = [picture, "", _HEADER, "|" + "---|" * (_HEADER.count("|") - 1), *(_line(row) for row in rows(record))]
    for kind in ("failure", "nll_failure", "refusal"):
        lines += [f"\n{line}" for line in _told(record["cells"], kind)]
    return "\n".join([*lines, *(f"\n<sub>{origin}.</sub>" for origin in _origins(record))])


def _told(cells: Sequence[dict[str, Any]], kind: str) -> list[str]:
    """A line for each family and sentence of a kind, with all grounds where it was met."""
    places: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        if kind in cell:
            places.setdefault((cell["family"], cell[kind]), []).append(cell["ground"])
    what = "no density: " if kind == "nll_failure" else ""
    return [f"{family} on {', '.join(dict.fromkeys(on))}: {what}{why}" for (family, why), on in places.items()]


def _origins(record: dict[str, Any]) -> list[str]:
    """On what so many cells were measured, a line for each."""
    counts = Counter(cell["origin"] for cell in record["cells"])
    lines = []
    for number, count in sorted(counts.items()):
        origin = record["origins"][number]
        machine, jobs = origin["machine"], origin["jobs"]
        on = f"{machine['processor']}, {machine['cores']} cores, {machine.get('gpu') or origin['device']}"
        shared = ", whose times depend on one another" if jobs > 1 and origin["device"] != "cpu" else ""
        made_by = f"torch {origin['versions']['torch']}, sources {origin['sources']}"
        lines.append(f"{count} cells: {on}, {jobs} at once{shared}; {made_by}")
    return lines


def _line(row: Row) -> str:
    share, low, high = row.good
    parameters = None if (count := row.mean("parameters")) is None else count / 1000
    entries = [
        row.ground,
        row.family,
        row.seeds,
        f"{share:.3f}",
        f"[{low:.3f}, {high:.3f}]",
        f"{min(row.shares):.3f} to {max(row.shares):.3f}",
        _shown(row.rewarded, ".3f"),
        _shown(row.entropy, ".3f"),
        _shown(row.modes, ".3f"),
        _shown(row.mean("spread"), ".2f"),
        _shown(row.distance, ".2f"),
        _surprise(row),
        _shown(row.mean("calibration_error"), ".3f"),
        _shown(row.mean("training_seconds"), ".0f"),
        _shown(row.mean("ms_a_call"), ".1f"),
        _shown(row.mean("network_calls"), ".0f"),
        _shown(parameters, ",.0f"),
    ]
    return f"| {' | '.join(entries)} |"


def _shown(value: float | None, form: str) -> str:
    return "" if value is None or math.isnan(value) else format(value, form)


def _surprise(row: Row) -> str:
    """The mean density of held-out events and by what it is known, and the truth's own in brackets where it is."""
    mean, own = row.mean("nll"), row.mean("nll_of_truth")
    ways = {cell["nll_by"] for cell in row.judged if "nll" in cell}
    if mean is None:
        return "not finite" if ways else ""
    return " ".join([f"{mean:.3f}", *sorted(ways), *([] if own is None else [f"({own:.3f})"])])


def into_page(text: str, made: str) -> str:
    """A page with the table between its marks made anew; without marks, as it was."""
    pattern = rf"<!-- table: {MARK} -->\n.*?\n?<!-- end -->"
    return re.sub(pattern, lambda _: f"<!-- table: {MARK} -->\n{made}\n<!-- end -->", text, flags=re.S)
