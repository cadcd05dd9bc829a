"""Terrains from Lanelet2 maps; a real one where EMBODIED_DATA names a folder that has it."""

import os
from pathlib import Path

import numpy as np
import pytest

from envs.terrain_map import CLASSES
from envs.town import read_areas, read_town

FILE = Path(os.environ.get("EMBODIED_DATA", "nowhere")) / "lanelet2_karlsruhe" / "mapping_example.osm"
METRE = 1 / 111_195  # degrees of latitude, about

# A square of 40 m with a hole, in two ways for its outside; a lane of 4 m x 40 m; a wall across.
NODES = {"a": (0, 0), "b": (40, 0), "c": (40, 40), "d": (0, 40), "e": (10, 10), "f": (20, 10), "g": (20, 20)}
NODES |= {"h": (10, 20), "i": (0, 44), "j": (40, 44), "k": (45, 0), "l": (65, 30)}
WAYS = {"outside": "abc", "rest": "adc", "hole": "efghe", "bound": "ij", "side": "dc", "wall": "kl", "lost": "az"}
AREA = {"outside": "outer", "rest": "outer", "hole": "inner"}
LANE = {"bound": "left", "side": "right"}


def document(*relations, walls=True):
    text = [f'<node id="{n}" lat="{49 + y * METRE}" lon="{8.4 + x * METRE / 0.656}"/>' for n, (x, y) in NODES.items()]
    for way, nodes in WAYS.items():
        tag = '<tag k="type" v="wall"/>' if way == "wall" and walls else ""
        text.append(f'<way id="{way}">' + "".join(f'<nd ref="{node}"/>' for node in nodes) + tag + "</way>")
    for number, (kind, subtype, members) in enumerate(relations):
        found = "".join(f'<member type="way" ref="{way}" role="{role}"/>' for way, role in members.items())
        tags = f'<tag k="type" v="{kind}"/><tag k="subtype" v="{subtype}"/>'
        text.append(f'<relation id="{number}">{found}{tags}</relation>')
    return "<osm>" + "".join(text) + "</osm>"


@pytest.fixture
def file(tmp_path):
    def write(*relations, walls=True):
        path = tmp_path / "town.osm"
        path.write_text(document(*relations, walls=walls))
        return path

    return write


@pytest.mark.parametrize(
    ("subtype", "name"), [("vegetation", "vegetation"), ("exit", "parking"), ("building", "obstacle")]
)
def test_areas_enclose_what_their_outer_ways_do_without_their_holes(file, subtype, name):
    areas = read_areas(file(("multipolygon", subtype, AREA), walls=False))
    assert areas[name].area == pytest.approx(1500, rel=0.01)
    assert all(areas[other].is_empty for other in CLASSES if other != name)


@pytest.mark.parametrize(("subtype", "name"), [("road", "road"), ("bicycle_lane", "walkway"), ("highway", "road")])
def test_lanelets_are_what_is_between_their_bounds(file, subtype, name):
    areas = read_areas(file(("lanelet", subtype, LANE)))
    assert areas[name].area == pytest.approx(160, rel=0.01)
    assert areas["obstacle"].area == pytest.approx(0.5 * np.hypot(20, 30), rel=0.01), "the wall"


@pytest.mark.parametrize("cell", [0.5, 1.0])
def test_a_wall_has_no_gap_to_slip_through(file, cell):
    terrain = read_town(file(("lanelet", "road", LANE)), cell=cell)
    blocked = terrain.layer("obstacle") > 0
    rows = np.flatnonzero(blocked.any(axis=1))
    assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1))
    for row in rows[1:-1]:
        assert (blocked[row] & (blocked[row + 1] | blocked[row - 1])).any(), "joined to the next row by a side"


def test_the_raster_has_the_areas_and_a_margin(file):
    path = file(("multipolygon", "vegetation", AREA), ("lanelet", "road", LANE))
    terrain, areas = read_town(path, cell=0.5), read_areas(path)
    for name in ("vegetation", "road"):
        error = abs(terrain.layer(name).sum() * 0.25 - areas[name].area)
        assert error <= 0.5 * areas[name].length
    edges = np.concatenate([terrain.layers[:, [0, -1]].ravel(), terrain.layers[:, :, [0, -1]].ravel()])
    assert not edges.any() and not terrain.elevation.any()


@pytest.mark.parametrize(
    ("relations", "message"),
    [
        ((), "holds no lanelets and areas for a terrain"),
        ((("multipolygon", "sea", AREA),), "holds no lanelets and areas for a terrain"),
        (
            (("multipolygon", "parking", {"outside": "outer"}),),
            "line 1: the outer ways of an area must be there and close",
        ),
        ((("multipolygon", "parking", {"hole": "inner"}),), "the outer ways of an area must be there and close"),
        ((("multipolygon", "parking", {"lost": "outer"}),), "way lost of an area needs two nodes or more"),
        ((("lanelet", "road", {"side": "left"}),), "a lanelet needs one way as its right bound; got 0"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(file, relations, message):
    with pytest.raises(ValueError, match=message):
        read_areas(file(*relations))


def test_files_and_cells_that_are_none_are_refused(file, tmp_path):
    (tmp_path / "other.osm").write_text("<commonRoad/>")
    with pytest.raises(ValueError, match="not an OSM file, the outermost element is <commonRoad>"):
        read_town(tmp_path / "other.osm")
    path = file(("lanelet", "road", LANE))
    with pytest.raises(ValueError, match="cells must have a positive size"):
        read_town(path, cell=0.0)
    with pytest.raises(ValueError, match=r"use larger cells than 0\.001 m"):
        read_town(path, cell=0.001)


@pytest.mark.skipif(not FILE.is_file(), reason="EMBODIED_DATA names no folder with a Lanelet2 file")
def test_a_real_map_becomes_layers_and_its_halves_join():
    terrain, areas = read_town(FILE, cell=1.0), read_areas(FILE, barrier=1.42)
    for name in CLASSES:
        assert abs(terrain.layer(name).sum() - areas[name].area) <= areas[name].length
    west, east = terrain.halves()
    assert np.array_equal(np.concatenate([west.layers, east.layers], axis=2), terrain.layers)
    for half in (west, east):
        assert half.known.sum() > terrain.known.sum() / 3
        for name in ("road", "walkway", "vegetation"):
            assert half.layer(name).any(), "there is something to learn in both halves"
