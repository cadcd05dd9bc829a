"""Steering lowers its objective and no more than it may; each context has its own goal; wrong costs are named."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.events import Trajectory
from embodied_gen.heads import DenoisingHead, Guide, MixtureHead, RegressionHead, RowGuide, propose, steer
from tests.heads.analytic import Constant, unit_event

pytestmark = pytest.mark.usefixtures("double")

STEPS, CHANNELS = 3, 2
# Physical units differ from model units in every channel: a cost that is read in the wrong ones is found out.
LOW, HIGH = [-1.0, 2.0], [3.0, 2.5]


def event():
    return Trajectory(STEPS, LOW, HIGH)


def estimates(rows, seed=0):
    return 0.7 * torch.randn(rows, STEPS, CHANNELS, generator=draws.generator(seed))


def near(goal):
    """Squared distance to a goal in model units, for which closed forms are short."""
    return lambda y: (event().scale(y) - goal).square().flatten(2).sum(2) / 2


COSTS = {
    "quadratic": near(0.4),
    "absolute": lambda y: (y - 1).abs().flatten(2).sum(2),
    "hinge": lambda y: (y - 1.5).clamp(min=0).square().flatten(2).sum(2),
    "waves": lambda y: 1 + torch.sin(20 * y).flatten(2).mean(2),
    "step": lambda y: (y.flatten(2).sum(2) > 4).to(y.dtype),
    "root": lambda y: (y - 1).square().flatten(2).sum(2).sqrt(),
    "logarithm": lambda y: -torch.log1p(-torch.sigmoid(5 * y.flatten(2).sum(2)) + 1e-12),
}
SCALES = [1e-2, 1.0, 1e3, 1e6]
# Under a guide these draw other numbers than without: candidates, and particles.
PROPOSING = [
    lambda: MixtureHead(event(), Constant(STEPS, MixtureHead.width(CHANNELS, 3)), components=3),
    lambda: DenoisingHead(event(), Constant(STEPS, CHANNELS), steps=3),
]


def row_guide(cost=None, scale=1.0, project=None, contexts=1):
    return RowGuide(Guide(cost=cost, project=project, scale=scale), event(), contexts)


def objective(x, x_hat, variance, guide):
    return (x - x_hat).square().flatten(1).sum(1) / (2 * variance) + guide.potential(x)


# --- Steering ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("variance", [1e-6, 0.04, 1.0])
def test_steering_never_raises_its_objective_nor_moves_further_than_it_allows(cost, scale, variance):
    x_hat, guide = estimates(50), row_guide(COSTS[cost], scale)
    moved = steer(x_hat, variance, guide)
    before = guide.potential(x_hat)
    after = objective(moved, x_hat, variance, guide)
    assert (after <= before * (1 + 1e-9) + 1e-12).all()
    limit = (2 * variance * before.clamp(min=0)).sqrt()
    assert ((moved - x_hat).flatten(1).norm(dim=1) <= limit * (1 + 1e-6) + 1e-9).all()
    assert (guide.potential(moved) <= before * (1 + 1e-9) + 1e-12).all()


@pytest.mark.parametrize("cost", ["quadratic", "absolute", "hinge", "waves", "root"])
def test_steering_lowers_the_cost_where_there_is_something_to_gain(cost):
    x_hat, guide = estimates(50), row_guide(COSTS[cost], 10.0)
    before, after = guide.potential(x_hat), guide.potential(steer(x_hat, 0.04, guide))
    worth = before > 0.1
    assert worth.sum() > 10
    assert (after[worth] < before[worth] - 1e-3).all()


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(0, 1e8),
    variance=st.floats(1e-8, 1e2),
    frequency=st.floats(0, 1e3),
    seed=st.integers(0, 1000),
    iterations=st.integers(0, 12),
)
def test_steering_is_bounded_whatever_the_cost(scale, variance, frequency, seed, iterations):
    def cost(y):
        return (1 - torch.cos(frequency * y)).flatten(2).mean(2) + y.square().flatten(2).sum(2)

    x_hat, guide = estimates(5, seed), row_guide(cost, scale)
    moved = steer(x_hat, variance, guide, iterations=iterations)
    assert moved.isfinite().all()
    before = guide.potential(x_hat)
    assert (objective(moved, x_hat, variance, guide) <= before * (1 + 1e-6) + 1e-9).all()
    distance = (moved - x_hat).flatten(1).norm(dim=1)
    assert (distance <= (2 * variance * before).sqrt() * (1 + 1e-6) + 1e-9).all()


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("variance", [0.01, 0.25, 1.0])
def test_steering_to_a_quadratic_goal_gives_the_precision_weighted_mean(scale, variance):
    x_hat = estimates(50)
    exact = (x_hat / variance + scale * 0.4) / (1 / variance + scale)
    away = (exact - x_hat).flatten(1).norm(dim=1)

    def error(iterations):
        moved = steer(x_hat, variance, row_guide(near(0.4), scale), iterations=iterations)
        return (moved - exact).flatten(1).norm(dim=1) / away

    assert error(8).max() < 0.02
    assert error(60).max() < 1e-5


@pytest.mark.parametrize("scale", [1.0, 1e2, 1e4, 1e6])
@pytest.mark.parametrize("cost", COSTS)
def test_a_steered_estimate_is_finite_and_bounded_in_single_precision(cost, scale):
    x_hat, variance = estimates(50).float(), 0.1
    guide = RowGuide(Guide(cost=COSTS[cost], scale=scale), event().float(), 1)
    moved = steer(x_hat, variance, guide)
    assert moved.dtype == torch.float32
    assert moved.isfinite().all()
    limit = (2 * variance * guide.potential(x_hat).clamp(min=0)).sqrt()
    assert ((moved - x_hat).flatten(1).norm(dim=1) <= 1.01 * limit + 1e-4).all()


def test_a_goal_that_is_far_away_is_reached_no_further_than_the_goal_at_any_scale():
    x_hat = estimates(50)
    for scale in (1.0, 1e2, 1e4, 1e6):
        moved = steer(x_hat, 0.25, row_guide(near(0.4), scale), iterations=30)
        # The objective is a quadratic between the estimate and the goal: its minimum lies between them.
        assert ((moved - 0.4).flatten(1).norm(dim=1) <= (x_hat - 0.4).flatten(1).norm(dim=1) + 1e-9).all()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.4), rtol=0, atol=1e-3)


def test_a_certain_estimate_is_not_moved():
    x_hat = estimates(5)
    guide = row_guide(near(0.4), 1e6)
    assert torch.equal(steer(x_hat, 0.0, guide), x_hat)
    variance = torch.zeros(STEPS, CHANNELS)
    variance[1] = 0.25
    moved = steer(x_hat, variance, guide)
    assert torch.equal(moved[:, [0, 2]], x_hat[:, [0, 2]])
    assert ((moved[:, 1] - 0.4).abs() < (x_hat[:, 1] - 0.4).abs()).all()


def test_a_variance_for_each_entry_gives_the_precision_weighted_mean_of_each_entry():
    x_hat = estimates(50)
    variance = torch.tensor([[0.01, 0.1], [0.2, 0.05], [0.5, 1.0]])
    exact = (x_hat / variance + 5 * 0.4) / (1 / variance + 5)
    moved = steer(x_hat, variance, row_guide(near(0.4), 5.0), iterations=60)
    torch.testing.assert_close(moved, exact, rtol=0, atol=1e-6)


def test_a_variance_is_the_same_as_a_number_and_as_a_tensor():
    x_hat, guide = estimates(20), row_guide(COSTS["absolute"], 10.0)
    torch.testing.assert_close(
        steer(x_hat, 0.1, guide), steer(x_hat, torch.full_like(x_hat, 0.1), guide), rtol=0, atol=1e-12
    )


def rowwise(*costs):
    """One cost for each context."""
    return lambda y: torch.stack([cost(y[i : i + 1])[0] for i, cost in enumerate(costs)])


def test_the_cost_of_one_row_never_changes_another():
    x_hat = estimates(4)
    hard = [near(0.4), lambda y: 1e6 * COSTS["waves"](y), COSTS["absolute"], lambda y: 0 * COSTS["quadratic"](y)]
    together = steer(x_hat, 0.1, row_guide(rowwise(*hard), 3.0, contexts=4))
    for row, cost in enumerate(hard):
        alone = steer(x_hat[row : row + 1], 0.1, row_guide(cost, 3.0))
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-12)
    assert torch.equal(together[3], x_hat[3])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_broken_cost_on_one_row_leaves_the_other_rows_right_and_its_own_where_it_was(bad):
    x_hat = estimates(3)
    broken = rowwise(near(0.4), lambda y: near(0.4)(y) * bad, near(0.4))
    moved = steer(x_hat, 0.1, row_guide(broken, 3.0, contexts=3))
    right = steer(x_hat, 0.1, row_guide(near(0.4), 3.0, contexts=3))
    assert torch.equal(moved[[0, 2]], right[[0, 2]])
    assert torch.equal(moved[1], x_hat[1])


def test_a_cost_that_breaks_on_the_way_stops_the_row_before_it():
    # The root of a negative number: NaN beyond the wall, and the goal lies beyond it.
    def cost(y):
        return near(3.0)(y) + 0 * (1 - event().scale(y)).sqrt().flatten(2).sum(2)

    x_hat = estimates(20).clamp(max=0.5)
    moved = steer(x_hat, 1.0, row_guide(cost, 100.0))
    assert moved.isfinite().all() and (moved <= 1).all()
    assert (row_guide(cost).potential(moved) < row_guide(cost).potential(x_hat)).all()


def test_an_entry_without_a_gradient_does_not_stop_the_others():
    # The length of a step of a path has no gradient where the step is zero.
    def cost(y):
        x = event().scale(y)
        return x[..., 0, :].square().sum(-1).sqrt() + near(0.4)(y)

    x_hat = estimates(20)
    x_hat[:, 0] = 0.0
    moved = steer(x_hat, 0.25, row_guide(cost, 10.0))
    assert torch.equal(moved[:, 0], x_hat[:, 0])
    torch.testing.assert_close(moved[:, 1:], (x_hat[:, 1:] / 0.25 + 10 * 0.4) / (1 / 0.25 + 10), rtol=0, atol=0.01)


def test_the_result_of_steering_is_left_unchanged_by_the_projection():
    def project(y):
        return torch.minimum(y, torch.tensor([1.2, 2.3]))

    for cost, variance in itertools.product([None, near(0.9)], [0.0, 0.1]):
        guide = row_guide(cost, 100.0, project)
        moved = steer(estimates(50), variance, guide)
        torch.testing.assert_close(guide.project(moved), moved, rtol=0, atol=1e-12)
        assert (event().unscale(moved) <= torch.tensor([1.2, 2.3]) + 1e-9).all()


def test_steering_without_a_cost_only_projects():
    x_hat = estimates(5)
    assert torch.equal(steer(x_hat, 1.0, row_guide()), x_hat)
    halved = steer(x_hat, 1.0, row_guide(project=lambda y: y / 2))
    torch.testing.assert_close(event().unscale(halved), event().unscale(x_hat) / 2)


@pytest.mark.parametrize(
    "variance", [0.1, torch.full((6, STEPS, CHANNELS), 0.1, device="meta")], ids=["number", "tensor"]
)
def test_steering_reads_nothing_on_the_host(variance):
    guide = Guide(cost=lambda y: y.square().sum((-1, -2)), margins=lambda y: y[..., 0])
    x_hat = torch.empty(6, STEPS, CHANNELS, device="meta")
    moved = steer(x_hat, variance, RowGuide(guide, event().to("meta"), 2))
    assert moved.shape == x_hat.shape and moved.device == x_hat.device


def test_steering_works_where_gradients_are_off_and_leaves_no_graph():
    x_hat = estimates(5)
    with torch.no_grad():
        moved = steer(x_hat, 0.1, row_guide(near(0.4), 10.0))
        assert not torch.is_grad_enabled()
    assert not moved.requires_grad
    assert not torch.allclose(moved, x_hat)


# --- Proposals ---------------------------------------------------------------------------------------------------


def test_a_candidate_whose_cost_is_no_number_is_kept_only_where_nothing_else_is():
    candidates = torch.stack([torch.full((STEPS, CHANNELS), value) for value in (0.1, 0.2, 0.3, 0.4)])
    candidates = candidates.expand(50, -1, -1, -1)

    def kept(bad, margins=None):
        def cost(y):
            first = event().scale(y)[..., 0, 0]
            return torch.where((first - torch.tensor(bad)[:, None, None]).abs().amin(0) < 1e-6, math.nan, first)

        guide = RowGuide(Guide(cost=cost, margins=margins), event(), 1)
        return set(propose(candidates, guide, generator=draws.generator(0))[:, 0, 0].numpy().round(6).tolist())

    assert kept([0.1]) == {0.2, 0.3, 0.4}
    assert kept([0.1, 0.2, 0.3, 0.4], lambda y: event().scale(y)[..., 0, :1] - 0.2) == {0.4}


def test_a_proposal_is_one_of_its_own_rows_candidates_and_is_projected():
    candidates = torch.randn(20, 7, STEPS, CHANNELS, generator=draws.generator(4))
    chosen = propose(candidates, row_guide(near(0.0)), generator=draws.generator(5))
    assert ((chosen[:, None] - candidates).flatten(2).abs().amax(2) < 1e-12).any(1).all()
    halved = propose(candidates, row_guide(near(0.0), project=lambda y: y / 2), generator=draws.generator(5))
    torch.testing.assert_close(event().unscale(halved), event().unscale(chosen) / 2)


def test_impossible_candidates_are_never_kept_while_there_are_others():
    def wall(y):
        return torch.where(event().scale(y)[..., 0, 0] > 0, math.inf, 0.0)

    candidates = torch.randn(200, 12, STEPS, CHANNELS, generator=draws.generator(4))
    chosen = propose(candidates, row_guide(wall), generator=draws.generator(5))
    assert (chosen[:, 0, 0] <= 0).all()
    # At an extreme scale the best is kept.
    chosen = propose(candidates, row_guide(near(0.0), 1e9), generator=draws.generator(5))
    assert torch.equal(chosen, candidates[torch.arange(200), candidates.square().flatten(2).sum(2).argmin(1)])


# --- Scale 0 -----------------------------------------------------------------------------------------------------


def wall(y):
    return 1.0 - y[..., 0]


@pytest.mark.parametrize("head", PROPOSING, ids=["candidates", "particles"])
@pytest.mark.parametrize(
    ("guide", "same"),
    [
        (Guide(scale=0.0), None),
        (Guide(cost=near(0.4), scale=0.0), None),
        (Guide(cost=lambda y: near(0.4)(y) * math.nan, scale=0.0), None),
        (Guide(cost=near(0.4), margins=wall, scale=0.0), Guide(margins=wall)),
        (Guide(cost=near(0.4), project=torch.neg, scale=0.0), Guide(project=torch.neg)),
        (Guide(cost=near(0.4), certify=lambda y: wall(y).amin(2), scale=0.0), Guide(certify=lambda y: wall(y).amin(2))),
    ],
    ids=["nothing", "cost", "nan", "margins", "projection", "certificate"],
)
def test_a_cost_of_scale_zero_changes_no_bit_of_a_draw(head, guide, same):
    head, c = head(), torch.zeros(3, 1)

    def drawn(guide):
        return head.sample(c, 4, generator=[draws.generator(i) for i in range(3)], guide=guide)

    assert torch.equal(drawn(guide), drawn(same))
    assert (same is None) == torch.equal(drawn(guide), drawn(None))


# --- Rows and contexts -------------------------------------------------------------------------------------------


def test_a_cost_sees_physical_units_and_the_samples_of_its_own_context():
    y = event().unscale(estimates(6)).reshape(2, 3, STEPS, CHANNELS)
    seen = []

    def cost(value):
        seen.append(value)
        return value.new_tensor([[1.0], [5.0]]) + value.flatten(2).sum(2)

    potential = row_guide(cost, 2.0, contexts=2).potential(estimates(6))
    torch.testing.assert_close(seen[0], y)
    torch.testing.assert_close(potential, 2 * (torch.tensor([1.0, 1, 1, 5, 5, 5]) + y.flatten(2).sum(2).flatten()))


def test_measuring_at_once_is_measuring_one_after_the_other():
    guide = RowGuide(Guide(cost=near(0.4), margins=lambda y: (y - 1.0).flatten(2), scale=3.0), event(), 2)
    x, probes = estimates(6), estimates(4, seed=1)
    potential, margins = guide.measure(x, probes)
    torch.testing.assert_close(potential, guide.potential(x))
    torch.testing.assert_close(margins[:, :3].flatten(0, 1), guide.margins(x))
    torch.testing.assert_close(margins[:, 3:].flatten(0, 1), guide.margins(probes))


def test_each_context_is_steered_to_its_own_goal():
    goals = torch.tensor([-0.6, 0.1, 0.6])
    head = RegressionHead(unit_event(1), Constant(1, 1))
    guide = Guide(cost=lambda y: (y[..., 0, 0] - goals[:, None]).square(), scale=1e4)
    x = head.sample(torch.zeros(3, 1), 2, generator=draws.generator(0), guide=guide)
    torch.testing.assert_close(x[:, :, 0, 0], goals[:, None].expand(3, 2), rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("cost", "shape"),
    [(lambda y: y.sum(), ()), (lambda y: y.flatten(1).sum(1), (2,)), (lambda y: y.sum(-1), (2, 3, STEPS))],
)
def test_a_cost_of_a_wrong_shape_is_named(cost, shape):
    with pytest.raises(ValueError, match=r"cost must have shape \(B, N\) = \(2, 3\)") as error:
        steer(estimates(6), 0.1, row_guide(cost, contexts=2))
    assert f"got {shape}" in str(error.value)


def test_a_projection_of_a_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"projection must keep the shape \(1, 5, 3, 2\); got \(1, 5, 3\)"):
        row_guide(project=lambda y: y[..., 0]).project(estimates(5))


@pytest.mark.parametrize("scale", [-1.0, -1e-9, math.nan, math.inf])
def test_a_scale_that_is_negative_or_no_number_is_refused(scale):
    with pytest.raises(ValueError, match=f"scale must be at least 0 and finite; got {scale}"):
        Guide(scale=scale)
