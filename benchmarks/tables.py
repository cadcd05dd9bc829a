"""Tables of the results: rewrites the tables of the documents from benchmarks/results/*.json.

    python benchmarks/tables.py [--check]

With --check nothing is written, and the exit status is 1 where a document is not what the results say.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from camvid_table import table as camvid
from cost_learning_table import table as cost_learning
from crowd_table import table as crowd
from detection_table import effort as detection_effort
from detection_table import photos as detection_photos
from detection_table import picks as tabletop_detected
from detection_table import table as detection
from forecasting_table import measures as forecasters_measures
from forecasting_table import table as forecasters
from instances_table import table as instances
from karlsruhe_table import table as karlsruhe
from objectworld_table import table as objectworld
from push_blocks_table import table as push_blocks
from terrain_table import brief as terrain_brief
from terrain_table import table as terrain

from embodied_gen.forecasting.table import MEAN, markdown, row_of
from embodied_gen.grounds.table import table as families

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def main() -> int:
    """Rewrites or checks the documents."""
    old = {page: page.read_text() for page in PAGES}
    new = {page: with_tables(text) for page, text in old.items()}
    if "--check" in sys.argv:
        return int(new != old)
    for page, text in new.items():
        page.write_text(text)
    return 0


def with_tables(text: str) -> str:
    """The text with every table between its marks made anew."""

    def replace(match: re.Match[str]) -> str:
        files, make = TABLES[match[1]]
        records = [json.loads(path.read_text()) for name in files if (path := RESULTS / f"{name}.json").is_file()]
        table = make(*records) if records else "Not measured yet."
        return f"<!-- table: {match[1]} -->\n{table}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?\n?<!-- end -->", replace, text, flags=re.S)


def avoid(record: dict[str, Any]) -> str:
    """Families on the multimodal crossing."""
    lines = [
        "| head | success | 95 % interval | by seed | entropy of routes | routes taken of 24 | ms a chunk |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        low, high = row["success_interval"]
        entropy = "" if row["mean_entropy"] is None else f"{row['mean_entropy']:.3f}"
        routes = ", ".join(map(str, row["routes_taken"]))
        by_seed = ", ".join(f"{run['success_rate']:.3f}" for run in row["runs"])
        latency = sorted(run["latency"]["chunk_ms_p50"] for run in row["runs"])[len(row["runs"]) // 2]
        name = row["name"].removeprefix("avoid-").replace("-", " ")
        lines.append(
            f"| {name} | {row['success_rate']:.3f} | [{low:.3f}, {high:.3f}] | {by_seed} | {entropy} | {routes} "
            f"| {latency:.1f} |"
        )
    return "\n".join([*lines, "", _footnote(record)])


def particle(record: dict[str, Any]) -> str:
    """Policies between two goals by dimension."""
    dimensions = sorted({row["dimension"] for row in record["rows"]})
    lines = [f"| policy | {' | '.join(map(str, dimensions))} |", "|---|" + "---|" * len(dimensions)]
    for name in dict.fromkeys(row["name"] for row in record["rows"]):
        rows = {row["dimension"]: row for row in record["rows"] if row["name"] == name}
        shown = [
            f"{row['success_rate']:.3f} [{row['success_interval'][0]:.3f}, {row['success_interval'][1]:.3f}]"
            if (row := rows.get(dimension))
            else ""
            for dimension in dimensions
        ]
        lines.append(f"| {name.removeprefix('particle-')} | {' | '.join(shown)} |")
    return "\n".join([*lines, "", _footnote(record)])


def tabletop(record: dict[str, Any]) -> str:
    """Picks by true boxes and by others."""
    lines = ["| aim | success | 95 % interval | attempts |", "|---|---|---|---|"]
    for row in record["rows"]:
        low, high = row["success_interval"]
        shown = f"{row['success_rate']:.3f} | [{low:.3f}, {high:.3f}] | {row['attempts']:.2f}"
        lines.append(f"| {row['name']} | {shown} |")
    cost = record["scenes"]
    said = (
        f"A scene of 0 to 12 things settles in {cost['settle_ms']:.0f} ms and is rendered at 160 x 120 in "
        f"{cost['render_ms']:.0f} ms of one core, on average; in a set it takes {cost['bytes'] / 1e3:.0f} kB."
    )
    return "\n".join([*lines, "", said, "", _footnote(record)])


def metaworld(record: dict[str, Any]) -> str:
    """Meta-World beside the expert."""
    lines = ["| task | policy | 95 % interval | expert | training [s] |", "|---|---|---|---|---|"]
    for row in record["tasks"]:
        low, high = row["policy"]["success_interval"]
        lines.append(
            f"| {row['task']} | {row['policy']['success_rate']:.2f} | [{low:.2f}, {high:.2f}] "
            f"| {row['expert']['success_rate']:.2f} | {row['training_seconds']:.0f} |"
        )
    lines.append(f"| mean ratio to the expert | {record['mean_ratio']:.3f} | | | |")
    return "\n".join([*lines, "", _footnote(record)])


def maze2d(*records: dict[str, Any]) -> str:
    """Planners in point mazes, with what each of them knows."""
    names = {row["name"]: row["knows"] for record in records for row in record["rows"]}
    mazes = [MAZES[record["maze"]] for record in records]
    lines = [
        f"| planner | knows | {' | '.join(mazes)} |",
        "|---|---|" + "---|" * len(mazes),
        *(
            f"| {name} | {knows} | {' | '.join(_score(record, name) for record in records)} |"
            for name, knows in names.items()
        ),
    ]
    return "\n".join([*lines, "", _footnote(records[0])])


def _score(record: dict[str, Any], name: str) -> str:
    """Score with its interval, and the milliseconds of a plan; a dash where it was not measured."""
    rows = [row for row in record["rows"] if row["name"] == name]
    if not rows:
        return "-"
    low, high = rows[0]["score_interval"]
    shown = f"{rows[0]['score']:.1f} [{low:.1f}, {high:.1f}]"
    return f"{shown}, {rows[0]['replan_ms']['p50']:.0f} ms" if "replan_ms" in rows[0] else shown


def maze2d_details(*records: dict[str, Any]) -> str:
    """The same over references measured here, with times and plans."""
    lines = [
        "| maze | planner | score | over controller here | ms a plan, p50 | p95 | plans without a good way |",
        "|---|---|---|---|---|---|---|",
    ]
    for record in records:
        for row in record["rows"]:
            plans = f"{row['infeasible']} of {row['plans']}" if "plans" in row else ""
            times = [f"{row['replan_ms'][key]:.0f}" if "replan_ms" in row else "" for key in ("p50", "p95")]
            lines.append(
                f"| {MAZES[record['maze']]} | {row['name']} | {row['score']:.1f} | {row['score_here']:.1f} "
                f"| {times[0]} | {times[1]} | {plans} |"
            )
    return "\n".join([*lines, "", _footnote(records[0])])


def obstacles(*records: dict[str, Any]) -> str:
    """Obstacles that training never saw."""
    lines = [
        "| maze | method | rollouts that collide | 95 % interval | plans that collide, at way-points | swept "
        "| score | kept | plans without a good way |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in [row for record in records for row in record["rows"]]:
        low, high = row["rollouts_interval"]
        strength = f", {row['strength']:g}" if row["strength"] else ""
        lines.append(
            f"| {MAZES[row['maze']]} | {row['method']}{strength} | {row['rollouts_collide']} of {row['rollouts']} "
            f"| [{low:.3f}, {high:.3f}] | {row['collide_points']} of {row['plans']} | {row['collide_swept']} "
            f"| {row['score']:.1f} | {row['kept']:.2f} | {row['infeasible']} of {row['replans']} |"
        )
    return "\n".join([*lines, "", _footnote(records[0])])


def speed(record: dict[str, Any]) -> str:
    """Speed of evaluation."""
    lines = ["| environment | episodes/s | plain loop | ratio (median, range) |", "|---|---|---|---|"]
    for row in record["rows"]:
        name = " ".join([row["env"], *map(str, row["env_kwargs"].values())])
        lines.append(
            f"| {name} | {row['episodes_per_second']:.1f} | {row['plain_episodes_per_second']:.1f} "
            f"| {row['ratio_median']:.1f} ({row['ratio_min']:.1f} to {row['ratio_max']:.1f}) |"
        )
    return "\n".join([*lines, "", _footnote(record)])


def scenes(record: dict[str, Any]) -> str:
    """Guided scenes by rule: means over maps of one head after the other."""
    lines = [
        "| head | asked for | infeasible | fail (free) | off road, swept (free) | collision, swept (free) "
        "| rule broken (free) | real / free | reward (free) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in dict.fromkeys(row["run"] for row in record["rows"]):
        rows = [row for row in record["rows"] if row["run"] == run]
        for rule in dict.fromkeys(row["rule"] for row in rows):
            lines.append(_scene_row(run, rule, [row for row in rows if row["rule"] == rule]))
    seeds, machine, versions = record["seeds"], record["machine"], record["versions"]
    return "\n".join(
        [
            *lines,
            "",
            f"<sub>{seeds['count']} scenes of each map from seed {seeds['first']}, {record['samples']} draws each; "
            f"{machine['processor']}, {machine['cores']} cores; torch {versions['torch']}.</sub>",
        ]
    )


def _scene_row(run: str, rule: str, rows: list[dict[str, Any]]) -> str:
    known = [row for row in rows if "collision" in row]

    def mean(key: str, *, free: bool = False) -> float:
        values = [(row["free"] if free else row)[key] for row in known]
        return sum(values) / len(values)

    shares = [
        f"{mean(key):.3f} ({mean(key, free=True):.3f})"
        for key in ("fail", "off_road_swept", "collision_swept", "rule_broken")
    ]
    reward = "" if known[0]["reward"] is None else f"{mean('reward'):.2f} ({mean('reward', free=True):.2f})"
    infeasible = f"{sum(row['infeasible'] for row in rows)} of {sum(row['scenes'] for row in rows)}"
    realism = mean("real") / mean("real", free=True)
    return f"| {run} | {rule} | {infeasible} | {' | '.join(shares)} | {realism:.2f} | {reward} |"


def driving(record: dict[str, Any]) -> str:
    """Closed loop with a guide and without, by map and together."""
    lines = [
        "| map | score, free | score, guided | failed, free | failed, guided | plans without a good scene |",
        "|---|---|---|---|---|---|",
    ]
    pairs: dict[str, dict[str, Any]] = {}
    for row in record["rows"]:
        pairs.setdefault(row["map"], {})[row["driver"]] = row
    for map_, pair in pairs.items():
        free, guided = pair["free"], pair["guided"]
        lines.append(
            f"| {map_} | {free['score']:.2f} | {guided['score']:.2f} | {free['failed']} | {guided['failed']} "
            f"| {guided['infeasible']} of {guided['plans']} |"
        )
    whole, (low, high) = record["together"], record["together"]["difference_interval"]
    lines.append(
        f"| together | {whole['score']['free']:.3f} | {whole['score']['guided']:.3f} | {whole['failed']['free']} of "
        f"{whole['episodes']} | {whole['failed']['guided']} of {whole['episodes']} | |"
    )
    difference = f"Paired difference of the scores: {whole['difference']:+.3f} [{low:+.3f}, {high:+.3f}]."
    return "\n".join([*lines, "", difference, "", _footnote(record)])


def guidance(record: dict[str, Any]) -> str:
    """Cost of guided sampling."""
    lines = [
        "| method | guide | over free sampling (median, range) | ms a sample | free |",
        "|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        low, high = row["ratio_min"], row["ratio_max"]
        lines.append(
            f"| {row['method']} | {row['guide']} | {row['ratio_median']:.2f} ({low:.2f} to {high:.2f}) "
            f"| {row['guided_ms_a_sample']:.2f} | {row['free_ms_a_sample']:.2f} |"
        )
    return "\n".join([*lines, "", _footnote(record)])


def soft_backup(record: dict[str, Any]) -> str:
    """Backups, visits and shortest paths."""
    dense, large, graph, peer = (record[name] for name in ("dense", "large", "csgraph", "networkx"))
    lines = ["| what | other | ms of the other | ms | ratio (median, range) |", "|---|---|---|---|---|"]
    for name in ("backup", "visits"):
        row = dense[name]
        lines.append(
            f"| {name}, 32 x 32 | dense | {1e3 * row['dense_seconds']:.0f} | {1e3 * row['ours_seconds']:.1f} "
            f"| {row['ratio_median']:.0f} ({row['ratio_min']:.0f} to {row['ratio_max']:.0f}) |"
        )
    lines += [f"| {name}, 256 x 256 | | | {1e3 * large[f'{name}_seconds']:.0f} | |" for name in ("backup", "visits")]
    side, own = peer["side"], 1e3 * peer["planning_seconds"]
    both = 1e3 * (peer["networkx_building_seconds"] + peer["networkx_search_seconds"])
    lines.append(
        f"| map to path, {side} x {side} | networkx | {both:.0f} | {own:.0f} | {peer['networkx_over_planning']:.0f} |"
    )
    lines.append(
        f"| the same, its graph made before | networkx | {1e3 * peer['networkx_search_seconds']:.0f} | {own:.0f} "
        f"| {peer['networkx_search_over_planning']:.0f} |"
    )
    lines.append(
        f"| map to path, {graph['side']} x {graph['side']} | csgraph, its matrix made before "
        f"| {1e3 * graph['csgraph_seconds']:.0f} | {1e3 * graph['planning_seconds']:.0f} "
        f"| {1 / graph['planning_over_csgraph']:.2f} |"
    )
    return "\n".join([*lines, "", _footnote(record)])


def dense_crf(record: dict[str, Any]) -> str:
    """Dense CRFs against pydensecrf and crfasrnn_pytorch."""
    lines = ["| image | labels | iterations | ms | pydensecrf, ms | ratio |", "|---|---|---|---|---|---|"]
    for row in record["speed"]:
        lines.append(
            f"| {row['size']} | {row['labels']} | {row['iterations']} | {row['ours_ms']:.0f} "
            f"| {row['pydensecrf_ms']:.0f} | {row['ratio']:.2f} |"
        )
    step = record["training_step"]
    equal = ", ".join(f"{100 * row['equal_labels']:.1f} % ({row['method']})" for row in record["accuracy"])
    said = (
        f"A training step at {step['size']} with 21 labels and 5 iterations takes {step['ours_ms']:.0f} ms on one\n"
        f"thread, that of crfasrnn_pytorch {step['crfasrnn_ms']:.0f} ms ({step['ratio']:.1f} times). At 120 x 80\n"
        f"{equal} of the labels are those of the exact mean field."
    )
    return "\n".join([*lines, "", said, "", _footnote(record)])


def constant_velocity(record: dict[str, Any]) -> str:
    """Forecasters without a network: ADE / FDE by scene, as each protocol has it."""
    rows = [row_of(plain) for plain in record["rows"]]
    scenes = list(dict.fromkeys(row.scene for row in rows))
    lines = [f"| forecaster | protocol | errors | {' | '.join(scenes)} |", "|---|---|---|" + "---|" * len(scenes)]
    for forecaster, protocol in dict.fromkeys((row.forecaster, row.protocol) for row in rows):
        found = {row.scene: row.scores for row in rows if (row.forecaster, row.protocol) == (forecaster, protocol)}
        one = next(iter(found.values())).draws == 1
        kinds = {"": ("ade", "fde")} if one else BESTS
        for kind, (ade, fde) in kinds.items():
            entries = [f"{getattr(found[scene], ade):.2f} / {getattr(found[scene], fde):.2f}" for scene in scenes]
            lines.append(f"| {forecaster} | {protocol} | {kind} | {' | '.join(entries)} |")
    return "\n".join([*lines, "", _footnote(record)])


def forecasting(record: dict[str, Any]) -> str:
    """Every measure, means over scenes."""
    rows = [row for row in map(row_of, record["rows"]) if row.scene == MEAN]
    return "\n".join([markdown(rows), "", _footnote(record)])


def decoding_speed(record: dict[str, Any]) -> str:
    """What the state of decoders saves, and the rollouts of a scene."""
    lines = ["| decoder | drawn | ms | ms without its state | ratio (median, range) |", "|---|---|---|---|---|"]
    for row in record["rows"]:
        low, high = row["ratio_min"], row["ratio_max"]
        lines.append(
            f"| {row['family']} | {row['rows']} sequences of {row['positions']} | {row['ms_median']:.0f} "
            f"| {row['uncached_ms_median']:.0f} | {row['ratio_median']:.1f} ({low:.1f} to {high:.1f}) |"
        )
    for row in record["rollouts"]:
        drawn = f"{row['futures']} futures of {row['pedestrians']} pedestrians"
        lines.append(f"| {row['family']} | {drawn} | {row['ms_median']:.0f} | | |")
    return "\n".join([*lines, "", f"<sub>{record['threads']} threads. {_footnote(record).removeprefix('<sub>')}"])


def _footnote(record: dict[str, Any]) -> str:
    machine, versions = record["machine"], record["versions"]
    seeds = record.get("seeds")
    shown = f"{seeds['count']} episodes from seed {seeds['first']}; " if seeds else ""
    return (
        f"<sub>{shown}{machine['processor']}, {machine['cores']} cores; torch {versions['torch']}, "
        f"mujoco {versions['mujoco']}.</sub>"
    )


BESTS = {
    "best per agent": ("best_ade", "best_fde"),
    "best per scene": ("scene_ade", "scene_fde"),
    "joint": ("joint_ade", "joint_fde"),
}
MAZES = {"umaze": "U", "medium": "medium", "large": "large"}
TABLES: dict[str, tuple[tuple[str, ...], Callable[..., str]]] = {
    "avoid": (("avoid",), avoid),
    "particle": (("particle",), particle),
    "push_blocks": (("push_blocks",), push_blocks),
    "tabletop": (("tabletop",), tabletop),
    "metaworld": (("metaworld",), metaworld),
    "evaluation_speed": (("evaluation_speed",), speed),
    "maze2d": (("maze2d_umaze", "maze2d_medium", "maze2d_large"), maze2d),
    "maze2d_details": (("maze2d_umaze", "maze2d_medium", "maze2d_large"), maze2d_details),
    "obstacles": (("obstacles_umaze", "obstacles_medium"), obstacles),
    "scenes": (("scenes",), scenes),
    "driving": (("driving",), driving),
    "guidance_speed": (("guidance_speed",), guidance),
    "families": (("families",), families),
    "soft_backup": (("soft_backup",), soft_backup),
    "dense_crf": (("dense_crf",), dense_crf),
    "objectworld": (("objectworld",), objectworld),
    "terrain": (("terrain",), terrain),
    "terrain_brief": (("terrain",), terrain_brief),
    "karlsruhe": (("karlsruhe",), karlsruhe),
    "cost_learning": (("cost_learning",), cost_learning),
    "constant_velocity": (("constant_velocity",), constant_velocity),
    "forecasting": (("constant_velocity",), forecasting),
    "forecasters": (("forecasting",), forecasters),
    "forecasters_measures": (("forecasting",), forecasters_measures),
    "decoding_speed": (("decoding_speed",), decoding_speed),
    "crowd": (("crowd",), crowd),
    "detection": (("detection",), detection),
    "detection_effort": (("detection",), detection_effort),
    "detection_photos": (("detection",), detection_photos),
    "tabletop_detected": (("tabletop_detected",), tabletop_detected),
    "camvid": (("camvid",), camvid),
    "instances": (("instances",), instances),
}

if __name__ == "__main__":
    sys.exit(main())
