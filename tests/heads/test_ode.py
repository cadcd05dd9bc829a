"""Solvers of equations against closed forms and torchdiffeq, and the adjoint gradient against that of the steps."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from embodied_gen.heads import ode
from embodied_gen.heads.ode import DormandPrince, Fixed, adjoint

pytestmark = pytest.mark.usefixtures("double")
TABLEAUS = {"euler": (ode.EULER, 1), "midpoint": (ode.MIDPOINT, 2), "heun": (ode.HEUN, 2), "kutta": (ode.KUTTA, 4)}


class Bent(nn.Module):
    """A field that depends on time, on weights and on a context."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 16), nn.Linear(16, 2)

    def forward(self, t, y, c):
        return self.outer((self.inner(torch.cat([y, t[:, None]], 1)) + c).tanh())


def bent(seed=0, rows=4):
    torch.manual_seed(seed)
    return Bent(), torch.randn(rows, 2), torch.randn(rows, 16, requires_grad=True)


def turning(t, y):
    """A rotation whose speed grows: y(t) turns by t^2."""
    return 2 * t[:, None] * torch.stack([-y[:, 1], y[:, 0]], 1)


def turned(y, t):
    angle = torch.tensor(t**2)
    return torch.stack(
        [y[:, 0] * angle.cos() - y[:, 1] * angle.sin(), y[:, 0] * angle.sin() + y[:, 1] * angle.cos()], 1
    )


@pytest.mark.parametrize("name", TABLEAUS)
def test_errors_fall_with_the_order_of_the_method(name):
    tableau, order = TABLEAUS[name]
    y = torch.randn(3, 2)
    coarse, fine = (
        (Fixed(steps, tableau).solve(turning, y, (0.3, 1.2))[0] - solution(y, 0.3, 1.2)).norm() for steps in (40, 80)
    )
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)


def solution(y, start, end):
    return turned(turned(y, 0.0), (end**2 - start**2) ** 0.5)


def test_dormand_princes_pair_has_its_orders():
    weights, errors, nodes = (
        torch.tensor(part) for part in (ode.DORMAND_PRINCE.weights, ode.DORMAND_PRINCE.errors, ode.DORMAND_PRINCE.nodes)
    )
    for power in range(5):  # sum b c^k = 1 / (k + 1) up to order 5
        assert (weights * nodes**power).sum().item() == pytest.approx(1 / (power + 1), abs=1e-12)
    for power in range(4):  # both orders agree up to 4
        assert (errors * nodes**power).sum().item() == pytest.approx(0, abs=1e-12)
    for node, row in zip(ode.DORMAND_PRINCE.nodes, ode.DORMAND_PRINCE.matrix, strict=True):
        assert sum(row) == pytest.approx(node, abs=1e-12)


@pytest.mark.parametrize(("name", "theirs"), [("euler", "euler"), ("midpoint", "midpoint"), ("kutta", "rk4")])
@pytest.mark.parametrize("times", [(0.0, 1.0), (1.0, 0.0), (0.0, 0.2, 1.0)])
def test_fixed_steps_are_those_of_torchdiffeq(name, theirs, times):
    torchdiffeq = pytest.importorskip("torchdiffeq")
    field, y, c = bent()
    mine, _ = Fixed(1, TABLEAUS[name][0]).solve(lambda t, y: field(t, y, c), y, times)
    expected = torchdiffeq.odeint(lambda t, y: field(t.expand(len(y)), y, c), y, torch.tensor(times), method=theirs)
    torch.testing.assert_close(mine, expected[-1], rtol=0, atol=1e-13)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
@pytest.mark.parametrize("times", [(0.0, 2.0), (2.0, 0.0)])
def test_adaptive_steps_reach_what_torchdiffeq_reaches(tolerance, times):
    torchdiffeq = pytest.importorskip("torchdiffeq")
    field, y, c = bent(rows=1)
    mine, steps = DormandPrince(tolerance, tolerance).solve(lambda t, y: field(t, y, c), y, times)
    options = {"rtol": tolerance, "atol": tolerance, "method": "dopri5"}
    theirs = torchdiffeq.odeint(lambda t, y: field(t.expand(len(y)), y, c), y, torch.tensor(times), **options)[-1]
    exact, _ = Fixed(400).solve(lambda t, y: field(t, y, c), y, times)
    assert (mine - exact).abs().max() < 10 * tolerance
    torch.testing.assert_close(mine, theirs, rtol=0, atol=20 * tolerance)
    assert len(steps) < 40


