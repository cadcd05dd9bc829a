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
        seeds = list(zip(*by_scene, strict=True))
        entries = [
            *(_pair(scores, "best_ade", "best_fde") for scores in [*by_scene, flat]),
            _interval([_mean(scores, "best_ade") for scores in seeds]),
            _pair(flat, "ade_of_mean", "fde_of_mean"),
            str(len(seeds)),
            f"{np.mean([row['training_seconds'] for row in rows]):.0f}",
        ]
        lines.append(f"| {family} | {of} | {' | '.join(entries)} |")
    return "\n".join([*lines, "", _note(record)])


def brief(record: dict[str, Any]) -> str:
    """Means over scenes of what matters most, by family: three ways to answer side by side."""
    counted = _counted(record)
    lines = [
        "| family | best of 20, draws | representatives | mean of draws | exact NLL [nat] | collide, draws "
        "| collide, joint draws | collide, people |",
        "|---|" + "---|" * 7,
    ]
    for family in dict.fromkeys(row["family"] for row in counted):
        rows = [row["scores"] for row in counted if row["family"] == family]
        first = [next(iter(scores.values())) for scores in rows]
        entries = ["", "", _pair(first, "ade_of_mean", "fde_of_mean"), "", _share(first, "collision"), ""]
        if len(rows[0]) > 1:
            drawn, few, joint = ([scores[of] for scores in rows] for of in ("draws", "representatives", "joint draws"))
            entries[:2] = [_pair(drawn, "best_ade", "best_fde"), _pair(few, "best_ade", "best_fde")]
            entries[3] = "" if drawn[0]["nll"] is None else f"{_mean(drawn, 'nll'):.2f}"
            entries[5] = _share(joint, "collision")
        lines.append(f"| {family} | {' | '.join([*entries, _share(first, 'true_collision')])} |")
    return "\n".join([*lines, "", _note(record)])


def measures(record: dict[str, Any]) -> str:
    """Every measure, means over scenes and seeds."""
    rows, counted = [], _counted(record)
    for family, of in _kinds(counted):
        names = {"protocol": record["protocol"], "forecaster": f"{family}, {of}"}
        own = [row for row in counted if row["family"] == family]
        rows.append(with_means([row_of({"scene": row["scene"]} | names | row["scores"][of]) for row in own])[-1])
    return "\n".join([markdown(rows), "", _note(record)])


def _counted(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the seeds of a family that were measured on all scenes, so that every scene counts alike."""
    scenes = {row["scene"] for row in record["rows"]}
    found = Counter((row["family"], row["seed"]) for row in record["rows"])
    return [row for row in record["rows"] if found[row["family"], row["seed"]] == len(scenes)]


def _kinds(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Families, each with what was scored of it."""
    return list(dict.fromkeys((row["family"], of) for row in rows for of in row["scores"]))


def _interval(means: list[float]) -> str:
    if len(means) < 2:
        return ""
    low, high = statistics.bootstrap_mean(means, rng=np.random.default_rng(0))
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
