r"""Maximum margin over paths: a demonstration is cheaper than any other path by as much as the other is wrong.

    hinge = cost(demonstration) - min over paths of (cost(path) - loss(path)),        at least 0,

the slack of the structured SVM with its margin scaled by the loss; its regulariser is the optimiser's weight decay. The
minimum is the shortest path under costs from which the losses of moves are taken (see `path_loss`): by Dijkstra's
search for the length `UntilGoal`, and by backups for the others, where costs may have any sign. Dijkstra's search asks
for costs that are not negative, and takes no more from a move than it costs: a network `Positive` whose floor is at
least the weight of the loss makes that exact, else the found path is a rival that may not be the worst, and the hinge a
lower bound, still at least 0. One core took 6 ms for the search and 54 ms for the backups of a map of 64 x 64 cells, 15
and 170 ms of 128 x 128. The slope of the hinge is that of the demonstration's cost less that of the found path: a
subgradient, through the features of both.

Draws are the path of least cost, where `temperature` is zero; else the path of least cost after Gumbel noise was taken
from the costs of moves (perturb and MAP), which is no exact draw of any Gibbs distribution. Guides are followed by
proposals: the best path, and those after noise of size `explore`. Of these one is kept, as `guidance` says; there is no
limit in which that is exact, but a path that holds the constraints and is cheap is found where the noise reaches it.

`MarginHead` trains costs of any network. `LearchHead` has costs exp(f) and follows the exponentiated functional
gradient: f rises where the found path goes and the demonstration does not, by as much as their visits differ,

    f  <-  fit of  f + step sign(u)  at weights |u|,    u = visits of the found path - visits of the demonstration.

One step of an optimiser on its loss is a gradient step of that fit; `functional_step` fits to the end.

Sources: Ratliff, Bagnell and Zinkevich 2006, "Maximum margin planning"; Ratliff, Silver and Bagnell 2009, "Learning to
search"; Taskar et al. 2003 and Tsochantaridis et al. 2005 for the hinge; Papandreou and Yuille 2011 for
perturb-and-MAP.
"""

import abc
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen import draws
from embodied_gen.context import Context
from embodied_gen.events.grid_path import GridPath
from embodied_gen.heads.charges import Charge
from embodied_gen.heads.errand import Errand
from embodied_gen.heads.lengths import AtMost, Whole
from embodied_gen.heads.path_head import PathHead
from embodied_gen.heads.path_loss import Hamming, PathLoss

_MEAN = 0.5772156649015329  # of the standard Gumbel law
_LEAST = 0.01  # of a cost that is not negative, what noise leaves
_LOGS = 30.0  # of exponentiated costs, largest size


class PlanningHead(PathHead, abc.ABC):
    """A head whose answer is the path of least cost; implements `HasCostMap`.

    Args:
        event: What is predicted.
        net: `net(layers)`, shape `(B, C, H, W)` to `(B, K, H, W)`, K as the charge has it.
        length: How long paths are and where they end; `AtMost` where None.
        path_loss: How wrong other paths are; `Hamming` where None.
        charge: What numbers of cells make moves cost; `ByLength` where None.
        reader: `reader(c)` gives the mapping that `Errand` describes; a context is one itself where None.
        temperature: Gumbel noise of draws, over the mean cost of a move, >= 0.
        explore: The same of all candidates but the first under a guide, >= 0.
        candidates: Paths for each sample under a guide, of which one is kept, >= 1.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        event: GridPath,
        net: nn.Module,
        *,
        length: Whole | None = None,
        path_loss: PathLoss | None = None,
        charge: Charge | None = None,
        reader: nn.Module | None = None,
        temperature: float = 0.0,
        explore: float = 0.5,
        candidates: int = 32,
    ):
        super().__init__(event, net, charge=charge, reader=reader, candidates=candidates)
        if not temperature >= 0 or not explore >= 0:
            raise ValueError(f"temperature and explore must be at least 0; got {temperature} and {explore}.")
        self.length, self.path_loss = length or AtMost(), path_loss or Hamming()
        self.temperature, self.explore = temperature, explore

    @final
    def _hinge(self, numbers: Tensor, states: Tensor, errand: Errand) -> Tensor:
        """Hinges of demonstrations, costs of cells `(B, K, H, W)` and cells' numbers `(B, T + 1)` to `(B,)`."""
        costs = self._costs(numbers, errand)
        own = self._moves(states, self.length.count(self.event, states, errand), costs)
        losses = self.path_loss.of_moves(self.event.grid, states, costs)
        rival = self.length.best(self.event, self.length.lowered(costs, losses).detach(), errand)
        return (own.costs(costs) - rival.costs(costs) + rival.costs(losses))[:, 0]

    @final
    def _draw(self, costs: Tensor, errand: Errand, count: int, generator: draws.Generator) -> Tensor:
        if self.temperature == 0:
            return self.length.best_fitting(self.event, costs, errand).states.expand(-1, count, -1)
        noise = costs.new_full((len(costs) * count,), self.temperature)
        return self._perturbed(costs, errand, noise, generator)

    @final
    def _propose(self, costs: Tensor, errand: Errand, count: int, generator: draws.Generator) -> Tensor:
        noise = costs.new_full((len(costs) * count,), max(self.explore, self.temperature))
        noise[:: self.candidates] = self.temperature
        return self._perturbed(costs, errand, noise, generator)

    def _perturbed(self, costs: Tensor, errand: Errand, noise: Tensor, generator: draws.Generator) -> Tensor:
        """Best paths after noise of the sizes `(B * M,)`, numbers of cells `(B, M, n + 1)`."""
        count = len(noise) // len(costs)
        finite = costs.isfinite()
        mean = torch.where(finite, costs, 0).abs().flatten(1).sum(1) / finite.flatten(1).sum(1).clamp(min=1)
        size = (noise * mean.repeat_interleave(count)).view(-1, 1, 1, 1)
        costs = costs.repeat_interleave(count, 0)
        gumbel = draws.gumbel(costs.shape, generator=generator, like=costs) - _MEAN
        # Noise makes no cost negative that is not; where some are, cycles may pay, and paths that fit are planned.
        costs = torch.where(costs >= 0, torch.maximum(costs - size * gumbel, _LEAST * costs), costs - size * gumbel)
        paths = self.length.best_fitting(self.event, costs, errand.repeated(count))
        return paths.states.unflatten(0, (-1, count)).squeeze(2)


