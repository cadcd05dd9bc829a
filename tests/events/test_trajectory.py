import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embodied_gen.events import Trajectory

BOUNDS = st.lists(
    st.tuples(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    min_size=1,
    max_size=4,
)


def wide(bounds, horizon=3):
    """In float64, where laws hold to many digits."""
    low, high = zip(*bounds, strict=True)
    return Trajectory(horizon, low, high).double()


@settings(max_examples=50, deadline=None)
@given(BOUNDS, st.integers(1, 5), st.data())
def test_units_are_converted_there_and_back(bounds, horizon, data):
    event = wide(bounds, horizon)
    x = torch.from_numpy(data.draw(arrays(float, (2, horizon, len(bounds)), elements=st.floats(-5, 5))))
    torch.testing.assert_close(event.scale(event.unscale(x)), x, rtol=1e-9, atol=1e-6)
    y = event.unscale(x)
    torch.testing.assert_close(event.unscale(event.scale(y)), y, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(event.decode(event.encode(y)), y, rtol=1e-9, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(BOUNDS)
def test_bounds_are_one_in_model_units_and_their_middle_is_zero(bounds):
    event = wide(bounds)
    for y, x in ((event.low, -1), (event.high, 1), (event.centre, 0)):
        torch.testing.assert_close(event.scale(y), torch.full_like(y, x), rtol=1e-9, atol=1e-6)
    assert (event.half_width > 0).all()


@settings(max_examples=50, deadline=None)
@given(BOUNDS, st.floats(0, 1))
def test_conversion_is_affine(bounds, share):
    event = wide(bounds)
    y, other = torch.randn(2, 2, 3, len(bounds), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    between = share * y + (1 - share) * other
    torch.testing.assert_close(
        event.scale(between), share * event.scale(y) + (1 - share) * event.scale(other), rtol=1e-9, atol=1e-9
    )


def test_conversion_takes_any_leading_axes():
    event = wide([(-1, 3), (0, 10)])
    y = torch.randn(2, 5, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.equal(event.scale(y)[1, 2], event.scale(y[1, 2]))


def test_bounds_of_data_are_its_extremes_in_each_channel():
    values = torch.randn(50, 4, 3, generator=torch.Generator().manual_seed(2)) * torch.tensor([1.0, 10.0, 0.1])
    event = Trajectory.from_data(values)
    assert event.shape == (4, 3)
    torch.testing.assert_close(event.low, values.amin((0, 1)))
    torch.testing.assert_close(event.high, values.amax((0, 1)))
    x = event.encode(values)
    torch.testing.assert_close(x.amin((0, 1)), -torch.ones(3))
    torch.testing.assert_close(x.amax((0, 1)), torch.ones(3))


@pytest.mark.parametrize("constant", [0.0, 3.0, -1000.0])
def test_a_constant_channel_maps_to_zero(constant):
    values = torch.randn(20, 4, 2, generator=torch.Generator().manual_seed(2))
    values[..., 1] = constant
    event = Trajectory.from_data(values)
    assert event.low[1] == constant - 1 and event.high[1] == constant + 1
    assert (event.encode(values)[..., 1] == 0).all()
    torch.testing.assert_close(event.decode(event.encode(values)), values)


def test_a_channel_that_is_constant_but_for_rounding_counts_as_constant():
    values = torch.full((20, 4, 1), 1000.0)
    values[0] = torch.nextafter(values[0], torch.tensor(2000.0))
    event = Trajectory.from_data(values)
    assert event.encode(values).abs().max() < 1e-3


def batch(rows=6):
    return torch.randn(2, rows, 4, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def event():
    return wide([(-1, 1), (0, 10), (-3, 5)], horizon=4)


def test_the_error_is_the_mean_squared_difference_over_valid_steps():
    x_hat, x = batch()
    torch.testing.assert_close(event().error(x_hat, x), (x_hat - x).square().mean((1, 2)))
    valid = torch.rand(6, 4, generator=torch.Generator().manual_seed(4)) < 0.5
    valid[0] = True
    error = event().error(x_hat, x, valid)
    for row in range(6):
        kept = valid[row]
        expected = (x_hat[row][kept] - x[row][kept]).square().mean() if kept.any() else torch.zeros(()).double()
        torch.testing.assert_close(error[row], expected)
    torch.testing.assert_close(error[0], event().error(x_hat, x)[0])


def test_the_error_is_zero_at_equality_only_and_symmetric():
    x_hat, x = batch()
    assert (event().error(x, x) == 0).all()
    assert (event().error(x_hat, x) > 0).all()
    torch.testing.assert_close(event().error(x_hat, x), event().error(x, x_hat))


def test_padding_has_no_influence_and_no_gradient():
    x_hat, x = batch()
    valid = torch.ones(6, 4, dtype=torch.bool)
    valid[:, 2:] = False
    other = x.clone()
    other[:, 2:] = 1e6
    assert torch.equal(event().error(x_hat, x, valid), event().error(x_hat, other, valid))
    x_hat.requires_grad_()
    (gradient,) = torch.autograd.grad(event().error(x_hat, x, valid).sum(), x_hat)
    assert (gradient[:, 2:] == 0).all() and (gradient[:, :2] != 0).all()


def test_an_example_that_is_all_padding_has_no_error_and_a_finite_gradient():
    x_hat, x = batch()
    x_hat.requires_grad_()
    error = event().error(x_hat, x, torch.zeros(6, 4, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(error.sum(), x_hat)
    assert (error == 0).all() and (gradient == 0).all()


def test_bounds_are_saved_and_move_with_the_event():
    saved = Trajectory(4, [-1.0, 0.0], [1.0, 5.0])
    restored = Trajectory(4, [0.0, 0.0], [1.0, 1.0])
    restored.load_state_dict(saved.state_dict())
    assert torch.equal(restored.low, saved.low) and torch.equal(restored.high, saved.high)
    assert torch.equal(restored.half_width, saved.half_width)
    assert copy.deepcopy(saved).double().low.dtype == torch.float64
    assert not list(saved.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, [0.0], [1.0]), "horizon must be at least 1; got 0"),
        ((2, [0.0, 1.0], [1.0]), r"one entry for each of the 2 channels; got shapes \(2,\) and \(1,\)"),
        ((2, [0.0, 1.0], [1.0, 1.0]), "low must be below high in every channel; .*constant channel"),
        ((2, [0.0, float("nan")], [1.0, 1.0]), "low must be below high"),
    ],
)
def test_impossible_trajectories_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Trajectory(*arguments)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), (2, 4, 2), (1, 2, 4, 3)])
def test_a_wrong_shape_is_named(shape):
    value = torch.zeros(shape)
    for call, name in ((event().encode, "value"), (event().decode, "x"), (event().check, "x")):
        with pytest.raises(ValueError, match=rf"{name} must have shape \(B, 4, 3\)") as error:
            call(value)
        assert f"got {shape}" in str(error.value)
