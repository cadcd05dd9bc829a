"""Values are sums over all paths, and their slopes are visits."""

import math
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from enumeration import expected_visits, log_sum, paths, successors
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from embodied_gen.graphs import Discounted, Finite, Graph, Grid, Hard, Soft, ToGoal
from embodied_gen.graphs.unrolled import unrolled

pytestmark = pytest.mark.usefixtures("double")

SEED = torch.Generator().manual_seed(1)
GRID = Grid(3, 3, connectivity=4, stay=True)
WIDE = Grid(3, 3, connectivity=16)
ROADS = Graph(torch.tensor([0, 0, 1, 2, 2, 3, 3, 0]), torch.tensor([1, 2, 2, 3, 0, 0, 3, 1]), 4)
SLIPPY = Grid(3, 2, connectivity=4, stay=True, slip=0.3)
SOFT = Soft(0.7)


def random(*shape):
    return torch.rand(*shape, generator=SEED, dtype=torch.float64)


def costs_by_state(dynamics):
    return dynamics.costs_of_states(random(2, *dynamics.states))


def costs_by_action(dynamics):
    return random(2, *dynamics.actions) - 0.3


def costs_by_move(dynamics):
    return dynamics.costs_of_moves(random(2, *dynamics.states))


CASES = [
    pytest.param(GRID, costs_by_state, id="grid-state"),
    pytest.param(GRID, costs_by_action, id="grid-action"),
    pytest.param(WIDE, costs_by_move, id="grid-move"),
    pytest.param(ROADS, costs_by_state, id="graph-state"),
    pytest.param(ROADS, costs_by_action, id="graph-edge"),
]


def start_at(dynamics, state, rows=2):
    return dynamics.mask(torch.full((rows,), state)).double()


@pytest.mark.parametrize(("dynamics", "made"), CASES)
def test_a_finite_horizon_sums_over_the_paths_of_exactly_its_steps(dynamics, made):
    costs = made(dynamics)
    values = Finite(3).values(dynamics, costs, SOFT).flatten(1)
    visits = Finite(3).visits(dynamics, costs, start_at(dynamics, 1), SOFT)
    for row in range(2):
        found = paths(dynamics, costs[row], 1, 3)
        assert float(values[row, 1]) == pytest.approx(-0.7 * log_sum(found, 0.7), abs=1e-12)
        torch.testing.assert_close(visits[row], expected_visits(dynamics, found, 0.7))


@pytest.mark.parametrize(("dynamics", "made"), CASES)
def test_a_goal_sums_over_the_paths_of_all_lengths(dynamics, made):
    costs = made(dynamics) + 6  # so that longer paths hardly count
    horizon = ToGoal(dynamics.mask(torch.tensor([0, 0])))
    values = horizon.values(dynamics, costs, SOFT).flatten(1)
    visits = horizon.visits(dynamics, costs, start_at(dynamics, 2), SOFT)
    for row in range(2):
        found = paths(dynamics, costs[row], 2, 5, goal=0)
        assert float(values[row, 2]) == pytest.approx(-0.7 * log_sum(found, 0.7), abs=2e-6)
        torch.testing.assert_close(visits[row], expected_visits(dynamics, found, 0.7), atol=2e-5, rtol=0)


def test_rows_have_their_own_number_of_steps_and_an_end_costs_what_it_says():
    costs, end = costs_by_action(GRID), random(1, 3, 3)
    steps = torch.tensor([2, 4])
    together = Finite(steps, end=end)
    for row, count in enumerate(steps.tolist()):
        alone = Finite(count, end=end)
        one = costs[row : row + 1]
        assert torch.equal(together.values(GRID, costs, SOFT)[row], alone.values(GRID, one, SOFT)[0])
        both = [h.visits(GRID, c, start_at(GRID, 4, len(c)), SOFT) for h, c in ((together, costs), (alone, one))]
        torch.testing.assert_close(both[0][row], both[1][0])
        assert torch.equal(together.policy(GRID, costs, SOFT)[row], alone.policy(GRID, one, SOFT)[0])
    whole = torch.logsumexp(torch.tensor([log_sum(paths(GRID, costs[0], s, 0), 1) for s in [0]]), 0)
    assert float(whole) == 0  # no step, no cost
    assert torch.equal(Finite(0, end=end).values(GRID, costs, SOFT), end.expand(2, 3, 3))


