"""Margins are exact distances of the swept path."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from planners import AccelerationLimit, CurvatureLimit, KeepInBox, KeepOutDisc, ReachPoint, SpeedLimit, feasible
from planners.constraints import position

pytestmark = pytest.mark.usefixtures("double")

numbers = st.floats(-2, 2)
points = st.tuples(numbers, numbers)
paths = st.lists(points, min_size=2, max_size=6)
radii = st.floats(0.05, 1.5)

CONSTRAINTS = [
    KeepOutDisc((0.2, -0.1), 0.5),
    KeepInBox((-0.6, -0.5), (0.7, 0.9)),
    SpeedLimit(3.0, 0.2),
    AccelerationLimit(20.0, 0.2),
    CurvatureLimit(1.5),
    ReachPoint((0.5, 0.5), 0.4, step=2),
    ReachPoint((0.5, 0.5), 0.4),
]


def tensor(path):
    return torch.tensor(path, dtype=torch.float64)[None, None]


def margin(constraint, path):
    return float(constraint.margin(tensor(path)))


def swept(path, count=400):
    """Points all along a path."""
    y = np.array(path)
    share = np.linspace(0, 1, count)[:, None]
    return np.concatenate([a + share * (b - a) for a, b in pairwise(y)])


@given(paths, points, radii)
def test_the_margin_of_a_disc_is_the_least_distance_of_the_whole_path(path, centre, radius):
    dense = np.linalg.norm(swept(path) - np.array(centre), axis=1).min() - radius
    longest = max(math.dist(a, b) for a, b in pairwise(path))
    exact = margin(KeepOutDisc(centre, radius), path)
    assert exact <= dense + 1e-5
    assert exact >= dense - longest / 399 - 1e-5


@given(paths, points, radii)
def test_a_path_is_outside_a_disc_just_where_all_of_its_points_are(path, centre, radius):
    exact = margin(KeepOutDisc(centre, radius), path)
    assume(abs(exact) > 0.02)
    assert (exact > 0) == bool((np.linalg.norm(swept(path) - np.array(centre), axis=1) > radius).all())


@given(st.lists(points, min_size=1, max_size=6), points, st.tuples(radii, radii))
def test_the_margin_of_a_box_is_the_least_distance_to_a_side_from_inside(path, low, size):
    high = (low[0] + size[0], low[1] + size[1])
    expected = min(min(x - low[0], high[0] - x, y - low[1], high[1] - y) for x, y in path)
    exact = margin(KeepInBox(low, high), path)
    assert exact == pytest.approx(expected, abs=1e-9)
    if len(path) > 1:  # a box is convex: way-points decide for segments too
        inside = swept(path)
        dense = np.minimum(inside - np.array(low), np.array(high) - inside).min()
        assert exact == pytest.approx(dense, abs=1e-9)


@given(paths, radii, st.floats(0.01, 1))
def test_the_margin_of_a_speed_is_that_of_the_fastest_segment(path, limit, period):
    fastest = max(math.dist(a, b) for a, b in pairwise(path)) / period
    assert margin(SpeedLimit(limit, period), path) == pytest.approx(limit - fastest, abs=1.1e-6)


@given(st.floats(0.2, 3), st.floats(0.1, 1), st.floats(0.05, 1), st.floats(0.1, 5))
def test_on_a_circle_curvature_and_acceleration_are_those_of_the_circle(radius, angle, period, limit):
    path = [(radius * math.cos(angle * k), radius * math.sin(angle * k)) for k in range(6)]
    assert margin(CurvatureLimit(limit), path) == pytest.approx(limit - 1 / radius, abs=1e-4)
    # The second difference of positions on a circle points to its centre: 2 r (1 - cos(angle)).
    expected = limit - 2 * radius * (1 - math.cos(angle)) / period**2
    assert margin(AccelerationLimit(limit, period), path) == pytest.approx(expected, rel=1e-9, abs=2e-6)


@pytest.mark.parametrize("make", [SpeedLimit, AccelerationLimit])
@given(period=st.floats(1e-4, 10))
def test_what_stands_still_has_no_rate_at_any_period(make, period):
    assert margin(make(0.5, period), [(0.3, 0.4)] * 4) == pytest.approx(0.5, abs=2e-6)
    each = torch.tensor([period, 2 * period]).view(2, 1, 1)
    y = torch.randn(2, 3, 5, 2, generator=torch.Generator().manual_seed(0))
    for b in range(2):
        alone = make(0.5, float(each[b])).margins(y[b : b + 1])
        torch.testing.assert_close(make(0.5, each).margins(y)[b : b + 1], alone)


def test_what_stands_still_turns_nowhere():
    assert margin(CurvatureLimit(2.0), [(0.3, 0.4)] * 4) == pytest.approx(2, abs=1e-2)


def curvature(first, second, turn):
    """Of two steps of given lengths [m] with a turn between them."""
    return (
        -margin(CurvatureLimit(1.0), [(-first, 0.0), (0.0, 0.0), (second * math.cos(turn), second * math.sin(turn))])
        + 1
    )


lengths = st.floats(1e-3, 3)


@given(lengths, lengths, st.floats(0.01, math.pi / 2))
def test_up_to_a_right_angle_curvature_is_that_of_the_circle(first, second, turn):
    chord = math.hypot(first + second * math.cos(turn), second * math.sin(turn))
    assert curvature(first, second, turn) == pytest.approx(2 * math.sin(turn) / chord, rel=1e-5)


@given(st.floats(1e-4, 3), st.floats(0.01, math.pi))
def test_curvature_of_steps_of_one_length_is_that_of_the_circle_at_any_turn(length, turn):
    assert curvature(length, length, turn) == pytest.approx(2 * math.sin(turn / 2) / length, rel=1e-3)


@given(lengths, st.floats(1, 20))
def test_beyond_a_right_angle_curvature_grows_without_a_jump_up_to_that_of_a_reversal(length, ratio):
    turns = np.linspace(math.pi / 2 - 1e-3, math.pi, 60)
    grown = np.diff([curvature(length, ratio * length, turn) for turn in turns])
    assert (grown > -1e-2 / length).all() and (grown < 0.5 / length).all() and (grown[1:] > 0).all()
    reversal = curvature(length, ratio * length, math.pi)
    assert reversal == pytest.approx(curvature(ratio * length, length, math.pi)) == pytest.approx(2 / length, rel=1e-5)


@given(paths, points, radii, st.integers(0, 5), st.booleans())
def test_the_margin_of_a_point_is_that_of_its_way_point(path, point, tolerance, step, from_the_end):
    step %= len(path)
    number = step - len(path) if from_the_end else step
    expected = tolerance - math.dist(path[step], point)
    assert margin(ReachPoint(point, tolerance, step=number), path) == pytest.approx(expected, abs=2e-6)


def test_a_path_that_hops_across_a_disc_between_two_way_points_does_not_hold():
    disc, path = KeepOutDisc((0, 0), 0.1), [(-1.0, 0.02), (1.0, 0.02)]
    assert margin(disc, path) == pytest.approx(0.02 - 0.1)
    assert not feasible([disc], tensor(path))
    assert feasible([disc], tensor([(-1.0, 0.2), (1.0, 0.2)]))


def test_a_path_that_stands_still_has_the_margin_of_its_point():
    disc = KeepOutDisc((0, 0), 0.1)
    assert margin(disc, [(0.3, 0.4)] * 3) == pytest.approx(0.4)
    assert margin(disc, [(0.3, 0.4)]) == pytest.approx(0.4)


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda c: c.name)
def test_the_gradient_of_margins_is_that_of_finite_differences(constraint):
    y = torch.randn(4, 3, 5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert (constraint.margins(y) < 0).any()
    y.requires_grad_()
    assert torch.autograd.gradcheck(constraint.margins, y, eps=1e-7, atol=1e-4)


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda c: c.name)
def test_gradients_are_finite_where_lengths_vanish(constraint):
    still, other = (0.2, -0.1), (0.5, 0.5)
    for path in ([still] * 2 + [other] * 2, [still, other, still, other], [still] * 4):
        y = torch.tensor(path, dtype=torch.float32)[None, None].requires_grad_()
        constraint.margins(y).sum().backward()
        assert y.grad.isfinite().all()


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda c: c.name)
def test_shapes_are_those_of_samples_and_every_path_is_judged_alone(constraint):
    y = torch.randn(2, 3, 5, 2, generator=torch.Generator().manual_seed(0))
    assert constraint.margins(y).shape[:2] == constraint.margin(y).shape == (2, 3)
    for b in range(2):
        for n in range(3):
            assert constraint.margin(y)[b, n] == constraint.margin(y[b : b + 1, n : n + 1])[0, 0]
    assert constraint.margin(y).equal(constraint.margins(y).amin(-1))
    assert feasible([constraint], y).equal(constraint.margin(y) >= 0)


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda c: c.name)
def test_a_path_that_is_not_finite_never_holds(constraint):
    y = torch.zeros(1, 1, 5, 2)
    y[..., 2, 0] = torch.nan
    assert not feasible([constraint], y).any() or (isinstance(constraint, ReachPoint) and constraint.step != 2)


def test_all_constraints_have_to_hold_and_none_always_do():
    inside, outside = [(0.1, 0.1)] * 3, [(3.0, 0.0)] * 3
    y = torch.cat([tensor(inside), tensor(outside)], 1)
    box, disc = KeepInBox((-1, -1), (1, 1)), KeepOutDisc((0, 0), 0.5)
    assert feasible([box], y).tolist() == [[True, False]]
    assert feasible([disc], y).tolist() == [[False, True]]
    assert feasible([box, disc], y).tolist() == [[False, False]]
    assert feasible([], y).tolist() == [[True, True]]


@pytest.mark.parametrize(
    "make",
    [
        lambda c: KeepOutDisc((0.3, 0.2), 0.4, channels=c),
        lambda c: KeepInBox((-1, -1), (0.5, 0.5), channels=c),
        lambda c: SpeedLimit(2.0, 0.1, channels=c),
        lambda c: AccelerationLimit(2.0, 0.1, channels=c),
        lambda c: CurvatureLimit(2.0, channels=c),
        lambda c: ReachPoint((0.3, 0.2), 0.4, channels=c),
    ],
)
def test_the_position_may_be_any_two_channels(make):
    plane = torch.randn(2, 2, 5, 2, generator=torch.Generator().manual_seed(0))
    wide = torch.full((2, 2, 5, 4), 99.0)
    wide[..., 3], wide[..., 1] = plane[..., 0], plane[..., 1]
    assert make((3, 1)).margins(wide).equal(make((0, 1)).margins(plane))
    for wrong in ((1,), (1, 1), (0, 1, 2), (0, -1)):
        with pytest.raises(ValueError, match=r"must name two different channels by numbers from 0; got \["):
            make(wrong)
    for missing in ((0, 2), (2, 0), (1, 2), (3, 4)):
        with pytest.raises(ValueError, match=rf"channels \[{missing[0]}, {missing[1]}\] must be .* path, which has 2"):
            make(missing).margins(plane)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KeepOutDisc((0, 0), 0), "radius must be positive; got 0"),
        (lambda: KeepOutDisc((0, 0), math.nan), "radius must be positive; got nan"),
        (
            lambda: KeepInBox((0, 0), (1, 0)),
            r"low must be below high in both axes, all finite; got \[0, 0\] and \[1, 0\]",
        ),
        (lambda: KeepInBox((-math.inf, 0), (1, 1)), r"in both axes, all finite; got \[-inf, 0\] and \[1, 1\]"),
        (lambda: SpeedLimit(0, 1), "limit and period must be positive and finite; got 0 and 1"),
        (lambda: SpeedLimit(1, -1), "limit and period must be positive and finite; got 1 and -1"),
        (lambda: SpeedLimit(1, math.inf), "limit and period must be positive and finite; got 1 and inf"),
        (lambda: AccelerationLimit(1, math.nan), "limit and period must be positive and finite; got 1 and nan"),
        (lambda: ReachPoint((0, 0), 0), "tolerance must be positive; got 0"),
        (lambda: SpeedLimit(1, 1).margins(torch.zeros(1, 1, 1, 2)), "a speed needs a path of 2 way-points or more"),
        (lambda: AccelerationLimit(1, 0), "limit and period must be positive and finite; got 1 and 0"),
        (lambda: AccelerationLimit(1, 1).margins(torch.zeros(1, 1, 2, 2)), "an acceleration needs a path of 3 way-po"),
        (lambda: CurvatureLimit(0), "limit must be positive and finite; got 0"),
        (lambda: CurvatureLimit(1).margins(torch.zeros(1, 1, 2, 2)), "a curvature needs a path of 3 way-points or m"),
        (lambda: ReachPoint((0, 0), 1, step=5).margins(torch.zeros(1, 1, 5, 2)), "at step 5: the path has 5 steps"),
        (lambda: ReachPoint((0, 0), 1, step=-6).margins(torch.zeros(1, 1, 5, 2)), "at step -6: the path has 5 steps"),
    ],
)
def test_impossible_constraints_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda c: c.name)
def test_what_has_a_place_is_drawn_in_plain_numbers(constraint):
    shapes = constraint.shapes()
    assert set(shapes) <= {"discs", "lines"}
    for disc in shapes.get("discs", []):
        assert set(disc) == {"role", "centre", "radius"} and len(disc["centre"]) == 2
    for line in shapes.get("lines", []):
        assert set(line) == {"role", "start", "end"}
    assert bool(shapes) != isinstance(constraint, SpeedLimit | AccelerationLimit | CurvatureLimit)
    assert constraint.name


@pytest.mark.parametrize("channels", [(0, 1), (1, 0), (0, 2), (2, 1)])
def test_a_position_is_its_two_channels_in_their_order(channels):
    y = torch.randn(2, 3, 4, 3, generator=torch.Generator().manual_seed(0))
    assert position(y, channels).equal(torch.stack([y[..., channel] for channel in channels], -1))
