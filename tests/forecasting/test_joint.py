"""Joint forecasts: the law that is drawn from, against enumeration, and the laws of forecasters."""

from itertools import product

import pytest
import torch
from crowds import crowd, observed
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.forecasting.baselines import ConstantVelocity, TurnedVelocity
from embodied_gen.forecasting.check import check_forecaster
from embodied_gen.forecasting.collisions import colliding
from embodied_gen.forecasting.forecaster import Observed
from embodied_gen.forecasting.joint import JointForecaster
from embodied_gen.forecasting.scores import evaluate
from embodied_gen.forecasting.windows import PREDICTED, SOCIAL_GAN, windows_of

RADIUS = 0.3


class Given:
    """The same m futures of each pedestrian again and again."""

    def __init__(self, futures):
        self.futures = futures  # (A, m, 12, 2)

    def forecast(self, observed, n, *, generator):
        agents, m = self.futures.shape[:2]
        return self.futures.transpose(0, 1).repeat(n // m, 1, 1, 1).expand(len(observed.tracks), n, agents, -1, -1)


def narrow(seed, agents=3, m=3):
    """Straight ways of people who cross in a small place, so that many of them collide."""
    like = torch.zeros((), dtype=torch.float64)
    ends = draws.normal((2, agents, m, 1, 2), generator=draws.generator(seed), like=like)
    return ends[0] + torch.linspace(0, 1, PREDICTED).double()[:, None] * (ends[1] - ends[0])


def enumerated(futures, strength):
    """Probability of every choice of candidates, by its number of colliding pairs."""
    agents, m = futures.shape[:2]
    logs = {}
    for choice in product(range(m), repeat=agents):
        paths = torch.stack([futures[agent, number] for agent, number in enumerate(choice)])
        pairs = [(a, b) for a in range(agents) for b in range(a)]
        both = torch.ones(1, 2, PREDICTED, dtype=torch.bool)
        hits = sum(bool(colliding(paths[None, None, list(pair)], both, RADIUS).any()) for pair in pairs)
        logs[choice] = -strength * hits
    return dict(zip(logs, torch.tensor(list(logs.values())).double().softmax(0).tolist(), strict=True))


def scene(agents):
    return Observed(torch.zeros(1, agents, 8, 2).double(), torch.ones(1, agents, dtype=torch.bool))


@pytest.mark.parametrize(("seed", "strength"), [(0, 0.0), (0, 1.0), (1, 8.0)])
def test_choices_are_drawn_from_the_product_of_candidates_times_what_collisions_cost(seed, strength):
    futures, n = narrow(seed), 2000
    law = enumerated(futures, strength)
    assert len(set(law.values())) > 1 or strength == 0  # some choices collide
    joint = JointForecaster(Given(futures), candidates=3, sweeps=30, strength=strength, radius=RADIUS)
    found = joint.forecast(scene(3), n, generator=draws.generator(seed))[0]
    numbers = (found[:, :, None] == futures[None]).flatten(3).all(-1).double().argmax(-1)
    for choice, probability in law.items():
        share = float((numbers == torch.tensor(choice)).all(1).double().mean())
        assert abs(share - probability) < 5 * (probability * (1 - probability) / n) ** 0.5 + 5e-3, choice


@given(st.integers(0, 99))
@settings(max_examples=5, deadline=None)
def test_collisions_are_rarer_than_in_the_products_of_candidates(seed):
    futures = narrow(seed, m=4)
    there = torch.ones(1, 3, PREDICTED, dtype=torch.bool)

    def share(strength):
        joint = JointForecaster(Given(futures), candidates=4, sweeps=4, strength=strength, radius=RADIUS)
        found = joint.forecast(scene(3), 200, generator=draws.generator(seed))
        return float(colliding(found, there, RADIUS).double().mean())

    assert share(8.0) <= share(0.0) + 0.05


def test_the_laws_of_forecasters_hold():
    check_forecaster(JointForecaster(TurnedVelocity(), candidates=3), observed())


def drawn(seen, n=5, seed=5):
    streams = [draws.generator(seed, scene) for scene in range(len(seen.tracks))]
    return JointForecaster(TurnedVelocity(), candidates=4, radius=0.5).forecast(seen, n, generator=streams)


def test_the_order_of_pedestrians_changes_no_forecast():
    seen, order = observed(), torch.tensor([2, 0, 3, 1])
    turned = Observed(seen.tracks[:, order], seen.present[:, order])
    here = seen.present[:, order][:, None, :, None, None]
    torch.testing.assert_close(drawn(turned) * here, drawn(seen)[:, :, order] * here)


def test_a_forecast_does_not_depend_on_the_scenes_beside_it():
    seen = observed(scenes=5)
    alone = Observed(seen.tracks[3:4], seen.present[3:4])
    joint = JointForecaster(TurnedVelocity(), candidates=4, radius=0.5)
    found = joint.forecast(alone, 5, generator=[draws.generator(5, 3)])
    torch.testing.assert_close(found, drawn(seen)[3:4])


def test_who_is_not_there_changes_no_forecast():
    seen = observed()
    moved = torch.where(seen.present[..., None, None], seen.tracks, seen.tracks[:, :1])
    here = seen.present[:, None, :, None, None]
    torch.testing.assert_close(drawn(Observed(moved, seen.present)) * here, drawn(seen) * here)


def test_forecasts_of_a_crowd_collide_less_and_err_no_more():
    windows = windows_of([crowd(6, 30)], SOCIAL_GAN)
    plain = evaluate(TurnedVelocity(), windows, n=20)
    joint = evaluate(JointForecaster(TurnedVelocity()), windows, n=20)
    assert joint.collision < plain.collision / 2
    assert joint.joint_ade < 1.1 * plain.joint_ade


def test_a_forecast_without_chance_stays_what_it_is():
    seen = observed()
    here = seen.present[:, None, :, None, None]
    plain = ConstantVelocity().forecast(seen, 3, generator=draws.generator(0))
    joint = JointForecaster(ConstantVelocity()).forecast(seen, 3, generator=draws.generator(0))
    torch.testing.assert_close(joint * here, plain * here)


@pytest.mark.parametrize(
    ("wrong", "got"),
    [({"candidates": 0}, "0, 4"), ({"sweeps": 0}, "10, 0"), ({"strength": -1.0}, "-1.0"), ({"radius": 0.0}, "and 0.0")],
)
def test_numbers_out_of_range_are_named(wrong, got):
    with pytest.raises(ValueError, match=rf"strength at least 0 and radius positive; got .*{got}"):
        JointForecaster(ConstantVelocity(), **wrong)