def test_the_slope_in_the_end_is_where_paths_end():
    end = torch.zeros(2, 3, 3, requires_grad=True)
    values = Finite(torch.tensor([3, 5]), end=end).values(GRID, costs_by_state(GRID), SOFT)
    (arrivals,) = torch.autograd.grad(values, end, start_at(GRID, 0))
    torch.testing.assert_close(arrivals.sum((1, 2)), torch.ones(2))
    assert (arrivals[0].flatten() > 0).sum() < 9 == (arrivals[1].flatten() > 0).sum()  # a corner is 4 steps away


@pytest.mark.parametrize("dynamics", [GRID, WIDE, ROADS, SLIPPY])
@pytest.mark.parametrize("name", ["finite", "discounted", "goal"])
def test_slopes_are_those_of_finite_differences_and_of_autograd_through_the_backups(dynamics, name):
    goal = dynamics.mask(torch.tensor([0]))
    horizon, told, steps = {
        "finite": (Finite(5), {}, 5),
        "discounted": (Discounted(0.7), {"discount": 0.7}, 120),
        "goal": (ToGoal(goal), {"goal": goal}, 150),
    }[name]
    costs = dynamics.checked(random(1, *dynamics.actions) + 2).requires_grad_()
    start = start_at(dynamics, 3, 1)
    analytic = horizon.visits(dynamics, costs, start, SOFT)
    (other,) = torch.autograd.grad(unrolled(dynamics, costs, steps, SOFT, **told), costs, start)
    torch.testing.assert_close(analytic, other, rtol=1e-9, atol=1e-11)
    direction = random(*costs.shape)
    up, down = (horizon.values(dynamics, costs.detach() + s * direction, SOFT) for s in (1e-4, -1e-4))
    slope = float(((up - down) * start).sum()) / 2e-4
    assert slope == pytest.approx(float((analytic * direction).sum()), rel=1e-6)


@given(st.integers(0, 6), st.sampled_from([GRID, ROADS, SLIPPY]), st.sampled_from([SOFT, Hard()]))
@settings(max_examples=25)
def test_visits_sum_to_the_number_of_steps(steps, dynamics, rule):
    visits = Finite(steps).visits(dynamics, costs_by_action(dynamics), start_at(dynamics, 1), rule)
    torch.testing.assert_close(visits.flatten(1).sum(1), torch.full((2,), float(steps)))


@pytest.mark.parametrize("dynamics", [GRID, ROADS, SLIPPY])
@pytest.mark.parametrize("rule", [SOFT, Hard()])
def test_visits_of_endless_paths_balance(dynamics, rule):
    costs, start = costs_by_action(dynamics) + 2, start_at(dynamics, 3)
    goal = dynamics.mask(torch.tensor([0, 0]))
    for horizon, discount in ((Discounted(0.8), 0.8), (ToGoal(goal), 1.0)):
        visits = horizon.visits(dynamics, costs, start, rule)
        moved = start + discount * dynamics.arrive(visits) - dynamics.collect(visits)
        expected = goal.double() if discount == 1 else torch.zeros_like(start)  # all arrive
        torch.testing.assert_close(moved, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("dynamics", [GRID, WIDE, ROADS])
def test_the_soft_values_rise_to_the_hard_ones_as_the_temperature_falls(dynamics):
    costs = costs_by_action(dynamics) + 1
    for horizon in (Finite(6), Discounted(0.9), ToGoal(dynamics.mask(torch.tensor([0, 1])))):
        hard = horizon.values(dynamics, costs, Hard())
        gaps = [hard - horizon.values(dynamics, costs, Soft(t)) for t in (0.1, 0.01, 0.001)]
        assert all((a - b > -1e-12).all() for a, b in pairwise(gaps))
        assert (gaps[-1] > -1e-12).all() and gaps[-1].max() < 0.05


@pytest.mark.parametrize("discount", [0.1, 0.9, 0.99])
def test_a_cost_that_is_everywhere_the_same_adds_up_to_its_share_of_the_discount(discount):
    for rule, expected in ((Hard(), 2.0), (Soft(0.5), 2.0 - 0.5 * math.log(5))):  # five actions are equally good
        costs = torch.full((1, *SLIPPY.actions), 2.0)
        values = Discounted(discount).values(SLIPPY, costs, rule)
        torch.testing.assert_close(values, torch.full((1, 3, 2), expected / (1 - discount)), rtol=1e-11, atol=0)
        visits = Discounted(discount).visits(SLIPPY, costs, start_at(SLIPPY, 0, 1), rule)
        assert float(visits.sum()) == pytest.approx(1 / (1 - discount))


@pytest.mark.parametrize("discount", [0.9, 0.99])
def test_discounted_values_and_visits_in_single_precision_are_those_in_double(discount):
    costs, start, found = costs_by_action(SLIPPY) + 2, start_at(SLIPPY, 0), []
    for dtype in (torch.float32, torch.float64):
        horizon, parts = Discounted(discount), (SLIPPY, costs.to(dtype))
        found.append((horizon.values(*parts, SOFT), horizon.visits(*parts, start.to(dtype), SOFT)))
    for single, double in zip(*found, strict=True):
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-9)


