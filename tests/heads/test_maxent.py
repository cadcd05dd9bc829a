"""Maximum entropy over paths: probabilities by enumeration, slopes by finite differences, learning, and bad input."""

import math

import pytest
import torch

from embodied_gen import draws
from embodied_gen.events import GridPath
from embodied_gen.graphs import Grid, Soft
from embodied_gen.graphs.unrolled import unrolled
from embodied_gen.heads import Guide, MaxEntHead
from embodied_gen.heads.charges import ByCell, ByLength, ByMove
from embodied_gen.heads.lengths import AtMost, Exactly, Fading, UntilGoal
from embodied_gen.nets import CellMLP, LinearMap, Positive
from tests.heads.paths import coded, context, enumerated, layers, numbers

pytestmark = pytest.mark.usefixtures("double")

CHARGES = {"length": ByLength, "cell": ByCell, "move": ByMove}
LENGTHS = {"exactly": Exactly, "at most": AtMost, "until goal": UntilGoal, "fading": lambda: Fading(0.8)}
every_charge = pytest.mark.parametrize("charge", CHARGES)
every_length = pytest.mark.parametrize("length", LENGTHS)


def small(moves=5, connectivity=4, **options):
    return GridPath(Grid(3, 3, connectivity=connectivity, **options), moves, cell=0.5, origin=(-1.0, 2.0))


def head_of(event, length, charge="length", net=None, **options):
    """A head whose costs are positive and differ from cell to cell."""
    charge = CHARGES[charge]()
    if net is None:
        net = LinearMap(channels_in=3, channels_out=charge.channels(event.grid))
        with torch.no_grad():
            net.weights.weight.copy_(0.5 * numbers(7, *net.weights.weight.shape))
        net = Positive(net, floor=1.5)
    return MaxEntHead(event, net, length=LENGTHS[length](), charge=charge, **options)


def corner(event, rows=1, seed=1, goal=True):
    """A map, or several, with a start in a corner and a goal at the middle of another side: both at the rim."""
    start, end = torch.full((rows,), 0), torch.full((rows,), 5)
    return context(event, layers(seed, event, rows), start, end if goal else None)


def repeated(c, rows):
    return {name: leaf.expand(rows, *leaf.shape[1:]) for name, leaf in c.items()}


@every_charge
@pytest.mark.parametrize("connectivity", [4, 8])
def test_probabilities_of_all_paths_within_the_moves_are_those_of_their_costs(charge, connectivity):
    event = small(4, connectivity)
    head, c = head_of(event, "at most", charge), corner(event)
    paths = enumerated(event.grid, 0, 4, goal=5)
    x, every = coded(event, paths), repeated(c, len(paths))
    p = head.log_prob(x, every).exp()
    weight = (-head.energy(x, every)).exp()
    torch.testing.assert_close(p, weight / weight.sum())
    if charge == "length":  # the cost of a path is the integral of the map along its polyline
        map_, cells = head.cost_map(c)[0], event.grid.cells(event.states(x))
        values = map_[cells[..., 0], cells[..., 1]]
        lengths = cells.diff(dim=1).to(values).norm(dim=-1)
        torch.testing.assert_close(head.energy(x, every), (lengths * (values[:, 1:] + values[:, :-1]) / 2).sum(1))


@every_charge
def test_probabilities_of_all_paths_of_exactly_n_moves_sum_to_one(charge):
    event = small(4, stay=True)
    head = head_of(event, "exactly", charge)
    for goal in (None, 5):
        c = corner(event, goal=goal is not None)
        paths = [path for path in enumerated(event.grid, 0, 4) if goal in (None, path[-1])]
        x, every = coded(event, paths), repeated(c, len(paths))
        p, weight = head.log_prob(x, every).exp(), (-head.energy(x, every)).exp()
        torch.testing.assert_close(p, weight / weight.sum())


