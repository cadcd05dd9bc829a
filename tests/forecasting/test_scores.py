"""The evaluator: what it sees, what it does not depend on, and what it refuses."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from crowds import NEIGHBOURS, crowd, observed, predictor_of, recording

from embodied_gen import draws
from embodied_gen.forecasting.baselines import ConstantVelocity, Line, Standing, TurnedVelocity
from embodied_gen.forecasting.forecaster import Observed
from embodied_gen.forecasting.joint import JointForecaster
from embodied_gen.forecasting.learned import AgentForecaster, DenseForecaster
from embodied_gen.forecasting.linear import LinearGaussian
from embodied_gen.forecasting.representatives import Representatives
from embodied_gen.forecasting.scores import Scores, evaluate
from embodied_gen.forecasting.table import Row, markdown, row_of, with_means
from embodied_gen.forecasting.windows import ALONE_TOO, OBSERVED, SCHOELLER, SOCIAL_GAN, windows_of

MIXTURE = Path(__file__).parents[2] / "configs" / "eth_ucy_mixture.yaml"


@pytest.fixture(scope="module")
def windows():
    return windows_of([recording([(0, 30), (0, 26), (2, 30), (4, 28)])], SOCIAL_GAN)


def assert_same(one, other):
    """Up to rounding of sums in another order."""
    for name, value in dataclasses.asdict(one).items():
        expected = getattr(other, name)
        assert value is expected is None or value == pytest.approx(expected, rel=1e-12), name


class _Knows:
    """The truth, with independent normal noise of a known deviation: its density is known too."""

    def __init__(self, windows, deviation):
        self.deviation = deviation
        self.truth = {track[:OBSERVED].numpy().tobytes(): track[OBSERVED:] for track in windows.tracks}

    def _future(self, seen):
        flat = [self.truth[track.numpy().tobytes()] for track in seen.tracks.flatten(0, 1)]
        return torch.stack(flat).unflatten(0, seen.present.shape)

    def forecast(self, seen, n, *, generator):
        future = self._future(seen).unsqueeze(1)
        noise = draws.normal((len(future), n, *future.shape[2:]), generator=generator, like=future)
        return future + self.deviation * noise


class _KnowsItsDensity(_Knows):
    def log_density(self, seen, future):
        away = (future - self._future(seen)) / self.deviation
        return torch.distributions.Normal(0, 1).log_prob(away).sum((1, 2, 3)) - future[0].numel() * math.log(
            self.deviation
        )


def test_who_knows_the_future_makes_no_error(windows):
    scores = evaluate(_Knows(windows, 0.0), windows, n=3)
    for name in ("ade", "fde", "best_ade", "scene_fde", "joint_ade", "joint_fde", "miss"):
        assert getattr(scores, name) == 0
    assert scores.collision == scores.true_collision


def test_exact_densities_are_means_over_tracks_and_steps(windows):
    scores = evaluate(_KnowsItsDensity(windows, 0.5), windows, n=2)
    assert scores.nll == pytest.approx(math.log(2 * math.pi * 0.25), abs=1e-9)  # the truth is the mode
    early = windows_of([crowd(2, 15)], SCHOELLER)
    assert evaluate(_KnowsItsDensity(early, 0.5), early, n=2).nll is None


def test_with_many_draws_of_a_normal_law_kernels_come_near_the_exact_density(windows):
    scores = evaluate(_KnowsItsDensity(windows, 0.5), windows, n=800)
    assert scores.kernel_nll == pytest.approx(scores.nll, abs=0.15)


def test_a_forecaster_without_chance_scores_the_same_by_every_best(windows):
    scores = evaluate(ConstantVelocity(), windows, n=1)
    assert scores.ade == scores.best_ade == scores.scene_ade == scores.ade_of_mean
    assert scores.fde == scores.best_fde == scores.best_fde_same == scores.scene_fde == scores.scene_fde_same
    assert scores.kernel_nll is scores.inside_half is scores.spread is scores.nll is None


def test_errors_are_ordered_as_their_definitions_say(windows):
    scores = evaluate(TurnedVelocity(), windows, n=20)
    assert scores.best_ade <= scores.scene_ade <= scores.ade
    assert scores.best_fde <= scores.best_fde_same and scores.scene_fde <= scores.scene_fde_same
    assert scores.best_fde <= scores.scene_fde <= scores.fde


def test_scores_do_not_depend_on_which_windows_are_scored_together(windows, monkeypatch):
    whole = evaluate(TurnedVelocity(), windows, n=4)
    monkeypatch.setattr("embodied_gen.forecasting.scores._PAIRS", 1)
    assert_same(evaluate(TurnedVelocity(), windows, n=4), whole)


FORECASTERS = {
    "standing": Standing,
    "constant velocity": ConstantVelocity,
    "line": Line,
    "turned velocity": TurnedVelocity,
    "linear Gaussian": lambda: LinearGaussian.fit(windows_of([crowd(6, 60)], SOCIAL_GAN)),
    "learned": lambda: DenseForecaster(predictor_of(MIXTURE), neighbours=NEIGHBOURS),
    "representatives": lambda: Representatives(TurnedVelocity(), draws=3),
    "joint": lambda: JointForecaster(TurnedVelocity(), candidates=4, radius=0.5),
    "joint and learned": lambda: JointForecaster(AgentForecaster(predictor_of(MIXTURE), neighbours=NEIGHBOURS)),
}


@pytest.mark.parametrize("name", FORECASTERS)
def test_scores_do_not_depend_on_the_order_of_pedestrians(name, windows):
    order = torch.cat(
        [torch.arange(b - 1, a - 1, -1) for a, b in zip(windows.starts[:-1], windows.starts[1:], strict=True)]
    )
    turned = dataclasses.replace(windows, tracks=windows.tracks[order], valid=windows.valid[order])
    forecaster = FORECASTERS[name]()
    assert_same(*(evaluate(forecaster, w, n=3) for w in (windows, turned)))


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_forecast_does_not_depend_on_the_order_of_pedestrians(name):
    forecaster, seen, order = FORECASTERS[name](), observed(), torch.tensor([2, 0, 3, 1])
    turned = Observed(seen.tracks[:, order], seen.present[:, order])
    here = seen.present[:, order][:, None, :, None, None]
    one, other = (forecaster.forecast(s, 3, generator=draws.generator(5)) for s in (seen, turned))
    torch.testing.assert_close(other * here, one[:, :, order] * here, rtol=1e-12, atol=1e-12)


def test_a_forecast_does_not_move_with_the_future(windows):
    """What is given to a forecaster is cut out before."""
    seen = []

    class Remembers:
        def forecast(self, observed, n, *, generator):
            seen.append(observed.tracks)
            return ConstantVelocity().forecast(observed, n, generator=generator)

    later = windows.tracks.clone()
    later[:, OBSERVED:] += 7.0
    for tracks in (windows.tracks, later):
        evaluate(Remembers(), dataclasses.replace(windows, tracks=tracks), n=1)
    half = len(seen) // 2
    assert all(a.equal(b) for a, b in zip(seen[:half], seen[half:], strict=True))
    assert all(tracks.shape[2] == OBSERVED for tracks in seen)


@pytest.mark.parametrize(
    ("forecast", "sentence"),
    [
        (lambda s, n: torch.zeros(len(s.tracks), n, 1, 12, 2), r"must have shape \(B, n, A, 12, 2\) = "),
        (lambda s, n: torch.full((*s.present.shape[:1], n, s.present.shape[1], 12, 2), torch.nan), "must be finite"),
    ],
)
def test_wrong_forecasts_are_refused(windows, forecast, sentence):
    class Wrong:
        def forecast(self, observed, n, *, generator):
            return forecast(observed, n)

    with pytest.raises(ValueError, match=sentence):
        evaluate(Wrong(), windows, n=2)
    with pytest.raises(ValueError, match="n must be at least 1; got 0"):
        evaluate(Wrong(), windows, n=0)


def test_a_row_survives_json_and_the_mean_counts_every_scene_once(windows):
    small = windows_of([recording([(0, 22)])], ALONE_TOO)
    rows = [Row(name, "p", "f", evaluate(TurnedVelocity(), w, n=2)) for name, w in (("a", windows), ("b", small))]
    assert [row_of(json.loads(json.dumps(row.plain()))) for row in rows] == rows
    *same, mean = with_means(rows)
    assert same == rows and mean.scene == "mean"
    assert mean.scores.ade == pytest.approx((rows[0].scores.ade + rows[1].scores.ade) / 2)
    assert mean.scores.tracks == len(windows.tracks) + len(small.tracks) and mean.scores.draws == 2
    lines = markdown([*same, mean]).splitlines()
    assert len(lines) == 5 and len({line.count("|") for line in lines}) == 1


def test_every_score_has_a_documented_meaning():
    text = Scores.__doc__
    assert all(field.name in text for field in dataclasses.fields(Scores))