def dense(grid, costs, steps):
    """Values and visits as `imitation` finds them, with sums over exactly the steps that the values score."""
    count, actions = math.prod(grid.states), len(grid.moves)
    transitions = np.zeros((count, actions, count))
    for action in range(count * actions):
        for state, share in successors(grid, action):
            transitions[action % count, action // count, state] += share
    reward = -costs.flatten().numpy()
    values, policies = np.zeros(count), []
    for _ in range(steps):
        q = reward[:, None] + transitions @ values
        values = logsumexp(q, axis=1)
        policies.append(np.exp(q - values[:, None]))
    density, visits = np.eye(count)[0], np.zeros(count)
    for policy in reversed(policies):
        visits += density
        density = np.einsum("s,sa,sat->t", density, policy, transitions)
    return values, visits


def test_values_and_visits_are_those_of_the_dense_method():
    grid = Grid(4, 5, connectivity=4, stay=True, slip=0.2)
    states = random(1, 4, 5)
    costs = grid.costs_of_states(states)
    values, visits = dense(grid, states, 9)
    ours = Finite(9).values(grid, costs, Soft())
    torch.testing.assert_close(ours.flatten(), -torch.from_numpy(values), rtol=0, atol=1e-10)
    found = grid.collect(Finite(9).visits(grid, costs, start_at(grid, 0, 1), Soft()))
    torch.testing.assert_close(found.flatten(), torch.from_numpy(visits), rtol=0, atol=1e-10)


@pytest.mark.parametrize("grid", [WIDE, Grid(3, 4, connectivity=8, stay=True)])
def test_a_grid_is_the_graph_of_its_moves(grid):
    costs = grid.costs_of_moves(random(2, *grid.states) + 2)
    actions = grid.available().flatten().nonzero().squeeze(1)
    graph = Graph(grid.tails(actions), grid.heads(actions), math.prod(grid.states))
    edges = costs.flatten(1)[:, actions[graph.order]]
    goal = torch.tensor([0, 5])
    for of_grid, of_graph in (
        (Finite(7), Finite(7)),
        (Discounted(0.8), Discounted(0.8)),
        (ToGoal(grid.mask(goal)), ToGoal(graph.mask(goal))),
    ):
        for rule in (SOFT, Hard()):
            one, other = of_grid.values(grid, costs, rule), of_graph.values(graph, edges, rule)
            torch.testing.assert_close(one.flatten(1), other, rtol=0, atol=1e-10)
            one = of_grid.visits(grid, costs, start_at(grid, 8), rule).flatten(1)[:, actions[graph.order]]
            torch.testing.assert_close(one, of_graph.visits(graph, edges, start_at(graph, 8), rule))


def test_ten_thousand_steps_do_not_overflow():
    grid = Grid(2, 2, connectivity=4, stay=True)
    states = torch.tensor([1e-3, 1e3]).view(2, 1, 1) * random(2, 2, 2)
    costs = grid.costs_of_states(states).requires_grad_()
    values = Finite(10_000).values(grid, costs.float(), Soft())
    (visits,) = torch.autograd.grad(values, costs, start_at(grid, 0))
    assert values.isfinite().all()
    torch.testing.assert_close(visits.sum((1, 2, 3)), torch.full((2,), 10_000.0), rtol=1e-3, atol=0)
    exact = Finite(10_000).values(grid, costs, Soft())
    torch.testing.assert_close(values.double(), exact, rtol=1e-3, atol=0)


@pytest.mark.parametrize("steps", [127, 128, 257, 300])
def test_slopes_do_not_depend_on_which_values_are_kept(steps):
    costs = costs_by_action(ROADS).requires_grad_()
    start = start_at(ROADS, 1)
    (ours,) = torch.autograd.grad(Finite(steps).values(ROADS, costs, SOFT), costs, start)
    (other,) = torch.autograd.grad(unrolled(ROADS, costs, steps, SOFT), costs, start)
    torch.testing.assert_close(ours, other, rtol=1e-9, atol=1e-9)


def test_the_memory_of_unrolled_backups_grows_with_the_root_of_their_number():
    costs = costs_by_action(ROADS).requires_grad_()

    def kept(steps):
        found = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: found.append(t.numel()) or t, lambda t: t):
            unrolled(ROADS, costs, steps, SOFT)
        return sum(found)

    assert kept(400) < 2.2 * kept(100)


