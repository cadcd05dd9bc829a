"""Densities agree with their samples, and samples with their parts."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.grounds.densities import Angle, Density, Free, Label, Scale
from embodied_gen.grounds.shapes import Checkerboard, EightGaussians, Pinwheel, TwoMoons

SHAPES = [EightGaussians(), TwoMoons(), Checkerboard(), Pinwheel()]
CONDITIONS = [Free(), Angle(), Scale(), Label()]
CLOSED = [EightGaussians(), Checkerboard()]


def name(thing):
    return type(thing).__name__


def some(density, rows, seed=0):
    stream = draws.generator(seed)
    c = density.contexts(rows, generator=stream)
    return c, density.sample(c, generator=stream)


@pytest.mark.parametrize("condition", CONDITIONS, ids=name)
@pytest.mark.parametrize("shape", CLOSED, ids=name)
def test_a_closed_density_integrates_to_one_for_every_context(shape, condition):
    density = Density(shape, condition)
    assert density.closed
    axis = (torch.arange(600) + 0.5) / 600 * 3 - 1.5
    y = torch.cartesian_prod(axis, axis)
    for c in density.contexts(3, generator=draws.generator(1)):
        mass = density.log_density(y, c.expand(len(y), -1)).exp().sum() * (3 / 600) ** 2
        assert float(mass) == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize("condition", CONDITIONS, ids=name)
@pytest.mark.parametrize("shape", CLOSED, ids=name)
def test_samples_have_the_entropy_of_the_density(shape, condition):
    """The mean of -log p over samples against the integral of -p log p, for one context."""
    density = Density(shape, condition)
    c = density.contexts(1, generator=draws.generator(2))
    rows = c.expand(20_000, -1)
    drawn = density.log_density(density.sample(rows, generator=draws.generator(3)), rows)
    axis = (torch.arange(400) + 0.5) / 400 * 3 - 1.5
    y = torch.cartesian_prod(axis, axis)
    log_p = density.log_density(y, c.expand(len(y), -1))
    entropy = -torch.special.xlogy(log_p.exp(), log_p.exp()).sum() * (3 / 400) ** 2
    assert float(-drawn.mean()) == pytest.approx(float(entropy), abs=0.05)


@pytest.mark.parametrize("shape", SHAPES, ids=name)
def test_points_belong_to_the_part_that_they_were_drawn_from(shape):
    part = torch.arange(shape.parts).repeat_interleave(2000)
    u = shape.draw(part, generator=draws.generator(0), like=torch.zeros(()))
    assert (shape.part_of(u) == part).double().mean() > 0.99
    assert u.abs().max() < 1.5
    assert (shape.part_of(torch.tensor([[0.0, 0.0], [4.0, 4.0], [-9.0, 1.0]]))[1:] == -1).all()


@pytest.mark.parametrize("shape", [EightGaussians(), TwoMoons(), Pinwheel()], ids=name)
def test_what_lies_between_the_parts_is_stray(shape):
    angle = math.pi / 5 + math.e / 4  # half-way between two arms, at their middle
    between = {
        "EightGaussians": [0.0, 0.0],
        "TwoMoons": [0.0, 0.8],
        "Pinwheel": [0.45 * math.cos(angle), 0.45 * math.sin(angle)],
    }
    assert shape.part_of(torch.tensor(between[name(shape)])) == -1


@pytest.mark.parametrize("condition", CONDITIONS, ids=name)
@pytest.mark.parametrize("shape", SHAPES, ids=name)
def test_samples_cover_the_parts_of_their_context_equally(shape, condition):
    density = Density(shape, condition)
    c, y = some(density, 8000)
    part = density.part_of(y, c)
    weights = condition.log_weights(c, shape.parts).exp()
    assert weights.sum(1) == pytest.approx(torch.ones(len(c)), abs=1e-5)
    assert (part >= 0).double().mean() > 0.995
    counts, due = torch.bincount(part[part >= 0], minlength=shape.parts), weights.sum(0)
    assert ((counts - due).abs() < 5 * due.sqrt()).all()


@pytest.mark.parametrize("shape", SHAPES, ids=name)
def test_a_label_excludes_the_other_half(shape):
    density = Density(shape, Label())
    c, y = some(density, 2000)
    part = density.part_of(y, c)
    assert (part[part >= 0] % 2 == c[part >= 0, 1]).all()
    assert (density.part_of(y, 1 - c) == -1).double().mean() > 0.98, "arms of a pinwheel touch near the middle"


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_undoing_a_condition_leaves_the_point(seed):
    stream = draws.generator(seed)
    u = draws.normal((5, 2), generator=stream, like=torch.zeros((), dtype=torch.float64))
    for condition in CONDITIONS:
        c = condition.contexts(5, generator=stream).double()
        assert condition.undo(condition.apply(u, c), c) == pytest.approx(u, abs=1e-9)
        jacobian = torch.func.vmap(torch.func.jacrev(lambda p, k, a=condition: a.apply(p[None], k[None])[0]))(u, c)
        assert jacobian.det().abs().log() == pytest.approx(condition.log_volume(c), abs=1e-9)


def test_a_row_does_not_depend_on_its_neighbours():
    density = Density(Pinwheel(), Angle())
    c = density.contexts(4, generator=draws.generator(0))
    together = density.sample(c, generator=[draws.generator(i) for i in range(4)])
    alone = density.sample(c[2:3], generator=[draws.generator(2)])
    assert torch.equal(together[2:3], alone)


def test_an_open_density_is_refused_by_name():
    density = Density(TwoMoons(), Free())
    assert not density.closed
    with pytest.raises(ValueError, match="density of TwoMoons is not closed"):
        density.log_density(torch.zeros(1, 2), torch.zeros(1, 1))


def test_densities_are_in_the_unit_of_area():
    """A checkerboard is one over its area, and half of the size has four times the density."""
    density = Density(Checkerboard(), Scale())
    c = torch.tensor([[1.0], [0.5]])
    y = density.condition.apply(torch.tensor([[-0.9, -0.9]]).expand(2, 2), c)
    assert density.log_density(y, c).exp() == pytest.approx([0.5, 2.0])
    assert density.log_density(torch.tensor([[-0.9, -0.4]]), torch.ones(1, 1)) == -math.inf
