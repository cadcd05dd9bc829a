"""Where no vehicle fits there is no traffic, and recordings need somebody on the road."""

import numpy as np
import pytest

from envs.boxes import corners
from envs.company import recorded
from envs.lanelets import lanelet
from envs.maps import read_map
from envs.paths import path_of, stays
from envs.placement import Placement
from envs.roads import RoadMap
from envs.scenarios import Scenario, Track


def street(width, length=150.0):
    half = width / 2
    lane = lanelet(1, [[0, half], [length, half]], [[0, -half], [length, -half]])
    return Placement(RoadMap("street", [lane]))


def car(x, y=0.0, number=1, length=60, speed=5.0):
    states = np.zeros((length, 4))
    states[:, 0], states[:, 1], states[:, 3] = x + 0.1 * speed * np.arange(length), y, speed
    return Track(number, "car", 4.5, 1.8, 0, states)


def test_a_road_that_is_too_narrow_for_any_car_is_refused_by_name():
    with pytest.raises(ValueError, match="street: no place was found where a car fits on the road"):
        street(1.5).draw(3, np.random.default_rng(0))


def test_a_short_street_holds_fewer_vehicles_than_asked_for():
    cars = street(3.5, length=60.0).draw(30, np.random.default_rng(0))
    assert 1 < len(cars.s) < 12


def test_a_path_stays_on_the_road_where_its_swept_boxes_do():
    lanelets = read_map("crossing").road.lanelets
    bounds = [(number, lanelets[number].left, lanelets[number].right) for number in (0, 10, 5)]
    lanes = [lanelet(*each) for each in bounds]  # the tight turn to the right alone
    place = Placement(RoadMap("turn", lanes))
    fits = []
    for length, width in ((4.0, 1.8), (16.0, 2.5)):
        path = path_of(lanes, np.full(3, 10.0), length=length, width=width, lateral=2.0)
        boxes = np.column_stack([path.points, path.headings, np.tile([length, width], (len(path.points), 1))])
        inside = place.inside(corners(boxes[10:-10]).reshape(-1, 2)).all()
        fits.append(stays(path, length, width, place.inside))
        assert fits[-1] == inside
    assert fits == [True, False]


def test_a_recording_is_cut_around_a_vehicle_that_is_on_the_road_and_free():
    place = street(3.5)
    scenario = Scenario(place.road, [car(10.0), car(30.0, number=2), car(20.0, y=9.0, number=3)], 0.1)
    seen = set()
    for seed in range(10):
        piece = recorded(scenario, place, 2, 20, np.random.default_rng(seed))
        assert piece.shape == (2, 21, 7) and (piece[0, 0, 1] == 0) and piece[:, 0, -1].all()
        assert np.allclose(np.diff(piece[0, piece[0, :, -1] > 0, 0]), 0.5)
        seen.add(bool(piece[0, 0, 0] > piece[1, 0, 0]))
    assert seen == {True, False}, "any of the vehicles may be the ego"
    beside = Scenario(place.road, [car(20.0, y=9.0)], 0.1)
    with pytest.raises(ValueError, match="street: no recorded vehicle is ever on the road; use others='idm'"):
        recorded(beside, place, 2, 20, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Track(4, "car", 0.0, 1.0, 0, np.zeros((1, 4))), "obstacle 4: length and width must lie in"),
        (lambda: Track(4, "car", 4.0, 1.0, 0, np.full((1, 4), np.nan)), "obstacle 4: states must be finite and within"),
    ],
)
def test_impossible_tracks_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
