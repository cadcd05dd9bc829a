"""CommonRoad files of both versions; real ones where EMBODIED_DATA names a folder that has them."""

import os
from pathlib import Path

import numpy as np
import pytest
from road_files import LANES, document, lane, moving, obstacle, state

from envs.commonroad import read
from envs.maps import read_map

DATA = Path(os.environ.get("EMBODIED_DATA", "nowhere")) / "commonroad"
# name: lanelets, obstacles, lanelets with a speed limit
FILES = {
    "ARG_Carcarana-4_5_T-1": (368, 8, 57),
    "DEU_Starnberg-1_1_T-1": (91, 0, 22),
    "USA_Lanker-1_1_T-1": (91, 24, 91),
    "USA_Peach-4_8_T-1": (79, 9, 79),
    "USA_US101-4_1_T-1": (12, 22, 0),
}


@pytest.fixture
def load(tmp_path):
    def write(text):
        path = tmp_path / "map.xml"
        path.write_text(text)
        return read(path)

    return write


def test_both_versions_say_the_same(load):
    sign = (
        '<trafficSign id="50"><trafficSignElement><trafficSignID>274</trafficSignID>'
        "<additionalValue>12.5</additionalValue></trafficSignElement></trafficSign>"
    )
    new = load(document(LANES + sign + moving()))
    old_lanes = LANES.replace('<trafficSignRef ref="50"/>', "<speedLimit>12.5</speedLimit>")
    old_car = moving().replace("dynamicObstacle", "obstacle").replace("<type>", "<role>dynamic</role><type>")
    old = load(document(old_lanes + old_car, version="2018b"))
    for scenario in (new, old):
        assert scenario.road.lanelets[2].speed_limit == 12.5 and scenario.road.lanelets[1].speed_limit is None
        assert scenario.road.lanelets[1].successors == (2,) and scenario.period == 0.1
        (track,) = scenario.tracks
        assert (track.id, track.kind, track.length, track.width, track.first) == (9, "car", 4.5, 1.8, 5)
        assert np.allclose(track.states, [[0, 0.5, 0.1, 4], [1, 0.5, 0.1, 4], [2, 0.5, 0.1, 4]])
        assert track.at(4) is None and track.at(8) is None and np.array_equal(track.at(7), track.states[2])


def test_an_interval_counts_as_its_middle(load):
    (track,) = load(document(LANES + moving(1, value="interval"))).tracks
    assert np.allclose(track.states[0], [0, 0.5, 0.2, 5])


def test_static_obstacles_stay_and_shapes_have_boxes(load):
    circle = "<shape><circle><radius>0.75</radius></circle></shape>"
    text = obstacle(state("initialState", 0, 3.0), shape=circle, tag="staticObstacle")
    (track,) = load(document(LANES + text)).tracks
    assert track.static and (track.length, track.width) == (1.5, 1.5)
    assert track.at(1000)[3] == 0 and track.at(1000)[0] == 3


def test_lanes_of_others_are_left_out_with_references_to_them(load):
    foot = lane(3, 20, "<laneletType>crosswalk</laneletType>")
    road = load(document(LANES.replace('ref="2"', 'ref="3"') + foot)).road
    assert set(road.lanelets) == {1, 2} and road.lanelets[1].successors == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<osm/>", "line 1: not a CommonRoad file, the outermost element is <osm>"),
        (document(LANES, version="2030z"), "commonRoadVersion must be one of 2018b, 2020a; got '2030z'"),
        (document(LANES, step="0"), r"timeStepSize must lie in \(0, 10\] s; got 0"),
        (document(""), "Test holds no lanelets for vehicles"),
        (document(lane(1, 0, "<laneletType>sidewalk</laneletType>")), "Test holds no lanelets for vehicles"),
        (document(LANES + lane(1, 5)), "lanelet 1 occurs twice"),
        (document(lane("nan", 5)), "id of <lanelet> must be a whole number; got 'nan'"),
        (document(lane("--5", 5)), "id of <lanelet> must be a whole number; got '--5'"),
        (document(lane("9" * 5000, 5)), f"id of <lanelet> must be a whole number; got '{'9' * 40}'"),
        (document(lane(1, float("nan"))), "line 1: <x> must hold a finite number; got 'nan'"),
        (document(lane(1, 1e7)), "lanelet 1: the left bound must have finite coordinates up to"),
        (document(lane(1, 0, "<speedLimit>-3</speedLimit>")), "lanelet 1: a speed limit must lie in"),
        (document('<lanelet id="4"/>'), "<lanelet> has no <leftBound>"),
        (document(LANES + obstacle(state("initialState", 0, 0.0))), "a dynamic obstacle needs a <trajectory>"),
        (document(LANES + moving().replace("<exact>6</exact>", "<exact>9</exact>")), "must follow each other step by"),
        (
            document(LANES + obstacle(state("initialState", 1e300, 0.0), tag="staticObstacle")),
            r"line 1: a time step must be a whole number up to 1000000; got 1e\+300",
        ),
        (document(LANES + moving(1, time="interval")), "<time> has no <exact>|<initialState> has no <time/exact>"),
        (document(LANES + moving().replace("<length>4.5", "<length>-1")), "obstacle 9: length and width must lie in"),
        (document(LANES + moving(1).replace("velocity", "speed")), "<initialState> has no <velocity>"),
        (document(LANES + moving(1).replace("point>", "lanelet>")), "a <position> must be a point, or a rectangle"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(load, text, message):
    with pytest.raises(ValueError, match=message):
        load(text)


@pytest.mark.skipif(not DATA.is_dir(), reason="EMBODIED_DATA names no folder with CommonRoad files")
@pytest.mark.parametrize("name", FILES)
def test_real_files_are_read_and_their_lanes_join(name):
    scenario = read_map(DATA / f"{name}.xml")
    road = scenario.road
    limits = sum(lane.speed_limit is not None for lane in road.lanelets.values())
    assert (len(road.lanelets), len(scenario.tracks), limits) == FILES[name] and road.name == name
    assert road.drivable.is_valid
    for lane_ in road.lanelets.values():
        for after in lane_.successors:
            assert lane_.id in road.lanelets[after].predecessors
            assert np.allclose(lane_.centre[-1], road.lanelets[after].centre[0], atol=1e-6)
    for track in scenario.tracks:
        # Speeds are the derivative of positions, but for the noise of the recordings.
        way = np.linalg.norm(np.diff(track.states[:, :2], axis=0), axis=1) / scenario.period
        assert np.abs(way - track.states[1:, 3]).mean() < 1.5
