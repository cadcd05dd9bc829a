"""What is scored of a learned forecaster, and forecasters that remember."""

from pathlib import Path

import pytest
import torch
from crowds import crowd, observed

from embodied_gen import draws, experiment
from embodied_gen.forecasting.answers import Remembered, forecasters
from embodied_gen.forecasting.baselines import TurnedVelocity
from embodied_gen.forecasting.forecaster import HasDensity, Observed
from embodied_gen.forecasting.windows import SOCIAL_GAN, windows_of

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("eth_ucy_*.yaml"))
EXACT = {"mixture", "mixture_one_size", "spline", "recurrent", "words", "closed_loop"}


def learned_of(path):
    """An untrained predictor, and what draws by it."""
    config = experiment.read(path)
    windows = windows_of([crowd(3, 30)], SOCIAL_GAN)
    predictor = experiment.build(config, config.control.examples(windows, config.data))
    return predictor, config.control.forecaster(predictor)


def asked_of(path, n):
    predictor, drawn = learned_of(path)
    return forecasters(drawn, predictor.head, n=n)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem.removeprefix("eth_ucy_"))
def test_a_family_has_a_density_where_it_is_exact_and_one_answer_without_chance(path):
    family, found = path.stem.removeprefix("eth_ucy_"), asked_of(path, 5)
    if family == "regression":
        assert [(name, n) for name, (_, n) in found.items()] == [("answer", 1)]
        return
    assert [(name, n) for name, (_, n) in found.items()] == [("draws", 5), ("representatives", 5), ("joint draws", 5)]
    assert [isinstance(forecaster, HasDensity) for forecaster, _ in found.values()] == [family in EXACT, False, False]


def test_a_regression_that_draws_around_its_estimate_is_scored_by_its_draws():
    predictor, drawn = learned_of(CONFIGS[[path.stem for path in CONFIGS].index("eth_ucy_regression")])
    predictor.head.temperature = 1.0
    assert list(forecasters(drawn, predictor.head, n=5)) == ["draws", "representatives", "joint draws"]


class _Counted:
    """Turned velocities, and how often they were asked for."""

    def __init__(self):
        self.asked = 0

    def forecast(self, seen, n, *, generator):
        self.asked += 1
        return TurnedVelocity().forecast(seen, n, generator=generator)


def test_the_same_scenes_are_drawn_once_and_others_anew():
    counted, seen = _Counted(), observed()
    remembered = Remembered(counted)
    first = remembered.forecast(seen, 4, generator=draws.generator(0))
    assert torch.equal(first, TurnedVelocity().forecast(seen, 4, generator=draws.generator(0)))
    again = Observed(seen.tracks.clone(), seen.present.clone())
    assert torch.equal(remembered.forecast(again, 4, generator=draws.generator(1)), first) and counted.asked == 1
    absent = seen.present.clone()
    absent[0, 0] = False
    walls = torch.zeros(len(seen.tracks), 1, 2, 2)
    turned = Observed(seen.tracks.flip(0), seen.present)
    for other in (Observed(seen.tracks, absent), Observed(seen.tracks, seen.present, walls), turned):
        remembered.forecast(other, 4, generator=draws.generator(0))
    remembered.forecast(seen, 5, generator=draws.generator(0))
    assert counted.asked == 5


def test_representatives_and_joint_draws_are_made_of_the_same_draws():
    (predictor, drawn), seen = learned_of(CONFIGS[0]), observed()
    found = forecasters(drawn, predictor.head, n=2)
    few, joint = (found[name][0].forecast(seen, 2, generator=draws.generator(3)) for name in list(found)[1:])
    other = forecasters(drawn, predictor.head, n=2)["representatives"][0]
    assert torch.equal(other.forecast(seen, 2, generator=draws.generator(3)), few)
    many = found["draws"][0].forecast(seen, 20, generator=draws.generator(3))
    apart = (joint.unsqueeze(2) - many.unsqueeze(1)).abs().amax((-2, -1)).amin(2)
    assert (apart * seen.present.unsqueeze(1) == 0).all()
