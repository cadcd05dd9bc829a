r"""Continuous flows: data follow a velocity to noise.

From t = 0, data, to t = 1, noise, an event follows a network and its log-density the divergence,

    dx/dt = u(x, t, c),    log |det dz/dx| = integral of div u dt,

which any network may give, as the way back is the same equation with the time reversed. Networks of this package tell
times apart that differ by a thousandth, and a velocity that changes as fast cannot be integrated in a few steps: they
are called with t / 200, where their fastest feature turns by five radians on the whole way. `log_prob` takes the exact
divergence, n products for n entries; training takes Hutchinson's estimate with one probe for the whole way, which is
unbiased. Gradients come from the adjoint equation (`ode`).

A density is one, and a draw its inverse, as far as the equation is solved. A flow that has been trained bends its ways,
and learns to gain from the errors of the few steps that training can afford: the steps of the loss are no measure of
the density. Densities and draws have a solver of their own, which estimates its error.

Sources: Chen et al. 2018 (arXiv:1806.07366); Grathwohl et al. 2019, FFJORD (arXiv:1810.01367).
"""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.heads.flows.base import Layer, read
from embodied_gen.heads.flows.trace import Divergence, exact, hutchinson
from embodied_gen.heads.ode import DormandPrince, Field, Fixed, Solver, adjoint

PACE = 1 / 200  # time that a network sees at t = 1
RELATIVE, ABSOLUTE = 1e-6, 1e-7  # of a step: trained flows are then inverted to 1e-4, and log-densities are as exact


@final
class Continuous(Layer):
    """A continuous layer; one alone is a flow.

    Args:
        net: `net(x_t, t, c)`; returns as many channels as the event has.
        solver: Of densities and draws; Dormand and Prince's where absent, to `RELATIVE` and `ABSOLUTE`.
        training_solver: Of the loss; eight of Kutta's steps where absent.
    """

    def __init__(self, net: nn.Module, *, solver: Solver | None = None, training_solver: Solver | None = None):
        super().__init__()
        self.net = net
        self.solver = solver or DormandPrince(RELATIVE, ABSOLUTE)
        self.training_solver = training_solver or Fixed(8)

    def normalise(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        """The exact divergence, to the tolerance of the solver."""
        return self._follow(x, c, exact, self.solver)

    def estimate(self, x: Tensor, c: Context, *, generator: draws.Generator) -> tuple[Tensor, Tensor]:
        """Hutchinson's divergence, in the steps of training."""
        return self._follow(x, c, hutchinson(x, generator=generator), self.training_solver)

    def generate(self, z: Tensor, c: Context) -> Tensor:
        """The velocity alone, backwards."""

        def field(t: Tensor, y: Tensor) -> Tensor:
            return self._velocity(t, y.view(-1, *z.shape[1:]), c).flatten(1)

        return self._solve(field, z.flatten(1), (1.0, 0.0), c, self.solver).view_as(z)

    def _follow(self, x: Tensor, c: Context, divergence: Divergence, solver: Solver) -> tuple[Tensor, Tensor]:
        field = with_divergence(lambda t, x: self._velocity(t, x, c), divergence, x.shape[1:])
        end = self._solve(field, beginning(x), (0.0, 1.0), c, solver)
        return end[:, :-1].view_as(x), end[:, -1]

    def _velocity(self, t: Tensor, x: Tensor, c: Context) -> Tensor:
        return read(self.net, x, PACE * t, c, 1).squeeze(-1)

    def _solve(self, field: Field, y: Tensor, times: Sequence[float], c: Context, solver: Solver) -> Tensor:
        return adjoint(field, y, times, solver, [*self.net.parameters(), *context.leaves(c)])


def beginning(x: Tensor) -> Tensor:
    """Rows `(M, *E)` with an integral that is still zero, as `with_divergence` reads them, `(M, n + 1)`."""
    return torch.cat([x.flatten(1), x.new_zeros(len(x), 1)], 1)


def with_divergence(velocity: Field, divergence: Divergence, shape: Sequence[int]) -> Field:
    """The equation of an event and of the integral of the divergence along its way.

    Args:
        velocity: Times `(M,)` and rows `(M, *E)` to `(M, *E)`.
        divergence: Of the velocity.
        shape: `*E`.

    Returns:
        A field of states `(M, n + 1)`, the integral last.
    """
    size = math.prod(shape)

    def field(t: Tensor, y: Tensor) -> Tensor:
        wanted = torch.is_grad_enabled()
        with torch.enable_grad():
            x = y[:, :size].view(-1, *shape)
            x = x if x.requires_grad else x.detach().requires_grad_()
            u = velocity(t, x)
            with torch.set_grad_enabled(wanted):
                spread = divergence(u, x)
        slope = torch.cat([u.flatten(1), spread[:, None]], 1)
        return slope if wanted else slope.detach()

    return field
