"""Measures, against plain loops, scipy, and the laws of calibrated forecasts."""

import numpy as np
import pytest
import torch
from scipy.stats import gaussian_kde

from embodied_gen import draws
from embodied_gen.forecasting import measures

LIKE = torch.zeros(1, dtype=torch.float64)


def normal(seed, *shape):
    return draws.normal(shape, generator=draws.generator(seed), like=LIKE)


@pytest.fixture
def case():
    """Draws, truth and valid steps of 3 windows of 4 pedestrians."""
    valid = torch.ones(3, 4, 5, dtype=torch.bool)
    valid[0, 1, 3:] = valid[2, 3, 1:] = False
    return normal(0, 3, 7, 4, 5, 2), normal(1, 3, 4, 5, 2), valid


def test_errors_are_those_of_a_plain_loop(case):
    drawn, future, valid = case
    found = measures.errors(drawn, future, valid)
    for b, s, a in np.ndindex(3, 7, 4):
        apart = [float((drawn[b, s, a, t] - future[b, a, t]).norm()) for t in range(5) if valid[b, a, t]]
        assert float(found.ade[b, s, a]) == pytest.approx(np.mean(apart))
        assert float(found.fde[b, s, a]) == pytest.approx(apart[-1])


def test_the_best_of_a_scene_is_the_lowest_sum_and_never_better_than_that_of_each(case):
    found = measures.errors(*case)
    agents, scenes = measures.best_of_agents(found), measures.best_of_scenes(found)
    for ours, sums in ((scenes.ade, found.ade.sum(-1)), (scenes.fde, found.fde.sum(-1))):
        torch.testing.assert_close(ours.sum(-1), sums.amin(1))
    assert (agents.ade <= scenes.ade).all() and (agents.fde <= scenes.fde).all()
    assert (agents.fde <= agents.fde_same).all()
    assert (scenes.fde.sum(-1) <= scenes.fde_same.sum(-1)).all()
    chosen = found.ade.argmin(1)
    assert agents.fde_same.equal(found.fde.gather(1, chosen[:, None])[:, 0])


def test_one_draw_is_the_best_of_one(case):
    drawn, future, valid = case
    found = measures.errors(drawn[:, :1], future, valid)
    for best in (measures.best_of_agents(found), measures.best_of_scenes(found)):
        assert best.ade.equal(found.ade[:, 0]) and best.fde.equal(found.fde[:, 0]) and best.fde_same.equal(best.fde)


def test_densities_are_those_of_scipy_where_draws_are_spread_far_beyond_the_floor(case):
    drawn, future, valid = case
    drawn = 50 * drawn
    found = measures.kernel_log_density(drawn, future, valid)
    for b, a in np.ndindex(3, 4):
        logs = [
            gaussian_kde(drawn[b, :, a, t].T.numpy()).logpdf(future[b, a, t].numpy())[0]
            for t in range(5)
            if valid[b, a, t]
        ]
        assert float(found[b, a]) == pytest.approx(np.mean(logs), abs=1e-3)


def test_densities_of_equal_draws_are_finite_and_bounded():
    drawn, future = torch.zeros(1, 4, 1, 2, 2).double(), torch.tensor([[[[0.0, 0.0], [9.0, 9.0]]]]).double()
    at, far = (
        measures.kernel_log_density(drawn, future, torch.tensor([[flags]])) for flags in ([True, False], [False, True])
    )
    assert float(at) == pytest.approx(-np.log(2 * np.pi * measures.FLOOR**2))
    assert float(far) == measures.LEAST_LOG_DENSITY


def test_truths_that_are_one_more_draw_lie_inside_as_often_as_they_should():
    truth_and_draws = normal(2, 4000, 11, 1, 1, 2) ** 3  # any law will do
    valid = torch.ones(4000, 1, 1, dtype=torch.bool)
    drawn, future = truth_and_draws[:, 1:], truth_and_draws[:, 0]
    for share in (0.25, 0.5, 0.9):
        found = measures.inside(drawn, future, valid, share)
        assert float(found.mean()) == pytest.approx(share, abs=5 * 0.5 / 4000**0.5)
    spread, error = measures.spread_and_skill(drawn, future, valid)
    assert float(spread.mean() / error.mean()) == pytest.approx(1, abs=0.2)
    assert float(measures.inside(0.3 * drawn, future, valid, 0.5).mean()) < 0.3
    assert float(measures.inside(3 * drawn, future, valid, 0.5).mean()) > 0.6


def test_ties_share_their_ranks():
    nothing = torch.zeros(1, 4, 1, 1, 2)
    for share in (0.2, 0.5, 0.9):
        found = measures.inside(nothing, nothing[:, 0], torch.ones(1, 1, 1, dtype=torch.bool), share)
        assert float(found) == pytest.approx(share)


def test_what_is_not_known_does_not_count(case):
    drawn, future, valid = case
    other = torch.where(valid[..., None], future, 100.0)
    for measure in (
        lambda f: torch.stack(measures.errors(drawn, f, valid)),
        lambda f: measures.kernel_log_density(drawn, f, valid),
        lambda f: measures.inside(drawn, f, valid, 0.5),
        lambda f: torch.stack(measures.spread_and_skill(drawn, f, valid)),
    ):
        assert measure(other).equal(measure(future))
