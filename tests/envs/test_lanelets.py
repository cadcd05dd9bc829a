"""Bounds keep their geometry, and what is no lane is refused by its number."""

import time
import tracemalloc

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from envs.lanelets import lanelet

steps = st.lists(st.floats(0.1, 5), min_size=1, max_size=8)


def strip(number=1, length=10.0, width=3.0, **kwargs):
    return lanelet(number, [[0, width / 2], [length, width / 2]], [[0, -width / 2], [length, -width / 2]], **kwargs)


@settings(max_examples=30)
@given(steps, steps, st.lists(st.floats(-0.4, 0.4), min_size=20, max_size=20))
def test_bounds_with_any_corners_keep_their_lines_and_the_centre_is_between(left, right, noise):
    both = []
    for side, (lengths, offset) in enumerate([(left, 2.0), (right, -2.0)]):
        x = np.concatenate([[0], np.cumsum(lengths)]) * 20 / sum(lengths)
        both.append(np.stack([x, offset + np.array(noise)[10 * side : 10 * side + len(x)]], axis=1))
    lane = lanelet(1, *both)
    assert lane.left.shape == lane.right.shape == lane.centre.shape
    for given_line, line in zip(both, (lane.left, lane.right), strict=True):
        assert shapely.hausdorff_distance(shapely.linestrings(given_line), shapely.linestrings(line)) < 1e-6
    assert np.allclose(lane.centre, (lane.left + lane.right) / 2)
    assert shapely.covers(lane.polygon.buffer(1e-9), shapely.linestrings(lane.centre))


def test_a_polygon_that_crosses_itself_is_cut_at_the_crossing_and_kept_whole():
    lane = lanelet(1, [[0, 1], [4, 1], [8, -1], [12, -1]], [[0, -1], [4, -1], [8, 1], [12, 1]])
    assert lane.polygon.is_valid
    assert lane.polygon.area == pytest.approx(8 + 4 + 8)


@given(st.floats(1, 50), st.floats(0.5, 5))
def test_length_and_area_are_those_of_a_rectangle(length, width):
    assume(length > 0)
    lane = strip(length=length, width=width)
    assert lane.length == pytest.approx(length)
    assert lane.polygon.area == pytest.approx(length * width)


def test_bounds_of_many_points_take_little_time_and_memory():
    x = np.linspace(0, 5000, 10_000)
    tracemalloc.start()
    start = time.perf_counter()
    lane = lanelet(1, np.stack([x, 2 + np.sin(x)], 1), np.stack([x, -2 + np.cos(1.3 * x)], 1))
    assert len(lane.left) > 15_000
    with pytest.raises(ValueError, match="lanelet 1: the left bound crosses itself"):
        lanelet(1, np.random.default_rng(0).uniform(-100, 100, (10_000, 2)), lane.right)
    assert time.perf_counter() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    tracemalloc.stop()


LINE = [[0, 1], [5, 1]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lanelet(7, [[0, 1]], LINE), r"lanelet 7: the left bound must be two points .*got shape \(1, 2\)"),
        (lambda: lanelet(7, LINE, [[0, np.nan], [5, 0]]), "lanelet 7: the right bound must have finite coordinates"),
        (lambda: lanelet(7, LINE, [[0, 0], [2e6, 0]]), "coordinates up to 1e[+]06 m; move the map"),
        (lambda: lanelet(7, LINE, [[2, 0], [2, 0]]), "lanelet 7: all points of the right bound are the same"),
        (
            lambda: lanelet(7, LINE, [[0, 0], [4, 0], [4, -1], [2, 1]]),
            "lanelet 7: the right bound crosses itself; order its points along the lane",
        ),
        (lambda: lanelet(7, LINE, LINE), "lanelet 7: there is no area between its bounds"),
        (lambda: lanelet(7, [[0, 1], [5, 1]], [[5, 0], [0, 0]]), "lanelet 7: its centre line has no length"),
        (lambda: strip(7, speed_limit=0.0), r"lanelet 7: a speed limit must lie in \(0, 100\] m/s; got 0"),
        (lambda: strip(7, speed_limit=500.0), r"lanelet 7: a speed limit must lie in \(0, 100\] m/s; got 500"),
        (lambda: strip(7, speed_limit=np.nan), "a speed limit must lie in .*; got nan"),
    ],
)
def test_what_is_no_lane_is_refused_by_its_number(make, message):
    with pytest.raises(ValueError, match=message):
        make()
