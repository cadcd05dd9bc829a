r"""Energy head: an unnormalised density, learned by one of several objectives and drawn by one of several samplers.

    p(x | c)  ~  exp(-E(x, c)),    E(x, c) = sum over outputs of net(x, 0, c) + k / 2 sum_i relu(|x_i| - 1)^2

The network is the same as a denoising head's, with one channel of output. The last term confines the density to the
event's bounds, with tails of deviation 1 / sqrt(k), so that there is one whatever the network says far away.

Draws start at uniform places. A guide adds its potential to the energy, and walls to its constraints, which is exactly
what a guide means; half of the starting places are moved towards what is wanted first. Draws are then as exact as the
sampler is, but for a guide's projection, which is applied to the finished draw.

Sources: LeCun et al. 2006, "A tutorial on energy-based learning"; Florence et al. 2021 (arXiv:2109.00137).
"""

from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.events.base import Event
from embodied_gen.heads.base import Head
from embodied_gen.heads.chains import EnergySampler, Langevin
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.objectives import InfoNCE, Landscape, Objective, PersistentContrastiveDivergence
from embodied_gen.heads.persistent import PersistentChains
from embodied_gen.heads.slopes import OfRows
from embodied_gen.heads.steering import settle
from embodied_gen.heads.walls import Walls
from embodied_gen.rounding import unrounded

FOCUS = (1.0, 0.04, 0.0016)  # shares of the variance of uniform places, by which these are moved one after the other


@runtime_checkable
class ReadsContexts(Protocol):
    """Networks that read a context once for all rows, and all steps of chains, under it."""

    def read(self, c: Context) -> Context:
        """What rows need of contexts, every leaf `(B, ...)`."""

    def under(self, x: Tensor, t: Tensor, read: Context) -> Tensor:
        """As the network itself, with what was read of each row's context in place of the context."""


@final
class EnergyHead(Head):
    """p(x | c) by its energy; implements `HasEnergy` and `HasChains`.

    Args:
        event: What is predicted.
        net: `net(x_t, t, c)` with t = 0, returns one channel; twice differentiable where the objective is. What
            `ReadsContexts` reads contexts once.
        objective: How the energy is learned; InfoNCE against Langevin counter-examples where None.
        sampler: How events are drawn; Langevin steps where None. May be replaced on a trained head.
        confinement: Stiffness k of the confinement, nat for a squared model unit, >= 0.
        reach: Half the width of the box in which chains start and uniform counter-examples lie, model units, > 0.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        event: Event,
        net: nn.Module,
        *,
        objective: Objective | None = None,
        sampler: EnergySampler | None = None,
        confinement: float = 100.0,
        reach: float = 1.1,
    ):
        super().__init__(event)
        if not confinement >= 0:
            raise ValueError(f"confinement must be at least 0; got {confinement}.")
        if not reach > 0:
            raise ValueError(f"reach must be positive; got {reach}.")
        self.net = net
        self.objective = objective or InfoNCE(chain=Langevin(10))
        self.sampler = sampler or Langevin()
        self.confinement, self.reach = confinement, reach

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """The objective's loss, shape `(B,)`; padding is learned as it is, since an energy is one of whole events.

        Nothing in it is rounded under autocast, neither energies, whose differences are small beside what they differ
        from, nor slopes, which chains follow.
        """
        self.event.check(x)
        with unrounded(x):
            return self.objective.loss(self._landscape(c), x, generator=generator)

    def energy(self, x: Tensor, c: Context) -> Tensor:
        """-log p(x | c) up to a constant of the context, nat, shape `(B,)`."""
        self.event.check(x)
        context.require_size(c, len(x))
        return self._under(c)(x)

    @property
    def chains(self) -> PersistentChains | None:
        """Those of the objective."""
        return self.objective.chains if isinstance(self.objective, PersistentContrastiveDivergence) else None

    def advance(self, c: Context, *, generator: torch.Generator) -> None:
        """Chains for the next step of training; see `HasChains`."""
        if isinstance(self.objective, PersistentContrastiveDivergence):
            with unrounded(self.event.low):
                self.objective.advance(self._landscape(c), generator=generator)

    def _landscape(self, c: Context) -> Landscape:
        c = context.of_type(c, self.event.low.dtype)
        return Landscape(self._under(c), self._under, c, self.event, self.reach)

    def _under(self, c: Context) -> OfRows:
        """Energies of rows in multiples of the contexts, those of a context together."""
        net, read = (self.net.under, self.net.read(c)) if isinstance(self.net, ReadsContexts) else (self.net, c)

        def energy(x: Tensor) -> Tensor:
            many = context.repeat(read, len(x) // context.size(read))
            # Fused attention has no second derivative.
            with sdpa_kernel(SDPBackend.MATH):
                return self._total(x, net(x, x.new_zeros(len(x)), many).to(x.dtype))

        return energy

    def _total(self, x: Tensor, output: Tensor) -> Tensor:
        """The outputs of the network and the confinement, added up, `(M,)`."""
        if output.shape != (*x.shape[:-1], 1):
            raise ValueError(
                f"the network of an energy must return shape {(*x.shape[:-1], 1)}; got {tuple(output.shape)}. "
                "Build it with channels_out = 1."
            )
        outside = (x.abs() - 1).clamp(min=0).square().flatten(1).sum(1)
        return output.flatten(1).sum(1) + self.confinement / 2 * outside

    def _repeated(self, c: Context, n: int) -> Context:
        """Each context once: energies repeat it, or what was read of it, for their rows."""
        return c

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        landscape = self._landscape(c)
        x = landscape.uniform(rows * self.sampler.population, generator=generator)
        potential: OfRows = landscape.energy
        if guide is not None and guide.steers:
            walls = Walls(guide, x)
            x = self._towards(x, guide)

            def potential(x: Tensor) -> Tensor:
                return landscape.energy(x) + walls(x)

        return self.sampler.run(potential, x, generator=generator)

    def _towards(self, x: Tensor, guide: RowGuide) -> Tensor:
        """Every second starting place moved to where the guide wants it: as far as the box is wide, then ever less.

        The others stay, so that modes of the energy that a guide does not exclude are still among the places.
        """
        moved = x
        for share in FOCUS:
            moved = settle(moved, share * self.reach**2 / 3, guide)[0].clamp(-self.reach, self.reach)
        chosen = torch.arange(len(x), device=x.device) % self.sampler.population % 2 == 0
        return torch.where(context.aligned(chosen, x), moved, x)
