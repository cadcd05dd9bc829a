"""Laws of normalizing flows, over every kind of layer."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.autograd.functional import jacobian

from embodied_gen import draws
from embodied_gen.heads import FlowHead, Guide, HasLatent, HasLogProb, LatentChain, check_head
from embodied_gen.heads.flows import (
    Affine,
    BlockAutoregressive,
    Continuous,
    Coupling,
    First,
    MaskedAutoregressive,
    Planar,
    Residual,
    Spline,
    alternating,
    planar,
)
from embodied_gen.heads.flows.root import increasing_root
from tests.heads.analytic import Constant, unit_event
from tests.heads.flow_families import CONTEXT, EVERY, FAMILIES, Shape, batch, flow, noise

pytestmark = pytest.mark.usefixtures("double")


@EVERY
def test_log_determinants_are_those_of_the_jacobians_and_inverses_undo(family):
    head = flow(family)
    x, c = batch(4, head)
    for layer in head.layers:
        tolerance = 1e-5 if isinstance(layer, Continuous) else 1e-7  # of steps forth and back
        z, log_det = layer.normalise(x, c)
        for row in range(2):
            own = c[row : row + 1]
            forth = jacobian(lambda v, layer=layer, own=own: layer.normalise(v[None], own)[0][0], x[row])
            back = jacobian(lambda v, layer=layer, own=own: layer.generate(v[None], own)[0], z[row].detach())
            forth, back = forth.view(6, 6), back.view(6, 6)
            assert torch.linalg.slogdet(forth)[1].item() == pytest.approx(log_det[row].item(), abs=tolerance)
            torch.testing.assert_close(back @ forth, torch.eye(6), rtol=0, atol=tolerance)
        torch.testing.assert_close(layer.generate(z, c), x, rtol=0, atol=tolerance)
        x = z.detach()


@EVERY
def test_push_inverts_what_the_density_reads_in_single_precision_too(family):
    torch.set_default_dtype(torch.float32)
    head = flow(family)
    z, c = (part.float() for part in batch(20, head))
    x = head.push(z, c)
    assert isinstance(head, HasLogProb) and isinstance(head, HasLatent) and x.dtype == torch.float32
    torch.testing.assert_close(noise(head, x, c), z, rtol=0, atol=1e-4)


def test_the_way_back_of_a_block_autoregressive_layer_reads_entries_and_never_whole_events():
    head, calls = flow("bnaf"), []
    layer = head.layers[0]
    x, c = batch(5, head)
    z, _ = layer.normalise(x, c)
    layer.net.register_forward_hook(lambda *_: calls.append(1))
    torch.testing.assert_close(layer.generate(z, c), x, rtol=0, atol=1e-9)
    assert not calls


@EVERY
def test_densities_integrate_to_one(family):
    head = flow(family, 1, 2, moved=0.1)
    axis = torch.linspace(-5, 5, 81)
    x = torch.cartesian_prod(axis, axis).view(-1, 1, 2)
    c = batch(1, head)[1].expand(len(x), -1)
    with torch.no_grad():
        total = head.log_prob(x, c).exp().sum() * (axis[1] - axis[0]) ** 2
    assert total.item() == pytest.approx(1, abs=2e-2 if "spline" in family else 3e-3)  # a spline's density has kinks


@EVERY
def test_the_contract_is_kept_in_double_precision(family):
    head = flow(family, 1, 2)
    head.chain = LatentChain(4, steps=1, iterations=1)
    head.layers = head.layers[: 2 if family in ("coupling", "spline") else 1]  # as many as move every entry
    check_head(head, *batch(3, head))


def banana(rows, seed):
    """x_1 ~ N(c_1, 0.3), x_2 ~ N(x_1^2 + c_2, 0.1), and the mean of its log-density, -1.18."""
    noise = draws.normal((rows, 2), generator=draws.generator(seed, 0), like=torch.zeros(()))
    c = 0.5 * draws.normal((rows, CONTEXT), generator=draws.generator(seed, 1), like=torch.zeros(()))
    first = c[:, 0] + 0.3 * noise[:, 0]
    x = torch.stack([first, first.square() + c[:, 1] + 0.1 * noise[:, 1]], 1).unsqueeze(1)
    return x, c, -(1 + math.log(2 * math.pi * 0.03))


# Equations and series take a minute to learn from.
LEARNERS = [
    pytest.param(family, marks=[pytest.mark.slow] if family in ("residual", "continuous", "iaf") else [])
    for family in FAMILIES
    if family != "maf_spline"
]


# How far from the truth, nat: four planes bend little, and three residual layers stretch by no more than 1.8 each.
SHORT = {"planar": 1.2, "residual": 1.2}


@pytest.mark.parametrize("family", LEARNERS)
def test_training_learns_a_density_and_its_context(family):
    torch.set_default_dtype(torch.float32)
    head = flow(family, 1, 2, moved=0.0)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    steps = 120
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        x, c, _ = banana(128, step)
        optimizer.zero_grad()
        head.loss(x.float(), c.float(), generator=draws.generator(step)).mean().backward()
        optimizer.step()
        schedule.step()
    x, c, best = banana(2000, 999)
    with torch.no_grad():
        reached = head.log_prob(x.float(), c.float()).mean().item()
        lost = head.log_prob(x.float(), c.flip(0).float()).mean().item()
    assert best - SHORT.get(family, 0.6) < reached < best + 0.15
    assert lost < reached - 1  # another context's events are not likely


def normal_flow():
    """A flow without a bend: x ~ N(0.2, 0.5^2) in each entry."""
    head = FlowHead(unit_event(2), Shape(1, 2).couplings(Affine(), 2), chain=LatentChain(64, steps=60))
    with torch.no_grad():
        head.mean.fill_(0.2)
    return head


def test_guided_draws_tend_to_the_exact_conditional():
    head, goal, scale = normal_flow(), 0.9, 6.0
    guide = Guide(cost=lambda y: (y - goal).square().flatten(2).sum(2) / 2, scale=scale)
    x = head.sample(torch.zeros(5, CONTEXT), 100, generator=draws.generator(1), guide=guide)
    precision = 1 / 0.5**2 + scale
    truth = stats.norm((0.2 / 0.5**2 + scale * goal) / precision, precision**-0.5)
    for entry in x.flatten(0, 2).T:
        assert stats.kstest(entry.numpy(), truth.cdf).pvalue > 0.01


def test_constrained_draws_tend_to_the_cut_off_density_and_are_certified():
    head = normal_flow()
    guide = Guide(margins=lambda y: y[..., 0, :1] - 0.7)
    told = head.certified(torch.zeros(5, CONTEXT), 100, generator=draws.generator(1), guide=guide)
    assert told.feasible.all()
    first, second = told.x.flatten(0, 2).T.numpy()
    assert stats.kstest(first, stats.truncnorm(1.0, math.inf, 0.2, 0.5).cdf).pvalue > 0.01
    assert stats.kstest(second, stats.norm(0.2, 0.5).cdf).pvalue > 0.01


@settings(max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(2, 7))
def test_masks_move_every_entry_in_two_layers_and_use_every_axis(shape, layers):
    if math.prod(shape) < 2:
        return
    masks = alternating(tuple(shape), layers)
    assert len(masks) == layers
    for first, second in itertools.islice(itertools.pairwise(masks), 0, None, 2):
        assert torch.equal(first, ~second) and first.any() and not first.all()
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    varied = {tuple(axis for axis in axes if (mask != mask.roll(1, axis)).any()) for mask in masks}
    assert len(varied) == min(len(axes), (layers + 1) // 2)


@settings(max_examples=50)
@given(st.floats(-5, 5), st.floats(0.001, 3), st.floats(0.5, 40), st.floats(0.0, 5))
def test_roots_are_found_whatever_the_slope(where, slope, sharpness, height):
    def function(x):
        bend = (sharpness * (x - where)).tanh()
        return slope * (x - where) + height * bend, slope + height * sharpness * (1 - bend.square())

    low, high = torch.tensor([-6.0, where - 1e-3]), torch.tensor([9.0, where + 50])
    torch.testing.assert_close(increasing_root(function, low, high, iterations=40), torch.full((2,), where))


def test_a_coupling_moves_as_zukos():
    transforms = pytest.importorskip("zuko.transforms")
    head = flow("coupling")
    layer = head.layers[0]
    x, c = batch(7, head)
    kept, moved = (layer.mask == keep for keep in (True, False))

    def meta(known):
        full = torch.zeros_like(x).masked_scatter(kept.expand_as(x), known)
        raw = layer.net(full, x.new_full((7,), layer.time), c).unflatten(-1, (2, -1)).transpose(-1, -2)
        log_scale = 3 * (raw[..., 0] / 3).tanh()
        affine = torch.distributions.AffineTransform(raw[..., 1][:, moved], log_scale.exp()[:, moved])
        return transforms.DependentTransform(affine, 1)

    theirs = transforms.CouplingTransform(meta, kept.flatten())
    z, log_det = layer.normalise(x, c)
    torch.testing.assert_close(z.flatten(1), theirs(x.flatten(1)))
    torch.testing.assert_close(log_det, theirs.log_abs_det_jacobian(x.flatten(1), theirs(x.flatten(1))))


@pytest.mark.parametrize("family", ["maf", "iaf"])
def test_autoregressive_layers_are_zukos(family):
    transforms = pytest.importorskip("zuko.transforms")
    head = flow(family)
    layer = head.layers[0]
    x, c = batch(7, head)

    def meta(v):
        raw = layer.net(v.view_as(x), x.new_full((7,), layer.time), c).unflatten(-1, (2, -1)).transpose(-1, -2)
        scale = (3 * (raw[..., 0] / 3).tanh()).exp().flatten(1)
        return transforms.DependentTransform(
            torch.distributions.AffineTransform(raw[..., 1].flatten(1), scale), reinterpreted=1
        )

    theirs = transforms.AutoregressiveTransform(meta, passes=6)
    z, log_det = layer.normalise(x, c)
    flat = x.flatten(1)
    if family == "maf":
        torch.testing.assert_close(z.flatten(1), theirs(flat))
        torch.testing.assert_close(log_det, theirs.log_abs_det_jacobian(flat, None))
        torch.testing.assert_close(layer.generate(x, c).flatten(1), theirs.inv(flat))
    else:
        torch.testing.assert_close(z.flatten(1), theirs.inv(flat))
        torch.testing.assert_close(log_det, -theirs.log_abs_det_jacobian(z.flatten(1), None))
        torch.testing.assert_close(layer.generate(x, c).flatten(1), theirs(flat))


def test_a_planar_layer_is_that_of_normflows(monkeypatch):
    flows = pytest.importorskip("normflows.flows")
    monkeypatch.setattr(planar, "LEAST", 0.0)
    layer = Planar((2, 3), Constant(2, 9))
    with torch.no_grad():
        layer.net.output.copy_(0.1 * torch.randn(2, 9))
    w = (layer.start[..., 0] + layer.net.output[:, :3]).detach()
    u = (layer.start[..., 1] + layer.net.output[:, 3:6]).detach()
    theirs = flows.Planar((2, 3), u=u[None], w=w[None], b=layer.net.output[:, 6:].mean().view(1).detach())
    x = torch.randn(5, 2, 3)
    z, log_det = layer.normalise(x, torch.zeros(5, 0))
    expected, expected_det = theirs(x)
    torch.testing.assert_close(z, expected)
    torch.testing.assert_close(log_det, expected_det)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.1, 30))
def test_planar_layers_are_invertible_whatever_their_directions(seed, size):
    g = draws.generator(seed)
    layer = Planar((1, 3), Constant(1, 9))
    with torch.no_grad():
        layer.net.output.copy_(size * draws.normal((1, 9), generator=g, like=torch.zeros(())))
    x = draws.normal((8, 1, 3), generator=g, like=torch.zeros(()))
    z, log_det = layer.normalise(x, torch.zeros(8, 0))
    assert log_det.isfinite().all()
    torch.testing.assert_close(layer.generate(z, torch.zeros(8, 0)), x, rtol=1e-6, atol=1e-6)


def test_a_block_layer_reaches_far_and_comes_back():
    # A bounded network alone would not reach these; the share of x itself does.
    head = flow("bnaf", 1, 2)
    z = torch.tensor([[[60.0, -80.0]], [[-40.0, 100.0]], [[0.0, 0.0]]])
    c = torch.zeros(3, CONTEXT)
    x = head.push(z, c)
    torch.testing.assert_close(noise(head, x, c), z)


def test_log_scales_stay_within_their_limit():
    raw = torch.tensor([[1e6, 0.0], [-1e6, 0.0], [0.5, 1.0]])
    value, log_slope = Affine(2.0).forward(torch.ones(3), raw)
    torch.testing.assert_close(log_slope[:2], torch.tensor([2.0, -2.0]))
    torch.testing.assert_close(Affine(2.0).inverse(value, raw), torch.ones(3))


SMALL = Shape(1, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FlowHead(unit_event(2), []), "a flow must have at least one layer; got none"),
        (lambda: alternating((1, 1), 4), r"at least two entries and two layers; got the event \(1, 1\) and 4"),
        (lambda: alternating((3, 2), 1), r"got the event \(3, 2\) and 1 layers"),
        (lambda: Coupling(SMALL.mlp(2), Affine(), torch.ones(1, 2).bool()), "keep some entries and move others"),
        (lambda: MaskedAutoregressive(SMALL.mlp(2), Affine()), "autoregressive; got ResidualMLP.*net.kind to masked"),
        (lambda: BlockAutoregressive((1, 2), SMALL.mlp(2)), "monotone; got ResidualMLP.*Set net.kind to monotone"),
        (lambda: Residual(SMALL.mlp(1)), "contracting; got ResidualMLP.*Set net.kind to lipschitz"),
        (lambda: Residual(SMALL.lipschitz(), iterations=0), "iterations must be at least 1; got 0"),
        (lambda: Affine(0.0), "limit must be positive; got 0.0"),
        (lambda: Spline(1), "bins must lie between 2 and 64; got 1"),
        (lambda: Spline(4, -1.0), "bound must be positive; got -1.0"),
        (lambda: First(0), "terms must be at least 1; got 0"),
    ],
)
def test_impossible_flows_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_network_of_a_wrong_width_is_named():
    head = FlowHead(unit_event(2), [Planar((1, 2), SMALL.mlp(2))])
    with pytest.raises(ValueError, match=r"must return shape \(4, 1, 6\); got \(4, 1, 4\)\. .* 3 channels for each"):
        head.log_prob(torch.zeros(4, 1, 2), torch.zeros(4, CONTEXT))
