r"""Grids of H x W cells as dynamics: moves to neighbours, by shifted slices of a padded tensor.

Moves (rows down, columns right) are those to the 4 neighbours, to the 8, or to the 8 and the 8 of a knight, and
perhaps a stay. The cost of a move over a map c of cells is the integral of c along the straight segment between the
centres of the two cells,

    straight or diagonal, length 1 or sqrt 2      length * (c(from) + c(to)) / 2
    knight's, length sqrt 5                       length * (c(from) + c(first) + c(second) + c(to)) / 4

where first and second are the two cells that the segment crosses: it lies a quarter of its length in each of the four.
A stay counts as a move of length 1 within its cell. A diagonal move passes the corner of two more cells, at which it
has no length, so that it goes between two blocked ones. This one convention serves backups, csgraph and A*.

With a slip p a move, of all moves uniformly, is made by chance instead of the chosen one with probability p. Without
slip a move that leaves the map is not available. With slip it stays where it is, and costs the cell at its length.
A cell is blocked by an infinite cost, without slip.
"""

import functools
import math
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from embodied_gen import draws
from embodied_gen.graphs.dynamics import CPU, Dynamics
from embodied_gen.graphs.placed import Placed
from embodied_gen.graphs.sums import Linear

Move = tuple[int, int]

_STRAIGHT: list[Move] = [(-1, 0), (0, -1), (0, 1), (1, 0)]
_DIAGONAL: list[Move] = [(-1, -1), (-1, 1), (1, -1), (1, 1)]
_KNIGHT: list[Move] = [(-2, -1), (-2, 1), (-1, -2), (-1, 2), (1, -2), (1, 2), (2, -1), (2, 1)]
_MOVES = {4: _STRAIGHT, 8: _STRAIGHT + _DIAGONAL, 16: _STRAIGHT + _DIAGONAL + _KNIGHT}


