"""How places lie to each other joins the state: the same wherever they are, without a jump."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen.place_encoder import Place, PlaceEncoder

SIZE, PERIOD, LENGTHS = 9, math.pi / 2, (0.03, 0.005)
PLACES = (Place(0, 1, 2), Place(4, 3), Place(5, 6, 8))
MEAN, DEVIATION = torch.arange(9.0) / 9, torch.linspace(0.5, 1.5, SIZE)
seeds = st.integers(0, 2**31)


def encoder(history=2, **changes):
    arguments = {"places": PLACES, "period": PERIOD, "lengths": LENGTHS} | changes
    return PlaceEncoder(history, MEAN.double(), DEVIATION.double(), **arguments)


def observed(seed, history=2):
    return torch.randn(3, history, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def told(place, other, heading, spread):
    """What is told of a pair of places, and on which side of the first, at a heading, the other is."""
    x, y = other[0] - place[0], other[1] - place[1]
    r = math.hypot(x, y)
    side, sure = 2 * math.pi / PERIOD * (math.atan2(y, x) - heading), r / (r + min(LENGTHS))
    near = [part / (r + length) for length in sorted(LENGTHS) for part in (x, y)]
    return [x / spread, y / spread, r / spread, *near], (sure * math.cos(side), sure * math.sin(side))


@given(seeds)
def test_it_tells_the_state_and_the_differences_distances_and_sides_of_all_places(seed):
    it, o = encoder(), observed(seed)
    c = it(o)
    assert c.shape == (3, it.width)
    state = ((o - MEAN) / DEVIATION).clamp(-10, 10).flatten(1)
    torch.testing.assert_close(c[:, : state.shape[1]], state)
    spread = DEVIATION.double()[[0, 1, 4, 3, 5, 6]].square().mean().sqrt().item()
    for row in range(3):
        between, sides = [], []
        for step in o[row].tolist():
            places = [(step[p.x], step[p.y]) for p in PLACES]
            for j, k in ((0, 1), (0, 2), (1, 2)):
                between += told(places[j], places[k], 0.0, spread)[0]
            for k in (0, 2):
                heading = step[PLACES[k].heading]
                turned = 2 * math.pi / PERIOD * heading
                found = [told(places[k], places[j], heading, spread)[1] for j in range(3) if j != k]
                sides += [math.cos(turned), math.sin(turned), *(c for c, _ in found), *(s for _, s in found)]
        wanted = torch.tensor(between + sides, dtype=torch.float64)
        torch.testing.assert_close(c[row, state.shape[1] :], wanted, rtol=1e-9, atol=1e-9)


@given(seeds, st.floats(-5, 5), st.floats(-5, 5))
def test_where_all_places_are_changes_only_the_state(seed, x, y):
    it, o = encoder(), observed(seed)
    moved = o.clone()
    moved[..., [0, 4, 5]] += x
    moved[..., [1, 3, 6]] += y
    begin = 2 * SIZE
    torch.testing.assert_close(it(moved)[:, begin:], it(o)[:, begin:], rtol=1e-7, atol=1e-7)


@given(seeds)
def test_a_heading_that_has_passed_its_period_is_the_same(seed):
    it, o = encoder(), observed(seed)
    turned = o.clone()
    turned[..., [2, 8]] += PERIOD
    begin = 2 * SIZE
    torch.testing.assert_close(it(turned)[:, begin:], it(o)[:, begin:], rtol=1e-7, atol=1e-7)


@given(seeds, st.sampled_from([1e-5, 1e-7, 0.0]))
def test_nothing_jumps_where_two_places_meet(seed, apart):
    it, o = encoder(), observed(seed)
    o[..., 4], o[..., 3] = o[..., 0], o[..., 1]
    near = o.clone()
    near[..., 4] += apart
    assert it(o).isfinite().all()
    assert (it(near) - it(o)).abs().max() <= 2 * apart / min(LENGTHS) * 2 * math.pi / PERIOD + 1e-12


@pytest.mark.parametrize("period", [2 * math.pi, PERIOD, 1.5708, 6.2832, 2.0944])
def test_nothing_jumps_where_a_place_passes_behind_another(period):
    it, o = encoder(period=period), observed(0)
    o[..., 4], told = o[..., 0] - 0.1, []
    for aside in (-1e-9, 1e-9):
        o[..., 3] = o[..., 1] + aside
        told.append(it(o))
    torch.testing.assert_close(*told, rtol=0, atol=1e-6)


def test_a_period_of_few_digits_is_the_exact_one():
    o = observed(1)
    assert torch.equal(encoder(period=1.5708)(o), encoder(period=math.pi / 2)(o))


def test_places_that_never_move_are_not_divided_by_nothing():
    it = PlaceEncoder(1, torch.zeros(4), torch.zeros(4), [Place(0, 1), Place(2, 3)], period=math.pi, lengths=[0.1])
    assert it(torch.ones(2, 1, 4)).isfinite().all() and it(torch.ones(2, 1, 4)).shape == (2, it.width)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"places": PLACES[:1]}, "compares two places or more; got 1"),
        (
            {"places": (Place(0, 1), Place(2, SIZE))},
            r"between 0 and 8, as an observation has 9 numbers; got \[0, 1, 2, 9",
        ),
        ({"places": (Place(0, 1, -1), Place(2, 3))}, r"between 0 and 8.*got \[0, 1, -1"),
        ({"period": 0.0}, "full turn over a whole number, 2 pi / n, .*; got 0. Take 1.5708 for squares"),
        ({"period": 1.0}, "full turn over a whole number, 2 pi / n, .*; got 1. Take"),
        ({"period": 9.0}, "full turn over a whole number, 2 pi / n, .*; got 9. Take"),
        ({"period": math.nan}, "full turn over a whole number, 2 pi / n, .*; got nan. Take"),
        ({"period": math.inf}, "full turn over a whole number, 2 pi / n, .*; got inf. Take"),
        ({"period": 1e-320}, "full turn over a whole number, 2 pi / n, .*; got 9.99989e-321. Take"),
        ({"lengths": ()}, r"lengths must be positive, one or more; got \[\]"),
        ({"lengths": (0.1, -1.0)}, r"lengths must be positive, one or more; got \[0.1, -1.0\]"),
    ],
)
def test_what_is_out_of_range_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        encoder(**change)
