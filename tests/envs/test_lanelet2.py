"""Lanelet2 maps; a real one where EMBODIED_DATA names a folder that has it."""

import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from envs.lanelet2 import read
from envs.maps import read_map

FILE = Path(os.environ.get("EMBODIED_DATA", "nowhere")) / "lanelet2_karlsruhe" / "mapping_example.osm"
METRE = 1 / 111_195  # degrees of latitude, about


def document(relations, ways, nodes):
    text = [f'<node id="{n}" lat="{49 + y * METRE}" lon="{8.4 + x * METRE / 0.656}"/>' for n, (x, y) in nodes.items()]
    for way, refs in ways.items():
        text.append(f'<way id="{way}">' + "".join(f'<nd ref="{ref}"/>' for ref in refs) + "</way>")
    for number, (left, right, tags) in relations.items():
        members = f'<member type="way" ref="{left}" role="left"/><member type="way" ref="{right}" role="right"/>'
        pairs = {"type": "lanelet", "subtype": "road", "location": "urban", **tags}
        text.append(f'<relation id="{number}">{members}' + "".join(f'<tag k="{k}" v="{v}"/>' for k, v in pairs.items()))
        text[-1] += "</relation>"
    return "<osm>" + "".join(text) + "</osm>"


# Two lanes side by side, eastwards, of two lanelets each: nodes ij at x = 20 i, y = 3 j.
NODES = {f"{i}{j}": (20.0 * i, 3.0 * j) for i, j in product(range(3), range(3))}


def ways(reverse=()):
    found = {f"w{i}{j}": [f"{i}{j}", f"{i + 1}{j}"] for i, j in product(range(2), range(3))}
    return {name: nodes[::-1] if name in reverse else nodes for name, nodes in found.items()}


def relations(**tags):
    return {10 * i + j + 1: (f"w{i}{j + 1}", f"w{i}{j}", tags) for i, j in product(range(2), range(2))}


@pytest.fixture
def load(tmp_path):
    def write(text):
        path = tmp_path / "town.osm"
        path.write_text(text)
        return read(path)

    return write


@pytest.mark.parametrize("reverse", [(), ("w01",), ("w00", "w12"), tuple(ways())])
def test_bounds_in_any_direction_give_the_same_map(load, reverse):
    road = load(document(relations(), ways(reverse), NODES))
    assert {n: lane.successors for n, lane in road.lanelets.items()} == {1: (11,), 2: (12,), 11: (), 12: ()}
    assert {n: lane.predecessors for n, lane in road.lanelets.items()} == {1: (), 2: (), 11: (1,), 12: (2,)}
    assert {n: lane.left_neighbour for n, lane in road.lanelets.items()} == {1: 2, 2: None, 11: 12, 12: None}
    assert {n: lane.right_neighbour for n, lane in road.lanelets.items()} == {1: None, 2: 1, 11: None, 12: 11}
    for lane in road.lanelets.values():
        way = lane.centre[-1] - lane.centre[0]
        side = lane.left[0] - lane.centre[0]
        assert way[0] > 0 and way[0] * side[1] - way[1] * side[0] > 0, "the left bound is on the left"
        assert lane.length == pytest.approx(20, rel=0.01)
        assert lane.speed_limit == pytest.approx(50 / 3.6)


def test_a_lanelet_for_both_ways_becomes_two(load):
    road = load(document(relations(one_way="no"), ways(), NODES))
    assert set(road.lanelets) == {1, 2, 11, 12, -1, -2, -11, -12}
    for number in (1, 2, 11, 12):
        lane, back = road.lanelets[number], road.lanelets[-number]
        assert np.allclose(lane.centre, back.centre[::-1]) and np.allclose(lane.left, back.right[::-1])
    assert road.lanelets[-11].successors == (-1,) and road.lanelets[-1].left_neighbour is None
    assert road.lanelets[-1].right_neighbour == -2 and road.lanelets[-2].left_neighbour == -1


@pytest.mark.parametrize(
    ("tags", "limit"),
    [
        ({"location": "nonurban"}, 100),
        ({"subtype": "highway"}, 130),
        ({"subtype": "play_street"}, 7),
        ({"speed_limit": "30"}, 30),
        ({"speed_limit": "70 km/h"}, 70),
        ({"subtype": "bus_lane", "participant:vehicle": "yes"}, 50),
    ],
)
def test_speed_limits_are_those_of_the_tags_or_of_the_law(load, tags, limit):
    road = load(document(relations(**tags), ways(), NODES))
    assert road.lanelets[1].speed_limit == pytest.approx(limit / 3.6)


@pytest.mark.parametrize("tags", [{"subtype": "crosswalk"}, {"type": "multipolygon"}, {"participant:bicycle": "yes"}])
def test_what_is_not_for_vehicles_is_no_road(load, tags):
    with pytest.raises(ValueError, match="town holds no lanelets for vehicles"):
        load(document(relations(**tags), ways(), NODES))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<commonRoad/>", "not an OSM file, the outermost element is <commonRoad>"),
        (document({}, {}, {}), "town holds no lanelets for vehicles"),
        (document(relations(), {}, NODES), "the left bound, way w01, needs two nodes or more that are in the file"),
        (document(relations(), ways(), {"00": (0, 0)}), "needs two nodes or more that are in the file"),
        (document({1: ("w01", "w01", {})}, ways(), NODES), "lanelet 1: there is no area between its bounds"),
        (document({"x": ("w01", "w00", {})}, ways(), NODES), "id of <relation> must be a whole number; got 'x'"),
        (document(relations(speed_limit="fast"), ways(), NODES), "speed_limit must be a number of km/h; got 'fast'"),
        (document(relations(), ways(), {**NODES, "99": (1e9, 0)}), "lat and lon must be degrees on the earth"),
        (document(relations(), ways(), {**NODES, "99": (float("nan"), 0)}), "<node> must hold a finite number"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(load, text, message):
    with pytest.raises(ValueError, match=message):
        load(text)


@pytest.mark.skipif(not FILE.is_file(), reason="EMBODIED_DATA names no folder with a Lanelet2 file")
def test_a_real_map_is_read_and_its_lanes_join():
    road = read_map(FILE).road
    assert len(road.lanelets) == 228 + 32 + 8 + 2 * 60
    for lane in road.lanelets.values():
        for after in lane.successors:
            assert lane.id in road.lanelets[after].predecessors
            assert np.allclose(lane.centre[-1], road.lanelets[after].centre[0], atol=1e-6)
        middle = len(lane.centre) // 2
        way, side = lane.centre[middle] - lane.centre[middle - 1], (lane.left - lane.right)[middle]
        assert way[0] * side[1] - way[1] * side[0] > 0
    widths = [np.linalg.norm(lane.left - lane.right, axis=1).mean() for lane in road.lanelets.values()]
    assert 2 < np.median(widths) < 5