@final
class Grid(Dynamics):
    """Cells and moves between them; S is (H, W) and Q is (A, H, W).

    Args:
        height: H, rows.
        width: W, columns.
        connectivity: 4, 8 or 16 moves.
        stay: Whether to stay is a move too, the last.
        slip: Probability in [0, 1) that a random move is made instead.

    Attributes:
        moves: Rows and columns that each of the A moves adds, in the order of its numbers.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, height: int, width: int, *, connectivity: int = 8, stay: bool = False, slip: float = 0.0):
        if height < 1 or width < 1:
            raise ValueError(f"a grid needs at least one row and one column; got {height} x {width}.")
        if connectivity not in _MOVES:
            raise ValueError(f"connectivity must be 4, 8 or 16; got {connectivity}.")
        if not 0 <= slip < 1:
            raise ValueError(f"slip must be a probability below 1; got {slip}.")
        self.height, self.width, self.connectivity, self.slip = height, width, connectivity, slip
        self.moves: list[Move] = sorted(_MOVES[connectivity]) + [(0, 0)] * stay
        self.states = (height, width)
        self.actions = (len(self.moves), height, width)
        self.certain = slip == 0
        self._rim = max(abs(step) for move in self.moves for step in move)
        self._leaves = Placed(
            torch.stack(self._slices(self._padded(torch.ones(1, height, width), 0.0), self.moves), 1)[0] == 0
        )
        self._offsets = Placed(torch.tensor([a * width + b for a, b in self.moves]))

    def available(self, device: torch.device = CPU) -> Tensor:
        """Which moves there are, bool, shape `(A, H, W)`: without slip those that stay on the map, with slip all."""
        leaves = self._leaves.on(device)
        return ~leaves if self.certain else torch.ones_like(leaves)

    def ahead(self, values: Tensor) -> Tensor:
        """See `Dynamics`."""
        return self._met(torch.stack(self._slices(self._padded(values, 0.0), self.moves), 1), values)

    def arrive(self, visits: Tensor) -> Tensor:
        """See `Dynamics`."""
        return self.loops(visits)[1](visits)

    def loops(self, like: Tensor) -> tuple[Linear, Linear]:
        """See `Dynamics`; the slices of one padded board are read, and added to, again and again."""
        rim, rows = self._rim, len(like)
        board = like.new_zeros(rows, self.height + 2 * rim, self.width + 2 * rim)
        inner, *views = self._slices(board, [(0, 0), *self.moves])
        moved = like.new_empty(rows, *self.actions)

        def ahead(values: Tensor) -> Tensor:
            inner.copy_(values)
            torch.stack(views, 1, out=moved)
            return moved if self.certain else self._met(moved, values)

        def arrive(visits: Tensor) -> Tensor:
            board.zero_()  # what leaves the map ends on the rim
            if not self.certain:
                visits = self._slipped(visits)
                leaves = self._leaves.on(visits.device)
                inner.add_((visits * leaves).sum(1))
                visits = visits * ~leaves
            for view, visit in zip(views, visits.unbind(1), strict=True):
                view.add_(visit)
            return inner.clone()

        return ahead, arrive

    def spread(self, values: Tensor) -> Tensor:
        """See `Dynamics`."""
        return values.unsqueeze(1)

    def collect(self, q: Tensor) -> Tensor:
        """See `Dynamics`."""
        return q.sum(1)

    def largest(self, q: Tensor) -> Tensor:
        """See `Dynamics`."""
        return q.amax(1)

    def costs_of_moves(self, costs: Tensor) -> Tensor:
        """What moves cost on maps of the cost of a unit of length in each cell; with slip, the expected cost.

        Args:
            costs: Shape `(B, H, W)`.

        Returns:
            Shape `(B, A, H, W)`, infinite where a move leaves the map or crosses a cell of infinite cost.
        """
        self.check_states(costs)
        lengths = [math.hypot(a, b) or 1.0 for a, b in self.moves]
        board = self._padded(costs, math.inf)
        parts = [self._slices(board, crossed(move)) for move in self.moves]
        shares = [length / len(own) for length, own in zip(lengths, parts, strict=True)]
        along = torch.stack([_sum(own) * share for own, share in zip(parts, shares, strict=True)], 1)
        if self.certain:
            return along
        return self._slipped(self._kept(along, torch.stack([length * costs for length in lengths], 1)))

    def index(self, cells: Tensor) -> Tensor:
        """Numbers of cells (row, column), `(..., 2)` to `(...)`.

        Raises:
            ValueError: If a cell lies outside of the map.
        """
        inside = ((cells >= 0) & (cells < torch.tensor(self.states, device=cells.device))).all(-1)
        if not inside.all():
            raise ValueError(
                f"cells must lie on the map of {self.height} x {self.width}; got {tuple(cells[~inside][0].tolist())}."
            )
        return cells[..., 0] * self.width + cells[..., 1]

    def cells(self, states: Tensor) -> Tensor:
        """Rows and columns of numbered cells, `(...)` to `(..., 2)`."""
        return torch.stack([states // self.width, states % self.width], -1)

    def log_sum(self, q: Tensor) -> Tensor:
        """See `Dynamics`; torch's own is quicker, but its slopes are no numbers where all is minus infinity."""
        return super().log_sum(q) if q.requires_grad else q.logsumexp(1)

    def options(self, states: Tensor) -> Tensor:
        """See `Dynamics`."""
        size = self.height * self.width
        actions = states.unsqueeze(-1) + size * torch.arange(len(self.moves), device=states.device)
        return torch.where(self.available(states.device).flatten()[actions], actions, -1)

    def tails(self, actions: Tensor) -> Tensor:
        """See `Dynamics`."""
        return actions % (self.height * self.width)

    def heads(self, actions: Tensor) -> Tensor:
        """See `Dynamics`."""
        states, move = self.tails(actions), actions // (self.height * self.width)
        leaves = self._leaves.on(actions.device).flatten()[actions]
        return torch.where(leaves, states, states + self._offsets.on(actions.device)[move])

    def advance(self, actions: Tensor, *, generator: draws.Generator) -> Tensor:
        """See `Dynamics`."""
        if self.certain:
            return self.heads(actions)
        like = torch.empty((), dtype=torch.float64, device=actions.device)
        slips, which = draws.uniform((len(actions), 2), generator=generator, like=like).unbind(1)
        other = self.tails(actions) + self.height * self.width * (which * len(self.moves)).long()
        return self.heads(torch.where(slips < self.slip, other, actions))

    def edges(self, costs: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Dynamics`."""
        if not self.certain:
            raise ValueError(f"a search needs moves of one outcome; this grid has a slip of {self.slip:g}.")
        there, begin, heads = self._compressed
        numbers = costs.detach().to("cpu", torch.float64).flatten(1).T.contiguous().numpy()[there]
        finite = np.isfinite(numbers)
        if finite.all():
            return begin, heads, numbers
        return np.concatenate([[0], finite.cumsum()])[begin], heads[finite], numbers[finite]

    @functools.cached_property
    def _compressed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which moves stay on the map, `(S, A)`; where those of each cell begin; the cells that they lead to."""
        there = np.ascontiguousarray(~self._leaves.on(CPU).flatten(1).numpy().T)
        heads = np.arange(len(there), dtype=np.int32)[:, None] + self._offsets.on(CPU).numpy().astype(np.int32)
        return there, np.concatenate([[0], there.sum(1).cumsum()]), heads[there]

    def place(self, state: int) -> str:
        """See `Dynamics`."""
        return f"cell {divmod(state, self.width)}"

    def act(self, action: int) -> str:
        """See `Dynamics`."""
        move, state = divmod(action, self.height * self.width)
        return f"{self.place(state)}, move {self.moves[move]}"

    def _padded(self, values: Tensor, fill: float) -> Tensor:
        """A board with a rim as wide as the longest move."""
        return pad(values, [self._rim] * 4, value=fill)

    def _slices(self, board: Tensor, moves: Sequence[Move]) -> list[Tensor]:
        """The numbers of the cells that moves lead to, views of a padded board, each `(B, H, W)`."""
        rim = self._rim
        return [board[:, rim + a : rim + a + self.height, rim + b : rim + b + self.width] for a, b in moves]

    def _met(self, shifted: Tensor, values: Tensor) -> Tensor:
        """What choices meet, of what moves lead to."""
        return shifted if self.certain else self._slipped(self._kept(shifted, values.unsqueeze(1)))

    def _kept(self, moved: Tensor, stayed: Tensor) -> Tensor:
        """Numbers of moves, those of staying where a move would leave the map."""
        return torch.where(self._leaves.on(moved.device), stayed, moved)

    def _slipped(self, q: Tensor) -> Tensor:
        """Means over what is made of a choice; it is its own adjoint."""
        return (1 - self.slip) * q + self.slip * q.mean(1, keepdim=True)


def crossed(move: Move) -> list[Move]:
    """The cells that the segment of a move crosses for a part of its length, each for the same part, ends included."""
    a, b = move
    if abs(a) == 2:
        return [(0, 0), (a // 2, 0), (a // 2, b), (a, b)]
    if abs(b) == 2:
        return [(0, 0), (0, b // 2), (a, b // 2), (a, b)]
    return [(0, 0)] if move == (0, 0) else [(0, 0), move]


def _sum(parts: Sequence[Tensor]) -> Tensor:
    return functools.reduce(torch.add, parts)