def test_paths_until_the_goal_have_the_sum_over_all_lengths():
    event = GridPath(Grid(2, 2, connectivity=4), 40)
    head = head_of(event, "until goal")
    c = context(event, layers(1, event), torch.tensor([0]), torch.tensor([3]))
    costs = head._costs(head._numbers(head._errand(c)), head._errand(c))
    goal = event.grid.mask(torch.tensor([3]))
    total = -unrolled(event.grid, costs, 300, Soft(), goal=goal)[0, 0, 0]
    x = coded(event, [[0, 1, 3], [0, 2, 0, 1, 3], [0, 2, 0, 2, 0, 2, 3]])
    every = repeated(c, 3)
    torch.testing.assert_close(head.log_prob(x, every), -head.energy(x, every) - total)
    # Of at most forty moves there is next to nothing missing.
    among = MaxEntHead(event, head.net, length=AtMost())
    torch.testing.assert_close(among.log_prob(x, every), head.log_prob(x, every), rtol=0, atol=1e-9)


@pytest.mark.parametrize("slip", [0.0, 0.3])
@every_charge
def test_probabilities_of_fading_paths_sum_to_one_with_slip_and_without(charge, slip):
    event = small(3, stay=True, slip=slip)
    head, c = head_of(event, "fading", charge), corner(event, goal=False)
    paths = enumerated(Grid(3, 3, connectivity=4, stay=True), 0, 3)
    p = head.log_prob(coded(event, paths), repeated(c, len(paths))).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-10)
    # The first step by hand: what the policy chooses, or chance.
    grid, errand = event.grid, head._errand(c)
    policy = head.length.horizon(event, errand).policy(grid, head._costs(head._numbers(errand), errand), Soft())
    first = policy[0, :, 0, 0]
    moves = torch.tensor([a * 3 + b if a >= 0 <= b else 0 for a, b in grid.moves])
    for second in (0, 1, 3):
        made = first[moves == second].sum() * (1 - slip) + slip * (moves == second).double().mean()
        begins = torch.tensor([path[1] == second for path in paths])
        assert p[begins].sum().item() == pytest.approx(made.item(), rel=1e-9)


@pytest.mark.parametrize("discount", [0.9, 0.99])
def test_in_single_precision_too_the_moves_of_a_cell_add_up_to_one_however_far_a_policy_looks_ahead(discount):
    event, values = small(1, stay=True), []
    x = coded(event, enumerated(event.grid, 4, 1))  # all moves from the middle
    c = repeated(context(event, layers(1, event), torch.tensor([4])), len(x))
    for dtype in (torch.float64, torch.float32):
        head = head_of(event, "fading").to(dtype)
        head.length = Fading(discount)
        values.append(head.log_prob(x.to(dtype), {name: leaf.to(dtype) for name, leaf in c.items()}).double())
    assert values[1].exp().sum().item() == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(values[1], values[0], rtol=0, atol=2e-4)  # the rounding of sums of 1 / (1 - discount)


@every_charge
@every_length
def test_slopes_of_the_log_likelihood_are_finite_differences(length, charge):
    event = small(6, 8)
    head, c = head_of(event, length, charge), corner(event, goal=length != "fading")
    if length in ("exactly", "fading"):
        c["steps"] = torch.tensor([4])
    x = coded(event, [[0, 3, 7, 8, 5]])  # along the rim
    parameter = head.net.net.weights.weight
    (slope,) = torch.autograd.grad(head.log_prob(x, c).sum(), parameter)
    h, scale = 1e-5, slope.abs().max().item()
    for place in range(parameter.numel()):
        values = []
        for shift in (h, -h):
            with torch.no_grad():
                parameter.view(-1)[place] += shift
                values.append(head.log_prob(x, c).item())
                parameter.view(-1)[place] -= shift
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(slope.flatten()[place].item(), abs=1e-6 * scale)


@every_charge
@pytest.mark.parametrize("length", ["exactly", "at most", "until goal"])
def test_slopes_are_visits_of_the_demonstration_less_expected_visits(length, charge):
    # The other way to the same gradient: no autograd through V, but visits by forward propagation.
    event = small(4, 8)
    head, c = head_of(event, length, charge), corner(event)
    x = coded(event, [[0, 3, 7, 8, 5]])
    _, costs, _, paths, errand = head._told(x, c)
    (slope,) = torch.autograd.grad(head.log_prob(x, c).sum(), head.net.net.weights.weight)
    start = event.grid.mask(errand.start).double()
    expected = head.length.horizon(event, errand).visits(event.grid, costs.detach(), start, Soft())
    own = paths.visits(event.grid)
    assert own.sum() == 4 and (length != "exactly" or expected.sum().item() == pytest.approx(4))
    excess = torch.where(costs.isinf(), 0, costs) * (expected - own)
    (by_visits,) = torch.autograd.grad(excess.sum(), head.net.net.weights.weight)
    torch.testing.assert_close(by_visits, slope, rtol=1e-9, atol=1e-11)


