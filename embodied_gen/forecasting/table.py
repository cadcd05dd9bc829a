"""Tables of scores: all protocols and measures side by side, as Markdown and as plain numbers.

A number without its protocol says little: on the same files one forecaster differs by a third between protocols. So a
row names the scene, the protocol and the number of draws, and no measure stands alone.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from embodied_gen.forecasting.scores import Scores

MEAN = "mean"
"""Scene of a row that is the mean over scenes."""
_NAMES = ("scene", "protocol", "forecaster")
_SCORES = tuple(field.name for field in dataclasses.fields(Scores))
_HEADER = (
    "| scene | protocol | forecaster | draws | one draw | mean of draws | best per agent | FDE of the best ADE "
    "| best per scene | FDE of the best ADE | joint | NLL | kernel NLL | missed | collide (truth) | inside 50, 90 % "
    "| spread |"
)


@final
@dataclass(frozen=True)
class Row:
    """Scores of a forecaster on the windows of a scene under a protocol."""

    scene: str
    protocol: str
    forecaster: str
    scores: Scores

    def plain(self) -> dict[str, Any]:
        """The row in plain numbers, for JSON."""
        return {name: getattr(self, name) for name in _NAMES} | dataclasses.asdict(self.scores)


def row_of(plain: dict[str, Any]) -> Row:
    """The inverse of `Row.plain`."""
    scores = {name: value for name, value in plain.items() if name not in _NAMES}
    return Row(plain["scene"], plain["protocol"], plain["forecaster"], Scores(**scores))


def with_means(rows: Sequence[Row]) -> list[Row]:
    """The rows, each protocol and forecaster followed by the mean over its scenes, in which every scene counts once.

    Counts of windows and tracks are added up; a number that a scene lacks is lacking in the mean.
    """
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.protocol, row.forecaster, row.scores.draws), []).append(row)
    return [entry for group in groups.values() for entry in (*group, _mean(group))]


def _mean(rows: Sequence[Row]) -> Row:
    columns = {name: [getattr(row.scores, name) for row in rows] for name in _SCORES}
    means: dict[str, Any] = {
        name: None if None in values else sum(values) / len(values) for name, values in columns.items()
    }
    means |= {name: sum(columns[name]) for name in ("windows", "tracks")} | {"draws": rows[0].scores.draws}
    return Row(MEAN, rows[0].protocol, rows[0].forecaster, Scores(**means))


def markdown(rows: Sequence[Row]) -> str:
    """A line for each row; errors are ADE / FDE [m], densities nat per track and step."""
    return "\n".join([_HEADER, "|" + "---|" * (_HEADER.count("|") - 1), *map(_line, rows)])


def _line(row: Row) -> str:
    s = row.scores
    entries = [
        *(row.scene, row.protocol, row.forecaster, str(s.draws)),
        *(_pair(s.ade, s.fde), _pair(s.ade_of_mean, s.fde_of_mean)),
        *(_pair(s.best_ade, s.best_fde), f"{s.best_fde_same:.2f}"),
        *(_pair(s.scene_ade, s.scene_fde), f"{s.scene_fde_same:.2f}", _pair(s.joint_ade, s.joint_fde)),
        *(_shown(s.nll), _shown(s.kernel_nll), f"{s.miss:.3f}"),
        f"{s.collision:.3f} ({s.true_collision:.3f})",
        "" if s.inside_half is None or s.inside_most is None else f"{s.inside_half:.2f}, {s.inside_most:.2f}",
        _shown(s.spread),
    ]
    return f"| {' | '.join(entries)} |"


def _pair(ade: float, fde: float) -> str:
    return f"{ade:.2f} / {fde:.2f}"


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
