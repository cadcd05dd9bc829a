"""Maximum margin over paths: the hinge by enumeration, its slope, learning, LEARCH, and draws by perturbation."""

import pytest
import torch

from embodied_gen import draws
from embodied_gen.events import GridPath
from embodied_gen.graphs import Grid
from embodied_gen.heads import Guide, LearchHead, MarginHead, functional_step
from embodied_gen.heads.charges import ByCell, ByLength, ByMove
from embodied_gen.heads.lengths import AtMost, Exactly, UntilGoal
from embodied_gen.heads.path_loss import Hamming, Smoothed
from embodied_gen.nets import CellMLP, LinearMap, Positive
from tests.heads.paths import coded, context, enumerated, layers, numbers

pytestmark = pytest.mark.usefixtures("double")

LENGTHS = {"exactly": Exactly, "at most": AtMost, "until goal": UntilGoal}
LOSSES = {"hamming": lambda: Hamming(0.7), "smoothed": lambda: Smoothed(2.0, 0.7)}


def event(moves=4):
    return GridPath(Grid(3, 3, connectivity=8), moves, cell=0.5, origin=(-1.0, 2.0))


def linear(channels_out=1, floor=1.0):
    net = LinearMap(channels_in=3, channels_out=channels_out)
    with torch.no_grad():
        net.weights.weight.copy_(0.5 * numbers(7, *net.weights.weight.shape))
    return Positive(net, floor=floor)


def corner(of, rows=1):
    return context(of, layers(1, of, rows), torch.zeros(rows, dtype=torch.long), torch.full((rows,), 5))


def loss_by_hand(kind, paths, own, grid, weight=0.7):
    """The losses of paths of cells' numbers beside another, after their definitions."""
    cells = grid.cells(torch.arange(9)).double()
    distance = (cells[:, None] - cells[None, own]).norm(dim=-1).amin(1)
    table = (distance > 0).double() if kind == "hamming" else (distance / 2).clamp(max=1)
    return torch.stack([weight * table[path[1:]].sum() for path in paths])


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("charge", [ByLength, ByCell, ByMove])
def test_the_hinge_is_that_of_all_paths(length, kind, charge):
    of = event()
    charge = charge()
    head = MarginHead(
        of, linear(charge.channels(of.grid)), length=LENGTHS[length](), path_loss=LOSSES[kind](), charge=charge
    )
    paths = enumerated(of.grid, 0, 4, goal=None if length == "exactly" else 5)
    paths = [path for path in paths if path[-1] == 5]
    c = corner(of)
    every = {name: leaf.expand(len(paths), *leaf.shape[1:]) for name, leaf in c.items()}
    errand = head._errand(every)
    costs = head._costs(head._numbers(errand), errand)
    x = coded(of, paths)
    states = of.states(x)
    cost = head._moves(states, head.length.count(of, states, errand), costs).costs(costs)[:, 0]
    hinge = head.loss(x, every, generator=draws.generator(0))
    for number in (0, len(paths) // 2, len(paths) - 1):
        losses = loss_by_hand(kind, paths, paths[number], of.grid)
        by_hand = cost[number] - (cost - losses).min()
        torch.testing.assert_close(hinge[number], by_hand)
    assert (hinge >= -1e-12).all() and (hinge > 0.1).any()


@pytest.mark.parametrize("length", LENGTHS)
def test_slopes_of_the_hinge_are_finite_differences_where_one_path_is_the_best(length):
    of = event()
    head, c = MarginHead(of, linear(), length=LENGTHS[length]()), corner(of)
    x = coded(of, [[0, 3, 7, 8, 5]])
    parameter = head.net.net.weights.weight

    def hinge():
        return head.loss(x, c, generator=draws.generator(0)).sum()

    (slope,) = torch.autograd.grad(hinge(), parameter)
    for place in range(3):
        values = []
        for shift in (1e-5, -1e-5):
            with torch.no_grad():
                parameter.view(-1)[place] += shift
                values.append(hinge().item())
                parameter.view(-1)[place] -= shift
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope.flatten()[place].item(), rel=1e-6, abs=1e-7)


