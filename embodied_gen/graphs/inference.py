r"""Exact inference on chains and trees: log Z, marginals, the best labels, draws.

N nodes have one of K labels each. With log potentials u_i(l) of nodes and v_i(k, l) of a node's label l and its
parent's label k,

    p(x) = exp(sum_i u_i(x_i) + sum_i v_i(x_parent(i), x_i)) / Z.

Messages go from the leaves to the roots, all nodes of a depth at once (a chain has one node a depth):

    up_i(l) = u_i(l) + sum_{children j} log sum_m exp(v_j(l, m) + up_j(m))       log Z = sum_roots log sum_l exp up(l)

with max for log-sum-exp where the best labels are sought. Marginals are the slopes of log Z. Draws and the best labels
go back from the roots, a child given its parent. Impossible labels have a log potential of minus infinity.

Sources: Pearl 1982; Rabiner 1989 for chains.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, final

import networkx
import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.graphs.placed import Placed
from embodied_gen.graphs.sums import log_sums

_Reduce = Callable[[Tensor], Tensor]


@final
class Tree:
    """A tree, or several, of N nodes.

    In all methods `unary` are log potentials of nodes, shape `(B, N, K)`, and `pairwise` those of a node and its
    parent, shape `(B, N, K, K)` with the parent's label first, or with 1 for B or N where they are shared; those of
    roots are not read. Shapes that do not fit, numbers that are none or infinite, and rows in which no labels are
    possible are a ValueError.

    Args:
        parents: Number of the parent of each node, -1 for a root.

    Raises:
        ValueError: If a parent is no node, or nodes are their own ancestors.
    """

    def __init__(self, parents: Sequence[int]):
        self.parents = list(parents)
        depth = _depths(self.parents)
        levels: list[list[int]] = [[] for _ in range(max(depth) + 1)]
        for node, own in enumerate(depth):
            levels[own].append(node)
        place = {node: number for level in levels for number, node in enumerate(level)}
        self._sizes = [len(level) for level in levels]
        order = [node for level in levels for node in level]
        self._order, self._back = Placed(torch.tensor(order)), Placed(torch.tensor(order).argsort())
        below = order[self._sizes[0] :]
        # Of each node below a root, in this order, the parent, and its place among the nodes of its depth.
        self._parent = Placed(torch.tensor([self.parents[node] for node in below], dtype=torch.long))
        self._above = Placed(torch.tensor([place[self.parents[node]] for node in below], dtype=torch.long))

    @classmethod
    def chain(cls, length: int) -> "Tree":
        """Nodes in a row, each the parent of the next."""
        return cls(range(-1, length - 1))

    @classmethod
    def from_networkx(cls, network: Any, root: Any) -> "Tree":
        """The tree of an undirected networkx tree, nodes numbered in the network's order.

        Raises:
            ValueError: If the network is not a tree, or the root is none of its nodes.
        """
        if network.is_directed() or not networkx.is_tree(network) or root not in network:
            raise ValueError(f"expected an undirected tree with the node {root!r}; got {network}.")
        number = {label: position for position, label in enumerate(network)}
        parent = {child: number[own] for own, child in networkx.bfs_edges(network, root)}
        return cls([parent.get(label, -1) for label in network])

    def log_partition(self, unary: Tensor, pairwise: Tensor) -> Tensor:
        """The logarithm of Z, shape `(B,)`; differentiable."""
        return self._total(self._up(unary, self._checked(unary, pairwise), _log_sum), _log_sum)

    def score(self, unary: Tensor, pairwise: Tensor, labels: Tensor) -> Tensor:
        """The sum of log potentials of labels, int64, shape `(B, M, N)`; shape `(B, M)`; differentiable."""
        pairwise = self._checked(unary, pairwise)
        own = unary.unsqueeze(1).expand(-1, labels.shape[1], -1, -1).gather(3, labels.unsqueeze(-1)).squeeze(-1)
        nodes, above = self._order.on(labels.device)[self._sizes[0] :], labels[..., self._parent.on(labels.device)]
        pairwise = pairwise if self._shared(pairwise) else pairwise.index_select(1, nodes)
        pairs = _rows_of(pairwise, above).gather(3, labels[..., nodes].unsqueeze(-1)).squeeze(-1)
        return own.sum(-1) + pairs.sum(-1)

    def marginals(self, unary: Tensor, pairwise: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of labels `(B, N, K)`, and of pairs of a parent's and a node's `(B, N, K, K)`, zero for roots.

        They are differentiable where gradients are enabled.
        """
        keep = torch.is_grad_enabled()
        with torch.enable_grad():
            pairwise = self._checked(unary, pairwise).expand(*unary.shape, -1)
            unary, pairwise = (p if p.requires_grad else p.detach().requires_grad_() for p in (unary, pairwise))
            total = self._total(self._up(unary, pairwise, _log_sum), _log_sum).sum()
            own, pairs = torch.autograd.grad(total, (unary, pairwise), create_graph=keep, allow_unused=True)
        return own, torch.zeros_like(pairwise) if pairs is None else pairs

    @torch.no_grad()
    def best(self, unary: Tensor, pairwise: Tensor) -> tuple[Tensor, Tensor]:
        """The most probable labels `(B, N)`, int64, and their sum of log potentials `(B,)`."""
        pairwise = self._checked(unary, pairwise)
        up = self._up(unary, pairwise, _largest)
        return self._down(up, pairwise, 1, lambda q: q.argmax(-1)).squeeze(1), self._total(up, _largest)

    @torch.no_grad()
    def sample(self, unary: Tensor, pairwise: Tensor, n: int, *, generator: draws.Generator) -> Tensor:
        """Labels drawn n times for each row, int64, shape `(B, n, N)`; one generator, or one for each row."""
        pairwise = self._checked(unary, pairwise)
        up = self._up(unary, pairwise, _log_sum)
        self._total(up, _log_sum)

        def drawn(q: Tensor) -> Tensor:
            return draws.categorical(q.flatten(0, -2), generator=generator).view(q.shape[:-1])

        return self._down(up, pairwise, n, drawn)

    def _up(self, unary: Tensor, pairwise: Tensor, reduce: _Reduce) -> list[Tensor]:
        """Messages of the nodes of each depth, `(B, n, K)`."""
        up, pairs, above = self._by_depth(unary), self._by_depth(pairwise), self._above_of(unary.device)
        for depth in range(len(up) - 1, 0, -1):
            message = reduce(pairs[depth] + up[depth].unsqueeze(2))
            up[depth - 1] = up[depth - 1].index_add(1, above[depth - 1], message)
        return up

    def _down(self, up: list[Tensor], pairwise: Tensor, n: int, pick: _Reduce) -> Tensor:
        """Labels `(B, n, N)`, each picked given the parent's."""
        labels = [pick(up[0].unsqueeze(1).expand(-1, n, -1, -1))]
        for pairs, above, own in zip(self._by_depth(pairwise)[1:], self._above_of(up[0].device), up[1:], strict=True):
            given = _rows_of(pairs, labels[-1][..., above])
            labels.append(pick(given + own.unsqueeze(1)))
        return torch.cat(labels, -1)[..., self._back.on(up[0].device)]

    def _by_depth(self, table: Tensor) -> list[Tensor]:
        """Of a table `(B, N, ...)` the rows of the nodes of each depth; itself each time where they share one."""
        if self._shared(table):
            return [table] * len(self._sizes)
        # One split: an index for each depth would have as many gradients, each of the size of the table.
        return list(table.index_select(1, self._order.on(table.device)).split(self._sizes, 1))

    def _shared(self, table: Tensor) -> bool:
        return table.shape[1] < len(self.parents)

    def _above_of(self, device: torch.device) -> Sequence[Tensor]:
        return self._above.on(device).split(self._sizes[1:])

    def _total(self, up: list[Tensor], reduce: _Reduce) -> Tensor:
        total = reduce(up[0]).sum(1)
        lost = (total == -math.inf).nonzero()
        if len(lost):
            raise ValueError(f"no labels are possible in row {int(lost[0])}: every choice meets minus infinity.")
        return total

    def _checked(self, unary: Tensor, pairwise: Tensor) -> Tensor:
        """Log potentials of pairs `(B, N, K, K)`, with 1 for B or N where they are shared."""
        if unary.ndim != 3 or unary.shape[1] != len(self.parents):
            raise ValueError(f"unary must have shape (B, {len(self.parents)}, K); got {list(unary.shape)}.")
        full = (*unary.shape, unary.shape[2])
        if pairwise.ndim != 4 or any(own not in (1, size) for own, size in zip(pairwise.shape, full, strict=True)):
            raise ValueError(f"pairwise must have shape {list(full)}, or 1 for B or N; got {list(pairwise.shape)}.")
        for name, part in (("unary", unary), ("pairwise", pairwise)):
            if not (part.detach() < math.inf).all():
                raise ValueError(f"{name} must be numbers below infinity; minus infinity is what is impossible.")
        return pairwise.expand(-1, -1, *full[2:])