def test_large_costs_leave_the_shortest_path_alone():
    event = small(4, 8)
    c, paths = corner(event), enumerated(event.grid, 0, 4, goal=5)
    x, every = coded(event, paths), repeated(c, len(paths))
    soft = head_of(event, "at most")

    class Times(torch.nn.Module):
        def forward(self, layers):
            return 1000 * soft.net(layers)

    hard = head_of(event, "at most", net=Times())
    p = hard.log_prob(x, every).exp()
    assert p.argmax() == soft.energy(x, every).argmin()
    assert p.max().item() == pytest.approx(1, abs=1e-6)


@every_length
def test_frequencies_of_draws_are_probabilities(length):
    event, draws_of_each = small(4, 8 if length == "exactly" else 4), 4000  # four straight moves end elsewhere
    head, c = head_of(event, length), corner(event, goal=length != "fading")
    x = head.sample(c, draws_of_each, generator=draws.generator(3))[0]
    paths = enumerated(event.grid, 0, 4, goal=5 if length in ("at most", "until goal") else None)
    if length == "exactly":
        paths = [path for path in paths if path[-1] == 5]
    every = coded(event, paths)
    p = head.log_prob(every, repeated(c, len(every))).exp()
    p = p / p.sum()  # of those until the goal, some do not fit
    counts = (event.states(x)[:, None] == event.states(every)).all(-1).sum(0)
    assert counts.sum() == draws_of_each  # every draw is one of the paths
    assert ((counts / draws_of_each - p).abs() < 4 * (p * (1 - p) / draws_of_each).sqrt() + 1e-3).all()


def test_draws_of_a_row_make_its_own_number_of_steps():
    event = small(4, stay=False)
    for length in ("exactly", "fading"):
        head, c = head_of(event, length), corner(event, 3, goal=False)
        c["steps"] = torch.tensor([0, 2, 4])
        states = event.states(head.sample(c, 5, generator=draws.generator(0)).flatten(0, 1))
        assert ((states.diff(dim=1) != 0).sum(1).view(3, 5) == c["steps"][:, None]).all()


def test_a_guide_chooses_among_paths_and_blocked_cells_are_not_entered():
    event = small(6, 8)
    head, c = head_of(event, "at most"), corner(event)
    low = Guide(margins=lambda y: 3.0 - y[..., 1])  # the lower two rows
    told = head.certified(c, 20, generator=draws.generator(0), guide=low)
    assert told.feasible.all()
    c["blocked"] = torch.zeros(1, 3, 3, dtype=torch.bool)
    c["blocked"][0, 1, 1] = True
    x = head.sample(c, 200, generator=draws.generator(0))[0]
    assert (event.states(x) != 4).all()
    assert head.cost_map(c)[0, 1, 1] == math.inf and head.cost_map(c).isfinite().sum() == 8


@every_length
def test_blocked_cells_leave_slopes_finite(length):
    event = small(4, 8)
    head, c = head_of(event, length), corner(event)
    c["blocked"] = torch.zeros(1, 3, 3, dtype=torch.bool)
    c["blocked"][0, 2, 0] = c["blocked"][0, 1, 1] = True
    value = head.log_prob(coded(event, [[0, 1, 2, 5, 5]]), {**c, "steps": torch.tensor([3])})
    value.sum().backward()
    assert value.isfinite().all() and head.net.net.weights.weight.grad.isfinite().all()


def learned(length, charge, net, rate=0.1, seed=0):
    """A head trained on draws of another with known costs, the other, and contexts and demonstrations held out."""
    event = GridPath(Grid(5, 5, connectivity=8), 14)
    truth = head_of(event, length, charge, net=Positive(LinearMap(channels_in=3), floor=1.5))
    with torch.no_grad():
        truth.net.net.weights.weight.copy_(torch.tensor([2.0, -1.5, 1.0]).view(1, 3, 1, 1))
    maps = 24
    start, goal = torch.arange(maps) % 5, 24 - torch.arange(maps) % 4
    c = context(event, layers(5 + seed, event, maps), start, goal)
    x = truth.sample(c, 4, generator=draws.generator(seed)).flatten(0, 1)
    head, c = head_of(event, length, charge, net=net), {k: v.repeat_interleave(4, 0) for k, v in c.items()}
    optimizer = torch.optim.Adam(head.parameters(), lr=rate)
    halves = [{name: leaf[rows] for name, leaf in c.items()} for rows in (slice(2 * maps), slice(2 * maps, None))]
    for step in range(40):
        optimizer.zero_grad()
        head.loss(x[: 2 * maps], halves[0], generator=draws.generator(step)).mean().backward()
        optimizer.step()
    return head, truth, x[2 * maps :], halves[1]


