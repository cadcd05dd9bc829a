r"""Maximum entropy over paths: inverse reinforcement learning with costs of cells from a network.

    p(path | c)  ~  exp(-cost(path)),        cost(path) = sum over its moves of what the charge makes of net(layers),

normalised over the paths that there are (see `lengths`). With V(start) = -log Z the loss of a demonstration is

    -log p = cost(path) - V(start),        its slope  =  visits of the demonstration - expected visits of the model,

exact: V and its slope come from backups in log space with as many steps as the model scores (see `graphs`).

Draws are exact, those of `UntilGoal` among the paths that fit the event's T moves. Guides are followed by proposals: of
`candidates` paths of the same map one is kept, which tends to the exact conditional as their number grows; where
hardly any path of the model holds a constraint, the one that is nearest to it is kept and reported as not feasible.

Sources: Ziebart et al. 2008, "Maximum entropy inverse reinforcement learning"; Ziebart 2010; Wulfmeier et al. 2015
(arXiv:1507.04888) for networks as costs.
"""

from typing import final

from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context
from embodied_gen.events.grid_path import GridPath
from embodied_gen.graphs import Paths, Soft, sampled
from embodied_gen.heads.charges import Charge
from embodied_gen.heads.errand import Errand
from embodied_gen.heads.lengths import AtMost, Length
from embodied_gen.heads.path_head import PathHead


@final
class MaxEntHead(PathHead):
    """p(path | map) by its cost; implements `HasLogProb`, `HasEnergy` and `HasCostMap`.

    Args:
        event: What is predicted.
        net: `net(layers)`, shape `(B, C, H, W)` to `(B, K, H, W)`, K as the charge has it; positive for `UntilGoal`.
        length: How long paths are and where they end; `AtMost` where None.
        charge: What these numbers make moves cost; `ByLength` where None.
        reader: `reader(c)` gives the mapping that `Errand` describes; a context is one itself where None.
        candidates: Paths drawn for each sample under a guide, of which one is kept, >= 1.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        event: GridPath,
        net: nn.Module,
        *,
        length: Length | None = None,
        charge: Charge | None = None,
        reader: nn.Module | None = None,
        candidates: int = 64,
    ):
        super().__init__(event, net, charge=charge, reader=reader, candidates=candidates)
        self.length = length or AtMost()

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """-log p(path | map), nat, shape `(B,)`; padding is what the length says, `valid` or not."""
        return -self.log_prob(x, c)

    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """Log p(path | map), exact, nat, shape `(B,)`; paths are counted, so that the largest is 0.

        Raises:
            ValueError: If a path is none of the map, or not one that the context asks for.
        """
        return self.length.log_prob(*self._told(x, c))

    def energy(self, x: Tensor, c: Context) -> Tensor:
        """The cost of the path, nat, shape `(B,)`; -log p for the length `Fading`."""
        return self.length.energy(*self._told(x, c))

    def _told(self, x: Tensor, c: Context) -> tuple[GridPath, Tensor, Tensor, Paths, Errand]:
        """What lengths ask for."""
        states, errand = self._demonstration(x, c)
        costs = self._costs(self._numbers(errand), errand)
        paths = self._moves(states, self.length.count(self.event, states, errand), costs)
        return self.event, costs, states, paths, errand

    def _draw(self, costs: Tensor, errand: Errand, count: int, generator: draws.Generator) -> Tensor:
        horizon, grid = self.length.fitting(self.event, errand), self.event.grid
        starts = errand.start[:, None].expand(-1, count)
        paths = sampled(horizon, grid, costs, starts, Soft(), generator=generator, limit=self.event.moves)
        return self.length.ended(paths.states, errand)
