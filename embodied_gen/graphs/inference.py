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
        self._levels: list[list[int]] = [[] for _ in range(max(depth) + 1)]
        for node, own in enumerate(depth):
            self._levels[own].append(node)
        place = {node: number for level in self._levels for number, node in enumerate(level)}
        self._above = [Placed(torch.tensor([place[self.parents[i]] for i in level])) for level in self._levels[1:]]

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
        nodes = [i for level in self._levels[1:] for i in level]
        above = labels[..., [self.parents[i] for i in nodes]]
        pairs = _rows_of(pairwise[:, nodes], above).gather(3, labels[..., nodes].unsqueeze(-1)).squeeze(-1)
        return own.sum(-1) + pairs.sum(-1)

    def marginals(self, unary: Tensor, pairwise: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of labels `(B, N, K)`, and of pairs of a parent's and a node's `(B, N, K, K)`, zero for roots.

        They are differentiable where gradients are enabled.
        """
        keep = torch.is_grad_enabled()
        with torch.enable_grad():
            pairwise = self._checked(unary, pairwise)
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
        up = [unary[:, level] for level in self._levels]
        for depth in range(len(up) - 1, 0, -1):
            message = reduce(pairwise[:, self._levels[depth]] + up[depth].unsqueeze(2))
            up[depth - 1] = up[depth - 1].index_add(1, self._above[depth - 1].on(unary.device), message)
        return up

    def _down(self, up: list[Tensor], pairwise: Tensor, n: int, pick: _Reduce) -> Tensor:
        """Labels `(B, n, N)`, each picked given the parent's."""
        labels = [pick(up[0].unsqueeze(1).expand(-1, n, -1, -1))]
        for level, above, own in zip(self._levels[1:], self._above, up[1:], strict=True):
            given = _rows_of(pairwise[:, level], labels[-1][..., above.on(own.device)])
            labels.append(pick(given + own.unsqueeze(1)))
        order = torch.tensor([i for level in self._levels for i in level], device=pairwise.device)
        return torch.cat(labels, -1)[..., order.argsort()]

    def _total(self, up: list[Tensor], reduce: _Reduce) -> Tensor:
        total = reduce(up[0]).sum(1)
        lost = (total == -math.inf).nonzero()
        if len(lost):
            raise ValueError(f"no labels are possible in row {int(lost[0])}: every choice meets minus infinity.")
        return total

    def _checked(self, unary: Tensor, pairwise: Tensor) -> Tensor:
        """Log potentials of pairs `(B, N, K, K)`."""
        if unary.ndim != 3 or unary.shape[1] != len(self.parents):
            raise ValueError(f"unary must have shape (B, {len(self.parents)}, K); got {list(unary.shape)}.")
        full = (*unary.shape, unary.shape[2])
        if pairwise.ndim != 4 or any(own not in (1, size) for own, size in zip(pairwise.shape, full, strict=True)):
            raise ValueError(f"pairwise must have shape {list(full)}, or 1 for B or N; got {list(pairwise.shape)}.")
        for name, part in (("unary", unary), ("pairwise", pairwise)):
            if not (part.detach() < math.inf).all():
                raise ValueError(f"{name} must be numbers below infinity; minus infinity is what is impossible.")
        return pairwise.expand(full)


def _rows_of(pairwise: Tensor, above: Tensor) -> Tensor:
    """Log potentials of labels given the parents', `(B, n, K, K)` and `(B, M, n)` to `(B, M, n, K)`."""
    wide = pairwise.unsqueeze(1).expand(-1, above.shape[1], -1, -1, -1)
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