def separable(maps=12):
    """Shortest paths of linear positive costs, drawn by a head that knows them, and their contexts."""
    of = GridPath(Grid(6, 6, connectivity=8), 16)
    truth = MarginHead(of, LinearMap(channels_in=3))
    with torch.no_grad():
        truth.net.weights.weight.copy_(torch.tensor([3.0, 1.0, 0.2]).view(1, 3, 1, 1))
    features = layers(4, of, maps).exp()  # positive, so that costs are
    c = context(of, features, torch.arange(maps) % 6, 35 - torch.arange(maps) % 5)
    return of, truth, truth.sample(c, generator=draws.generator(0))[:, 0], c


class Weights(torch.nn.Module):
    """Positive weights of layers: costs above a floor."""

    def __init__(self):
        super().__init__()
        self.raw = torch.nn.Parameter(torch.zeros(3))

    def forward(self, layers):
        return 0.02 + (layers * self.raw.exp().view(1, 3, 1, 1)).sum(1, keepdim=True)


def trained(head, x, c, steps, rate, decay=0.0):
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=decay)
    first = None
    for step in range(steps):
        optimizer.zero_grad()
        loss = head.loss(x, c, generator=draws.generator(step)).mean()
        loss.backward()
        optimizer.step()
        first = loss.item() if first is None else first
    with torch.no_grad():
        return first, head.loss(x, c, generator=draws.generator(0)).mean().item()


@pytest.mark.parametrize("path_loss", [Hamming(0.02), Smoothed(2.0, 0.02)])
def test_the_hinge_falls_to_zero_on_separable_maps_and_the_plans_are_the_demonstrations(path_loss):
    of, _, x, c = separable(6)
    head = MarginHead(of, Weights(), length=UntilGoal(), path_loss=path_loss)
    first, last = trained(head, x, c, 120, 0.1)
    assert first > 0.02 and last == pytest.approx(0, abs=1e-9)
    assert torch.equal(head.sample(c, generator=draws.generator(0))[:, 0], x)


def test_weight_decay_is_the_regulariser():
    of, _, x, c = separable()
    sizes = []
    for decay in (0.0, 0.5):
        head = MarginHead(of, Positive(LinearMap(channels_in=3), floor=0.1), path_loss=Hamming(0.1))
        trained(head, x, c, 30, 0.1, decay)
        sizes.append(head.net.net.weights.weight.norm().item())
    assert sizes[1] < sizes[0]


def test_learch_keeps_costs_positive_and_lowers_the_hinge():
    of, _, x, c = separable()
    c["layers"] = c["layers"].log()
    head = LearchHead(of, CellMLP(channels_in=3, width=16), path_loss=Hamming(0.05))
    first, last = trained(head, x, c, 50, 0.01)
    assert last < 0.5 * first
    assert (head.cost_map(c) > 0).all()
    with torch.no_grad():
        head.net.last.bias.sub_(1000.0)
    assert (head.cost_map(c) > 0).all()  # whatever the network says


def test_functional_steps_fit_signed_differences_of_visits():
    of, _, x, c = separable()
    c["layers"] = c["layers"].log()
    head = LearchHead(of, CellMLP(channels_in=3, width=16), path_loss=Hamming(0.05))
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    before, excess = head.log_costs(c).detach(), head.lesson(x, c)
    hinge = head.loss(x, c, generator=draws.generator(0)).mean().item()
    for _ in range(6):
        functional_step(head, x, c, optimizer=optimizer, step=0.3, fits=15)
    moved = head.log_costs(c).detach() - before
    assert (moved[excess > 0].mean() > moved[excess < 0].mean()).item()
    assert head.loss(x, c, generator=draws.generator(0)).mean().item() < 0.7 * hinge


