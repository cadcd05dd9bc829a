"""Cost maps: what is read is what is written, integrals are integrals, and obstacles are dear, blocked and left."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from shapely.geometry import Point

from embodied_gen.events import GridPath
from embodied_gen.graphs import Grid
from planners import CostAlong, CostDuring, CostMap, CostOfAgents, guide_of, read_cost_map, read_guide

pytestmark = pytest.mark.usefixtures("double")
ROWS, COLUMNS, CELL, ORIGIN = 5, 7, 0.5, (-1.0, 2.0)
SIDE = np.array([COLUMNS, ROWS]) * CELL


def hilly(seed=0, blocked=()):
    values = torch.rand(ROWS, COLUMNS, generator=torch.Generator().manual_seed(seed)) * 4 + 0.5
    for cell in blocked:
        values[cell] = math.inf
    return CostMap(values, CELL, ORIGIN)


shares = st.tuples(st.floats(0, 1), st.floats(0, 1))
places = shares.map(lambda share: np.array(ORIGIN) + np.array(share) * SIDE)
paths = st.lists(places, min_size=2, max_size=5).map(lambda path: torch.from_numpy(np.stack(path))[None, None])


@given(places)
def test_between_centres_the_map_is_read_bilinearly(place):
    map = hilly()
    column, row = np.clip((place - ORIGIN) / CELL - 0.5, 0, [COLUMNS - 1, ROWS - 1])
    i, j = min(int(row), ROWS - 2), min(int(column), COLUMNS - 2)
    a, b, values = row - i, column - j, map.values.numpy()
    low, high = (values[k, j] * (1 - b) + values[k, j + 1] * b for k in (i, i + 1))
    assert map(torch.from_numpy(place)).item() == pytest.approx(low * (1 - a) + high * a)


def test_cells_lie_where_paths_over_cells_have_them():
    map, event = hilly(), GridPath(Grid(ROWS, COLUMNS), 3, cell=CELL, origin=ORIGIN)
    states = torch.arange(ROWS * COLUMNS)
    torch.testing.assert_close(torch.from_numpy(map.centres(states)), event.centres(states))
    torch.testing.assert_close(map(event.centres(states)), map.values.flatten())
    assert [map.located(place, "start") for place in map.centres(states)] == states.tolist()


@given(paths, st.floats(0, 50))
def test_on_a_constant_map_a_path_costs_its_length(path, rate):
    length = path.diff(dim=-2).norm(dim=-1).sum()
    cost = CostAlong(CostMap(torch.full((ROWS, COLUMNS), rate), CELL, ORIGIN), unit=2.0)(path)
    assert cost.item() == pytest.approx(rate * length.item() / 2, abs=1e-3)


@given(paths)
@settings(max_examples=40)
def test_a_path_costs_the_integral_of_the_map(path):
    map = hilly()

    def along(a, b):
        at = [torch.lerp(a, b, s) for s in np.linspace(0, 1, 400)]
        return (b - a).norm().item() * integrate.trapezoid(map(torch.stack(at)).numpy(), dx=1 / 399)

    steps = zip(path[0, 0, :-1], path[0, 0, 1:], strict=True)
    exact = sum(along(a, b) for a, b in steps)
    # By parts of half a cell, of kinks of at most a few units a cell.
    assert CostAlong(map)(path).item() == pytest.approx(exact, rel=0.03, abs=0.03)


@given(paths, st.integers(0, 3))
def test_cutting_a_segment_at_its_middle_and_turning_a_path_round_change_little(path, seed):
    cost = CostAlong(hilly(seed))
    middles = (path[..., :-1, :] + path[..., 1:, :]) / 2
    cut = torch.cat([torch.stack([path[..., :-1, :], middles], -2).flatten(2, 3), path[..., -1:, :]], -2)
    assert cost(path.flip(-2)).item() == pytest.approx(cost(path).item())
    assert cost(cut).item() == pytest.approx(cost(path).item(), rel=0.05, abs=0.02)


@given(st.integers(0, 3), st.booleans())
def test_slopes_are_those_of_finite_differences(seed, blocked):
    source = torch.Generator().manual_seed(seed)
    low, side = torch.tensor(ORIGIN), torch.from_numpy(SIDE)
    y = (low + side * (1.4 * torch.rand(2, 3, 4, 2, generator=source) - 0.2)).requires_grad_()  # off the map too
    cost = CostAlong(hilly(seed, [(2, 3), (2, 4)] if blocked else ()))
    torch.autograd.gradcheck(cost, y, eps=1e-7, atol=1e-4, rtol=1e-4)


def test_rows_do_not_depend_on_each_other_and_a_short_path_may_stand():
    y = torch.rand(3, 2, 6, 2, generator=torch.Generator().manual_seed(1)) * 9 - 3
    cost = CostAlong(hilly(blocked=[(1, 1)]))
    alone = torch.stack([cost(y[b : b + 1, n : n + 1])[0, 0] for b in range(3) for n in range(2)]).view(3, 2)
    torch.testing.assert_close(cost(y), alone)
    still = y[:1, :1, :1].expand(-1, -1, 4, -1).clone().requires_grad_()
    cost(still).sum().backward()
    assert cost(still).item() < 1e-2 and still.grad.isfinite().all()
    y[0, 0, 2] = torch.nan
    assert cost(y).isnan().flatten().tolist() == [True] + [False] * 5


def test_no_segment_jumps_over_a_thin_wall():
    values = torch.ones(ROWS, 400)
    values[:, 200] = math.inf
    wall = CostAlong(CostMap(values, 0.1, price=1000.0))
    across = torch.tensor([[[[0.0, 0.25], [39.9, 0.25]]]])
    assert wall(across).item() == pytest.approx(39.9 + 999 * 0.1, rel=0.02)  # a hat as wide as a cell at half height


def test_the_way_out_of_obstacles_and_back_to_the_map_is_downhill():
    values = torch.ones(9, 9)
    values[3:, 2:7] = math.inf
    map = CostMap(values, 1.0)
    inside = torch.tensor([[3.2, 6.6], [5.8, 5.4], [4.4, 4.2]]).requires_grad_()
    map(inside).sum().backward()
    way_out = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0]])
    assert ((-inside.grad * way_out).sum(-1) > 10).all()
    assert map(inside).detach().min() > map.price
    off = map(torch.tensor([[-1.0, 4.0], [-3.0, 4.0], [-3.0, -2.0]]))
    assert off.tolist() == pytest.approx([1 + 100, 1 + 300, 1 + 500])


def test_free_space_is_what_is_not_blocked():
    map = hilly(blocked=[(0, 0), (2, 3)])
    inside = [map.free_space().contains(Point(*place)) for place in map.centres(torch.arange(ROWS * COLUMNS))]
    assert inside == (~map.blocked).flatten().tolist()
    assert map.free_space().area == pytest.approx((ROWS * COLUMNS - 2) * CELL**2)
    odd = CostMap(torch.ones(30, 20), 0.1, (1e5 + 0.3, 0.7)).free_space()  # without slits between cells
    assert odd.geom_type == "Polygon" and not odd.interiors and odd.area == pytest.approx(6)


def test_a_guide_file_reads_the_map_that_was_saved(tmp_path):
    map, y = hilly(blocked=[(1, 1)]), torch.rand(2, 3, 6, 2) * 3
    map.save(tmp_path / "map.npz")
    assert read_cost_map(tmp_path / "map.npz").values.equal(map.values)
    file = tmp_path / "guide.yaml"
    file.write_text(f"costs:\n  - {{kind: cost_map, file: {tmp_path}/map.npz, unit: 3.0, price: 50, steps: [1, 4]}}")
    guide, constraints = read_guide(file).build(0.1)
    (tmp_path / "map.npz").unlink()  # it has been read
    by_hand = CostMap(map.values, CELL, ORIGIN, price=50.0)
    assert not constraints and guide.cost(y).equal(CostDuring(CostAlong(by_hand, 3.0), 1, 4)(y))
    assert read_guide_refuses(file).endswith(
        "map.npz is no cost map: it must be .npz with values, cell, origin "
        "(FileNotFoundError). Write one with CostMap.save."
    )


def read_guide_refuses(file):
    with pytest.raises(ValueError) as caught:
        read_guide(file)
    return str(caught.value)


def test_agents_of_a_scene_pay_for_their_own_ways():
    y = torch.rand(2, 3, 4, 6, 7, generator=torch.Generator().manual_seed(0))
    y[..., 6] = 1
    cost = CostAlong(hilly())
    by_hand = torch.stack([cost(y[:, :, agent]) for agent in range(4)]).mean(0)
    torch.testing.assert_close(CostOfAgents(cost)(y), by_hand)
    assert guide_of([], [CostOfAgents(cost, [1])]).cost(y).equal(cost(y[:, :, 1]))


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_moves_cost_what_the_grid_says_but_cut_no_corner(seed):
    source = torch.Generator().manual_seed(seed)
    values = torch.rand(ROWS, COLUMNS, generator=source) + 0.1
    values[torch.rand(ROWS, COLUMNS, generator=source) < 0.3] = math.inf
    values[0, 0] = 1.0
    map = CostMap(values, CELL)
    plain = CELL * Grid(ROWS, COLUMNS).costs_of_moves(values[None])[0]
    for number, (a, b) in enumerate(map.grid.moves):
        for i, j in np.ndindex(ROWS, COLUMNS):
            crossed = [(i, j), (i + a, j + b), (i + a, j), (i, j + b)]
            there = all(0 <= k < ROWS and 0 <= n < COLUMNS for k, n in crossed)
            free = there and not any(map.blocked[cell] for cell in crossed)
            assert map.moves[number, i, j] == (plain[number, i, j] if free else math.inf)


def test_costs_to_go_fall_towards_the_goal_from_everywhere():
    values = torch.ones(6, 6)
    values[1:5, 2] = math.inf
    map = CostMap(values, 0.5)
    left = map.to_go((0.25, 0.25))
    assert left(torch.tensor([0.25, 0.25])).item() == pytest.approx(0)
    assert left(torch.tensor([2.75, 0.25])).item() == pytest.approx(2.5)
    assert left.values[~map.blocked].max() < left(torch.tensor([1.25, 1.25])).item()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CostMap(torch.ones(3), 1.0), r"must have shape \(H, W\), not empty; got \(3,\)"),
        (lambda: CostMap(torch.ones(2, 0), 1.0), r"must have shape \(H, W\), not empty; got \(2, 0\)"),
        (lambda: CostMap(torch.full((2, 2), torch.nan), 1.0), "costs must be numbers above minus infinity"),
        (lambda: CostMap(torch.full((2, 2), torch.inf), 1.0), "a cost map needs a free cell; all are infinite"),
        (lambda: CostMap(torch.ones(2, 2), 0.0), r"cell must be positive, .*; got 0.0 and \[0.0, 0.0\]"),
        (lambda: CostMap(torch.ones(2, 2), 1.0, (0.0, math.nan)), r"got 1.0 and \[0.0, nan\]"),
        (lambda: CostMap(torch.full((2, 2), 200.0), 1.0), "above that of every free cell, 200 at most; got 100.0"),
        (lambda: CostMap(torch.full((2, 2), -2.0), 1.0, price=-1.0), "price, of a metre in obstacles, must be pos"),
        (lambda: CostAlong(hilly(), 0.0), "unit must be positive and finite; got 0.0"),
        (lambda: CostAlong(hilly(), channels=(1, 1)), "channels must name two different channels"),
        (lambda: CostAlong(hilly())(torch.zeros(1, 1, 1, 2)), "a cost along a path needs a path of 2 way-points"),
        (
            lambda: hilly().located((9.0, 0.0), "goal"),
            r"goal must lie on the map of 5 x 7 cells of 0.5 m .*; got \[9.0, 0.0\]",
        ),
        (lambda: hilly(blocked=[(0, 0)]).located((-0.9, 2.1), "start"), r"start must lie in a free cell; .*\(0, 0\)"),
        (lambda: CostMap(torch.full((2, 2), -1.0), 1.0).to_go((0.5, 0.5)), "need costs that are not negative; got -1"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_files_that_are_no_maps_are_named(tmp_path):
    path = tmp_path / "map.npz"
    path.write_text("no archive")
    with pytest.raises(ValueError, match=r"map.npz is no cost map: it must be .npz with values, cell, origin"):
        read_cost_map(path)
    np.savez(path, values=np.array([object()], dtype=object), cell=1.0, origin=[0.0, 0.0])
    with pytest.raises(ValueError, match=r"map.npz is no cost map"):
        read_cost_map(path)
    np.savez(path, values=np.ones((2, 2)), cell=[1.0], origin=[0.0, 0.0])
    with pytest.raises(ValueError, match=r"cell must be one number and origin two; got shapes \(1,\) and \(2,\)"):
        read_cost_map(path)
