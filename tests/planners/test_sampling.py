"""Planners by sampling find good plans around obstacles, each episode on its own, and say when they cannot."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from planners import KeepOutDisc, ReachPoint, SpeedLimit
from planners.cem import CEM
from planners.mppi import MPPI
from planners.sampling import Effort, Problem

PERIOD = 0.1
DISC = KeepOutDisc((0.0, 0.03), 0.2)
EFFORT = Effort(horizon=20, hold=2, actions=2, samples=64)
BOTH = pytest.mark.parametrize("kind", [MPPI, CEM])


def double_integrator(states, actions):
    """Accelerations of at most 2 m/s^2, exactly integrated."""
    position, velocity = states.split(2, -1)
    change = 2.0 * PERIOD * actions
    return torch.cat([position + PERIOD * (velocity + change / 2), velocity + change], -1)


def reach(states, actions, goal):
    """Mean distance, and the distance and speed at the end."""
    away = (states[..., :2] - goal[:, None]).norm(dim=-1)
    return away.mean(1) + away[:, -1] + 0.2 * states[:, -1, 2:].norm(dim=-1)


PROBLEM = Problem(
    double_integrator, reach, state=(0, 1, 2, 3), goal=(4, 5), low=(-1, -1), high=(1, 1), constraints=[DISC]
)


def observation(start=(-0.6, 0.0), goal=(0.6, 0.0)):
    return np.array([*start, 0, 0, *goal], np.float32)


def judged(agent, memory):
    """Cost and path `(1, 1, T + 1, 4)` of the plan that an episode follows."""
    knots = torch.from_numpy(memory.chunks[0][1])[None, None]
    seen = torch.from_numpy(memory.observations)
    return agent._judged(seen[:, :4], seen[:, 4:], knots, agent.problem.constraints)


def path(agent):
    """The path that an agent plans at first."""
    memory = agent.remember(0, observation())
    agent.plan([memory])
    return judged(agent, memory)[1]


def travel(agent, memories, rounds):
    """States of all episodes after each control step, `(S, T + 1, 4)`, and the actions `(S, T, 2)`."""
    states = [np.stack([memory.observations[-1, :4] for memory in memories])]
    executed = []
    for _ in range(rounds):
        chunk = agent.plan(memories)
        executed.append(chunk)
        seen = []
        for action in torch.from_numpy(chunk).unbind(1):
            states.append(double_integrator(torch.from_numpy(states[-1]), action).numpy())
            seen.append(states[-1])
        for row, memory in enumerate(memories):
            goal = memory.observations[-1, 4:]
            memory.see(np.stack([np.concatenate([step[row], goal]) for step in seen]))
    return np.stack(states, 1), np.concatenate(executed, 1)


@BOTH
def test_a_goal_behind_a_disc_is_reached_around_it_and_kept(kind):
    agent = kind(PROBLEM, EFFORT)
    states, actions = travel(agent, [agent.remember(seed, observation()) for seed in range(3)], 30)
    assert (DISC.margin(torch.from_numpy(states)[:, None]) >= 0).all()
    assert np.linalg.norm(states[:, -10:, :2] - np.array([0.6, 0.0]), axis=-1).max() < 0.15
    assert (np.abs(actions) <= 1).all()
    assert (agent.plans, agent.infeasible) == (90, 0)


@BOTH
def test_a_plan_costs_less_with_more_iterations_and_is_near_the_best_there_is(kind):
    free = replace(PROBLEM, constraints=())

    def cost(iterations):
        agent = kind(free, replace(EFFORT, samples=128, iterations=iterations))
        memory = agent.remember(0, observation())
        agent.plan([memory])
        return float(judged(agent, memory)[0])

    # Time enough to go straight with full force, brake half way, and be there at rest.
    t = PERIOD * torch.arange(1, 21)
    half = math.sqrt(0.6)
    x = torch.where(t < half, t**2, 1.2 - (2 * half - t).clamp(min=0) ** 2)
    best = float((1.2 - x).mean())
    assert cost(1) > cost(8) > cost(60) > 0.95 * best
    assert cost(60) < 1.35 * best


@BOTH
def test_an_action_is_held_and_the_next_plan_starts_from_what_is_left_of_the_last(kind):
    agent = kind(PROBLEM, replace(EFFORT, hold=4, actions=8))
    memory = agent.remember(0, observation())
    chunk = agent.plan([memory])
    assert chunk.shape == (1, 8, 2) and agent.action_size == 2 and agent.actions == 8
    assert (chunk[0, :4] == chunk[0, 0]).all() and (chunk[0, 4:] == chunk[0, 4]).all()
    plan = memory.chunks[0][1]
    memory.see(np.repeat(observation()[None], 8, axis=0))
    np.testing.assert_array_equal(agent._shifted(memory).numpy(), np.concatenate([plan[2:], np.zeros((2, 2))]))


@BOTH
def test_the_middle_of_the_bounds_is_where_a_search_starts_and_no_action_leaves_them(kind):
    agent = kind(replace(PROBLEM, low=(0.5, -2.0), high=(1.0, 4.0)), EFFORT)
    memory = agent.remember(0, observation())
    np.testing.assert_array_equal(agent._shifted(memory).numpy(), [[0.75, 1.0]] * 10)
    agent.plan([memory])
    plan = memory.chunks[0][1]
    assert ((plan >= [0.5, -2.0]) & (plan <= [1.0, 4.0])).all() and np.ptp(plan[:, 1]) > 1


@BOTH
def test_an_episode_is_planned_alike_whatever_lies_beside_it(kind):
    agent = kind(PROBLEM, EFFORT, block=4)
    starts = [(-0.6, 0.1 * k - 0.2) for k in range(5)]
    together = [agent.remember(k, observation(start)) for k, start in enumerate(starts)]
    states, _ = travel(agent, together, 4)
    for k, start in enumerate(starts):
        alone = agent.remember(k, observation(start))
        np.testing.assert_array_equal(travel(agent, [alone], 4)[0][0], states[k])
    assert agent.plans == 4 * 10
    changed = agent.with_block(2)
    assert (changed.block, changed.plans, changed.infeasible) == (2, 0, 0) and agent.plans == 40


@BOTH
def test_another_seed_gives_another_plan(kind):
    agent = kind(PROBLEM, EFFORT, block=1)
    plans = [agent.plan([agent.remember(seed, observation())]) for seed in (0, 0, 1)]
    assert np.array_equal(plans[0], plans[1]) and not np.array_equal(plans[0], plans[2])


@BOTH
def test_of_plans_that_all_offend_the_one_that_misses_least_is_kept_and_counted(kind):
    far = ReachPoint((5.0, 0.0), 0.1)
    agent = kind(replace(PROBLEM, constraints=[far]), EFFORT)
    assert far.margin(path(agent)) > far.margin(path(kind(replace(PROBLEM, constraints=()), EFFORT))) + 0.5
    assert (agent.plans, agent.infeasible) == (1, 1)


@BOTH
def test_what_is_executed_holds_exactly_where_a_penalty_alone_would_give_in(kind):
    # So small a penalty is outweighed by the cost; a few plans hold all the same, and one of them is kept.
    slow = SpeedLimit(0.8, PERIOD)
    agent = kind(replace(PROBLEM, constraints=[slow]), replace(EFFORT, penalty=1e-6, samples=512, finalists=512))
    unaware = kind(replace(PROBLEM, constraints=()), agent.effort)
    assert slow.margin(path(agent)) >= 0 and agent.infeasible == 0
    assert slow.margin(path(unaware)) < 0


@BOTH
def test_a_plan_keeps_a_buffer_from_what_it_must_not_touch(kind):
    agents = [kind(replace(PROBLEM, buffer=buffer), replace(EFFORT, iterations=20)) for buffer in (0.0, 0.1)]
    near, wide = (float(DISC.margin(path(agent))) for agent in agents)
    assert 0 <= near < 0.08 < wide


@BOTH
def test_a_plan_whose_states_are_not_finite_is_never_kept(kind):
    def breaks(states, actions):
        moved = double_integrator(states, actions)
        return torch.where(actions[:, :1] > 0.8, torch.nan, moved)

    agent = kind(replace(PROBLEM, step=breaks), EFFORT)
    memory = agent.remember(0, observation())
    agent.plan([memory])
    assert agent.infeasible == 0
    assert (memory.chunks[0][1][:, 0] <= 0.8).all()


@BOTH
def test_where_no_plan_holds_one_whose_states_are_finite_is_kept(kind):
    def breaks(states, actions):
        moved = double_integrator(states, actions)
        return torch.where(actions[:, :1] > 0.4, torch.nan, moved)

    agent = kind(
        replace(PROBLEM, step=breaks, constraints=[KeepOutDisc((0, 0), 50.0)]),
        replace(EFFORT, iterations=1, finalists=64),
    )
    memory = agent.remember(0, observation())
    agent.plan([memory])
    assert agent.infeasible == 1
    assert (memory.chunks[0][1][:, 0] <= 0.4).all()


@BOTH
def test_what_is_seen_constrains_as_what_is_known_and_is_asked_for_at_every_plan(kind):
    asked = []

    def seen(observed, generators):
        asked.append((tuple(observed.shape), len(generators)))
        return [DISC]

    one, other = kind(PROBLEM, EFFORT), kind(replace(PROBLEM, constraints=(), seen=seen), EFFORT)
    torch.testing.assert_close(path(one), path(other), rtol=0, atol=0)
    assert asked == [((1, 6), 1)]


@pytest.mark.parametrize("temperature", [1e-9, 1e9])
def test_weights_tend_to_the_best_plan_alone_and_to_the_mean_of_all(temperature):
    agent = MPPI(PROBLEM, EFFORT, temperature=temperature)
    drawn = torch.randn(2, 6, 10, 2, generator=torch.Generator().manual_seed(0))
    costs = torch.tensor([[3.0, 1, 2, 5, 4, 6], [2, 3, 4, 5, 6, 1]])
    mean, _ = agent._moved(drawn, costs, torch.ones(2, 10, 2))
    expected = drawn[[0, 1], [1, 5]] if temperature < 1 else drawn.mean(1)
    torch.testing.assert_close(mean, expected, atol=1e-6, rtol=0)


def test_weights_do_not_depend_on_what_all_plans_cost():
    agent = MPPI(PROBLEM, EFFORT, temperature=0.5)
    drawn = torch.randn(2, 6, 10, 2, generator=torch.Generator().manual_seed(0))
    costs = torch.rand(2, 6, generator=torch.Generator().manual_seed(1))
    moved = [agent._moved(drawn, costs + offset, torch.ones(2, 10, 2))[0] for offset in (0.0, 8.0)]
    torch.testing.assert_close(*moved, atol=1e-5, rtol=0)


def test_elites_give_mean_and_deviation_which_does_not_fall_below_the_floor():
    agent = CEM(PROBLEM, EFFORT, elites=2, floor=0.25)
    drawn = torch.zeros(1, 4, 10, 2)
    drawn[0, :, :, 0] = torch.tensor([1.0, 5.0, 3.0, 9.0])[:, None]
    mean, spread = agent._moved(drawn, torch.tensor([[0.1, 7.0, 0.2, 8.0]]), torch.ones(1, 10, 2))
    assert mean[0, :, 0].eq(2).all() and mean[0, :, 1].eq(0).all()
    torch.testing.assert_close(spread[0, 0], torch.tensor([math.sqrt(2), 0.25]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(PROBLEM, low=(-1, 1)), r"low must be below high for every action; got \[-1, 1\] and \[1, 1\]"),
        (lambda: replace(PROBLEM, low=(-1,)), r"low must be below high for every action; got \[-1\] and \[1, 1\]"),
        (lambda: replace(PROBLEM, buffer=-0.1), "buffer must not be negative; got -0.1"),
        (lambda: Effort(horizon=21, hold=2), "horizon and actions must be multiples of hold; got 21, 5 and 2"),
        (lambda: Effort(hold=0), "multiples of hold; got 50, 5 and 0"),
        (lambda: Effort(actions=65), "actions must lie between 1 and the horizon 50; got 65"),
        (lambda: Effort(actions=0), "actions must lie between 1 and the horizon 50; got 0"),
        (lambda: Effort(samples=1), "samples must be at least 2, .*; got 1, 4 and 8"),
        (lambda: Effort(finalists=257), "finalists between 1 and samples; got 256, 4 and 257"),
        (lambda: Effort(noise=0.0), "noise and penalty must be positive; got 0.0 and 10.0"),
        (lambda: MPPI(PROBLEM, temperature=0), "temperature must be positive; got 0"),
        (lambda: CEM(PROBLEM, elites=1), "elites must lie between 2 and samples 256 .* got 1 and 0.05"),
        (lambda: CEM(PROBLEM, floor=-0.1), "floor must not be negative; got 16 and -0.1"),
    ],
)
def test_impossible_numbers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