def test_unrolled_backups_can_be_differentiated_twice():
    costs = costs_by_action(ROADS).requires_grad_()
    values = unrolled(ROADS, costs, 3, SOFT)
    (slope,) = torch.autograd.grad(values, costs, start_at(ROADS, 1), create_graph=True)
    direction = random(*costs.shape)
    (curve,) = torch.autograd.grad((slope * direction).sum(), costs)
    moved = [Finite(3).visits(ROADS, costs + s * direction, start_at(ROADS, 1), SOFT) for s in (1e-5, -1e-5)]
    torch.testing.assert_close(curve, (moved[0] - moved[1]) / 2e-5, rtol=1e-6, atol=1e-8)


def test_blocked_cells_and_states_without_a_path_have_infinite_values_and_no_visits():
    cells = torch.ones(1, 3, 5)
    cells[0, :, 2] = math.inf  # a wall from end to end
    grid = Grid(3, 5, connectivity=8)
    for costs in (grid.costs_of_moves(cells), grid.costs_of_states(cells)):
        costs = (3 * costs).requires_grad_()
        goal = grid.mask(torch.tensor([0]))
        values = ToGoal(goal).values(grid, costs, Soft())
        assert values[0, :, 2:].isinf().all() and values[0, :, :2].isfinite().all()
        for made in (values, unrolled(grid, costs, 60, Soft(), goal=goal), Finite(4).values(grid, costs, Soft())):
            (visits,) = torch.autograd.grad(made, costs, grid.mask(torch.tensor([6])).double())
            assert visits.isfinite().all() and (visits[..., 2:] == 0).all() and visits.sum() > 0


def test_one_row_of_costs_serves_many_goals():
    costs = GRID.costs_of_states(random(1, 3, 3) + 2)
    goals = GRID.mask(torch.arange(9))
    together = ToGoal(goals).values(GRID, costs, SOFT)
    for goal in range(9):
        alone = ToGoal(goals[goal : goal + 1]).values(GRID, costs, SOFT)
        torch.testing.assert_close(together[goal], alone[0])
    assert ToGoal(goals).visits(GRID, costs, start_at(GRID, 4, 1), SOFT).shape == (9, 5, 3, 3)


def test_a_policy_is_a_distribution_over_the_actions():
    for dynamics in (WIDE, ROADS, SLIPPY):
        costs, goal = costs_by_action(dynamics) + 2.5, dynamics.mask(torch.tensor([0, 1]))
        for rule in (SOFT, Hard()):
            for horizon in (Finite(3), Discounted(0.5), ToGoal(goal)):
                policy = horizon.policy(dynamics, costs, rule)
                ends = goal if isinstance(horizon, ToGoal) else torch.zeros_like(goal)
                torch.testing.assert_close(dynamics.collect(policy), (~ends).double())
                assert (policy[:, ~dynamics.available()] == 0).all()


