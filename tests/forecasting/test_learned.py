"""Learned forecasters: the laws of forecasters, exactly where they can be, for every config of ETH and UCY."""

import math
from pathlib import Path

import pytest
import torch
from crowds import NEIGHBOURS, crowd, learned_of, observed, predictor_of
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws, experiment
from embodied_gen.events import Path as PathEvent
from embodied_gen.events import Walk
from embodied_gen.forecasting.check import check_forecaster, check_no_leak
from embodied_gen.forecasting.forecaster import HasDensity, Observed
from embodied_gen.forecasting.frames import moving_frames_of
from embodied_gen.forecasting.learned import AgentForecaster, DenseForecaster, log_volume
from embodied_gen.forecasting.scores import observed_of
from embodied_gen.forecasting.windows import SOCIAL_GAN, Part, windows_of
from embodied_gen.heads import HasLogProb, RegressionHead

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("eth_ucy_*.yaml"))
DENSE = [path for path in CONFIGS if path.stem.removeprefix("eth_ucy_") in ("mixture", "spline", "recurrent", "words")]
every = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem.removeprefix("eth_ucy_"))
dense = pytest.mark.parametrize("path", DENSE, ids=lambda path: path.stem.removeprefix("eth_ucy_"))


def forecaster_of(path):
    predictor, control = learned_of(path)
    return (
        AgentForecaster(predictor, neighbours=NEIGHBOURS)
        if control.kind == "forecast"
        else control.forecaster(predictor)
    )


def drawn(forecaster, seen, n=3, seed=5):
    streams = [draws.generator(seed, scene) for scene in range(len(seen.tracks))]
    return forecaster.forecast(seen, n, generator=streams)


@every
def test_the_laws_of_forecasters_hold(path):
    check_forecaster(forecaster_of(path), observed())


@every
def test_no_future_frame_moves_a_forecast(path):
    forecaster, windows = forecaster_of(path), windows_of([crowd(3, 22)], SOCIAL_GAN)
    part = next(windows.parts(100))

    def forecasts(tracks):
        return drawn(forecaster, observed_of(Part(part.numbers, tracks.view(part.tracks.shape), part.valid)))

    check_no_leak(forecasts, part.tracks.flatten(0, 1))


@every
def test_the_order_of_pedestrians_changes_no_forecast(path):
    forecaster, seen = forecaster_of(path), observed()
    order = torch.tensor([2, 0, 3, 1])
    turned = Observed(seen.tracks[:, order], seen.present[:, order])
    here = seen.present[:, order][:, None, :, None, None]
    torch.testing.assert_close(drawn(forecaster, turned) * here, drawn(forecaster, seen)[:, :, order] * here)


@every
def test_a_forecast_does_not_depend_on_the_scenes_beside_it(path):
    forecaster, seen = forecaster_of(path), observed(scenes=5)
    alone = Observed(seen.tracks[3:4], seen.present[3:4])
    found = forecaster.forecast(alone, 3, generator=[draws.generator(5, 3)])
    torch.testing.assert_close(found, drawn(forecaster, seen)[3:4])


@every
def test_who_is_not_there_changes_no_forecast(path):
    forecaster, seen = forecaster_of(path), observed()
    moved = torch.where(seen.present[..., None, None], seen.tracks, seen.tracks - 40.0)
    here = seen.present[:, None, :, None, None]
    other = drawn(forecaster, Observed(moved, seen.present))
    torch.testing.assert_close(other * here, drawn(forecaster, seen) * here)


@dense
def test_a_density_does_not_depend_on_where_and_how_the_world_lies_or_who_is_absent(path):
    forecaster, seen = DenseForecaster(predictor_of(path), neighbours=NEIGHBOURS), observed()
    future = drawn(forecaster, seen, 1)[:, 0]
    turn = torch.tensor([[math.cos(1.0), math.sin(1.0)], [-math.sin(1.0), math.cos(1.0)]], dtype=torch.float64)
    log = forecaster.log_density(seen, future)
    turned = Observed(seen.tracks @ turn + 3, seen.present)
    torch.testing.assert_close(forecaster.log_density(turned, future @ turn + 3), log, rtol=1e-6, atol=1e-6)
    moved = torch.where(seen.present[..., None, None], future, future + 1)
    torch.testing.assert_close(forecaster.log_density(seen, moved), log)
    assert isinstance(forecaster, HasDensity) and not isinstance(forecaster_of(path), HasDensity)


@given(st.floats(0.2, 5.0))
@settings(max_examples=5, deadline=None)
def test_the_same_in_steps_that_are_longer_is_less_dense_by_the_volume(factor):
    predictor, seen = predictor_of(DENSE[0]), observed()
    event, x = predictor.head.event, torch.full((3, 4, 12, 2), 0.1).double()

    def log_density():
        future = moving_frames_of(seen.tracks).outwards(event.unscale(x))
        return DenseForecaster(predictor, neighbours=NEIGHBOURS).log_density(seen, future)

    before = log_density()
    event.step_low, event.step_high = factor * event.step_low, factor * event.step_high
    torch.testing.assert_close(log_density(), before - 24 * math.log(factor) * seen.present.sum(1).double())


def test_volumes_are_products_of_scales():
    walk = Walk(3, [-1.0, -1.0], [1.0, 1.0], [-0.5, -0.2], [0.5, 0.2]).double()
    assert log_volume(walk) == pytest.approx(3 * math.log(0.5 * 0.2))
    path = PathEvent(3, [-4.0], [4.0], [-0.5], [0.5])
    assert log_volume(path) == pytest.approx(math.log(4.0) + 2 * math.log(0.5))


def test_one_generator_for_all_scenes_will_do():
    forecaster, seen = forecaster_of(DENSE[0]), observed()
    one, again = (forecaster.forecast(seen, 2, generator=draws.generator(3)) for _ in range(2))
    assert one.equal(again) and not one[0].equal(one[2])


def test_a_head_without_a_density_is_named():
    predictor = predictor_of(next(path for path in CONFIGS if path.stem.endswith("flow_matching")))
    assert not isinstance(predictor.head, HasLogProb)
    with pytest.raises(ValueError, match="DenoisingHead has no log_prob; make an AgentForecaster of it instead"):
        DenseForecaster(predictor, neighbours=NEIGHBOURS)


def test_families_of_single_pedestrians_differ_in_their_heads_alone():
    configs = [experiment.read(path).model_dump() for path in CONFIGS]
    assert {c["name"] for c in configs if c["control"]["kind"] != "forecast"} == {"eth-ucy-joint", "eth-ucy-set"}
    shared = {
        config["name"]: {name: block for name, block in config.items() if name not in ("name", "head")}
        for config in configs
        if config["control"]["kind"] == "forecast"
    }
    usual, game, further = shared["eth-ucy-mixture"], shared.pop("eth-ucy-gan"), shared.pop("eth-ucy-closed-loop")
    one_size = shared.pop("eth-ucy-mixture-one-size")
    assert all(config == usual for config in shared.values())
    assert game == usual | {"train": usual["train"] | {"rate": 3e-4, "momentum": 0.0}}  # as games are learned
    assert one_size == usual | {"data": usual["data"] | {"sizes": (1.0,)}}
    assert further["start_from"] == "runs/eth-ucy-words"
    own = {"steps": 500, "rate": 2e-4, "warmup": 50, "average": 0.99}
    assert further == usual | {"start_from": further["start_from"], "train": usual["train"] | own}
    heads = [type(predictor_of(path).head) for path in CONFIGS]
    assert len(set(heads)) >= 5 and RegressionHead in heads
