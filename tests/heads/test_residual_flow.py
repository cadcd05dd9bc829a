"""The series of residual flows: unbiased, as normflows', and in the limit the determinant."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.heads.flows import First, Geometric, Poisson, Residual
from embodied_gen.heads.flows import residual as module
from embodied_gen.nets import LipschitzMLP

pytestmark = pytest.mark.usefixtures("double")
TRUNCATIONS = {"first": First(60), "geometric": Geometric(2, 0.7), "poisson": Poisson(2, 2.0)}


def layer(truncation=None, lipschitz=0.8):
    net = LipschitzMLP(horizon=2, channels_in=2, channels_out=2, context=1, width=32, lipschitz=lipschitz)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return Residual(net, truncation=truncation)


def batch(rows=1):
    return torch.randn(rows, 2, 2), torch.randn(rows, 1)


@pytest.mark.parametrize("name", TRUNCATIONS)
def test_values_and_gradients_are_unbiased(name):
    flow, calls = layer(TRUNCATIONS[name]), 300
    x, c = (part.expand(16, *part.shape[1:]) for part in batch())
    _, exact = flow.normalise(x[:1], c[:1])
    weights = list(flow.net.parameters())
    options = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
    truth = torch.autograd.grad(exact[0], weights, **options)
    values, slopes = [], []
    for call in range(calls):
        told = flow.estimate(x, c, generator=draws.generator(1, call))[1].mean()
        values.append(told.detach())
        slopes.append(torch.autograd.grad(told, weights, **options))
    told = torch.stack(values)
    assert told.std() > 0
    assert abs((told.mean() - exact[0]).item()) < 4 * told.std().item() / math.sqrt(calls)
    for parts, expected in zip(zip(*slopes, strict=True), truth, strict=True):
        several = torch.stack(parts)
        error = (several.mean(0) - expected).norm()
        assert error < 4 * (several - several.mean(0)).square().sum().sqrt() / calls + 1e-9


def test_the_series_is_that_of_normflows():
    theirs = pytest.importorskip("normflows.flows.residual")
    flow = layer()
    x, c = batch(5)
    probe = draws.signs(x.shape, generator=draws.generator(1), like=x)
    x, g = flow._with_graph(x, c)
    mine, _ = module._series(g, x, probe, [1.0] * 7)
    torch.testing.assert_close(mine, theirs.basic_logdet_estimator(g, x, 7, probe, lambda k: 1.0, False))


@settings(max_examples=20)
@given(st.integers(1, 5), st.floats(0, 0.9), st.floats(0.1, 8), st.integers(0, 1000))
def test_weights_of_terms_are_one_in_the_mean(terms, more, mean, seed):
    cells = 5_000
    for truncation in (Geometric(terms, more), Poisson(terms, mean)):
        drawn = [truncation.weights(generator=draws.generator(seed, k)) for k in range(20)]
        assert all(weights[:terms] == [1.0] * terms for weights in drawn)
        every = [truncation.further((cell + 0.5) / cells) for cell in range(cells)]
        for term in range(max(map(len, every))):
            taken = [weights[term] for weights in every if len(weights) > term]
            # A step of the share is between two cells: what is lost or added is one weight at most.
            assert sum(taken) == pytest.approx(cells, abs=max(taken))


@pytest.mark.parametrize("terms", [1, 2, 5])
def test_a_short_series_has_the_mean_of_its_terms(terms):
    flow, rows = layer(First(terms)), 4000
    x, c = batch()
    whole = torch.autograd.functional.jacobian(lambda v: flow.normalise(v, c)[0] - v, x).view(4, 4)
    expected = sum((-1) ** (k + 1) / k * whole.matrix_power(k).trace().item() for k in range(1, terms + 1))
    x, c = (part.expand(rows, *part.shape[1:]) for part in (x, c))
    _, told = flow.estimate(x, c, generator=draws.generator(1))
    assert abs(told.mean().item() - expected) < 4 * told.std().item() / math.sqrt(rows)


def test_the_way_back_converges_as_fast_as_promised():
    flow = layer(lipschitz=0.9)
    x, c = batch(20)
    z, _ = flow.normalise(x, c)
    errors = []
    for iterations in (5, 10, 20):
        flow.iterations = iterations
        errors.append((flow.generate(z, c) - x).flatten(1).norm(dim=1).max().item())
    first = (z - x).flatten(1).norm(dim=1).max().item()
    for error, iterations in zip(errors, (5, 10, 20), strict=True):
        assert error <= 0.9**iterations * first / (1 - 0.9)
    assert errors[2] < errors[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_stop_where_they_stop_to_move_and_end_where_all_terms_lead(dtype):
    flow = layer(lipschitz=0.4).to(dtype)
    (z, c), calls = (part.to(dtype) for part in batch(20)), []
    whole = z
    for _ in range(flow.iterations):
        whole = z - flow._g(whole, c)
    flow.net.register_forward_hook(lambda *_: calls.append(1))
    found = flow.generate(z, c)
    assert 1 < len(calls) < flow.iterations
    torch.testing.assert_close(found, whole, rtol=0, atol=8 * torch.finfo(dtype).eps * whole.abs().max().item())
    alone = torch.cat([flow.generate(z[i : i + 1], c[i : i + 1]) for i in range(20)])
    torch.testing.assert_close(alone, found, rtol=0, atol=8 * torch.finfo(dtype).eps * whole.abs().max().item())
    calls.clear()
    flow.generate(z.requires_grad_(), c)  # derivatives settle later
    assert len(calls) == flow.iterations


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Geometric(0), "terms must be at least 1 and more lie in .*; got 0 and 0.65"),
        (lambda: Geometric(2, 1.0), "got 2 and 1.0"),
        (lambda: Poisson(2, 0.0), "terms must be at least 1 and mean positive; got 2 and 0.0"),
    ],
)
def test_impossible_truncations_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
