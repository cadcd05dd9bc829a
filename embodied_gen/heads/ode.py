r"""Ordinary differential equations dy/dt = f(t, y), many rows at once, each on its own.

An explicit Runge-Kutta step of width h from (t, y) evaluates slopes k_i and adds them up,

    k_i = f(t + c_i h, y + h sum_(j<i) a_ij k_j),    y' = y + h sum_i b_i k_i.

Euler, midpoint, Heun and Kutta's 3/8 rule take steps of given widths. Dormand and Prince's pair of orders 5 and 4
estimates its own error e; a row keeps a step where the mean square of e / (absolute + relative max(|y|, |y'|)) is at
most one, and goes on with 0.9 times its fifth root, within [0.2, 10]. Rows have times and widths of their own, so that
none depends on its neighbours.

The gradient takes no memory for the states (`adjoint`): from the end back to the start, with the widths of the way
there, the states are solved again together with a = dL/dy and dL/dtheta,

    da/dt = -a df/dy,    dL/dtheta = integral of a df/dtheta dt.

It is the gradient of the exact solution, not of the steps: both agree as the steps become exact. Equations that forget
where they started cannot be solved backwards; differentiate `Solver.solve` itself there. Of few fixed steps the
gradient is that of the steps (`Solver.follow`): a loss that is read by them need not fall along any other.

Sources: Dormand and Prince 1980; Hairer, Nørsett and Wanner 1993, section II.4; Chen et al. 2018 (arXiv:1806.07366).
"""

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Field = Callable[[Tensor, Tensor], Tensor]  # times (M,) and states (M, S) to slopes (M, S)


@final
@dataclass(frozen=True)
class Tableau:
    """Coefficients of an explicit Runge-Kutta method: c, the rows of a, b, and b less those of the lower order."""

    nodes: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    errors: tuple[float, ...] = ()


