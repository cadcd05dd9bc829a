"""Representatives: few futures that stand for many draws."""

import pytest
import torch
from crowds import observed
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.forecasting.baselines import TurnedVelocity
from embodied_gen.forecasting.check import check_forecaster
from embodied_gen.forecasting.representatives import Representatives, clusters


def cost(points, means):
    return torch.cdist(points, means).square().amin(-1).sum(-1)


def points_of(seed, count=60):
    like = torch.zeros((), dtype=torch.float64)
    return draws.normal((3, count, 4), generator=draws.generator(seed), like=like)


@given(st.integers(0, 99), st.integers(1, 12))
@settings(max_examples=20, deadline=None)
def test_representatives_are_nearer_to_the_draws_than_as_many_of_them(seed, n):
    points = points_of(seed)
    means = clusters(points, n)
    assert means.shape == (3, n, 4)
    assert (cost(points, means) <= cost(points, points[:, :n]) + 1e-9).all()


def test_one_representative_is_the_mean():
    points = points_of(0)
    torch.testing.assert_close(clusters(points, 1), points.mean(1, keepdim=True))


def test_as_many_places_as_representatives_are_found_exactly():
    places = points_of(1, 5)
    found = clusters(places.repeat(1, 8, 1), 5)
    torch.testing.assert_close(found, places)


def test_rows_do_not_see_each_other():
    points = points_of(2)
    torch.testing.assert_close(clusters(points[1:2], 6), clusters(points, 6)[1:2])


def test_the_laws_of_forecasters_hold():
    check_forecaster(Representatives(TurnedVelocity(), draws=3), observed())


def test_the_best_of_few_representatives_is_better_than_that_of_as_many_draws():
    seen, generator = observed(scenes=40), draws.generator(1)
    truth = TurnedVelocity().forecast(seen, 1, generator=draws.generator(9))
    errors = [
        (forecaster.forecast(seen, 5, generator=generator) - truth).norm(dim=-1).mean(-1).amin(1)[seen.present].mean()
        for forecaster in (Representatives(TurnedVelocity(), draws=40), TurnedVelocity())
    ]
    assert errors[0] < 0.9 * errors[1]


def test_no_draws_are_refused():
    with pytest.raises(ValueError, match="draws must be at least 1 for each representative; got 0"):
        Representatives(TurnedVelocity(), draws=0)
