"""Maps by name and by the content of a file."""

import networkx as nx
import numpy as np
import pytest

from envs.maps import BUILT_IN, read_map


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_maps_join_without_gaps_and_turn_smoothly(name):
    scenario = read_map(name)
    assert scenario.road.name == name and not scenario.tracks
    for lane in scenario.road.lanelets.values():
        assert np.allclose(np.linalg.norm(lane.left - lane.right, axis=1), 3.5, atol=0.01)
        for after in lane.successors:
            other = scenario.road.lanelets[after]
            assert lane.id in other.predecessors
            assert np.allclose(lane.left[-1], other.left[0], atol=1e-3)
            assert np.allclose(lane.right[-1], other.right[0], atol=1e-3)


def test_at_the_crossing_every_arm_leads_to_the_three_others():
    graph = read_map("crossing").road.graph
    for arm in range(4):
        reached = {number - 4 for number in nx.descendants(graph, arm) if 4 <= number < 8}
        assert reached == set(range(4)) - {arm}


def test_the_ramp_and_the_right_lane_become_one():
    road = read_map("merge").road
    assert set(road.lanelets[2].predecessors) == {1, 7}
    assert nx.has_path(road.graph, 6, 2) and not nx.has_path(road.graph, 6, 5)
    assert road.lanelets[3].right_neighbour == 0 and road.lanelets[0].left_neighbour == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<gpx/>", "<gpx> is no map; CommonRoad begins with <commonRoad> and Lanelet2 with <osm>"),
        (b"\x89PNG" * 2**18, "line 1: not well-formed XML"),
        (b"<osm/>", "holds no lanelets for vehicles"),
        (b'<!DOCTYPE osm [<!ENTITY x "y">]><osm>&x;</osm>', "a DOCTYPE and its entities are not read"),
    ],
)
def test_files_are_known_by_their_content(tmp_path, content, message):
    path = tmp_path / "map.xml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_map(path)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"must be one of crossing, merge or the path of a file; got 'crosing'"):
        read_map("crosing")