@pytest.mark.parametrize("length", ["at most", "until goal"])
def test_training_recovers_known_costs_and_the_likelihood_of_held_out_demonstrations(length):
    head, truth, x, c = learned(length, "length", Positive(LinearMap(channels_in=3), floor=1.5))
    with torch.no_grad():
        own, best = head.log_prob(x, c).mean(), truth.log_prob(x, c).mean()
        start = head_of(head.event, length, net=Positive(LinearMap(channels_in=3), floor=1.5)).log_prob(x, c).mean()
        assert best - own < 0.1 * (best - start)
        # The ranking of paths that another map has.
        rivals = [truth.sample(c, 6, generator=draws.generator(9))[:, k] for k in range(6)]
        mine, theirs = (torch.stack([h.energy(y, c) for y in rivals]) for h in (head, truth))
    pairs = [(i, j) for i in range(6) for j in range(i)]
    agree = torch.stack([(mine[i] < mine[j]) == (theirs[i] < theirs[j]) for i, j in pairs])
    assert agree.double().mean() > 0.9


def test_a_network_of_cells_learns_what_linear_costs_are():
    head, truth, x, c = learned("at most", "length", Positive(CellMLP(channels_in=3, width=8), floor=0.5), rate=0.03)
    with torch.no_grad():
        own, best = head.log_prob(x, c).mean(), truth.log_prob(x, c).mean()
        start = head_of(head.event, "at most", net=Positive(LinearMap(channels_in=3), floor=1.5)).log_prob(x, c).mean()
    assert best - own < 0.4 * (best - start)


def broken(change):
    """A head until the goal with its context and a demonstration, one of them changed; the loss is asked."""
    event = small(4)
    head, c = head_of(event, "until goal"), corner(event, 2)
    states = torch.tensor([[0, 1, 2, 5, 5], [0, 3, 4, 5, 5]])
    parts = {"head": head, "c": c, "states": states}
    change(parts)
    parts["head"].loss(event.coded(parts["states"]), c, generator=draws.generator(0))


def of_states(row, *states):
    return lambda parts: parts["states"].__setitem__(row, torch.tensor(states))


def of_net(floor):
    def change(parts):
        class Constant(torch.nn.Module):
            def forward(self, layers):
                return torch.full_like(layers[:, :1], floor)

        parts["head"].net = Constant()

    return change


def of_leaf(name, place, value):
    return lambda parts: parts["c"].__getitem__(name).__setitem__(place, value)


def blocked(*cells):
    def change(parts):
        mask = torch.zeros(2, 9, dtype=torch.bool)
        mask[1, list(cells)] = True
        parts["c"]["blocked"] = mask.view(2, 3, 3)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_states(1, 0, 4, 5, 5, 5), r"demonstration 1 jumps after step 0: no move leads from cell \(0, 0\) to cell"),
        (of_states(1, 0, 0, 1, 2, 5), r"demonstration 1 stands still in cell \(0, 0\) after step 0 and goes on"),
        (of_states(1, 0, 1, 2, 2, 2), r"demonstration 1 ends at step 2 in cell \(0, 2\), elsewhere than at its goal"),
        (of_states(1, 1, 2, 5, 5, 5), r"demonstration 1 begins at step 0 in cell \(0, 1\), elsewhere than at its st"),
        (of_states(0, 0, 1, 2, 5, 8), r"demonstration 0 ends at step 4 in cell \(2, 2\), elsewhere"),
        (of_net(-0.1), "the sum over paths of all lengths is infinite for map 0: its costs are too low"),
        (of_net(0.1), "the sum over paths of all lengths is infinite for map 0"),
        (of_net(math.nan), r"the cost of map 0, cell \(.*\), move .* is nan; costs must be numbers above minus inf"),
        (of_net(-math.inf), r"the cost of map 0, cell \(.*\), move .* is -inf"),
        (of_leaf("layers", (1, 2, 0, 1), math.nan), r"map 1 has nan in layer 2 at cell \(0, 1\)"),
        (of_leaf("layers", (0, 0, 2, 2), math.inf), r"map 0 has inf in layer 0 at cell \(2, 2\)"),
        (of_leaf("goal", (1, 0), 9.0), r"goal 1 must lie on the map of 3 x 3 cells from .*; got \[9.0, .*\] m"),
        (blocked(2, 4, 8), r"demonstration 1 makes no move that there is from cell \(1, 0\) to cell \(1, 1\) after s"),
    ],
)
def test_bad_input_is_named_in_one_sentence(change, message):
    with pytest.raises(ValueError, match=message) as error:
        broken(change)
    assert len(str(error.value)) < 300


