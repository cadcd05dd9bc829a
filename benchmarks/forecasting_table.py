"""Tables of learned forecasters: best of n by scene, and all measures."""

from typing import Any

import numpy as np
from footnote import footnote

from embodied_gen import statistics
from embodied_gen.forecasting.table import markdown, row_of, with_means

Scores = dict[str, Any]


def table(record: dict[str, Any]) -> str:
    """Best of n per agent by scene, the interval of its mean over seeds, and the error of the mean of the draws."""
    scenes = list(dict.fromkeys(row["scene"] for row in record["rows"]))
    lines = [
        f"| family | of | {' | '.join(scenes)} | mean | 95 % interval of the ADE | mean of draws | s a training |",
        "|---|---|" + "---|" * (len(scenes) + 4),
    ]
    for family, of in _kinds(record):
        rows = [row for row in record["rows"] if row["family"] == family]
        found = {(row["scene"], row["seed"]): row["scores"][of] for row in rows}
        seconds = np.mean([row["training_seconds"] for row in rows])
        lines.append(f"| {family} | {of} | {' | '.join(_entries(found, scenes))} | {seconds:.0f} |")
    return "\n".join([*lines, "", _note(record)])


def measures(record: dict[str, Any]) -> str:
    """Every measure, means over the scenes and seeds that were measured."""
    rows = []
    for family, of in _kinds(record):
        names = {"protocol": record["protocol"], "forecaster": f"{family}, {of}"}
        own = [row for row in record["rows"] if row["family"] == family]
        rows.append(with_means([row_of({"scene": row["scene"]} | names | row["scores"][of]) for row in own])[-1])
    return "\n".join([markdown(rows), "", _note(record)])


def _kinds(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Families, each with what was scored of it."""
    return list(dict.fromkeys((row["family"], of) for row in record["rows"] for of in row["scores"]))


def _entries(found: dict[tuple[str, int], Scores], scenes: list[str]) -> list[str]:
    """Errors of each scene; means of the seeds that have all scenes, in which every scene counts once."""
    whole = [seed for seed in sorted({seed for _, seed in found}) if all((scene, seed) in found for scene in scenes)]
    by_scene = [[scores for (other, _), scores in found.items() if other == scene] for scene in scenes]
    everywhere = [[found[scene, seed] for scene in scenes] for seed in whole]
    flat = [scores for seed in everywhere for scores in seed]
    bests = [_pair(scores, "best_ade", "best_fde") for scores in [*by_scene, flat]]
    return [
        *bests,
        _interval([_mean(seed, "best_ade") for seed in everywhere]),
        _pair(flat, "ade_of_mean", "fde_of_mean"),
    ]


def _interval(means: list[float]) -> str:
    if len(means) < 2:
        return ""
    low, high = statistics.bootstrap_mean(means, rng=np.random.default_rng(0))
    return f"[{low:.3f}, {high:.3f}]"


def _pair(scores: list[Scores], ade: str, fde: str) -> str:
    return f"{_mean(scores, ade):.2f} / {_mean(scores, fde):.2f}" if scores else ""


def _mean(scores: list[Scores], name: str) -> float:
    return float(np.mean([found[name] for found in scores]))


def _note(record: dict[str, Any]) -> str:
    seeds = len({row["seed"] for row in record["rows"]})
    of = f"{record['draws']} draws or representatives of each window ({record['protocol']})"
    return footnote(record, f"{of}, means over {seeds} seeds")
