"""Contexts are standardised histories, laid flat and confined."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen.encoder import MapEncoder, StateEncoder

MEAN, DEVIATION = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([2.0, 0.5, 1.0])


@given(st.integers(1, 4), st.integers(1, 5))
def test_it_standardises_each_channel_and_lays_the_history_flat(history, rows):
    encoder = StateEncoder(history, MEAN, DEVIATION)
    standard = torch.randn(rows, history, 3)
    context = encoder(standard * DEVIATION + MEAN)
    assert encoder.width == 3 * history and context.shape == (rows, 3 * history)
    torch.testing.assert_close(context, standard.reshape(rows, -1), rtol=1e-4, atol=1e-4)


def test_standardised_demonstrations_have_mean_zero_and_deviation_one():
    data = torch.randn(500, 3) * DEVIATION + MEAN
    encoder = StateEncoder(1, data.mean(0), data.std(0, correction=0))
    context = encoder(data[:, None])
    torch.testing.assert_close(context.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(context.std(0, correction=0), torch.ones(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("value", [1e3, -1e30, float("inf")])
def test_what_lies_far_outside_is_confined(value):
    encoder = StateEncoder(1, MEAN, DEVIATION)
    context = encoder(torch.full((1, 1, 3), value))
    assert context.abs().eq(10).all()


@pytest.mark.parametrize("constant", [0.0, 3.0, -1e6, 1e-9])
def test_a_constant_channel_is_only_centred_whatever_its_rounding(constant):
    data = torch.full((100, 1), constant)
    deviation = data.std(0, correction=0) + 1e-8 * abs(constant)
    encoder = StateEncoder(1, data.mean(0), deviation)
    assert encoder.deviation.tolist() == [1.0]
    torch.testing.assert_close(encoder(data[:1, None] + 0.5), torch.tensor([[0.5]]), atol=0.1, rtol=0)


def test_a_small_channel_that_does_move_is_standardised():
    data = 1e-4 * torch.randn(1000, 1)
    encoder = StateEncoder(1, data.mean(0), data.std(0, correction=0))
    assert encoder(data[:, None]).std() == pytest.approx(1, rel=1e-2)


@pytest.mark.parametrize("shape", [(5, 3), (5, 1, 3), (5, 2, 4), (5, 2, 3, 1)])
def test_another_shape_is_named(shape):
    with pytest.raises(
        ValueError, match=r"observations must have shape \(B, 2, 3\); got \(5, .*Give a history of 2 flat"
    ):
        StateEncoder(2, MEAN, DEVIATION)(torch.zeros(shape))


def test_a_history_holds_one_observation_or_more():
    with pytest.raises(ValueError, match="history must be at least 1; got 0"):
        StateEncoder(0, MEAN, DEVIATION)


def test_statistics_are_saved_with_the_weights():
    assert set(StateEncoder(2, MEAN, DEVIATION).state_dict()) == {"mean", "deviation"}


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
def test_a_map_and_two_places_are_unfolded_as_they_were_laid_flat(layers, rows, columns, batch):
    stack, places = torch.rand(batch, layers, rows, columns), torch.rand(batch, 4)
    seen = torch.cat([stack.flatten(1), places], 1).unsqueeze(1)
    c = MapEncoder(layers, rows, columns, layers - 1, seen.shape[-1])(seen)
    assert c["layers"][:, :-1].equal(stack) and (c["layers"][:, -1] == 1).all()
    assert c["blocked"].equal(stack[:, -1] > 0.5)
    assert torch.cat([c["start"], c["goal"]], 1).equal(places)
    assert "blocked" not in MapEncoder(layers, rows, columns, None, seen.shape[-1])(seen)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MapEncoder(2, 3, 4, None, 24), "2 layers of 3 x 4 cells, a start and a goal has 28 numbers; got 24"),
        (lambda: MapEncoder(2, 3, 4, 2, 28), "obstacle must be one of the 2 layers, counted from 0; got 2"),
        (lambda: MapEncoder(2, 3, 4, None, 28)(torch.zeros(2, 28)), r"must have shape \(B, 1, 28\); got \(2, 28\)"),
    ],
)
def test_maps_that_do_not_fit_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
