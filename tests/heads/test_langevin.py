"""Langevin chains against closed forms."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from embodied_gen import draws
from embodied_gen.heads import langevin as module
from embodied_gen.heads.langevin import langevin

pytestmark = pytest.mark.usefixtures("double")


def normal(mean, deviation):
    return lambda z: (((z - mean) / deviation) ** 2).flatten(1).sum(1) / 2


def spread(rows, seed=0, shape=(1,)):
    return draws.normal((rows, *shape), generator=draws.generator(seed), like=torch.zeros(()))


def fixed(potential, z, length, steps, seed=1):
    """A chain whose step does not change; also gives the mean acceptance."""
    stream, total = draws.generator(seed), 0.0
    state = module._look(potential, z, None)
    for _ in range(steps):
        state, probability = module._move(potential, state, z.new_full((len(z),), length), None, stream)
        total += probability.mean().item()
    return state.z, total / steps


def unadjusted(potential, z, length, steps, seed=1):
    stream = draws.generator(seed)
    for _ in range(steps):
        slope = module._look(potential, z, None).slope
        z = z - length * slope + math.sqrt(2 * length) * draws.normal(z.shape, generator=stream, like=z)
    return z


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (2.0, 0.1), (-1.0, 3.0)])
def test_rows_come_to_lie_as_the_normal_says(mean, deviation):
    z = langevin(normal(mean, deviation), spread(3000), generator=draws.generator(1), steps=200).flatten()
    assert stats.kstest(z.numpy(), stats.norm(mean, deviation).cdf).pvalue > 0.01


def test_rows_come_to_lie_as_a_correlated_normal_says():
    precision = torch.tensor([[4.0, 1.8], [1.8, 1.0]])
    z = langevin(
        lambda z: (z @ precision * z).sum(1) / 2, spread(4000, shape=(2,)), generator=draws.generator(1), steps=200
    )
    torch.testing.assert_close(z.T.cov(), precision.inverse(), rtol=0.1, atol=0.05)


def test_a_density_without_a_normals_tails_is_met_too():
    z = langevin(lambda z: (z**4).sum(1), spread(4000), generator=draws.generator(1), steps=150).flatten()
    assert stats.kstest(z.numpy(), stats.gennorm(4).cdf).pvalue > 0.01


def test_a_fixed_step_leaves_the_target_and_without_the_correction_it_does_not():
    # Unadjusted, a normal of deviation s has the variance s^2 / (1 - h / (2 s^2)): twice s^2 for h = s^2.
    start = 0.5 * spread(4000)
    adjusted, _ = fixed(normal(0.0, 0.5), start, 0.25, 20)
    assert stats.kstest(adjusted.flatten().numpy(), stats.norm(0, 0.5).cdf).pvalue > 0.01
    raw = unadjusted(normal(0.0, 0.5), start, 0.25, 20)
    assert raw.var().item() == pytest.approx(0.5, rel=0.1)
    steep, _ = fixed(normal(0.0, 0.1), 0.1 * start, 0.1, 20)
    assert steep.abs().max() < 1
    assert unadjusted(normal(0.0, 0.1), 0.1 * start, 0.1, 20).abs().max() > 1e6


def test_single_steps_are_as_often_made_forth_as_back():
    # Detailed balance: for starts drawn from the target, (z, z') and (z', z) have one distribution.
    z = 0.5 * spread(40_000)
    after, _ = fixed(normal(0.0, 0.5), z, 0.2, 1)
    here, there = z.flatten() > 0.3, after.flatten() > 0.3
    forth, back = (here & ~there).sum().item(), (~here & there).sum().item()
    assert abs(forth - back) < 4 * math.sqrt(forth + back)
    # A lopsided set of places: the third moment of the moves vanishes as well.
    moved = (after - z).flatten()
    assert abs((moved**3).mean().item()) < 4 * (moved**3).std().item() / 200


@pytest.mark.parametrize("deviation", [0.01, 1.0, 30.0])
def test_the_step_finds_the_share_of_acceptances(deviation):
    z = deviation * spread(3000, shape=(20,))
    before, after = (
        langevin(normal(0.0, deviation), z, generator=draws.generator(1), steps=steps) for steps in (80, 81)
    )
    share = (before != after).any(1).double().mean().item()  # rows that moved in the last step
    assert share == pytest.approx(module.ACCEPTED, abs=0.05)


def test_each_row_has_a_step_of_its_own():
    deviation = torch.tensor([0.01, 1.0, 30.0]).repeat_interleave(1000)[:, None]
    z = langevin(normal(0.0, deviation), deviation * spread(3000), generator=draws.generator(1), steps=150)
    for part in (z / deviation).view(3, -1):
        assert stats.kstest(part.numpy(), stats.norm.cdf).pvalue > 0.01


@settings(max_examples=15)
@given(st.floats(-3, 3), st.sampled_from([1.0, 1e3, 1e6]), st.integers(0, 99))
def test_no_strength_makes_rows_diverge(centre, scale, seed):
    start = spread(20, seed, shape=(3, 2))

    def potential(z):
        return z.square().flatten(1).sum(1) / 2 + scale * (z - centre).square().flatten(1).sum(1)

    z = langevin(potential, start, generator=draws.generator(seed))
    assert z.isfinite().all() and z.abs().max() <= 2 * max(abs(centre), start.abs().max().item(), 2.0)
    assert potential(z).mean() <= potential(start).mean() + 6  # a chain may rise to the target's own energy, 3 nat


def test_bounds_are_kept_and_cut_the_density_off():
    z = langevin(normal(0.0, 1.0), spread(4000).clamp(-1, 1), generator=draws.generator(1), steps=60, bound=1.0)
    assert z.abs().max() <= 1
    assert stats.kstest(z.flatten().numpy(), stats.truncnorm(-1, 1).cdf).pvalue > 0.01


def test_impossible_places_are_left_and_never_entered():
    def half(z):
        return torch.where(z[:, 0] > 0, z[:, 0], torch.nan)

    outside, inside = spread(500).abs() * -0.3, spread(500).abs()
    z = langevin(half, torch.cat([outside, inside]), generator=draws.generator(1), steps=100).flatten()
    assert (z[500:] > 0).all()
    assert (z[:500] > 0).double().mean() > 0.9


def test_a_potential_without_a_slope_is_walked_by_noise_alone():
    start = spread(100)
    z = langevin(lambda z: torch.zeros(len(z)), start, generator=draws.generator(1), steps=5)
    assert not torch.equal(z, start) and z.isfinite().all()
    assert torch.equal(langevin(normal(0.0, 1.0), start, generator=draws.generator(1), steps=0), start)


def test_rows_of_a_context_do_not_depend_on_the_other_contexts():
    start = spread(6, shape=(4,))
    streams = lambda: [draws.generator(1, i) for i in range(3)]  # noqa: E731
    together = langevin(normal(0.5, 0.2), start, generator=streams())
    alone = langevin(normal(0.5, 0.2), start[4:], generator=streams()[2:])
    torch.testing.assert_close(together[4:], alone)
    assert not together.requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "steps must be at least 0 and step positive; got -1 and 0.1"),
        ({"step": 0.0}, "got 30 and 0.0"),
        ({"bound": 0.0}, "bound must be positive or None; got 0.0"),
    ],
)
def test_impossible_chains_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        langevin(normal(0.0, 1.0), spread(3), generator=draws.generator(0), **options)


def test_a_potential_of_a_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"must have shape \(3,\), one number for each row; got \(\)"):
        langevin(lambda z: z.sum(), spread(3), generator=draws.generator(0))
