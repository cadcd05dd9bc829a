"""Maps are graphs of lanelets with an area; ways follow lanes."""

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from envs.lanelets import lanelet
from envs.maps import read_map
from envs.polylines import headings
from envs.roads import DEFAULT_LIMIT, RoadMap
from envs.ways import SAME

CROSSING, MERGE = read_map("crossing").road, read_map("merge").road


def strip(number, start, end, y=0.0, **kwargs):
    return lanelet(number, [[start, y + 1.5], [end, y + 1.5]], [[start, y - 1.5], [end, y - 1.5]], **kwargs)


@pytest.mark.parametrize("road", [CROSSING, MERGE], ids=lambda road: road.name)
def test_the_graph_has_the_lanelets_and_their_lengths(road):
    assert set(road.graph) == set(road.lanelets)
    for before, after, data in road.graph.edges(data=True):
        assert before in road.lanelets[after].predecessors
        assert data["length"] == road.lanelets[before].length
    connected = list(nx.weakly_connected_components(road.graph))
    assert len(connected) == {"crossing": 1, "merge": 2}[road.name], "the left lane of a motorway stands alone"


@pytest.mark.parametrize("road", [CROSSING, MERGE], ids=lambda road: road.name)
def test_the_drivable_area_is_the_union_of_the_lanes(road):
    union = shapely.union_all([lane.polygon for lane in road.lanelets.values()])
    assert road.drivable.is_valid
    assert road.drivable.area == pytest.approx(union.area, rel=1e-3)
    assert union.difference(road.drivable.buffer(1e-6)).area < 1e-6
    assert road.drivable.difference(union.buffer(0.06)).area < 1e-6


def test_hairline_gaps_are_closed_and_wider_ones_stay():
    for gap, parts in ((0.08, 1), (0.15, 2)):
        road = RoadMap("two", [strip(1, 0, 10), strip(2, 10 + gap, 20)])
        assert len(getattr(road.drivable, "geoms", [road.drivable])) == parts


poses = st.tuples(st.integers(0, 10_000), st.floats(-1, 1), st.floats(-0.3, 0.3))


@settings(max_examples=60)
@given(st.sampled_from([CROSSING, MERGE]), poses)
def test_routes_are_points_on_lanes_at_equal_distances_that_start_at_the_pose(road, pose):
    row, aside, turn = pose
    ways = road.ways
    row %= len(ways.s)
    heading = ways.heading[row]
    place = ways.point[row] + aside * np.array([-np.sin(heading), np.cos(heading)])
    routes = road.routes(place, heading + turn)
    assert 1 <= len(routes) <= 3 and routes.shape[1:] == (10, 2)
    gaps = np.linalg.norm(np.diff(routes, axis=1), axis=2)
    assert (gaps <= 5 + 1e-6).all() and (gaps > 4.5).all()
    assert (np.linalg.norm(routes[:, 0] - place, axis=1) < 9).all()
    # Inside of the map every point lies on a centre line.
    lines = shapely.union_all([shapely.linestrings(lane.centre) for lane in road.lanelets.values()])
    inside = shapely.contains_xy(road.drivable, *routes.reshape(-1, 2).T)
    assert shapely.distance(lines, shapely.points(routes.reshape(-1, 2)[inside])).max(initial=0) < 0.3


@given(poses)
@example((114, 0.0, 0.0))  # two ways are 0.58 m apart along an axis, as far as the map is not turned
@example((6514, -0.25, 0.0))  # a second and a third lane fit alike: one ends where the other begins
def test_routes_turn_and_move_with_the_map(pose):
    row, aside, turn = pose
    angle, shift = 0.7, np.array([100.0, -40.0])
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = MOVED[0] if MOVED else MOVED.append(_moved(CROSSING, matrix, shift)) or MOVED[0]
    ways = CROSSING.ways
    row %= len(ways.s)
    heading = ways.heading[row] + turn
    place = ways.point[row] + [aside, 0]
    routes, others = CROSSING.routes(place, heading), moved.routes(place @ matrix.T + shift, heading + angle)
    # Of lanes and turns that fit alike rounding decides which comes first, and which of them is one too many.
    near = 1e-6 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    assume(all(_alike(CROSSING.routes(place + step[:2], heading + step[2]), routes, 1e-3) for step in near))
    # So it does where one lane ends and the next begins: these lanes are all there, in whatever order, and ways from
    # either are one way, up to what counts as the same.
    turned = routes @ matrix.T + shift
    lanes, same = _lanes(CROSSING, place, heading), _lanes(moved, place @ matrix.T + shift, heading + angle)
    assert dict(same) == pytest.approx(dict(lanes), abs=1e-6)
    if [number for number, _ in same] != [number for number, _ in lanes]:
        assert _alike(turned, others, SAME)
        others = moved.ways.ahead(lanes, 3, 50.0, 5.0)
    assert _alike(turned, others, 1e-6)


