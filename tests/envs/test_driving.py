"""Reactive traffic keeps its distance, its lanes and its manners."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.boxes import corners, overlapping
from envs.conflicts import concatenated, zones_between
from envs.driving import HARDEST, Traffic
from envs.maps import read_map
from envs.paths import BRAKING, STEP, path_along, path_of
from envs.placement import Placement
from envs.right_of_way import arrival
from envs.vehicles import Vehicle, draw_vehicle

CROSSING, MERGE = Placement(read_map("crossing").road), Placement(read_map("merge").road)
PLACES = {"crossing": CROSSING, "merge": MERGE}


def path(numbers, vehicle=None, place=CROSSING):
    vehicle = vehicle or Vehicle()
    lanes = [place.road.lanelets[number] for number in numbers]
    limits = place.road.limits(numbers)
    return path_of(lanes, limits, length=vehicle.length, width=vehicle.width, lateral=vehicle.lateral)


def traffic(paths, s, speed, vehicles=None):
    vehicles = vehicles or [Vehicle()] * len(paths)
    zones = concatenated([zones_between(n, each, paths[:n]) for n, each in enumerate(paths)])
    return Traffic(vehicles, paths, zones, np.array(s, float), np.array(speed, float))


def crashes(boxes, active):
    table = overlapping(boxes[:, None], boxes) & active[:, None] & active
    return np.triu(table, 1)


STRAIGHT = {0: [0, 11, 6], 1: [1, 15, 7], 2: [2, 19, 4]}  # arm: straight across


@pytest.mark.parametrize("name", PLACES)
def test_traffic_drives_ten_seconds_without_an_accident_on_the_road_and_within_its_limits(name):
    place = PLACES[name]
    allowed = place.road.drivable.buffer(0.1)
    shapely.prepare(allowed)
    for seed in range(12):
        cars = place.draw(12, np.random.default_rng(seed))
        assert len(cars.s) == 12
        start = cars.s.copy()
        for _ in range(100):
            before = cars.speed
            cars.step(0.1)
            boxes = cars.boxes()
            assert not crashes(boxes, cars.active).any()
            assert shapely.contains_xy(allowed, *corners(boxes[cars.active]).reshape(-1, 2).T).all()
            change = (cars.speed - before) / 0.1
            assert (change >= -HARDEST - 1e-9).all() and (change <= 2.0 + 1e-9).all() and (cars.speed >= 0).all()
        assert (cars.s - start).mean() > 40


@pytest.mark.parametrize("name", PLACES)
def test_placements_are_near_free_of_overlaps_and_a_function_of_the_seed(name):
    place = PLACES[name]
    boxes = [place.draw(8, np.random.default_rng(seed)).boxes() for seed in (1, 2, 1)]
    assert np.array_equal(boxes[0], boxes[2]) and not np.array_equal(boxes[0], boxes[1])
    for found in boxes[:2]:
        assert not crashes(found, np.ones(8, bool)).any()
        assert (np.linalg.norm(found[:, :2] - found[0, :2], axis=1) < 81).all()
        assert all(place.covers(box) for box in found)


def test_alone_a_car_reaches_its_wanted_speed_and_keeps_it():
    cars = traffic([path(STRAIGHT[0])], [10.0], [0.0])
    speeds = []
    for _ in range(200):
        cars.step(0.1)
        speeds.append(cars.speed[0])
    assert (np.diff(speeds) > -1e-6).all() and speeds[-1] == pytest.approx(50 / 3.6, rel=0.02)


@given(st.floats(5, 60), st.floats(0, 13), st.floats(0, 13))
def test_the_interaction_is_that_of_the_intelligent_driver_model(gap, speed, leading):
    follower, leader = Vehicle(), Vehicle(length=5.0)
    s = 10.0 + gap + (follower.length + leader.length) / 2
    cars = traffic([path(STRAIGHT[0])] * 2, [10.0, s], [speed, leading], [follower, leader])
    wanted = 50 / 3.6
    star = 2.0 + max(0.0, 1.4 * speed + speed * (speed - leading) / (2 * np.sqrt(1.5 * 2.0)))
    expected = 1.5 * (1 - (speed / wanted) ** 4 - (star / gap) ** 2)
    assert cars.accelerations()[0] == pytest.approx(np.clip(expected, -8, 1.5), abs=1e-6)


def test_behind_a_standing_guest_the_next_stops_at_its_gap():
    cars = traffic([path(STRAIGHT[0])] * 2, [80.0, 10.0], [0.0, 12.0])
    cars.host(cars.boxes()[0], 0.0)
    for _ in range(300):
        cars.step(0.1)
    assert cars.s[0] == pytest.approx(80.0) and cars.speed[1] < 0.2
    assert cars.s[0] - cars.s[1] - 4.6 == pytest.approx(2.0, abs=0.4)


@settings(max_examples=25)
@given(st.floats(60, 145), st.floats(60, 145), st.floats(3, 13), st.floats(3, 13), st.booleans())
def test_two_that_cross_or_merge_never_meet_and_both_get_through(first, second, v, w, merges):
    other = [1, 14, 6] if merges else STRAIGHT[1]  # from the side, to the right into the same arm or straight across
    cars = traffic([path(STRAIGHT[0]), path(other)], [first, second], [v, w])
    for _ in range(300):
        cars.step(0.1)
        assert not crashes(cars.boxes(), cars.active).any()
    assert (cars.s > 190).all()


def test_three_that_wait_for_each_other_resolve_it_in_the_same_way_each_time():
    runs = []
    for _ in range(2):
        cars = traffic([path(STRAIGHT[k]) for k in range(3)], [150.0] * 3, [0.0] * 3)
        for _ in range(250):
            cars.step(0.1)
            assert not crashes(cars.boxes(), cars.active).any()
        runs.append(cars.s)
    assert (runs[0] > 185).all() and np.array_equal(*runs)


def test_a_guest_across_the_lane_is_not_hit():
    cars = traffic([path([1, 15, 7]), path(STRAIGHT[0])], [20.0, 90.0], [0.0, 13.0])
    x, y = cars.paths[1].points[140]
    cars.host(np.array([x, y, np.pi / 2, 4.5, 1.8]), 0.0)
    for _ in range(200):
        cars.step(0.1)
        assert not crashes(cars.boxes(), cars.active).any()
    assert cars.speed[1] < 0.2 and 125 < cars.s[1] < 138


def test_a_guest_that_takes_another_way_is_expected_there():
    cars = traffic([path(STRAIGHT[0]), path(STRAIGHT[2])], [140.0, 120.0], [6.0, 6.0])
    left = path([0, 12, 7])
    apart = cars.host(np.array([*left.points[165], left.headings[165], 4.6, 1.85]), 6.0)
    assert apart > 1
    before = cars.accelerations()[1]
    cars.reroute(left, 165.0)
    assert cars.host(cars.boxes()[0], 6.0) < 0.5
    assert cars.accelerations()[1] < before, "the one from the opposite side lets it turn"


def test_a_twin_goes_on_alike_and_by_itself():
    cars = CROSSING.draw(6, np.random.default_rng(3))
    twin = cars.twin()
    for _ in range(20):
        twin.step(0.1)
    middle = cars.twin()
    for _ in range(20):
        cars.step(0.1)
    assert np.array_equal(cars.s, twin.s) and not np.array_equal(middle.s, cars.s)


def test_vehicles_leave_at_the_end_of_their_path():
    cars = traffic([path(STRAIGHT[0])], [330.0], [13.0])
    steps = 0
    while cars.active[0]:
        cars.step(0.1)
        steps += 1
    assert cars.s[0] + 2.3 >= cars.paths[0].length - STEP and steps < 30


@given(st.lists(st.floats(1, 30), min_size=5, max_size=60), st.integers(0, 100))
def test_wanted_speeds_allow_for_comfortable_braking_and_curves(limits, seed):
    limits = np.array(limits)
    turn = np.cumsum(np.random.default_rng(seed).uniform(-0.1, 0.1, len(limits)))
    points = np.cumsum(np.stack([np.cos(turn), np.sin(turn)], axis=1), axis=0)
    found = path_along(points, limits, length=4.5, width=1.8, lateral=2.0)
    assert (found.speeds <= limits + 1e-9).all()
    assert (np.diff(found.speeds**2) >= -2 * BRAKING * STEP - 1e-6).all()
    bend = np.abs(np.gradient(found.headings)) / STEP
    assert (found.speeds**2 * bend <= 2.0 + 1e-6).all()
    assert (found.reach > 0.9).all()


@given(st.floats(0, 200), st.floats(0, 30))
def test_an_arrival_is_when_the_distance_is_covered(distance, speed):
    time = float(arrival(np.array(distance), np.array(speed)))
    assert speed * time + 1.5 * time**2 / 2 == pytest.approx(distance, abs=1e-6)


def test_vehicles_are_drawn_within_their_ranges():
    generator = np.random.default_rng(0)
    drawn = [draw_vehicle(generator) for _ in range(500)]
    trucks = [vehicle for vehicle in drawn if vehicle.length > 6]
    assert 40 < len(trucks) < 120
    assert all(7 <= v.length <= 11 and 2.3 <= v.width <= 2.5 for v in trucks)
    assert all(1 <= v.headway <= 1.8 and 1 <= v.acceleration <= 2 and 0.85 <= v.eagerness <= 1.1 for v in drawn)
    assert not any(draw_vehicle(generator, trucks=0.0).length > 6 for _ in range(100))


@settings(max_examples=20)
@given(st.sampled_from([([0, 11, 6], [1, 15, 7]), ([0, 11, 6], [1, 14, 6]), ([0, 11, 6], [0, 12, 7])]), st.data())
def test_boxes_overlap_inside_of_zones_alone(numbers, data):
    one, other = path(numbers[0]), path(numbers[1])
    a, b = (data.draw(st.integers(10, len(each.points) - 10)) for each in (one, other))
    size = (4.6, 1.85)
    boxes = [np.array([*each.points[at], each.headings[at], *size]) for each, at in ((one, a), (other, b))]
    zones = zones_between(1, other, [one])
    front, rear = np.array([a, b]) + 2.3, np.array([a, b]) - 2.3
    inside = ((front >= zones.enter - STEP) & (rear <= zones.leave + STEP)).all(1).any()
    assert inside or not overlapping(*boxes)


def test_zones_are_together_one_at_a_time_or_opposed():
    crossing = zones_between(1, path(STRAIGHT[1]), [path(STRAIGHT[0])])
    assert len(crossing) == 1 and not crossing.together[0] and not crossing.opposed[0]
    merging = zones_between(1, path([1, 14, 6]), [path(STRAIGHT[0])])
    assert merging.together.tolist() == [True]
    assert merging.leave[0, 0] - merging.align[0, 0] == pytest.approx(merging.leave[0, 1] - merging.align[0, 1], abs=2)
    line = np.stack([np.arange(100.0), np.zeros(100)], axis=1)
    ways = [path_along(each, np.full(100, 10.0), length=4.5, width=1.8, lateral=2.0) for each in (line, line[::-1])]
    assert zones_between(1, ways[1], ways[:1]).opposed.tolist() == [True]