def _rows_of(pairwise: Tensor, above: Tensor) -> Tensor:
    """Log potentials of labels given the parents', `(B, n, K, K)`, 1 for B or n, and `(B, M, n)` to `(B, M, n, K)`."""
    wide = pairwise.unsqueeze(1).expand(*above.shape, -1, -1)
    index = above[..., None, None].expand(*above.shape, 1, pairwise.shape[-1])
    return wide.gather(3, index).squeeze(3)


def _log_sum(q: Tensor) -> Tensor:
    return log_sums(q, largest=_largest, spread=lambda top: top.unsqueeze(-1), collect=lambda part: part.sum(-1))


def _largest(q: Tensor) -> Tensor:
    return q.amax(-1)


def _depths(parents: list[int]) -> list[int]:
    """The number of ancestors of each node."""
    count = len(parents)
    if not count or not all(-1 <= parent < count for parent in parents):
        raise ValueError(f"parents must be numbers of the tree's {count} nodes, or -1 for a root; got {parents}.")
    children: list[list[int]] = [[] for _ in range(count + 1)]  # those of -1, the roots, last
    for node, parent in enumerate(parents):
        children[parent].append(node)
    depth, level, number = [-1] * count, children[-1], 0
    while level:
        for node in level:
            depth[node] = number
        level, number = [child for node in level for child in children[node]], number + 1
    if -1 in depth:
        raise ValueError(f"every node must descend from a root; node {depth.index(-1)} does not.")
    return depth
