"""Grids on which moves slip, and the worlds on them."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.gridworld import gridworld
from envs.objectworld import objectworld
from envs.slip_grid import MOVES, SlipGrid

seeds = st.integers(0, 2**31)
sizes = st.integers(2, 7)
GRID = SlipGrid((4, 5))


def transitions(grid):
    """P(s' | s, a), shape (5, S, S), one cell, action and slip at a time."""
    rows, columns = grid.shape
    chances = np.zeros((5, rows * columns, rows * columns))
    for row, column, action in product(range(rows), range(columns), range(5)):
        for made, (down, right) in enumerate(MOVES):
            chance = (1 - grid.slip) * (made == action) + grid.slip / 5
            there = min(max(row + down, 0), rows - 1), min(max(column + right, 0), columns - 1)
            chances[action, row * columns + column, there[0] * columns + there[1]] += chance
    return chances


def random_policy(generator, shape=GRID.shape):
    policy = generator.exponential(size=(5, *shape))
    return policy / policy.sum(axis=0)


@given(seeds, st.floats(0, 1))
def test_the_stencil_is_the_matrix_of_transitions(seed, slip):
    grid = SlipGrid((3, 4), slip=slip)
    values = np.random.default_rng(seed).normal(size=(2, 3, 4))
    expected = np.einsum("ast,bt->bas", transitions(grid), values.reshape(2, -1)).reshape(2, 5, 3, 4)
    assert grid.ahead(values) == pytest.approx(expected)


@settings(max_examples=10)
@given(seeds)
def test_values_satisfy_bellmans_equation_and_no_policy_has_more(seed):
    generator = np.random.default_rng(seed)
    reward = generator.normal(size=(3, *GRID.shape))
    values = GRID.values(reward)
    assert values == pytest.approx(reward + 0.9 * GRID.ahead(values).max(axis=-3), abs=1e-9)
    best = GRID.policy(reward)
    assert GRID.value_of(best, reward) == pytest.approx(values, abs=1e-8)
    assert (GRID.value_of(random_policy(generator), reward) <= values + 1e-8).all()


@settings(max_examples=20)
@given(seeds)
def test_values_of_a_policy_solve_the_linear_system(seed):
    generator = np.random.default_rng(seed)
    policy, reward = random_policy(generator), generator.normal(size=GRID.shape)
    chances = np.einsum("as,ast->st", policy.reshape(5, -1), transitions(GRID))
    expected = np.linalg.solve(np.eye(20) - 0.9 * chances, reward.ravel()).reshape(GRID.shape)
    assert GRID.value_of(policy, reward) == pytest.approx(expected, abs=1e-8)


@settings(max_examples=5)
@given(seeds, st.floats(1e-6, 1e6))
def test_nothing_is_lost_by_the_true_reward_at_any_scale_and_nothing_won_by_another(seed, scale):
    generator = np.random.default_rng(seed)
    truth, other = generator.normal(size=(2, *GRID.shape))
    assert GRID.lost_by_reward(truth, truth) == pytest.approx(0, abs=1e-8)
    assert GRID.lost_by_reward(scale * truth, truth) == pytest.approx(0, abs=1e-6)
    assert GRID.lost_by_reward(other, truth) >= -1e-8
    assert GRID.lost_by_policy(random_policy(generator), truth) > 0
    both = GRID.lost_by_reward(np.stack([truth, other]), truth)
    assert both == pytest.approx([GRID.lost_by_reward(learned, truth) for learned in (truth, other)], abs=1e-8)


def test_equally_good_actions_are_equally_likely():
    assert np.array_equal(GRID.policy(np.zeros(GRID.shape)), np.full((5, *GRID.shape), 0.2))
    reward = np.zeros((3, 3))
    reward[1, 1] = 1
    policy = SlipGrid((3, 3)).policy(reward)
    assert policy[0, 1, 1] == 1
    assert policy[:, 0, 0].tolist() == [0, 0.5, 0, 0.5, 0], "both ways around lead there"


@settings(max_examples=20)
@given(seeds, st.sampled_from([0.0, 0.3, 1.0]))
def test_walks_follow_the_policy_and_the_dynamics(seed, slip):
    grid = SlipGrid((6, 5), slip=slip)
    generator = np.random.default_rng(seed)
    policy = grid.policy(generator.normal(size=grid.shape))
    walks = grid.demonstrations(policy, 20, seed=seed)
    assert walks.cells.shape == (20, 8, 2) and walks.actions.shape == (20, 8)
    assert (walks.cells >= 0).all() and (walks.cells < grid.shape).all()
    row, column = np.moveaxis(walks.cells, -1, 0)
    assert (policy[walks.actions, row, column] > 0).all()
    step = np.diff(walks.cells, axis=1)
    assert (np.abs(step).sum(axis=-1) <= 1).all()
    if slip == 0:
        wanted = np.clip(walks.cells + MOVES[walks.actions], 0, np.array(grid.shape) - 1)
        assert np.array_equal(wanted[:, :-1], walks.cells[:, 1:])
    again = grid.demonstrations(policy, 20, seed=seed)
    assert np.array_equal(walks.cells, again.cells) and np.array_equal(walks.actions, again.actions)


def test_frequencies_of_walks_are_those_of_policy_and_slip():
    generator = np.random.default_rng(0)
    policy = random_policy(generator)
    walks = GRID.demonstrations(policy, 40_000, seed=1, length=2)
    first, second = walks.cells[:, 0], walks.cells[:, 1]
    starts = np.bincount(first[:, 0] * 5 + first[:, 1], minlength=20) / 40_000
    assert starts == pytest.approx(np.full(20, 1 / 20), abs=0.006)
    here = (first == [2, 2]).all(axis=1)
    actions = np.bincount(walks.actions[here, 0], minlength=5) / here.sum()
    assert actions == pytest.approx(policy[:, 2, 2], abs=0.05)
    expected = policy[:, 2, 2] @ transitions(GRID)[:, 12]
    found = np.bincount(second[here] @ [5, 1], minlength=20) / here.sum()
    assert found == pytest.approx(expected, abs=0.05)


@given(seeds, sizes, st.integers(2, 4))
def test_objectworlds_are_those_of_brute_force(seed, size, colours):
    world = objectworld(seed, size=size, colours=colours, objects=1 + seed % size**2)
    assert len(np.unique(world.cells, axis=0)) == len(world.cells) == 1 + seed % size**2
    reward, distances = np.zeros((size, size)), np.full((2 * colours, size, size), size * np.sqrt(2))
    for row, column in product(range(size), range(size)):
        for cell, outer, inner in zip(world.cells, world.outer, world.inner, strict=True):
            away = np.hypot(*(cell - [row, column]))
            for feature in (outer, colours + inner):
                distances[feature, row, column] = min(distances[feature, row, column], away)
        if distances[0, row, column] <= 3:
            reward[row, column] = 1 if distances[1, row, column] <= 2 else -1
    assert np.array_equal(world.reward(), reward)
    assert world.distances() == pytest.approx(distances)
    bits = world.bits().reshape(2 * colours, size, size, size)
    assert np.array_equal(bits.sum(axis=1), np.maximum(size - np.floor(distances), 0))
    assert np.array_equal(bits[:, 0], distances == 0)


def test_objectworlds_have_all_rewards_and_transfer_worlds_are_others():
    worlds = [objectworld(seed) for seed in range(3)]
    for world in worlds:
        assert len(world.cells) == 51 and set(np.unique(world.reward())) == {-1, 0, 1}
    assert not np.array_equal(worlds[0].reward(), worlds[1].reward())
    assert np.array_equal(objectworld(2).bits(), worlds[2].bits())


@given(seeds, st.integers(1, 4), st.integers(1, 5))
def test_gridworlds_are_constant_on_macro_cells_and_linear_in_them(seed, block, macro):
    world = gridworld(seed, size=block * macro, block=block)
    reward, cells = world.reward(), world.macro_cells()
    assert (cells.sum(axis=0) == 1).all() and (cells.sum(axis=(1, 2)) == block**2).all()
    assert reward == pytest.approx(np.tensordot(world.rewards.ravel(), cells, axes=1))
    for row, column in product(range(world.size), range(world.size)):
        assert reward[row, column] == world.rewards[row // block, column // block]
    assert (reward > 0).sum() == max(1, round(0.1 * macro**2)) * block**2 and reward.max() <= 1
    sides = world.sides().reshape(2, world.size - 1, world.size, world.size)
    assert np.array_equal(world.size - 1 - sides.sum(axis=1), np.indices(reward.shape))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SlipGrid((0, 3)), "a grid needs cells"),
        (lambda: SlipGrid((3, 3), slip=1.1), r"slip in \[0, 1\]"),
        (lambda: SlipGrid((3, 3), discount=1.0), r"discount in \[0, 1\)"),
        (lambda: GRID.values(np.zeros((5, 4))), r"finite numbers \(..., \(4, 5\)\); got shape \(5, 4\)"),
        (lambda: GRID.values(np.full((4, 5), np.nan)), "a reward must be finite numbers"),
        (lambda: GRID.value_of(np.ones((4, 5)), np.zeros((4, 5))), "a policy must be probabilities"),
        (lambda: GRID.value_of(np.ones((5, 4, 5)), np.zeros((4, 5))), "must sum to 1 in every cell"),
        (lambda: GRID.demonstrations(np.ones((4, 5)), 1, seed=0), r"walks need a policy \(5, \(4, 5\)\)"),
        (lambda: GRID.demonstrations(np.ones((5, 4, 5)), 0, seed=0), "count and length of 1 or more"),
        (lambda: objectworld(0, size=2, objects=5), "1 to 4 objects on 2 x 2 cells; got 2 and 5"),
        (lambda: objectworld(0, colours=1), "a world needs 2 colours or more"),
        (lambda: gridworld(0, size=10, block=4), "size must be a multiple of block, both positive; got 10 and 4"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