def test_the_slope_of_learch_is_the_difference_of_visits():
    of, _, x, c = separable()
    head = LearchHead(of, LinearMap(channels_in=3), path_loss=Hamming(0.05))
    (slope,) = torch.autograd.grad(head.loss(x, c, generator=draws.generator(0)).sum(), head.net.weights.weight)
    by_hand = -torch.einsum("bkhw,bchw->c", head.lesson(x, c), c["layers"])
    torch.testing.assert_close(slope.flatten(), by_hand)


def test_draws_without_noise_are_the_cheapest_path_and_with_noise_others_too():
    of = event()
    head, c = MarginHead(of, linear()), corner(of)
    errand = head._errand(c)
    paths = enumerated(of.grid, 0, 4, goal=5)
    every = {name: leaf.expand(len(paths), *leaf.shape[1:]) for name, leaf in c.items()}
    many = head._errand(every)
    costs = head._costs(head._numbers(many), many)
    states = of.states(coded(of, paths))
    cost = head._moves(states, head.length.count(of, states, many), costs).costs(costs)[:, 0]
    plan = of.states(head.sample(c, 3, generator=draws.generator(0))[0])
    assert (plan == states[cost.argmin()]).all()
    noisy = MarginHead(of, head.net, temperature=0.5)
    drawn = of.states(noisy.sample(c, 200, generator=draws.generator(0))[0])
    index = (drawn[:, None] == states).all(-1).int().argmax(1)
    shares = torch.bincount(index, minlength=len(paths))
    assert shares.argmax() == cost.argmin() and (shares > 0).sum() > 3
    assert cost[shares > 0].mean() < cost.mean()
    assert errand.goal is not None


class Wall(torch.nn.Module):
    """Costs of cells are the first layer itself."""

    def forward(self, layers):
        return layers[:, :1]


def test_a_plan_longer_than_the_event_gives_way_to_the_best_that_fits():
    of = GridPath(Grid(3, 3, connectivity=4), 2)
    c = context(of, torch.ones(1, 1, 3, 3), torch.tensor([0]), torch.tensor([2]))
    c["layers"][0, 0, 0, 1] = 100.0  # the way around takes four moves
    plan = MarginHead(of, Wall(), length=UntilGoal()).sample(c, generator=draws.generator(0))[0, 0]
    assert of.states(plan[None])[0].tolist() == [0, 1, 2]


def test_a_map_that_needs_a_detour_leaves_the_plans_of_others_alone():
    of = GridPath(Grid(6, 6, connectivity=4), 10)
    costs = torch.ones(3, 1, 6, 6)
    costs[1, 0, 1, :5], costs[1, 0, 3, 1:] = 100.0, 100.0  # the cheap way has twenty moves
    c = context(of, costs, torch.zeros(3, dtype=torch.long), torch.full((3,), 35))
    head = MarginHead(of, Wall(), length=UntilGoal())
    together = head.sample(c, 1, generator=draws.generator(0))
    for row in range(3):
        alone = head.sample({name: leaf[row, None] for name, leaf in c.items()}, 1, generator=draws.generator(0))
        assert torch.equal(together[row], alone[0])


@pytest.mark.parametrize("guide", [None, Guide(cost=lambda y: y.square().sum((2, 3)))], ids=["free", "guided"])
def test_noise_makes_no_cycle_pay_where_cells_cost_nothing(guide):
    of = GridPath(Grid(3, 3, connectivity=8), 6)
    costs = numbers(3, 2, 1, 3, 3).clamp(min=0)
    assert (costs == 0).any()
    c = context(of, costs, torch.zeros(2, dtype=torch.long), torch.full((2,), 8))
    head = MarginHead(of, Wall(), length=UntilGoal(), temperature=0.3)
    drawn = of.states(head.sample(c, 20, generator=draws.generator(0), guide=guide).flatten(0, 1))
    assert (drawn[:, 0] == 0).all() and (drawn[:, -1] == 8).all()


