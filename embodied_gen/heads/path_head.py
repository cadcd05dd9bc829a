"""What heads over paths on a map have in common: from contexts to costs of moves, and from moves to events."""

import abc
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.events.grid_path import GridPath
from embodied_gen.graphs import Paths
from embodied_gen.heads.charges import ByLength, Charge, closed
from embodied_gen.heads.errand import Errand
from embodied_gen.heads.guidance import RowGuide, propose
from embodied_gen.heads.reads_once import ReadsOnce


class PathHead(ReadsOnce, abc.ABC):
    """A head whose events are paths, by costs of moves that a network gives; implements `HasCostMap`.

    Args:
        event: What is predicted.
        net: `net(layers)`, shape `(B, C, H, W)` to `(B, K, H, W)`, K as the charge has it; those of `nets.map` are.
        charge: What these numbers make moves cost; `ByLength` where None.
        reader: `reader(c)` gives the mapping that `Errand` describes; a context is one itself where None.
        candidates: Paths drawn for each sample under a guide, of which one is kept, >= 1.

    Raises:
        ValueError: If a number is out of range.
    """

    event: GridPath

    def __init__(
        self,
        event: GridPath,
        net: nn.Module,
        *,
        charge: Charge | None = None,
        reader: nn.Module | None = None,
        candidates: int = 64,
    ):
        super().__init__(event)
        if candidates < 1:
            raise ValueError(f"candidates must be at least 1; got {candidates}.")
        self.net, self.charge, self.reader = net, charge or ByLength(), reader
        self.candidates = candidates

    @final
    def cost_map(self, c: Context) -> Tensor:
        """Costs of cells as the charge reads them, shape `(B, H, W)`; infinite where a cell is blocked."""
        errand = self._errand(c)
        places = self.charge.places(self.event.grid, self._numbers(errand))
        return places if errand.blocked is None else places.masked_fill(errand.blocked, torch.inf)

    @abc.abstractmethod
    def _draw(self, costs: Tensor, errand: Errand, count: int, generator: draws.Generator) -> Tensor:
        """Paths for each map as numbers of cells, costs `(B, A, H, W)` to `(B, count, n + 1)`; -1 after the last."""

    def _propose(self, costs: Tensor, errand: Errand, count: int, generator: draws.Generator) -> Tensor:
        """Candidates under a guide, as `_draw`: draws, if not said otherwise."""
        return self._draw(costs, errand, count, generator)

    def _cell_costs(self, output: Tensor) -> Tensor:
        """Costs of cells from the output of the network."""
        return output

    @final
    def _errand(self, c: Context) -> Errand:
        read = c if self.reader is None else self.reader(c)
        if not isinstance(read, Mapping):
            raise ValueError(
                "the context of a path over a map must be a mapping with the leaves layers, start and goal; got a "
                "tensor. Give the head a reader that makes one."
            )
        return Errand.of(read, self.event)

    @final
    def _demonstration(self, x: Tensor, c: Context) -> tuple[Tensor, Errand]:
        """The cells of demonstrations by their numbers, `(B, T + 1)`, and what is asked of them.

        Raises:
            ValueError: If one is no path of the map, or starts elsewhere than it should.
        """
        self.event.check(x)
        states, errand = self.event.states(x), self._errand(c)
        lost = (states[:, 0] != errand.start).nonzero()
        if len(lost):
            number = int(lost[0])
            first, wanted = (self.event.grid.place(int(cells[number])) for cells in (states[:, 0], errand.start))
            raise ValueError(
                f"demonstration {number} begins at step 0 in {first}, elsewhere than at its start {wanted}; give it "
                "the start that it has."
            )
        return states, errand

    @final
    def _numbers(self, errand: Errand) -> Tensor:
        """Costs of cells, `(B, K, H, W)`."""
        return self._cell_costs(self._output(errand))

    @final
    def _output(self, errand: Errand) -> Tensor:
        """What the network says, `(B, K, H, W)`."""
        output = self.net(errand.layers)
        expected = (len(errand.layers), self.charge.channels(self.event.grid), *self.event.grid.states)
        if tuple(output.shape) != expected:
            raise ValueError(
                f"the network of the charge {type(self.charge).__name__} must return shape {expected}; got "
                f"{tuple(output.shape)}. Build it with channels_out = {expected[1]}."
            )
        return output.to(self._like().dtype)

    @final
    def _costs(self, numbers: Tensor, errand: Errand) -> Tensor:
        """Costs of moves, `(B, A, H, W)`, infinite for those that there are not."""
        costs = self.event.grid.checked(self.charge.costs(self.event.grid, numbers))
        return costs if errand.blocked is None else closed(self.event.grid, costs, errand.blocked)

    @final
    def _moves(self, states: Tensor, count: Tensor, costs: Tensor) -> Paths:
        """The moves that demonstrations make, one path for each map.

        Raises:
            ValueError: If there is none between two cells before the path ends, or a cell is blocked.
        """
        options, leads = self.event.transitions(states)
        made = torch.arange(self.event.moves, device=states.device) < count[:, None]
        actions = options.gather(-1, leads.int().argmax(-1, keepdim=True)).squeeze(-1)
        taken = costs.detach().flatten(1).gather(1, actions.clamp(min=0))
        wrong = (made & (~leads.any(-1) | taken.isinf())).nonzero()
        if len(wrong):
            number, step = wrong[0].tolist()
            here, there = (self.event.grid.place(int(states[number, k])) for k in (step, step + 1))
            raise ValueError(
                f"demonstration {number} makes no move that there is from {here} to {there} after step {step}: it "
                "stands still before its end or enters a blocked cell; give it its number of moves as the leaf steps, "
                "or open the way."
            )
        return Paths(states.unsqueeze(1), torch.where(made, actions, -1).unsqueeze(1))

    @final
    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        n, errand = rows // size(c), self._errand(c)
        costs = self._costs(self._numbers(errand), errand)
        if guide is None:
            return self._events(self._draw(costs, errand, n, generator)).flatten(0, 1)
        candidates = self._events(self._propose(costs, errand, n * self.candidates, generator))
        return propose(candidates.reshape(rows, -1, *self.event.shape), guide, generator=generator)

    @final
    def _events(self, states: Tensor) -> Tensor:
        """Paths as numbers of cells, -1 after the last, as events; `(B, M, n + 1)` to `(B, M, *E)`."""
        states = states[..., : self.event.shape[0]]
        states = torch.nn.functional.pad(states, (0, self.event.shape[0] - states.shape[-1]), value=-1)
        last = states.gather(-1, (states >= 0).sum(-1, keepdim=True) - 1)
        return self.event.coded(torch.where(states < 0, last, states))
