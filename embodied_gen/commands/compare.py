"""`embodied-gen compare`: scores of several runs on the same seeds are compared."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.table import Column, Table

from embodied_gen import statistics
from embodied_gen.commands.console import console, parse
from embodied_gen.training import files


@dataclass
class Arguments:
    """Compares the eval.json of two or more runs, episode by episode on the same seeds.

    Each run is compared with the first: difference of success with Newcombe's paired interval, exact McNemar test
    (adjusted after Holm for several comparisons), difference of return with a bootstrap interval, and the smallest
    difference of success that so many paired episodes detect with a probability of 0.8, where there is one.
    """

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Folders of runs that were evaluated, or eval.json files; the first is the reference."""
    json: str | None = None
    """Write the comparison here too."""


def main(arguments: list[str]) -> None:
    """Runs the verb."""
    parsed = parse(Arguments, "compare", arguments)
    if len(parsed.runs) < 2:
        raise ValueError(f"compare needs two runs or more; got {len(parsed.runs)}.")
    records = [read_record(Path(run)) for run in parsed.runs]
    comparison = compare(records, names_of(parsed.runs))
    for shown in tables(comparison):
        console.print(shown)
    if parsed.json:
        files.write_json(Path(parsed.json), comparison)


def names_of(runs: Sequence[str]) -> list[str]:
    """Names of folders or files, or whole paths where two names are alike."""
    names = [Path(run).resolve().name for run in runs]
    return names if len(set(names)) == len(names) else list(runs)


def read_record(path: Path) -> dict[str, Any]:
    """The evaluation of a run folder or file.

    Raises:
        FileNotFoundError: If the run was not evaluated.
        ValueError: If the file is damaged or newer than this version.
    """
    path = path / "eval.json" if path.is_dir() else path
    if not path.is_file():
        hint = f" Evaluate the run first: embodied-gen evaluate {path.parent}." if path.name == "eval.json" else ""
        raise FileNotFoundError(f"there is no {path}.{hint}")
    return files.read_json(
        path,
        "evaluation",
        ("env", "seeds", "summary", "episodes"),
        "Name a run's folder, or the eval.json, of a policy or a planner: detectors and forecasters are scored without "
        "episodes.",
    )


def compare(records: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """The comparison of every record with the first, as plain JSON.

    Raises:
        ValueError: If the records are of other environments or seeds.
    """
    reference = records[0]
    for name, record in zip(names, records, strict=True):
        for key, what in (("env", "environment"), ("seeds", "seeds")):
            if record[key] != reference[key]:
                raise ValueError(
                    f"runs must share the {what}: {names[0]} has {json.dumps(reference[key])}, {name} has "
                    f"{json.dumps(record[key])}. Evaluate both with the same --seed and --episodes."
                )
    pairs = [_pair(reference, record) for record in records[1:]]
    adjusted = statistics.holm([pair["mcnemar_p"] for pair in pairs])
    for pair, name, p in zip(pairs, names[1:], adjusted, strict=True):
        pair |= {"run": name, "reference": names[0], "mcnemar_p_holm": float(p)}
    runs = [{"run": name, **record["summary"]} for name, record in zip(names, records, strict=True)]
    return {"schema": files.SCHEMA, "env": reference["env"], "seeds": reference["seeds"], "runs": runs, "pairs": pairs}


def _pair(reference: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    old, new = ([episode["success"] for episode in r["episodes"]] for r in (reference, record))
    both, only_new, only_old, neither = (
        sum((a, b) == outcome for a, b in zip(new, old, strict=True))
        for outcome in ((True, True), (True, False), (False, True), (False, False))
    )
    returns = [np.array([e["sum_reward"] for e in r["episodes"]]) for r in (record, reference)]
    rng = np.random.default_rng(0)
    detectable = statistics.minimum_detectable_effect_paired(len(new), (only_new + only_old) / len(new))
    return {
        "success_difference": (only_new - only_old) / len(new),
        "success_difference_interval": list(statistics.newcombe_paired(both, only_new, only_old, neither)),
        "only_run": only_new,
        "only_reference": only_old,
        "mcnemar_p": statistics.mcnemar(only_new, only_old),
        "return_difference": float((returns[0] - returns[1]).mean()),
        "return_difference_interval": list(statistics.bootstrap_paired_difference(*returns, rng=rng))
        if len(new) > 1
        else None,
        "detectable_difference": detectable if math.isfinite(detectable) else None,  # JSON knows no infinity
    }


def tables(comparison: dict[str, Any]) -> list[Table]:
    """The scores of the runs, and their differences of success and of return from the first."""
    return [_scores(comparison), _successes(comparison), _returns(comparison)]


def _scores(comparison: dict[str, Any]) -> Table:
    scores = Table(Column("run", overflow="fold"), "success", "95 % interval", "return", "length", "entropy of modes")
    for run in comparison["runs"]:
        low, high = run["success_interval"]
        entropy = run.get("modes", {}).get("entropy")
        scores.add_row(
            run["run"],
            f"{run['success_rate']:.3f} ({run['successes']}/{run['episodes']})",
            f"[{low:.3f}, {high:.3f}]",
            f"{run['return']['mean']:.4g}",
            f"{run['length']['mean']:.4g}",
            "" if entropy is None else f"{entropy:.3f}",
        )
    return scores


def _successes(comparison: dict[str, Any]) -> Table:
    differences = Table(
        Column("against the first", overflow="fold"),
        "success",
        "95 % interval",
        Column("detectable", no_wrap=True),
        "only it / only first",
        "McNemar p",
        "p (Holm)",
    )
    for pair in comparison["pairs"]:
        low, high = pair["success_difference_interval"]
        detectable = pair["detectable_difference"]
        differences.add_row(
            pair["run"],
            f"{pair['success_difference']:+.3f}",
            f"[{low:+.3f}, {high:+.3f}]",
            "-" if detectable is None else f"{detectable:.3f}",
            f"{pair['only_run']} / {pair['only_reference']}",
            f"{pair['mcnemar_p']:.2g}",
            f"{pair['mcnemar_p_holm']:.2g}",
        )
    return differences


def _returns(comparison: dict[str, Any]) -> Table:
    differences = Table(Column("against the first", overflow="fold"), "return", "95 % interval")
    for pair in comparison["pairs"]:
        interval = pair["return_difference_interval"]
        shown = "-" if interval is None else f"[{interval[0]:+.4g}, {interval[1]:+.4g}]"
        differences.add_row(pair["run"], f"{pair['return_difference']:+.4g}", shown)
    return differences
