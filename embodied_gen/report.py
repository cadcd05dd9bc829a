"""Reports: runs as one HTML file that stands alone, with pictures and animations inline, light enough to mail."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from embodied_gen import pictures

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: 0.3rem 0.8rem; border-bottom: 1px solid #ddd; }
th { text-align: left; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; } figure { margin: 1rem 0; display: inline-block; }
figcaption { color: #555; font-size: 0.9rem; }
details { color: #555; } pre { background: #f6f6f6; padding: 0.8rem; overflow-x: auto; font-size: 0.85rem; }
"""


@final
@dataclass(frozen=True)
class Entry:
    """What is known of one run; parts that do not exist are empty.

    Attributes:
        name: Unique in the report.
        config: The run's config, as text.
        log: Lines of metrics.jsonl.
        evaluation: The record of eval.json, of what acts in an environment.
        measured: That of what is scored on data: `scores`, or `rows` of them.
        plan: Picture of plans, a PNG file.
        plan_record: The JSON beside the picture.
        animations: GIF files of episodes of the evaluation.
    """

    name: str
    config: str
    log: Sequence[Mapping[str, float]]
    evaluation: Mapping[str, Any] | None
    measured: Mapping[str, Any] | None
    plan: Path | None
    plan_record: Mapping[str, Any] | None
    animations: Sequence[Path]


def render(entries: Sequence[Entry], comparison: Mapping[str, Any] | None) -> str:
    """The HTML page.

    Args:
        entries: Runs, at least one.
        comparison: Of the runs on the same seeds, where they share them.
    """
    sections = [_scores(entries), _measures(entries)]
    sections.append(_differences(comparison) if comparison is not None else _why_none(entries))
    sections += [_modes(entries), _plans(entries), _animations(entries), _curves(entries), _details(entries)]
    title = "embodied-gen: " + ", ".join(entry.name for entry in entries)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{html.escape(title)}</h1>\n" + "\n".join(part for part in sections if part) + "\n</body></html>\n"
    )


def _scores(entries: Sequence[Entry]) -> str:
    groups: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for entry in entries:
        if entry.evaluation is not None:
            alike = json.dumps([entry.evaluation["env"], entry.evaluation["seeds"]], sort_keys=True)
            groups.setdefault(alike, []).append((entry.name, entry.evaluation))
    if not groups:
        if any(entry.measured is not None for entry in entries):
            return ""
        return "<p>None of these runs was evaluated yet: <code>embodied-gen evaluate RUN</code>.</p>"
    return "<h2>Scores</h2>\n" + "".join(map(_scores_alike, groups.values()))