@final
class MarginHead(PlanningHead):
    """Max-margin planning; arguments and errors are those of `PlanningHead`."""

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """The hinge of each demonstration, >= 0, units of cost, shape `(B,)`; padding is what the length says."""
        states, errand = self._demonstration(x, c)
        return self._hinge(self._numbers(errand), states, errand)


@final
class LearchHead(PlanningHead):
    """Learning to search with costs exp(net), always positive; arguments and errors are those of `PlanningHead`."""

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """The hinge of each demonstration, >= 0, shape `(B,)`; its slope is the exponentiated functional gradient."""
        states, errand = self._demonstration(x, c)
        logs = self._logs(errand)
        hinge, excess = self._lesson(logs, states, errand)
        rise = (excess * logs).flatten(1).sum(1)
        return hinge - (rise - rise.detach())

    def lesson(self, x: Tensor, c: Context) -> Tensor:
        """Visits of the found paths less those of the demonstrations, as charges weigh them, `(B, K, H, W)`."""
        states, errand = self._demonstration(x, c)
        with torch.no_grad():
            return self._lesson(self._logs(errand), states, errand)[1]

    def log_costs(self, c: Context) -> Tensor:
        """F, logarithms of the costs of cells, `(B, K, H, W)`."""
        return self._logs(self._errand(c))

    def _lesson(self, logs: Tensor, states: Tensor, errand: Errand) -> tuple[Tensor, Tensor]:
        """The hinge, and minus its slope in the costs of cells; neither has a slope."""
        with torch.enable_grad():
            numbers = logs.detach().exp().requires_grad_()
            hinge = self._hinge(numbers, states, errand)
            (slope,) = torch.autograd.grad(hinge.sum(), numbers)
        return hinge.detach(), -slope

    def _logs(self, errand: Errand) -> Tensor:
        return self._output(errand).clamp(-_LOGS, _LOGS)

    def _cell_costs(self, output: Tensor) -> Tensor:
        return output.clamp(-_LOGS, _LOGS).exp()


def functional_step(
    head: LearchHead, x: Tensor, c: Context, *, optimizer: torch.optim.Optimizer, step: float, fits: int
) -> Tensor:
    """One functional step: the network is fitted to its own log costs, moved where visits differ.

    Args:
        head: Is trained.
        x: Demonstrations, model units, shape `(B, *E)`.
        c: Their contexts.
        optimizer: Of the head's parameters.
        step: Change of log costs, > 0.
        fits: Steps of the optimiser, >= 1.

    Returns:
        The weighted mean squared error of the last fit, a scalar.

    Raises:
        ValueError: If a number is out of range.
    """
    if not step > 0 or fits < 1:
        raise ValueError(f"step must be positive and fits at least 1; got {step} and {fits}.")
    excess = head.lesson(x, c)
    target, weight = (head.log_costs(c) + step * excess.sign()).detach(), excess.abs() / excess.abs().sum().clamp(min=1)
    for _ in range(fits):
        optimizer.zero_grad()
        error = (weight * functional.mse_loss(head.log_costs(c), target, reduction="none")).sum()
        error.backward()
        optimizer.step()
    return error.detach()
