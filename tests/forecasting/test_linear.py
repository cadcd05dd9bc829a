"""The linear Gaussian forecaster: its law is that of its draws, and of what it learned from."""

import pytest
import torch
from crowds import crowd, observed, recording

from embodied_gen import draws
from embodied_gen.forecasting.baselines import ConstantVelocity
from embodied_gen.forecasting.check import check_forecaster
from embodied_gen.forecasting.linear import ASKED, KNOWN, LinearGaussian
from embodied_gen.forecasting.scores import evaluate
from embodied_gen.forecasting.windows import SOCIAL_GAN, windows_of


@pytest.fixture(scope="module")
def windows():
    return windows_of([crowd(12, 90)], SOCIAL_GAN)


@pytest.fixture(scope="module")
def fitted(windows):
    return LinearGaussian.fit(windows)


def test_the_laws_of_forecasters_hold(fitted):
    check_forecaster(fitted, observed())


def test_its_density_is_that_of_a_normal_law_of_its_draws(fitted):
    seen = observed(scenes=1, agents=1)
    drawn = fitted.forecast(seen, 20_000, generator=draws.generator(0))[0, :, 0].flatten(1)
    law = torch.distributions.MultivariateNormal(drawn.mean(0), drawn.T.cov())
    for future in drawn[:5]:
        exact = fitted.log_density(seen, future.view(1, 1, 12, 2))
        assert float(exact) == pytest.approx(float(law.log_prob(future)), abs=0.5)


def test_densities_do_not_depend_on_where_and_how_the_world_lies(fitted):
    seen = observed()
    future = fitted.forecast(seen, 1, generator=draws.generator(0))[:, 0]
    turned = [x.flip(-1) * torch.tensor([1.0, -1.0]) + 9 for x in (seen.tracks, future)]
    other = fitted.log_density(type(seen)(turned[0], seen.present), turned[1])
    torch.testing.assert_close(other, fitted.log_density(seen, future))


def test_who_is_not_there_adds_nothing(fitted):
    seen = observed()
    future = fitted.forecast(seen, 1, generator=draws.generator(0))[:, 0]
    far = torch.where(seen.present[..., None, None], future, 1e3)
    assert fitted.log_density(seen, far).equal(fitted.log_density(seen, future))


def test_it_is_calibrated_where_it_learned_and_better_than_its_last_step(fitted, windows):
    scores, straight = evaluate(fitted, windows, n=20), evaluate(ConstantVelocity(), windows, n=1)
    assert scores.ade_of_mean < straight.ade
    assert (scores.inside_half, scores.inside_most) == pytest.approx((0.5, 0.9), abs=0.05)
    assert scores.spread == pytest.approx(1, abs=0.1)
    assert scores.nll is not None and scores.nll < scores.kernel_nll  # of whole futures, and of single steps


def test_too_few_tracks_and_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"made up: 6 tracks are whole, fewer than the 48"):
        LinearGaussian.fit(windows_of([recording([(0, 22)] * 2)], SOCIAL_GAN))
    with pytest.raises(ValueError, match=r"must have shapes \(15, 24\) and \(24, 24\)"):
        LinearGaussian(torch.zeros(ASKED, KNOWN), torch.eye(ASKED))