def _scores_alike(scored: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """The scores of runs on the same seeds of one environment."""
    rows = []
    for name, record in scored:
        summary, latency = record["summary"], record["latency"]
        low, high = summary["success_interval"]
        entropy = summary.get("modes", {}).get("entropy")
        rows.append(
            [
                name,
                f"{summary['success_rate']:.3f} ({summary['successes']}/{summary['episodes']})",
                f"[{low:.3f}, {high:.3f}]",
                "" if entropy is None else f"{entropy:.3f}",
                f"{summary['length']['mean']:.1f}",
                f"{latency['chunk_ms_p50']:.2f} / {latency['chunk_ms_p95']:.2f}",
            ]
        )
    head = ["run", "success", "95 % Wilson interval", "entropy of modes", "steps", "ms a chunk, p50 / p95"]
    picture = pictures.rates(
        [name for name, _ in scored],
        [record["summary"]["success_rate"] for _, record in scored],
        [record["summary"]["success_interval"] for _, record in scored],
    )
    env, seeds = scored[0][1]["env"], scored[0][1]["seeds"]
    variant = ", ".join(f"{name} {value}" for name, value in env["kwargs"].items())
    where = env["id"] + (f" ({variant})" if variant else "")
    caption = (
        f"Closed loop in {where}, {seeds['count']} episodes from seed {seeds['first']}; every episode has its own."
    )
    return _table(head, rows) + _figure(pictures.inline(picture), caption)


def _measures(entries: Sequence[Entry]) -> str:
    """A table for each run that is scored on data, a column for each of its rows."""
    parts = []
    for entry in entries:
        if entry.measured is None:
            continue
        columns = [_flat(row) for row in entry.measured.get("rows") or [entry.measured["scores"]]]
        names = dict.fromkeys(name for column in columns for name in column)
        rows = [[name, *(column.get(name, "") for column in columns)] for name in names]
        parts.append(_table([entry.name, *[""] * len(columns)], rows))
    return "<h2>Scores on data</h2>\n" + "".join(parts) if parts else ""


def _flat(scores: Mapping[str, Any]) -> dict[str, str]:
    """Scores by name, those of classes too, as text; what there is no number for is empty."""
    found: dict[str, str] = {}
    for name, value in scores.items():
        if isinstance(value, Mapping):
            found |= {f"{name}, {part}": text for part, text in _flat(value).items()}
        elif value is None or isinstance(value, str | int | float):
            found[name] = "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
    return found


def _why_none(entries: Sequence[Entry]) -> str:
    """Why there are no differences; nothing where there is nothing to compare."""
    unscored = [entry.name for entry in entries if entry.evaluation is None]
    if len(entries) < 2 or len(unscored) == len(entries):
        return ""
    if unscored:
        reason = f"there are no scores in an environment of {', '.join(unscored)}"
    else:
        reason = "the runs were scored in several environments or on several seeds"
    return (
        f"<p>No differences are shown, as {html.escape(reason)}. All runs must be evaluated in one environment, with "
        "the same <code>--seed</code> and <code>--episodes</code>.</p>"
    )


def _differences(comparison: Mapping[str, Any]) -> str:
    rows = []
    for pair in comparison["pairs"]:
        low, high = pair["success_difference_interval"]
        rows.append(
            [
                f"{pair['run']} against {pair['reference']}",
                f"{pair['success_difference']:+.3f}",
                f"[{low:+.3f}, {high:+.3f}]",
                f"{pair['only_run']} / {pair['only_reference']}",
                f"{pair['mcnemar_p']:.2g}",
                f"{pair['mcnemar_p_holm']:.2g}",
            ]
        )
    only = "only it / only the other"
    head = ["same seeds", "difference of success", "95 % interval", only, "exact McNemar p", "p (Holm)"]
    return "<h2>Differences</h2>\n" + _table(head, rows)


def _modes(entries: Sequence[Entry]) -> str:
    counts = {
        entry.name: entry.evaluation["summary"]["modes"]["taken"]
        for entry in entries
        if entry.evaluation is not None and "modes" in entry.evaluation["summary"]
    }
    if not counts:
        return ""
    caption = "How often each way of doing the task was taken by a successful episode. The expert takes all alike."
    return "<h2>Ways taken</h2>\n" + _figure(pictures.inline(pictures.modes(counts)), caption)


def _plans(entries: Sequence[Entry]) -> str:
    parts = []
    for entry in entries:
        if entry.plan is None:
            continue
        caption = f"Plans of {entry.name} from one start. Dashed plans break a constraint."
        if entry.plan_record and entry.plan_record["constraints"]:
            caption += " Never seen in training: " + "; ".join(entry.plan_record["constraints"]) + "."
        parts.append(_figure(_data(entry.plan, "png"), caption))
    return "<h2>Plans</h2>\n" + "".join(parts) if parts else ""


def _animations(entries: Sequence[Entry]) -> str:
    parts = [
        _figure(_data(path, "gif"), f"{entry.name}, {path.stem.replace('-', ' seed ')}")
        for entry in entries
        for path in entry.animations
    ]
    return "<h2>Episodes</h2>\n" + "".join(parts) if parts else ""


def _curves(entries: Sequence[Entry]) -> str:
    logs = {entry.name: entry.log for entry in entries if entry.log}
    if not logs:
        return ""
    caption = "Losses. Different heads have different losses: compare their shapes, not their heights."
    return "<h2>Training</h2>\n" + _figure(pictures.inline(pictures.curves(logs)), caption)


def _details(entries: Sequence[Entry]) -> str:
    parts = ["<h2>Provenance</h2>"]
    for entry in entries:
        text = entry.config
        record = entry.evaluation or entry.measured or {}
        for what, key in (("evaluated with", "versions"), ("on", "machine")):
            if key in record:
                text += f"\n{what} " + ", ".join(f"{name} {value}" for name, value in record[key].items())
        parts.append(f"<details><summary>{html.escape(entry.name)}</summary><pre>{html.escape(text)}</pre></details>")
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>"
        + f"<td>{html.escape(row[0])}</td>"
        + "".join(f'<td class="number">{html.escape(cell)}</td>' for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>\n"


def _figure(source: str, caption: str) -> str:
    text = html.escape(caption)
    return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>\n'


def _data(path: Path, kind: str) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(path.read_bytes()).decode()
