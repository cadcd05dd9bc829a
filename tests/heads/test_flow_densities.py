"""Densities of whole flows: against zuko's with the same weights, against autograd, and estimates of them."""

import pytest
import torch
from torch import distributions
from torch.autograd.functional import jacobian

from embodied_gen import draws
from embodied_gen.heads.flows import Continuous, Coupling, InverseAutoregressive, Reverse, Spline, spline
from embodied_gen.heads.ode import Fixed
from tests.heads.flow_families import CONTEXT, EVERY, Shape, batch, flow, noise

pytestmark = pytest.mark.usefixtures("double")


# --- Against zuko ------------------------------------------------------------------------------------------------


def elementwise(transforms, transform, raw):
    """Zuko's map of entries `(M, n)` with our free numbers `(M, n, numbers)`."""
    if isinstance(transform, Spline):
        at = spline.knots(raw, transform.bound)
        bins = at.x.shape[-1] - 1
        theirs = transforms.MonotonicRQSTransform(*(torch.zeros(k) for k in (bins, bins, bins - 1)))
        theirs.horizontal, theirs.vertical, theirs.derivatives = at
        return transforms.DependentTransform(theirs, 1)
    scale = (transform.limit * (raw[..., 0] / transform.limit).tanh()).exp()
    return transforms.DependentTransform(distributions.AffineTransform(raw[..., 1], scale), 1)


def zukos(transforms, layer, c, shape):
    """The layer as one of zuko's on flattened events of a shape, with our network for its weights."""
    size = shape[0] * shape[1]
    if isinstance(layer, Reverse):
        return transforms.PermutationTransform(torch.arange(size).flip(0))

    def raw(known):
        output = layer.net(known.view(-1, *shape), known.new_full((len(known),), layer.time), c)
        return output.unflatten(-1, (layer.transform.numbers, -1)).transpose(-1, -2).flatten(1, 2)

    if isinstance(layer, Coupling):
        kept = layer.mask.flatten()

        def given(known):
            full = known.new_zeros(len(known), size).masked_scatter(kept.expand(len(known), -1), known)
            return elementwise(transforms, layer.transform, raw(full)[:, ~kept])

        return transforms.CouplingTransform(given, kept)
    theirs = transforms.AutoregressiveTransform(lambda x: elementwise(transforms, layer.transform, raw(x)), size)
    return theirs.inv if isinstance(layer, InverseAutoregressive) else theirs


@pytest.mark.parametrize("family", ["coupling", "spline", "maf", "maf_spline", "iaf"])
def test_the_density_of_a_flow_is_zukos_with_the_same_weights(family):
    transforms = pytest.importorskip("zuko.transforms")
    zuko = pytest.importorskip("zuko.distributions")
    head = flow(family)
    x, c = batch(7, head)
    deviation = head.log_deviation.exp().flatten()
    standard = transforms.DependentTransform(
        distributions.AffineTransform(-head.mean.flatten() / deviation, 1 / deviation), 1
    )
    whole = transforms.ComposedTransform(
        standard, *(zukos(transforms, layer, c, head.event.shape) for layer in head.layers)
    )
    theirs = zuko.NormalizingFlow(whole, distributions.Independent(distributions.Normal(torch.zeros(7, 6), 1.0), 1))
    torch.testing.assert_close(head.log_prob(x, c), theirs.log_prob(x.flatten(1)))
    u = draws.normal((7, 6), generator=draws.generator(3), like=x)
    torch.testing.assert_close(head.push(u.view_as(x), c).flatten(1), whole.inv(u))


# --- Against autograd --------------------------------------------------------------------------------------------


@EVERY
def test_the_density_of_a_flow_is_that_of_the_change_of_variables(family):
    head = flow(family)
    x, c = batch(3, head)
    for row in range(3):
        own = c[row : row + 1]
        moved = jacobian(lambda v, own=own: noise(head, v[None], own)[0], x[row]).view(6, 6)
        z = noise(head, x[row : row + 1], own)
        expected = distributions.Normal(0.0, 1.0).log_prob(z).sum() + torch.linalg.slogdet(moved)[1]
        told = head.log_prob(x[row : row + 1], own)[0]
        assert told.item() == pytest.approx(expected.item(), abs=1e-5 if family == "continuous" else 1e-7)


# --- Estimates ---------------------------------------------------------------------------------------------------


def continuous():
    layer = Continuous(Shape(2, 2).mlp(1), solver=Fixed(3), training_solver=Fixed(3), roughness=0.0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return layer


def test_hutchinsons_estimate_over_all_probes_is_the_exact_log_determinant_and_so_is_its_gradient(monkeypatch):
    layer = continuous()
    every = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4).view(-1, 2, 2)
    monkeypatch.setattr(draws, "signs", lambda shape, *, generator, like: every)
    x, c = torch.randn(1, 2, 2), torch.randn(1, CONTEXT)
    many = x.expand(16, -1, -1), c.expand(16, -1)
    z, told = layer.estimate(*many, generator=draws.generator(0))
    expected_z, expected = layer.normalise(x, c)
    torch.testing.assert_close(z, expected_z.expand(16, -1, -1))
    torch.testing.assert_close(told.mean(), expected[0])
    assert told.std() > 0.05
    ours, exact = (torch.autograd.grad(value, list(layer.parameters())) for value in (told.mean(), expected[0]))
    for mine, truth in zip(ours, exact, strict=True):
        torch.testing.assert_close(mine, truth)


def test_hutchinsons_estimate_of_drawn_probes_is_the_exact_log_determinant_in_the_mean():
    layer = continuous()
    x, c = torch.randn(1, 2, 2).expand(2000, -1, -1), torch.randn(1, CONTEXT).expand(2000, -1)
    with torch.no_grad():
        _, told = layer.estimate(x, c, generator=draws.generator(1))
        _, exact = layer.normalise(x[:1], c[:1])
    assert abs(told.mean() - exact[0]) < 4 * told.std() / 2000**0.5 and told.std() > 0.05
