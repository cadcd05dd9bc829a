"""Tables of guided traffic scenes: what is drawn, and what driving by it is worth."""

from typing import Any

from footnote import episodes, footnote


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
    seeds = record["seeds"]
    said = f"{seeds['count']} scenes of each map from seed {seeds['first']}, {record['samples']} draws each"
    return "\n".join([*lines, "", footnote(record, said)])


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
    return "\n".join([*lines, "", difference, "", footnote(record, episodes(record))])


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