def test_the_first_of_the_policies_of_a_finite_horizon_looks_furthest():
    costs = costs_by_action(GRID)
    policies = [policy for policy, _ in Finite(3).policies(GRID, costs, SOFT)]
    assert len(policies) == 3
    for left, policy in zip((3, 2, 1), policies, strict=True):
        assert torch.equal(policy, Finite(left).policy(GRID, costs, SOFT))
    endless = list(islice(Discounted(0.5).policies(GRID, costs, SOFT), 4))
    assert all(torch.equal(endless[0][0], policy) for policy, _ in endless)


def test_costs_that_are_too_low_are_refused_by_map():
    goal = GRID.mask(torch.tensor([0]))
    costs = torch.stack([torch.full(GRID.actions, 3.0), torch.full(GRID.actions, 0.1)])
    with pytest.raises(ValueError, match=r"the sum over paths of all lengths is infinite for map 1: its costs"):
        ToGoal(goal).values(GRID, costs, Soft())
    with pytest.raises(ValueError, match=r"the sum over paths of all lengths is infinite for map 0: its costs"):
        ToGoal(goal).values(GRID, -costs[:1], Hard())
    with pytest.raises(ValueError, match=r"the values of map 1 had not settled at cell \(0, 1\) after 150 steps"):
        ToGoal(SLIPPY.mask(torch.tensor([0])), limit=150).values(
            SLIPPY, costs.new_tensor([9.0, 0.1]).view(2, 1, 1, 1).expand(2, *SLIPPY.actions), Soft()
        )


def test_what_is_no_cost_is_refused_by_map_and_place():
    for number, dynamics, place in (
        (math.nan, GRID, r"map 1, cell \(2, 0\), move \(0, 0\) is nan; costs must be"),
        (-math.inf, ROADS, "map 1, edge 2 to 3 is -inf"),
        (math.inf, SLIPPY, "is inf, but where moves may slip nothing can be blocked"),
    ):
        costs = torch.ones(2, *dynamics.actions)
        action = int(dynamics.available().flatten().nonzero()[-3]) if dynamics is not ROADS else 4
        costs[1].view(-1)[action] = number
        with pytest.raises(ValueError, match=place):
            Finite(2).values(dynamics, costs, Soft())
    with pytest.raises(ValueError, match=r"costs of actions must have shape \(B, 5, 3, 3\); got \[1, 3, 3\]"):
        Finite(2).values(GRID, torch.ones(1, 3, 3), Soft())
    with pytest.raises(ValueError, match=r"must have one row or equally many; got \[2, 3\] rows"):
        ToGoal(GRID.mask(torch.arange(3))).values(GRID, torch.ones(2, *GRID.actions), Soft())


def test_impossible_questions_are_refused():
    with pytest.raises(ValueError, match=r"steps must not be negative; got \[-1\]"):
        Finite(-1)
    with pytest.raises(ValueError, match="what the last state costs must be numbers above minus infinity"):
        Finite(2, end=torch.full((1, 3, 3), math.nan))
    with pytest.raises(ValueError, match="discount must lie between 0 and 1; got 1"):
        Discounted(1.0)
    with pytest.raises(ValueError, match="temperature must be positive and finite; got 0"):
        Soft(0.0)
    with pytest.raises(ValueError, match="every map needs a goal; map 1 has none"):
        ToGoal(torch.tensor([[True], [False]]))
    with pytest.raises(ValueError, match="states are numbers from 0 to 8; got 9 for map 1, which is outside"):
        GRID.mask(torch.tensor([0, 9]))
    with pytest.raises(ValueError, match=r"no path of map 0 starts at node 3: it is blocked, or what it must reach"):
        lonely = Graph(torch.tensor([0]), torch.tensor([1]), 4)
        Finite(1).visits(lonely, torch.ones(1, 1), lonely.mask(torch.tensor([3])), Soft())
    with pytest.raises(ValueError, match="needs a horizon of at least one step"):
        Finite(0).policy(GRID, torch.ones(1, *GRID.actions), Soft())
