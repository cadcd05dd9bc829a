"""Who comes too close, against dense sampling and shapely."""

import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.forecasting.collisions import closest, colliding, moment_of_closest

LIKE = torch.zeros(1, dtype=torch.float64)


def walks(seed, *shape):
    return draws.normal((*shape, 2), generator=draws.generator(seed), like=LIKE).cumsum(-2)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_smallest_distance_is_that_of_the_relative_path_from_the_origin(seed):
    apart = walks(seed, 5)
    expected = shapely.LineString(apart.tolist()).distance(shapely.Point(0, 0))
    found = closest(apart, torch.ones(5, dtype=torch.bool))
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-9, rtol=0)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_moment_that_is_closest_is_when_the_smallest_distance_is(seed):
    apart = walks(seed, 3, 5)
    step, share = moment_of_closest(apart)
    at, rows = step + share, torch.arange(3)
    then = torch.lerp(apart[rows, step], apart[rows, step + 1], share[:, None])
    torch.testing.assert_close(then.norm(dim=-1), closest(apart))
    assert ((at >= 0) & (at <= 4)).all()
    torch.testing.assert_close(closest(apart), closest(apart, torch.ones(5, dtype=torch.bool)), atol=0, rtol=0)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_who_collides_is_who_comes_close_at_some_of_many_moments(seed):
    paths = walks(seed, 2, 3, 5, 6)
    valid = torch.ones(2, 5, 6, dtype=torch.bool)
    valid[0, 1, 3:] = False
    found = colliding(paths, valid)
    share = torch.linspace(0, 1, 400, dtype=torch.float64)[:, None]
    dense = torch.lerp(paths[..., :-1, None, :], paths[..., 1:, None, :], share)  # (B, N, A, 5, 400, 2)
    apart = (dense.unsqueeze(3) - dense.unsqueeze(2)).norm(dim=-1)
    there = (valid[..., 1:] & valid[..., :-1])[:, None]
    both = there.unsqueeze(3) & there.unsqueeze(2)
    apart = apart.masked_fill(~both[..., None], torch.inf).flatten(-2).amin(-1)
    apart = apart + torch.diag(torch.full((5,), torch.inf))
    nearest = apart.nan_to_num(nan=torch.inf).amin(-1)
    assert found[nearest < 0.2].all()
    assert not found[nearest > 0.2 + 0.02].any()


def test_two_who_swap_places_collide_between_the_steps():
    paths = torch.tensor([[[[0.0, 0], [2, 0]], [[2, 0], [0, 0]], [[0, 1], [2, 1]]]])
    assert colliding(paths.unsqueeze(1), torch.ones(1, 3, 2, dtype=torch.bool)).tolist() == [[[True, True, False]]]


def test_who_is_gone_or_alone_collides_with_nobody():
    paths = torch.zeros(1, 1, 2, 3, 2)
    valid = torch.tensor([[[True] * 3, [False] * 3]])
    assert not colliding(paths, valid).any()
    assert not colliding(paths[:, :, :1], valid[:, :1]).any()


def test_order_does_not_matter():
    paths, valid = walks(3, 1, 2, 6, 4), torch.ones(1, 6, 4, dtype=torch.bool)
    order = torch.randperm(6, generator=draws.generator(0))
    assert colliding(paths[:, :, order], valid).equal(colliding(paths, valid)[:, :, order])
