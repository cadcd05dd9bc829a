"""Tables of forecasters without a network."""

from typing import Any

from footnote import footnote

from embodied_gen.forecasting.table import MEAN, markdown, row_of
from embodied_gen.forecasting.windows import SOCIAL_GAN

BESTS = {
    "best per agent": ("best_ade", "best_fde"),
    "best per scene": ("scene_ade", "scene_fde"),
    "joint": ("joint_ade", "joint_fde"),
}
SHARES = {"inside 50 %": "inside_half", "inside 90 %": "inside_most", "spread": "spread"}


def table(record: dict[str, Any]) -> str:
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
    return "\n".join([*lines, "", footnote(record)])


def measures(record: dict[str, Any]) -> str:
    """Every measure, means over scenes."""
    rows = [row for row in map(row_of, record["rows"]) if row.scene == MEAN]
    return "\n".join([markdown(rows), "", footnote(record)])


def calibration(record: dict[str, Any]) -> str:
    """How often truth is inside the nearest 50 and 90 % of draws, and spread over error, by scene."""
    rows = [row for row in map(row_of, record["rows"]) if row.protocol == SOCIAL_GAN.name and row.scores.draws > 1]
    scenes = list(dict.fromkeys(row.scene for row in rows))
    lines = [f"| forecaster | of | {' | '.join(scenes)} |", "|---|---|" + "---|" * len(scenes)]
    for forecaster in dict.fromkeys(row.forecaster for row in rows):
        found = {row.scene: row.scores for row in rows if row.forecaster == forecaster}
        for of, name in SHARES.items():
            entries = [f"{getattr(found[scene], name):.2f}" for scene in scenes]
            lines.append(f"| {forecaster} | {of} | {' | '.join(entries)} |")
    return "\n".join([*lines, "", footnote(record, f"windows of {SOCIAL_GAN.name}")])