@pytest.mark.parametrize("temperature", [0.0, 0.3])
def test_where_noise_lets_cycles_pay_the_best_that_fits_is_drawn_and_other_maps_keep_their_plans(temperature):
    of = GridPath(Grid(3, 3, connectivity=4), 6)
    costs = 1 + numbers(3, 3, 1, 3, 3).abs()
    costs[1, 0, 1, 1] = -0.3
    c = context(of, costs, torch.zeros(3, dtype=torch.long), torch.full((3,), 8))
    head = MarginHead(of, Wall(), length=UntilGoal(), charge=ByCell(), temperature=temperature, candidates=8)
    for guide in (None, Guide(cost=lambda y: y.square().sum((2, 3)))):
        drawn = head.sample(c, 10, generator=[draws.generator(row) for row in range(3)], guide=guide)
        assert (of.states(drawn.flatten(0, 1))[:, -1] == 8).all()
        for row in range(3):
            one = {name: leaf[row, None] for name, leaf in c.items()}
            assert torch.equal(drawn[row], head.sample(one, 10, generator=[draws.generator(row)], guide=guide)[0])


def test_where_cycles_pay_the_plan_is_the_cheapest_path_that_fits():
    of = GridPath(Grid(3, 3, connectivity=4), 6)
    costs = 1 + numbers(4, 1, 1, 3, 3).abs()
    costs[0, 0, 0, 1], costs[0, 0, 0, 2] = -4.0, 1.5  # to and fro
    c = context(of, costs, torch.zeros(1, dtype=torch.long), torch.full((1,), 8))
    plan = MarginHead(of, Wall(), length=UntilGoal(), charge=ByCell()).sample(c, generator=draws.generator(0))[0, 0]
    paths = enumerated(of.grid, 0, 6, goal=8)
    cheapest = min(paths, key=lambda path: costs.flatten()[torch.tensor(path[:-1])].sum().item())
    assert torch.equal(plan, coded(of, [cheapest])[0]) and len(cheapest) == 7


def test_guides_turn_plans_away():
    of = event(6)
    head, c = MarginHead(of, linear(), length=UntilGoal(), candidates=64), corner(of)
    free = of.unscale(head.sample(c, 1, generator=draws.generator(0)))[0, 0]
    crossed = free[1]

    def margins(y):
        return (y - crossed).norm(dim=-1) - 0.1

    told = head.certified(c, 8, generator=draws.generator(0), guide=Guide(margins=margins))
    assert told.feasible.all()


def test_losses_above_costs_give_a_lower_bound_of_the_hinge_and_negative_costs_are_named():
    of = event(6)
    c, x = corner(of), coded(of, [[0, 1, 5]])
    large = [
        MarginHead(of, linear(floor=0.0), length=length, path_loss=Hamming(5.0)).loss(
            x, c, generator=draws.generator(0)
        )
        for length in (UntilGoal(), AtMost())
    ]
    assert 0 <= large[0].item() < large[1].item()
    below = MarginHead(of, linear().net, length=UntilGoal())
    with pytest.raises(ValueError, match=r"map 0 has a cycle of negative cost.*raise its costs"):
        below.loss(x, c, generator=draws.generator(0))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Hamming(0.0), "weight must be positive; got 0.0"),
        (lambda: Smoothed(0.0), "radius must be positive; got 0.0"),
        (lambda: MarginHead(event(), linear(), temperature=-1.0), "must be at least 0; got -1.0 and 0.5"),
        (lambda: MarginHead(event(), linear(), candidates=0), "candidates must be at least 1; got 0"),
        (
            lambda: functional_step(LearchHead(event(), linear()), None, None, optimizer=None, step=0.0, fits=1),
            "step must be positive and fits at least 1; got 0.0 and 1",
        ),
    ],
)
def test_numbers_out_of_range_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
