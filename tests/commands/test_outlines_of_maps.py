"""`embodied-gen data outlines`: lanes and areas of maps become files of polygons."""

import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import shapely
from road_files import LANES, document
from scipy.ndimage import label

from embodied_gen.demos import outlines
from envs.terrain_generator import generated

DATA = Path(os.environ.get("EMBODIED_DATA", "nowhere"))
METRE = 1 / 111_195  # degrees of latitude, about


def town(*subtypes):
    """A Lanelet2 file with squares of 10 m in a row, each of its own subtype."""
    nodes, ways, relations = [], [], []
    for k, subtype in enumerate(subtypes):
        for i, (x, y) in enumerate([(0, 0), (10, 0), (10, 10), (0, 10)]):
            at = f'lat="{49 + y * METRE}" lon="{8.4 + (x + 15 * k) * METRE / 0.656}"'
            nodes.append(f'<node id="{10 * k + i}" {at}/>')
        ring = "".join(f'<nd ref="{10 * k + i % 4}"/>' for i in range(5))
        ways.append(f'<way id="{100 + k}">{ring}</way>')
        tags = f'<tag k="type" v="multipolygon"/><tag k="subtype" v="{subtype}"/>'
        member = f'<member type="way" ref="{100 + k}" role="outer"/>'
        relations.append(f'<relation id="{200 + k}">{member}{tags}</relation>')
    return f"<osm>{''.join(nodes + ways + relations)}</osm>"


def write(name, text):
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text)


def test_lanes_are_written_in_the_order_of_the_files(cli):
    write("maps/b.xml", document(LANES))
    write("maps/a.xml", document(LANES.replace("<y>2</y>", "<y>3</y>")))
    outcome = cli("data", "outlines", "--from", "maps/b.xml", "maps", "--out", "lanes.wkt")
    assert outcome.status == 0, outcome.err
    assert "maps/b.xml: 2 lane" in outcome.out and "lanes.wkt: 4 outlines" in outcome.out
    found = outlines.read(Path("lanes.wkt"))
    expected = [shapely.box(x, -2, x + 10, y) for y, x in product((2, 3), (0, 10))]
    assert found.doubles == 0 and all(shapely.equals(found.found, expected))


def test_areas_of_a_town_are_written_by_what_they_are_for(cli):
    write("town.osm", town("building", "vegetation", "keepout", "parking"))
    outcome = cli("data", "outlines", "--from", "town.osm", "--kinds", "obstacle", "parking", "--out", "areas.wkt")
    assert outcome.status == 0 and "town.osm: 1 parking, 2 obstacle" in outcome.out, outcome.err
    found = outlines.read(Path("areas.wkt")).found
    assert [outline.area for outline in found] == pytest.approx([100, 100, 100], rel=0.01)


def test_obstacles_of_generated_terrains_are_written_without_small_ones_and_steps(cli):
    made = ("data", "outlines", "--terrains", "6", "--kinds", "obstacle")
    outcome = cli(*made, "--seed", "3", "--out", "obstacles.wkt")
    assert outcome.status == 0 and "6 generated terrains: " in outcome.out and "of fewer than 4 cells" in outcome.out
    found = outlines.read(Path("obstacles.wkt")).found
    rocks = 0
    for number in range(3, 9):
        terrain = generated(number)
        cells, count = label(terrain.layer("obstacle") > 0)
        sizes = np.bincount(cells.flatten())[1:]
        larger = found[rocks : rocks + int((sizes >= 4).sum())]
        rocks += len(larger)
        assert count and sum(outline.area for outline in larger) == pytest.approx(sizes[sizes >= 4].sum() / 4, rel=0.2)
    assert len(found) == rocks > 3
    assert cli(*made, "--seed", "3", "--out", "again.wkt").status == 0
    assert cli(*made, "--seed", "4", "--out", "others.wkt").status == 0
    texts = [Path(f"{name}.wkt").read_text() for name in ("obstacles", "again", "others")]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.skipif(not (DATA / "commonroad").is_dir(), reason="EMBODIED_DATA names no folder with CommonRoad files")
def test_lanes_of_real_maps_are_outlines(cli):
    folders = [DATA / name for name in ("lanelet2_karlsruhe", "commonroad") if (DATA / name).is_dir()]
    outcome = cli("data", "outlines", "--from", *folders, "--out", "lanes.wkt")
    assert outcome.status == 0, outcome.err
    assert "USA_US101-4_1_T-1.xml: 12 lane" in outcome.out
    found = outlines.read(Path("lanes.wkt"))
    assert found.holes == 0 and found.doubles < 0.1 * found.all


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--from", "town.osm"), "outlines need maps and a file to write: --from FILES_OR_FOLDERS --out FILE, or"),
        (("--out", "x"), "outlines need maps and a file to write"),
        (("--from", "nowhere", "--out", "x"), "nowhere is missing. Give files of CommonRoad or Lanelet2, or folders"),
        (("--from", "empty", "--out", "x"), "empty holds no file *.osm or *.xml. Give files of CommonRoad or"),
        (("--from", "town.osm", "--kinds", "tree", "--out", "x"), "parking, obstacle; got tree. Name some of these"),
        (("--from", "road.xml", "--kinds", "obstacle", "--out", "x"), "road.xml, line 1: not an OSM file"),
        (("--from", "town.osm", "--kinds", "walkway", "--out", "x"), "there are no outlines of kind walkway on these"),
        (("--from", "town.osm", "--out", "x"), "town holds no lanelets for vehicles"),
        (("--terrains", "2", "--out", "x"), "generated terrains have no lanes; got 2 and lane. Name other --kinds."),
        (("--terrains", "-1", "--kinds", "road", "--out", "x"), "--terrains must be at least 0, and"),
    ],
)
def test_mistakes_with_outlines_are_explained(cli, arguments, sentence):
    write("town.osm", town("building"))
    write("road.xml", document(LANES))
    Path("empty").mkdir()
    outcome = cli("data", "outlines", *arguments)
    assert outcome.status == 2 and sentence in outcome.err and not Path("x").exists()
