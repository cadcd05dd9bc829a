import itertools

import numpy as np
import pytest

from envs.arm import EFFECTOR_RADIUS, WORKSPACE
from envs.routes import (
    MODES,
    POST_RADIUS,
    ROW_GAPS,
    ROW_POSTS,
    ROW_Y,
    GapRecord,
    gaps_of,
    mode_of,
    posts,
    smooth_path,
)


def test_mode_and_gaps_are_inverse_to_each_other_and_cover_all_routes():
    routes = list(itertools.product(range(2), range(3), range(4)))
    assert [mode_of(route) for route in routes] == list(range(MODES))
    assert [gaps_of(mode) for mode in range(MODES)] == routes


@pytest.mark.parametrize("mode", [-1, 24])
def test_a_mode_that_is_no_route_is_refused(mode):
    with pytest.raises(ValueError, match=rf"0\.\.23; got {mode}"):
        gaps_of(mode)


def test_every_gap_is_at_least_twice_as_wide_as_the_effector():
    for row in ROW_POSTS:
        walls = [-WORKSPACE[0] - POST_RADIUS, *row, WORKSPACE[0] + POST_RADIUS]
        assert (np.diff(walls) - 2 * POST_RADIUS >= 2 * 2 * EFFECTOR_RADIUS).all()


def test_gap_centres_keep_half_a_spacing_from_all_posts_of_their_row():
    for gaps, row in zip(ROW_GAPS, ROW_POSTS, strict=True):
        assert len(gaps) == len(row) + 1
        for number, gap in enumerate(gaps):
            assert sum(post < gap for post in row) == number
            assert min(abs(post - gap) for post in row) == pytest.approx(0.1)
    assert posts().shape == (6, 2)


def record(points, pieces=4):
    """Feeds a polyline, densely sampled, in pieces which share their ends like control periods do."""
    gaps = GapRecord()
    gaps.clear(points[0][1])
    dense = np.concatenate([np.linspace(a, b, 41)[:-1] for a, b in itertools.pairwise(np.array(points))])
    for part in np.array_split(np.arange(len(dense)), pieces):
        gaps.add(dense[max(part[0] - 1, 0) : part[-1] + 1])
    return gaps.mode


@pytest.mark.parametrize("pieces", [1, 4, 37])
@pytest.mark.parametrize("mode", range(MODES))
def test_a_polyline_through_the_gaps_is_recorded_as_its_route(mode, pieces):
    xs = [ROW_GAPS[row][gap] for row, gap in enumerate(gaps_of(mode))]
    corners = [(0, -0.36)]
    for x, y in zip(xs, ROW_Y, strict=True):
        corners += [(x, y - 0.05), (x, y + 0.05)]
    assert record(corners, pieces) == mode


def test_the_mode_is_unknown_until_all_rows_are_crossed():
    assert record([(0.1, -0.36), (0.1, -0.1), (0.0, -0.05), (0.0, 0.15)]) == -1


def test_going_back_through_a_row_withdraws_its_gap():
    up = [(0.1, -0.36), (0.1, 0.3)]
    down = [(0.1, 0.3), (-0.1, 0.3), (-0.1, 0.1)]
    assert record(up, 20) == mode_of((1, 1, 2)) or record(up, 20) == mode_of((1, 2, 2))
    assert record(up + down, 20) == -1
    assert record([*up, *down, (-0.3, 0.1), (-0.3, 0.3)], 20) % 4 == 0


def test_a_smooth_path_keeps_its_ends_its_spacing_and_the_middle_of_each_side():
    corners = [(0.0, 0.0), (0.2, 0.0), (0.2, 0.2), (0.4, 0.2)]
    path = smooth_path(corners, spacing=0.005)
    assert path[0] == pytest.approx(corners[0])
    assert path[-1] == pytest.approx(corners[-1])
    assert np.linalg.norm(np.diff(path, axis=0), axis=1) == pytest.approx(0.005, rel=0.05)
    assert np.linalg.norm(path - [0.2, 0.1], axis=1).min() < 0.003
    turn = np.diff(np.unwrap(np.arctan2(*np.diff(path, axis=0).T[::-1])))
    assert np.abs(turn).max() < 0.5, "corners must be rounded"