EULER = Tableau((0.0,), ((),), (1.0,))
MIDPOINT = Tableau((0.0, 1 / 2), ((), (1 / 2,)), (0.0, 1.0))
HEUN = Tableau((0.0, 1.0), ((), (1.0,)), (1 / 2, 1 / 2))
KUTTA = Tableau((0.0, 1 / 3, 2 / 3, 1.0), ((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)), (1 / 8, 3 / 8, 3 / 8, 1 / 8))
DORMAND_PRINCE = Tableau(
    (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
    (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
)


class Step(NamedTuple):
    """Where each row began a step, and its width, zero where it took none; shapes `(M,)`."""

    t: Tensor
    width: Tensor


class Solver(abc.ABC):
    """A way to follow a field."""

    tableau: Tableau

    @abc.abstractmethod
    def solve(self, field: Field, y: Tensor, times: Sequence[float]) -> tuple[Tensor, list[Step]]:
        """Follows a field from the first of `times` to the last; differentiable through its steps.

        Args:
            field: dy/dt; times `(M,)` and states `(M, S)` to `(M, S)`.
            y: States at the first time, shape `(M, S)`.
            times: Ascending or descending. Solvers of fixed steps stop at each, adaptive ones at the last alone.

        Returns:
            States at the last time, and the steps taken.
        """

    @abc.abstractmethod
    def follow(self, field: Field, y: Tensor, times: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
        """States at the last time as of `solve`, with a gradient by `y` and by `tensors`; see `adjoint` for these."""


@final
class Fixed(Solver):
    """Equal steps between any two times; waits for no device.

    Args:
        steps: Between one time and the next, >= 1.
        tableau: The method.
    """

    def __init__(self, steps: int = 8, tableau: Tableau = KUTTA):
        if steps < 1:
            raise ValueError(f"steps must be at least 1; got {steps}.")
        self.steps, self.tableau = steps, tableau

    def solve(self, field: Field, y: Tensor, times: Sequence[float]) -> tuple[Tensor, list[Step]]:
        """As many calls of the field as the method has stages, for each step."""
        taken = []
        for start, end in pairwise(times):
            width = (end - start) / self.steps
            for i in range(self.steps):
                step = Step(*(y.new_full((len(y),), number) for number in (start + i * width, width)))
                slopes = _slopes(field, y, step, self.tableau)
                y = y + _combine(slopes, self.tableau.weights, step.width)
                taken.append(step)
        return y, taken

    def follow(self, field: Field, y: Tensor, times: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
        """With the gradient of the steps, for which every stage is kept."""
        return self.solve(field, y, times)[0]


@final
class DormandPrince(Solver):
    """Steps as long as their estimated error allows, for each row. Asks the device after each whether all are there.

    Args:
        relative, absolute: Tolerances of a step, > 0.
        most: Steps tried, >= 1.
    """

    tableau = DORMAND_PRINCE

    def __init__(self, relative: float = 1e-5, absolute: float = 1e-6, *, most: int = 1000):
        if not (relative > 0 and absolute > 0 and most >= 1):
            raise ValueError(f"tolerances must be positive and most at least 1; got {relative}, {absolute} and {most}.")
        self.relative, self.absolute, self.most = relative, absolute, most

    def solve(self, field: Field, y: Tensor, times: Sequence[float]) -> tuple[Tensor, list[Step]]:
        """Seven calls of the field at first, then six for each step.

        Raises:
            ArithmeticError: If the end is not reached in `most` steps.
        """
        t = y.new_full((len(y),), times[0])
        left = y.new_full((len(y),), times[-1] - times[0])
        slope = field(t, y)
        width = self._first_width(y, slope, left)
        taken: list[Step] = []
        for _ in range(self.most):
            last = width.abs() >= left.abs()
            step = Step(t, torch.where(last, left, width))
            slopes = _slopes(field, y, step, self.tableau, slope)
            new = y + _combine(slopes, self.tableau.weights, step.width)
            size = self._error(y, new, slopes, step.width)
            good = (size <= 1) & (left != 0)
            taken.append(Step(t, torch.where(good, step.width, 0.0)))
            y, slope = (torch.where(good[:, None], after, before) for after, before in ((new, y), (slopes[-1], slope)))
            t = torch.where(good, t + step.width, t)
            left = torch.where(good, torch.where(last, 0.0, left - step.width), left)
            width = step.width * (0.9 * size.clamp(min=1e-10) ** -0.2).nan_to_num(0.2).clamp(0.2, 10)
            if not bool((left != 0).any()):
                return y, taken
        raise ArithmeticError(
            f"the equation was not solved from {times[0]:g} to {times[-1]:g} in {self.most} steps. "
            "Loosen the tolerances, or look for slopes that are no numbers."
        )

    def follow(self, field: Field, y: Tensor, times: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
        """With the gradient of the adjoint equation, for which no stage is kept."""
        return adjoint(field, y, times, self, tensors)

    @torch.no_grad()
    def _first_width(self, y: Tensor, slope: Tensor, left: Tensor) -> Tensor:
        """A hundredth of the way on which y changes by as much as it is."""
        scale = self.absolute + self.relative * y.abs()
        change, size = ((part / scale).square().mean(1).sqrt() for part in (slope, y))
        width = (0.01 * size / change.clamp(min=1e-12)).clamp(min=1e-6)
        return torch.minimum(width, left.abs()) * left.sign()

    @torch.no_grad()
    def _error(self, y: Tensor, new: Tensor, slopes: list[Tensor], width: Tensor) -> Tensor:
        scale = self.absolute + self.relative * torch.maximum(y.abs(), new.abs())
        return (_combine(slopes, self.tableau.errors, width) / scale).square().mean(1).sqrt()


def adjoint(field: Field, y: Tensor, times: Sequence[float], solver: Solver, tensors: Sequence[Tensor] = ()) -> Tensor:
    """States at the last of `times`, as `solver` finds them, with the gradient of the adjoint equation.

    Args:
        field: dy/dt, as the solver takes it; called with gradients enabled on the way back.
        y: States at the first time, shape `(M, S)`.
        times: As the solver takes them.
        solver: For both ways.
        tensors: All that the field depends on and that a gradient is wanted of: parameters, contexts.

    Returns:
        States of shape `(M, S)`, which can be differentiated once.
    """
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    return _Adjoint.apply(field, solver, tuple(times), y, *wanted)


@final
class _Adjoint(torch.autograd.Function):
    """The solution of an equation; nothing but its end and the widths of its steps is kept for the gradient."""

    @staticmethod
    def forward(
        ctx: Any, field: Field, solver: Solver, times: tuple[float, ...], y: Tensor, *tensors: Tensor
    ) -> Tensor:
        end, ctx.steps = solver.solve(field, y, times)
        ctx.field, ctx.tableau = field, solver.tableau
        ctx.save_for_backward(end, *tensors)
        return end

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        y, *tensors = ctx.saved_tensors
        sums = [torch.zeros_like(tensor) for tensor in tensors]
        for step in reversed(ctx.steps):
            y, gradient = _back(ctx.field, ctx.tableau, step, y, gradient, tensors, sums)
        return None, None, None, gradient, *sums


def _back(
    field: Field,
    tableau: Tableau,
    step: Step,
    y: Tensor,
    gradient: Tensor,
    tensors: list[Tensor],
    sums: list[Tensor],
) -> tuple[Tensor, Tensor]:
    """One step back of y and a = dL/dy; what it gives of dL/dtheta is added to `sums`."""
    back = Step(step.t + step.width, -step.width)
    states: list[Tensor] = []
    pulls: list[Tensor] = []
    for node, row, weight in zip(tableau.nodes, tableau.matrix, tableau.weights, strict=True):
        at = y + _combine(states, row, back.width)
        a = gradient + _combine(pulls, row, back.width)
        # One product gives both gradients: rows are weighted as the sum over steps weights them, and weighed back.
        share = weight * step.width[:, None] if weight else torch.ones_like(y[:, :1])
        with torch.enable_grad():
            at = at.detach().requires_grad_()
            slope = field(back.t + node * back.width, at)
            inputs = [at, *tensors] if weight else [at]
            own, *shared = torch.autograd.grad(slope, inputs, a * share, allow_unused=True, materialize_grads=True)
        for total, part in zip(sums, shared, strict=False):
            total += part
        states.append(slope.detach())
        pulls.append(-torch.where(share == 0, 0.0, own / share))
    return y + _combine(states, tableau.weights, back.width), gradient + _combine(pulls, tableau.weights, back.width)


def _slopes(field: Field, y: Tensor, step: Step, tableau: Tableau, first: Tensor | None = None) -> list[Tensor]:
    """k_i of one step; the first may be known from the step before."""
    slopes = [field(step.t, y) if first is None else first]
    for node, row in zip(tableau.nodes[1:], tableau.matrix[1:], strict=True):
        slopes.append(field(step.t + node * step.width, y + _combine(slopes, row, step.width)))
    return slopes


def _combine(slopes: list[Tensor], weights: tuple[float, ...], width: Tensor) -> Tensor | float:
    """The weighted sum of slopes times the width; the number zero of none."""
    parts = [weight * slope for weight, slope in zip(weights, slopes, strict=True) if weight]
    return width[:, None] * sum(parts) if parts else 0.0
