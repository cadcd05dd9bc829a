"""Matchings against plain loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from embodied_gen.boxes import DynamicK, Hungarian
from embodied_gen.boxes.matching import ROUNDS

seeds = st.integers(0, 10_000)


def example(seed, images=3, estimates=12, objects=4, crowded=False):
    stream = torch.Generator().manual_seed(seed)
    cost = torch.rand(images, estimates, objects, generator=stream, dtype=torch.float64)
    if crowded:  # all objects want the same estimates
        cost = cost[..., :1] + 0.01 * cost
    overlap = torch.rand(images, estimates, objects, generator=stream, dtype=torch.float64)
    there = torch.rand(images, objects, generator=stream) < 0.8
    return cost, overlap, torch.rand(cost.shape, generator=stream) < 0.3, there


def by_loop(cost, overlap, inside, there):
    """One image, one object after the other, of at most 5 estimates each; ties do not occur."""
    estimates, objects = cost.shape
    somewhere = [any(inside[n, g] and there[g] for g in range(objects)) for n in range(estimates)]
    cost = cost + 100 * ~inside + 10_000 * ~torch.tensor(somewhere).unsqueeze(1)
    cost, overlap, there = cost.tolist(), overlap.T.tolist(), there.tolist()
    claims = {}
    for g in range(objects):
        if there[g]:
            wanted = max(1, int(sum(sorted(overlap[g])[-5:])))
            for n in sorted(range(estimates), key=lambda n: cost[n][g])[:wanted]:
                claims.setdefault(n, []).append(g)
    owner = {n: min(wanting, key=lambda g: cost[n][g]) for n, wanting in claims.items()}
    for _ in range(ROUNDS):
        claims = {}
        for g in range(objects):
            free = [n for n in range(estimates) if n not in owner]
            if there[g] and free and g not in owner.values():
                claims.setdefault(min(free, key=lambda n: cost[n][g]), []).append(g)
        owner |= {n: min(wanting, key=lambda g: cost[n][g]) for n, wanting in claims.items()}
    return [owner.get(n, -1) for n in range(estimates)]


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 12), st.integers(1, 8), st.booleans())
def test_dynamic_k_is_what_the_loop_finds(seed, estimates, objects, crowded):
    parts = example(seed, estimates=estimates, objects=objects, crowded=crowded)
    owner = DynamicK().match(*parts)
    assert owner.tolist() == [by_loop(*image) for image in zip(*parts, strict=True)]


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_every_object_is_matched_and_no_absent_one(seed):
    parts = example(seed)
    for matching in (DynamicK(), Hungarian()):
        owner = matching.match(*parts)
        for own, here in zip(owner, parts[-1], strict=True):
            assert set(own.tolist()) - {-1} == set(here.nonzero()[:, 0].tolist())


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_one_to_one_is_the_assignment_of_least_cost(seed):
    cost, overlap, inside, there = example(seed)
    owner = Hungarian().match(cost, overlap, inside, there)
    for image in range(3):
        table = cost[image][:, there[image]].numpy()
        rows, columns = linear_sum_assignment(table)
        matched = (owner[image] >= 0).nonzero()[:, 0]
        assert len(matched) == there[image].sum()
        total = cost[image, matched, owner[image, matched]].sum().item()
        assert total == pytest.approx(table[rows, columns].sum())


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_matchings_follow_permutations_of_estimates_and_objects(seed):
    parts = example(seed)
    stream = torch.Generator().manual_seed(seed)
    n, g = torch.randperm(12, generator=stream), torch.randperm(4, generator=stream)
    place = torch.cat([g.argsort(), torch.tensor([-1])])  # of each object; -1 stays -1
    for matching in (DynamicK(), Hungarian()):
        owner = matching.match(*parts)
        moved = matching.match(*(part[:, n][:, :, g] for part in parts[:3]), parts[3][:, g])
        assert torch.equal(moved, place[owner[:, n]])


def test_costs_that_are_no_number_and_more_objects_than_estimates_are_borne():
    cost, overlap, inside, there = example(1, estimates=2, objects=6)
    cost[0] = math.nan
    owner = DynamicK().match(cost, overlap, inside, torch.ones_like(there))
    assert (owner[0] == -1).all() and (owner[1:] >= 0).all()
    cost, overlap, inside, there = example(1)
    cost[:, :, 0] = math.nan
    assert (Hungarian().match(cost, overlap, inside, torch.ones_like(there)) >= 0).sum(1).tolist() == [4, 4, 4]
    with pytest.raises(ValueError, match="as many estimates as objects; got 2 and 6"):
        Hungarian().match(*example(1, estimates=2, objects=6))
