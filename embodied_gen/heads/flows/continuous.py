r"""Continuous flows: data follow a velocity to noise.

From t = 0, data, to t = 1, noise, an event follows a network and its log-density the divergence,

    dx/dt = u(x, t, c),    log |det dz/dx| = integral of div u dt,

which any network may give, as the way back is the same equation with the time reversed. Networks of this package tell
times apart that differ by a thousandth, and a velocity that changes as fast cannot be integrated in a few steps: they
are called with t / 200, where their fastest feature turns by five radians on the whole way. `log_prob` takes the exact
divergence, n products for n entries; training takes Hutchinson's estimate with one probe v for the whole way, which is
unbiased, in few steps.

Few steps are wrong where ways bend, and a flow that is rewarded for what they say learns to gain from their errors.
Training therefore charges, in nat, for speed and for change of speed along the way (Finlay et al.),

    roughness * integral of |u|^2 + |v du/dx|^2 dt,

which costs no further product, keeps ways close to straight and the steps close to the truth. Some error is left: the
steps of the loss are no measure of the density, which is one, and a draw its inverse, as far as the equation is solved.
Densities and draws have a solver of their own, which estimates its error.

Sources: Chen et al. 2018 (arXiv:1806.07366); Grathwohl et al. 2019, FFJORD (arXiv:1810.01367); Finlay et al. 2020
(arXiv:2002.02798).
"""

import math
from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.heads.flows.base import Layer, read
from embodied_gen.heads.flows.trace import exact, pull
from embodied_gen.heads.ode import DormandPrince, Field, Fixed, Solver

PACE = 1 / 200  # time that a network sees at t = 1
RELATIVE, ABSOLUTE = 1e-6, 1e-7  # of a step: trained flows are then inverted to 1e-4, and log-densities are as exact

Integrand = Callable[[Tensor, Tensor], Tensor]  # u and x, both (M, *E), to (M,) or (M, K)


@final
class Continuous(Layer):
    """A continuous layer; one alone is a flow.

    Args:
        net: `net(x_t, t, c)`; returns as many channels as the event has.
        solver: Of densities and draws; Dormand and Prince's where absent, to `RELATIVE` and `ABSOLUTE`.
        training_solver: Of the loss; four of Kutta's steps where absent.
        roughness: Nat that training charges, >= 0.

    Raises:
        ValueError: If the roughness is negative.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        solver: Solver | None = None,
        training_solver: Solver | None = None,
        roughness: float = 0.1,
    ):
        if not roughness >= 0:
            raise ValueError(f"roughness must be at least 0; got {roughness}.")
        super().__init__()
        self.net = net
        self.solver = solver or DormandPrince(RELATIVE, ABSOLUTE)
        self.training_solver = training_solver or Fixed(4)
        self.roughness = roughness

    def normalise(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        """The exact divergence, to the tolerance of the solver."""
        end = self._follow(x, c, exact, 1, self.solver)
        return end[:, :-1].view_as(x), end[:, -1]

    def estimate(self, x: Tensor, c: Context, *, generator: draws.Generator) -> tuple[Tensor, Tensor]:
        """Hutchinson's divergence less what is charged, in the steps of training."""
        probe = draws.signs(x.shape, generator=generator, like=x)
        end = self._follow(x, c, _sketch(probe), 2, self.training_solver)
        return end[:, :-2].view_as(x), end[:, -2] - self.roughness * end[:, -1]

    def generate(self, z: Tensor, c: Context) -> Tensor:
        """The velocity alone, backwards."""

        def field(t: Tensor, y: Tensor) -> Tensor:
            return self._velocity(t, y.view(-1, *z.shape[1:]), c).flatten(1)

        return self._solve(field, z.flatten(1), (1.0, 0.0), c, self.solver).view_as(z)

    def _follow(self, x: Tensor, c: Context, integrand: Integrand, integrals: int, solver: Solver) -> Tensor:
        field = with_integrals(lambda t, x: self._velocity(t, x, c), integrand, x.shape[1:])
        return self._solve(field, beginning(x, integrals), (0.0, 1.0), c, solver)

    def _velocity(self, t: Tensor, x: Tensor, c: Context) -> Tensor:
        return read(self.net, x, PACE * t, c, 1).squeeze(-1)

    def _solve(self, field: Field, y: Tensor, times: Sequence[float], c: Context, solver: Solver) -> Tensor:
        return solver.follow(field, y, times, [*self.net.parameters(), *context.leaves(c)])


def _sketch(probe: Tensor) -> Integrand:
    """The divergence along a probe, and the squares of speed and of its change along it, `(M, 2)`."""

    def integrand(u: Tensor, x: Tensor) -> Tensor:
        pulled = pull(u, x, probe)
        rough = (u.square() + pulled.square()).flatten(1).sum(1)
        return torch.stack([(pulled * probe).flatten(1).sum(1), rough], 1)

    return integrand


def beginning(x: Tensor, integrals: int = 1) -> Tensor:
    """Rows `(M, *E)` with integrals that are still zero, as `with_integrals` reads them, `(M, n + K)`."""
    return torch.cat([x.flatten(1), x.new_zeros(len(x), integrals)], 1)


def with_integrals(velocity: Field, integrand: Integrand, shape: Sequence[int]) -> Field:
    """The equation of an event and of integrals along its way, such as that of the divergence.

    Args:
        velocity: Times `(M,)` and rows `(M, *E)` to `(M, *E)`.
        integrand: What is summed up, a function of the velocity and of where it is; may differentiate it.
        shape: `*E`.

    Returns:
        A field of states `(M, n + K)`, the K integrals last.
    """
    size = math.prod(shape)

    def field(t: Tensor, y: Tensor) -> Tensor:
        wanted = torch.is_grad_enabled()
        with torch.enable_grad():
            x = y[:, :size].view(-1, *shape)
            x = x if x.requires_grad else x.detach().requires_grad_()
            u = velocity(t, x)
            with torch.set_grad_enabled(wanted):
                summed = integrand(u, x)
        slope = torch.cat([u.flatten(1), summed.view(len(y), -1)], 1)
        return slope if wanted else slope.detach()

    return field