def _lanes(road, place, heading):
    """Those that fit, the best first, with arc lengths [m]."""
    (lanes,) = road.ways.lanes(place[None], np.array([heading]))
    return lanes


def _alike(routes, others, tolerance):
    """Whether every way is one of the others, in any order."""
    if len(routes) != len(others):
        return False
    return all(np.linalg.norm(others - route, axis=2).max(1).min() < tolerance for route in routes)


MOVED = []


def _moved(road, matrix, shift):
    return RoadMap(
        "moved",
        [
            lanelet(
                lane.id, lane.left @ matrix.T + shift, lane.right @ matrix.T + shift,
                successors=lane.successors, predecessors=lane.predecessors,
            )
            for lane in road.lanelets.values()
        ],
    )  # fmt: skip


def test_before_a_crossing_the_ways_lead_straight_on_and_to_both_sides():
    routes = CROSSING.routes(np.array([25.0, 1.75]), np.pi)
    ends = routes[:, -1]
    assert len(routes) == 3
    assert np.allclose(ends[0], [-25, 1.75], atol=0.5), "straight on comes first"
    assert {tuple(np.sign(end).astype(int)) for end in ends[1:]} == {(1, 1), (-1, -1)}, "to the right and to the left"


def test_where_lanes_end_ways_go_straight_on():
    routes = CROSSING.routes(np.array([160.0, -1.75]), 0.0)
    assert len(routes) == 1
    assert np.allclose(routes[0, :, 1], -1.75) and np.allclose(np.diff(routes[0, :, 0]), 5.0)
    assert routes[0, -1, 0] == pytest.approx(210)


def test_neighbours_come_after_the_own_lane():
    routes = MERGE.routes(np.array([-100.0, 0.0]), 0.0)
    assert np.allclose(routes[0, :, 1], 0) and np.allclose(routes[1, :, 1], 3.5) and len(routes) == 2
    assert len(MERGE.routes(np.array([-100.0, 0.0]), 0.0, count=1)) == 1


def test_the_lane_of_a_pose_has_its_direction():
    for heading, y in ((0.0, -1.75), (np.pi, 1.75)):
        routes = CROSSING.routes(np.array([60.0, 0.0]), heading)
        assert np.allclose(routes[:, 0, 1], y)
        assert np.cos(headings(routes[0])[0] - heading) > 0.99


def test_limits_are_those_of_the_map_or_50_km_h():
    road = RoadMap("two", [strip(1, 0, 10, successors=[2]), strip(2, 10, 20, predecessors=[1], speed_limit=5.0)])
    assert road.limits([1, 2, 1]).tolist() == [DEFAULT_LIMIT, 5.0, DEFAULT_LIMIT]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RoadMap("empty", []), "empty holds no lanelets for vehicles"),
        (lambda: RoadMap("m", [strip(1, 0, 5), strip(1, 5, 9)]), "m: lanelet 1 occurs twice"),
        (
            lambda: RoadMap("m", [strip(1, 0, 5, successors=[2])]),
            "m: lanelet 1 refers to lanelet 2, which is not there",
        ),
        (lambda: CROSSING.routes(np.array([np.nan, 0]), 0.0), "a pose must be finite"),
        (lambda: CROSSING.routes(np.zeros(2), 0.0, count=0), "need count >= 1 and 0 < spacing <= length; got 0"),
        (lambda: CROSSING.routes(np.zeros(2), 0.0, spacing=60.0), "0 < spacing <= length; got 3, 60.0 and 50.0"),
    ],
)
def test_impossible_maps_and_poses_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_lanes_that_end_on_the_map_go_on_in_the_open_area():
    road = read_map("merge").road
    ends = [lane for lane in road.lanelets.values() if not lane.successors]
    assert ends and road.drivable.difference(road.open).area < 1e-6
    for lane in ends:
        way = lane.centre[-1] - lane.centre[-2]
        beyond = shapely.Point(lane.centre[-1] + 30 * way / np.linalg.norm(way))
        assert road.open.covers(beyond) and not road.drivable.covers(beyond)