@settings(max_examples=15)
@given(st.floats(-4, 4), st.floats(-2, 2), st.floats(-2, 2), st.sampled_from([1e-4, 1e-7]))
def test_adaptive_solutions_of_decay_are_exact_to_their_tolerance(rate, start, end, tolerance):
    y = torch.tensor([[1.0, -2.0], [0.5, 0.1]])
    solved, steps = DormandPrince(tolerance, tolerance).solve(lambda t, y: rate * y, y, (start, end))
    truth = y * math.exp(rate * (end - start))
    assert ((solved - truth).abs() <= 100 * tolerance * (1 + truth.abs() + y.abs())).all()
    torch.testing.assert_close(sum(step.width for step in steps), torch.full((2,), end - start))


def test_rows_have_steps_of_their_own():
    rates = torch.tensor([0.1, 30.0])[:, None]

    def field(t, y):
        return (rates[: len(y)] * t[:, None]).cos() * rates[: len(y)]

    y = torch.zeros(2, 2)
    together, steps = DormandPrince().solve(field, y, (0.0, 1.0))
    alone, own = DormandPrince().solve(field, y[:1], (0.0, 1.0))
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=0)
    taken = torch.stack([step.width != 0 for step in steps]).sum(0)
    assert taken[0] == sum(bool(step.width) for step in own) and taken[1] > 2 * taken[0]


SOLVERS = {"euler": Fixed(400, ode.EULER), "kutta": Fixed(20), "adaptive": DormandPrince(1e-8, 1e-8)}


@pytest.mark.parametrize(("name", "tolerance"), [("euler", 2e-2), ("kutta", 1e-5), ("adaptive", 1e-6)])
@pytest.mark.parametrize("times", [(0.0, 1.0), (1.0, 0.0), (0.0, 0.3, 1.0)])
def test_the_adjoint_gradient_is_that_of_the_steps(name, tolerance, times):
    field, y, c = bent()
    y.requires_grad_()
    wanted = [y, c, *field.parameters()]
    solver, pull = SOLVERS[name], torch.randn(4, 2)

    def bound(t, y):
        return field(t, y, c)

    through = torch.autograd.grad(solver.solve(bound, y, times)[0], wanted, pull)
    end = adjoint(bound, y, times, solver, [c, *field.parameters()])
    torch.testing.assert_close(end, solver.solve(bound, y, times)[0])
    for mine, theirs in zip(torch.autograd.grad(end, wanted, pull), through, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=tolerance * (1 + theirs.abs().max().item()))


def test_the_adjoint_keeps_no_states():
    field, y, c = bent()
    kept = []
    for steps in (2, 50):
        held = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, held=held: held.append(x) or x, lambda x: x):
            adjoint(lambda t, y: field(t, y, c), y, (0.0, 1.0), Fixed(steps), [c, *field.parameters()])
        kept.append(len(held))
    assert kept[0] == kept[1] == 2 + len(list(field.parameters()))


@pytest.mark.parametrize("tableau", [ode.EULER, ode.MIDPOINT, ode.KUTTA], ids=["euler", "midpoint", "kutta"])
def test_the_gradient_of_few_fixed_steps_is_that_of_what_they_say(tableau):
    field, y, c = bent()
    y.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda y, *wanted: Fixed(2, tableau).follow(lambda t, y: field(t, y, c), y, (0.0, 1.0), wanted),
        (y, c, *field.parameters()),
    )


def test_adaptive_steps_are_followed_by_the_adjoint_equation():
    field, y, c = bent()
    wanted = [c, *field.parameters()]
    end = DormandPrince().follow(lambda t, y: field(t, y, c), y, (0.0, 1.0), wanted)
    assert end.grad_fn.name().startswith("_Adjoint")


def test_an_equation_that_cannot_be_solved_is_named():
    with pytest.raises(ArithmeticError, match=r"not solved from 0 to 2 in 1000 steps\. Loosen the tolerances"):
        DormandPrince().solve(lambda t, y: y.square(), torch.ones(1, 1), (0.0, 2.0))  # 1 / (1 - t)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fixed(0), "steps must be at least 1; got 0"),
        (lambda: DormandPrince(0.0), "tolerances must be positive and most at least 1; got 0.0, 1e-06 and 1000"),
        (lambda: DormandPrince(most=0), "got 1e-05, 1e-06 and 0"),
    ],
)
def test_impossible_solvers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