def test_an_unreachable_goal_is_named():
    event = small(4)
    c = corner(event, 2)
    head = head_of(event, "at most")
    c["blocked"] = torch.zeros(2, 3, 3, dtype=torch.bool)
    c["blocked"][1] = torch.tensor([[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    with pytest.raises(ValueError, match=r"no path of map 1 starts at cell \(0, 0\)"):
        head.sample(c, generator=draws.generator(0))
    far = MaxEntHead(GridPath(event.grid, 2), head.net)  # two moves do not reach a cell that is three away
    with pytest.raises(ValueError, match=r"no path of map 0 starts at cell \(0, 0\)"):
        far.sample(corner(far.event), generator=draws.generator(0))


@pytest.mark.parametrize(
    ("leaf", "value", "message"),
    [
        ("layers", None, "needs the leaf layers; got"),
        ("start", None, "needs the leaf start; got"),
        ("goal", None, "UntilGoal needs the leaf goal in the context; got none"),
        ("layers", torch.zeros(1, 3, 2, 2), r"layers must have shape \(B, C, 3, 3\); got \(1, 3, 2, 2\)"),
        ("goal", torch.zeros(1, 3), r"goal must have shape \(1, 2\); got \(1, 3\)"),
        ("steps", torch.tensor([5]), r"steps must lie from 0 to the event's 4 moves; got \[5\]"),
    ],
)
def test_a_wrong_leaf_is_named(leaf, value, message):
    event = small(4)
    c = corner(event)
    if value is None:
        del c[leaf]
    else:
        c[leaf] = value
    with pytest.raises(ValueError, match=message):
        head_of(event, "until goal").sample(c, generator=draws.generator(0))


def test_a_tensor_is_no_map_and_a_wrong_network_is_named():
    event = small(4)
    with pytest.raises(ValueError, match="must be a mapping with the leaves layers, start and goal; got a tensor"):
        head_of(event, "at most").sample(torch.zeros(1, 3), generator=draws.generator(0))
    wide = MaxEntHead(event, LinearMap(channels_in=3, channels_out=2))
    with pytest.raises(ValueError, match=r"charge ByLength must return shape \(1, 1, 3, 3\); got \(1, 2, 3, 3\)"):
        wide.cost_map(corner(event))


def test_whole_paths_refuse_slip_and_exact_paths_what_goes_on():
    slippery = small(4, slip=0.1)
    x = slippery.coded(torch.tensor([[0, 1, 2, 5, 5]]))
    with pytest.raises(ValueError, match=r"whole paths need moves of one outcome; the grid has a slip of 0.1"):
        head_of(slippery, "exactly").log_prob(x, corner(slippery))
    event = small(4)
    c = {**corner(event, goal=False), "steps": torch.tensor([2])}
    with pytest.raises(
        ValueError, match=r"demonstration 0 has made the moves that its steps allow at cell \(0, 2\) and"
    ):
        head_of(event, "exactly").log_prob(event.coded(torch.tensor([[0, 1, 2, 5, 5]])), c)
    c["steps"] = torch.tensor([4])
    with pytest.raises(ValueError, match=r"demonstration 0 makes no move that there is from cell \(1, 2\) to cell"):
        head_of(event, "exactly").log_prob(event.coded(torch.tensor([[0, 1, 2, 5, 5]])), c)
