"""Tables of learned forecasters: best of n by scene, and all measures, in full and in brief."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from footnote import footnote

from embodied_gen import statistics
from embodied_gen.forecasting.table import markdown, row_of, with_means

Scores = dict[str, Any]


def table(record: dict[str, Any]) -> str:
    """Best of n per agent by scene, the interval of its mean over seeds, and the error of the mean of the draws."""
    counted = _counted(record)
    scenes = list(dict.fromkeys(row["scene"] for row in counted))
    lines = [
        f"| family | of | {' | '.join(scenes)} | mean | 95 % interval of the ADE | mean of draws | seeds "
        "| s a training |",
        "|---|---|" + "---|" * (len(scenes) + 5),
    ]
    for family, of in _kinds(counted):
        rows = [row for row in counted if row["family"] == family]
        flat = [row["scores"][of] for row in rows]
        by_scene = [[row["scores"][of] for row in rows if row["scene"] == scene] for scene in scenes]
        entries = [
            *(_pair(scores, "best_ade", "best_fde") for scores in [*by_scene, flat]),
            _interval(rows, of),
            _pair(flat, "ade_of_mean", "fde_of_mean"),
            str(len(_seeds(rows))),
            f"{np.mean([row['training_seconds'] for row in rows]):.0f}",
        ]
        lines.append(f"| {family} | {of} | {' | '.join(entries)} |")
    return "\n".join([*lines, "", _note(record)])


def brief(record: dict[str, Any]) -> str:
    """Means over scenes of what matters most, by family: three ways to answer side by side."""
    counted = _counted(record)
    lines = [
        "| family | best of 20, draws | 95 % interval of the ADE | representatives | mean of draws | exact NLL [nat] "
        "| collide, draws | collide, joint draws | collide, people | seeds |",
        "|---|" + "---|" * 9,
    ]
    for family in dict.fromkeys(row["family"] for row in counted):
        rows = [row for row in counted if row["family"] == family]
        lines.append(f"| {family} | {' | '.join([*_in_brief(rows), str(len(_seeds(rows)))])} |")
    return "\n".join([*lines, "", _note(record)])


def measures(record: dict[str, Any]) -> str:
    """Every measure, means over scenes and seeds."""
    rows, counted = [], _counted(record)
    for family, of in _kinds(counted):
        names = {"protocol": record["protocol"], "forecaster": f"{family}, {of}"}
        own = [row for row in counted if row["family"] == family]
        rows.append(with_means([row_of({"scene": row["scene"]} | names | row["scores"][of]) for row in own])[-1])
    return "\n".join([markdown(rows), "", _note(record)])


def _in_brief(rows: list[dict[str, Any]]) -> list[str]:
    """Entries of a family in the brief table; what the one answer of a regression has not stays empty."""
    kinds = [row["scores"] for row in rows]
    first = [next(iter(scores.values())) for scores in kinds]
    best, interval, few, nll, collide = "", "", "", "", ""
    if "draws" in kinds[0]:
        drawn, others, joint = ([scores[of] for scores in kinds] for of in ("draws", "representatives", "joint draws"))
        best, few = _pair(drawn, "best_ade", "best_fde"), _pair(others, "best_ade", "best_fde")
        interval, collide = _interval(rows, "draws"), _share(joint, "collision")
        nll = "" if drawn[0]["nll"] is None else f"{_mean(drawn, 'nll'):.2f}"
    means, people = _pair(first, "ade_of_mean", "fde_of_mean"), _share(first, "true_collision")
    return [best, interval, few, means, nll, _share(first, "collision"), collide, people]


def _counted(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the seeds of a family that were measured on all scenes, so that every scene counts alike."""
    scenes = {row["scene"] for row in record["rows"]}
    found = Counter((row["family"], row["seed"]) for row in record["rows"])
    return [row for row in record["rows"] if found[row["family"], row["seed"]] == len(scenes)]


def _kinds(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Families, each with what was scored of it."""
    return list(dict.fromkeys((row["family"], of) for row in rows for of in row["scores"]))


def _seeds(rows: list[dict[str, Any]]) -> list[int]:
    return list(dict.fromkeys(row["seed"] for row in rows))


def _interval(rows: list[dict[str, Any]], of: str) -> str:
    """The interval of the mean over scenes, over the seeds of a family."""
    scores = [[row["scores"][of] for row in rows if row["seed"] == seed] for seed in _seeds(rows)]
    means = [_mean(found, "best_ade") for found in scores]
    if len(means) < 2:
        return ""
    low, high = statistics.student_mean(means)
    return f"[{low:.3f}, {high:.3f}]"


def _pair(scores: Sequence[Scores], ade: str, fde: str) -> str:
    return f"{_mean(scores, ade):.2f} / {_mean(scores, fde):.2f}"


def _share(scores: Sequence[Scores], name: str) -> str:
    return f"{100 * _mean(scores, name):.1f} %"


def _mean(scores: Sequence[Scores], name: str) -> float:
    return float(np.mean([found[name] for found in scores]))


def _note(record: dict[str, Any]) -> str:
    of = f"{record['draws']} draws or representatives of each window ({record['protocol']})"
    return footnote(record, f"{of}, means over scenes and seeds")
