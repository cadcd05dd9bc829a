"""Arc length is a length, and straight lines stay straight."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from envs.polylines import arc_length, extended, headings, resample, smoothed, without_repeats

numbers = st.floats(-50, 50)
lines = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=8).map(np.array)


@given(lines, st.integers(2, 30))
def test_even_samples_keep_the_ends_and_lie_on_the_line(line, count):
    length = arc_length(line)[-1]
    assume(length > 1e-3)
    samples = resample(line, count)
    assert np.allclose(samples[[0, -1]], line[[0, -1]])
    assert (np.linalg.norm(np.diff(samples, axis=0), axis=1) <= length / (count - 1) + 1e-9).all()
    shapely = pytest.importorskip("shapely")
    assert shapely.distance(shapely.linestrings(line), shapely.points(samples)).max() < 1e-9
    assert length == pytest.approx(shapely.length(shapely.linestrings(line)))


@given(st.floats(-3, 3), st.floats(0.5, 200), st.sampled_from([0.5, 1.0, 2.0]))
def test_smoothing_keeps_straight_lines_their_start_and_their_spacing(angle, length, step):
    direction = np.array([np.cos(angle), np.sin(angle)])
    points = smoothed(np.array([[0, 0], 0.3 * length * direction, length * direction]), step=step, width=2.0)
    s = step * np.arange(len(points))
    assert np.allclose(points, s[:, None] * direction, atol=1e-9)
    assert length - step - 1e-6 <= s[-1] <= length + 1e-6


def test_smoothing_rounds_corners_off():
    points = smoothed(np.array([[0.0, 0.0], [20.0, 0.0], [20.0, 20.0]]), step=1.0, width=2.0)
    turn = np.abs(np.diff(headings(points)))
    assert turn.max() < 0.5 and turn.sum() == pytest.approx(np.pi / 2, abs=0.05)


@given(st.floats(-3, 3), st.floats(1, 30), st.floats(0.01, 0.3), st.sampled_from([-1, 1]))
def test_headings_are_those_of_a_circle_and_never_jump(start, radius, angle, side):
    turn = start + side * angle * np.arange(60)
    points = radius * np.stack([np.sin(turn), -np.cos(turn)], axis=1)
    expected = turn if side > 0 else turn + np.pi
    offset = headings(points)[1:-1] - expected[1:-1]
    assert np.allclose(np.exp(1j * offset), 1)
    assert np.ptp(offset) < 1e-6


def test_repeats_go_and_extensions_are_straight():
    line = np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0], [3.0, 4.0]])
    assert without_repeats(line).tolist() == [[0, 0], [3, 4]]
    assert np.allclose(extended(without_repeats(line), 5.0, 10.0), [[-3, -4], [0, 0], [3, 4], [9, 12]])
