"""Tables of the results: rewrites the tables of the documents from benchmarks/results/*.json.

    python benchmarks/tables.py [--check]

With --check nothing is written, and the exit status is 1 where a document is not what the results say.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from camvid_table import table as camvid
from constant_velocity_table import calibration
from constant_velocity_table import measures as constant_velocity_measures
from constant_velocity_table import table as constant_velocity
from cost_learning_table import table as cost_learning
from crowd_table import table as crowd
from decoding_speed_table import table as decoding_speed
from dense_crf_table import table as dense_crf
from detection_table import effort as detection_effort
from detection_table import guided as detection_guided
from detection_table import photos as detection_photos
from detection_table import picks as tabletop_detected
from detection_table import table as detection
from forecasting_table import brief as forecasters_brief
from forecasting_table import measures as forecasters_measures
from forecasting_table import table as forecasters
from instances_table import table as instances
from karlsruhe_table import table as karlsruhe
from maze_tables import guidance, maze2d, maze2d_details, obstacles
from objectworld_table import table as objectworld
from policy_tables import avoid, metaworld, particle, speed, tabletop
from push_blocks_table import table as push_blocks
from scene_context_table import table as scene_context
from scene_tables import driving, scenes
from soft_backup_table import table as soft_backup
from terrain_table import brief as terrain_brief
from terrain_table import table as terrain

from embodied_gen.grounds.table import table as families

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
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
    "scene_context": (("scene_context",), scene_context),
    "soft_backup": (("soft_backup",), soft_backup),
    "dense_crf": (("dense_crf",), dense_crf),
    "objectworld": (("objectworld",), objectworld),
    "terrain": (("terrain",), terrain),
    "terrain_brief": (("terrain",), terrain_brief),
    "karlsruhe": (("karlsruhe",), karlsruhe),
    "cost_learning": (("cost_learning",), cost_learning),
    "constant_velocity": (("constant_velocity",), constant_velocity),
    "forecasting": (("constant_velocity",), constant_velocity_measures),
    "calibration": (("constant_velocity",), calibration),
    "forecasters": (("forecasting",), forecasters),
    "forecasters_brief": (("forecasting",), forecasters_brief),
    "forecasters_measures": (("forecasting",), forecasters_measures),
    "decoding_speed": (("decoding_speed",), decoding_speed),
    "crowd": (("crowd",), crowd),
    "crowd_replayed_sparse": (("crowd_replayed_crowds_zara02",), crowd),
    "crowd_replayed_dense": (("crowd_replayed_students003",), crowd),
    "detection": (("detection",), detection),
    "detection_effort": (("detection",), detection_effort),
    "detection_guided": (("detection",), detection_guided),
    "detection_photos": (("detection",), detection_photos),
    "tabletop_detected": (("tabletop_detected",), tabletop_detected),
    "camvid": (("camvid",), camvid),
    "instances": (("instances",), instances),
}


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


if __name__ == "__main__":
    sys.exit(main())
