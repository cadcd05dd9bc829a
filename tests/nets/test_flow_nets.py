"""Networks with a quality of their own: masked, monotone, Lipschitz."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.nets import LipschitzMLP, MaskedMLP, MonotoneMLP
from embodied_gen.nets.lipschitz import spectral_bound

SIZES = {"horizon": 3, "channels_in": 2, "context": 2}
BUILD = {
    "masked": lambda: MaskedMLP(**SIZES, channels_out=6, width=30, depth=2),
    "monotone": lambda: MonotoneMLP(**SIZES, channels_out=4, block=5, depth=2),
    "lipschitz": lambda: LipschitzMLP(**SIZES, channels_out=2, width=20, depth=2, lipschitz=0.7),
}


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def moved(kind, size=0.3):
    net = BUILD[kind]()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return net


def inputs(rows=4):
    return torch.randn(rows, 3, 2), torch.rand(rows), torch.randn(rows, 2)


def jacobian(net, x, t, c, part=slice(None)):
    return torch.autograd.functional.jacobian(lambda v: net(v[None], t[:1], c[:1])[0][..., part], x[0])


def test_masked_outputs_read_the_entries_before_theirs_and_all_of_them():
    net, (x, t, c) = moved("masked"), inputs()
    for number in range(3):
        own = jacobian(net, x, t, c, slice(2 * number, 2 * number + 2)).view(6, 6)
        assert (own.triu() == 0).all()
        assert (own[torch.ones(6, 6).tril(-1).bool()] != 0).all()


def test_monotone_outputs_rise_in_their_own_entry_with_the_slopes_told():
    net, (x, t, c) = moved("monotone"), inputs()
    values = jacobian(net, x, t, c, slice(0, 2)).view(6, 6)
    assert (values.triu(1) == 0).all()
    assert (values[torch.ones(6, 6).tril(-1).bool()] != 0).all()
    torch.testing.assert_close(values.diagonal().log(), net(x, t, c)[0, :, 2:].flatten())


def test_monotone_entries_that_are_read_one_by_one_are_those_that_are_read_at_once():
    net, (x, t, c) = moved("monotone"), inputs()
    values, log_slopes = (part.flatten(1) for part in net(x, t, c).split(2, -1))
    prefix = net.start(t, c)
    for i, entry in enumerate(x.flatten(1).unbind(1)):
        net.step(entry + 1, prefix)  # what is tried leaves nothing behind
        value, log_slope = net.step(entry, prefix)
        torch.testing.assert_close(value, values[:, i], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(log_slope, log_slopes[:, i], rtol=1e-12, atol=1e-12)
        prefix = net.extend(entry, prefix)


@settings(max_examples=15)
@given(st.floats(0.1, 30))
def test_slopes_far_out_keep_their_digits(size):
    net = moved("monotone", size=1.0)
    x, t, c = inputs()
    told = net(size * x, t, c)[..., 2:]
    assert told.isfinite().all()


@settings(max_examples=25)
@given(st.integers(0, 1000), st.floats(0.01, 20), st.floats(1e-4, 30))
def test_two_inputs_are_never_further_apart_at_the_output(seed, size, distance):
    torch.manual_seed(seed)
    net, (x, t, c) = moved("lipschitz", size), inputs(30)
    other = x + distance * torch.randn_like(x)
    apart = (net(x, t, c) - net(other, t, c)).flatten(1).norm(dim=1)
    assert (apart <= 0.7 * (x - other).flatten(1).norm(dim=1) * (1 + 1e-9)).all()


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000), st.floats(-8, 8))
def test_the_bound_of_the_norm_is_close_and_from_above(rows, columns, seed, exponent):
    g = torch.Generator().manual_seed(seed)
    weight = 10**exponent * torch.randn(rows, columns, generator=g)
    ratio = (spectral_bound(weight) / torch.linalg.matrix_norm(weight, 2)).item()
    assert 1 - 1e-9 <= ratio <= 1.04


@pytest.mark.parametrize("shape", [(8, 8), (64, 16), (128, 128)])
def test_the_bound_is_the_same_under_autocast(shape):
    for seed in range(5):
        weight = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            bound = spectral_bound(weight)
        assert (bound / torch.linalg.matrix_norm(weight, 2)).item() >= 1 - 1e-6
        assert bound.item() == spectral_bound(weight).item()


def test_the_worst_matrix_for_the_bound_is_orthogonal():
    weight, _ = torch.linalg.qr(torch.randn(128, 128))
    assert 1 < spectral_bound(weight).item() <= 128 ** (1 / 256) * (1 + 1e-9)


@pytest.mark.parametrize("kind", BUILD)
def test_rows_do_not_see_each_other_and_time_and_context_are_read(kind):
    net, (x, t, c) = moved(kind), inputs()
    whole = net(x, t, c)
    torch.testing.assert_close(net(x[2:3], t[2:3], c[2:3]), whole[2:3])
    for other in (net(x, (t + 0.3) % 1, c), net(x, t, -c)):
        assert not torch.allclose(other, whole)
    for entry in range(6):  # the first entry too, which of x reads nothing
        assert not torch.allclose(net(x, t, -c).flatten(1)[:, entry], whole.flatten(1)[:, entry])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaskedMLP(**SIZES, channels_out=5), "channels_out must be a multiple of channels_in=2.*; got 5"),
        (lambda: MonotoneMLP(**SIZES, channels_out=2), r"channels_out must be 2 \* channels_in = 4.*; got 2"),
        (lambda: LipschitzMLP(**SIZES, channels_out=2, lipschitz=1.0), "strictly between 0 and 1; got 1.0"),
        (lambda: MonotoneMLP(**SIZES, channels_out=4, block=0), "block must be >= 1; got 0"),
    ],
)
def test_impossible_networks_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
