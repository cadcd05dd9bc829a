"""Directed graphs as dynamics, in compressed rows: states are nodes, actions are edges, and sums run over the edges.

Edges are sorted by the node that they leave, so that the edges of node i are those from `begin[i]` to
`begin[i + 1] - 1`; `order` tells where each of the edges that were given lies now. Parallel edges and loops are edges
like others. A graph of networkx keeps its labels; an undirected edge becomes two.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, final

import networkx
import numpy as np
import torch
from torch import Tensor

from embodied_gen.draws import Generator
from embodied_gen.graphs.dynamics import CPU, Dynamics
from embodied_gen.graphs.placed import Placed


@final
class Graph(Dynamics):
    """N nodes and E directed edges; S is (N,) and Q is (E,).

    Args:
        tails: Node that each edge leaves, int64, shape `(E,)`.
        heads: Node that each edge leads to, same shape.
        count: N.
        labels: Of the nodes, for messages and networkx; their numbers where None.

    Attributes:
        order: Edges in their present order by their given numbers, int64, shape `(E,)`.

    Raises:
        ValueError: If there is no node, an end of an edge is none, or there are not N different labels.
    """

    certain = True

    def __init__(self, tails: Tensor, heads: Tensor, count: int, *, labels: Sequence[Hashable] | None = None):
        _require_nodes(tails, heads, count)
        self.labels: list[Hashable] = list(range(count)) if labels is None else list(labels)
        self._numbers = {label: number for number, label in enumerate(self.labels)}
        if len(self._numbers) != count or len(self.labels) != count:
            raise ValueError(f"a graph of {count} nodes needs as many different labels; got {len(self._numbers)}.")
        self.order = torch.sort(tails, stable=True).indices
        self._tails, self._heads = Placed(tails[self.order]), Placed(heads[self.order])
        self.states, self.actions = (count,), (len(tails),)
        degrees = torch.bincount(tails, minlength=count)
        self._begin = Placed(torch.cat([degrees.new_zeros(1), degrees.cumsum(0)]))
        self._degree = int(degrees.max())

    @classmethod
    def from_networkx(cls, network: Any) -> "Graph":
        """The graph of a networkx graph of any kind, its edges in the order of `network_edges`."""
        edges = network_edges(network)
        number = {label: position for position, label in enumerate(network)}
        ends = torch.tensor([[number[edge[0]], number[edge[1]]] for edge in edges], dtype=torch.int64).view(-1, 2)
        return cls(ends[:, 0], ends[:, 1], len(number), labels=list(network))

    def values_of(self, network: Any, attribute: str, *, dtype: torch.dtype = torch.float64) -> Tensor:
        """An attribute of the edges of the network that this graph was made of, shape `(E,)`.

        Raises:
            ValueError: If an edge does not have it, or the network has other edges.
        """
        edges = network_edges(network)
        if len(edges) != len(self.order):
            raise ValueError(f"the network must have this graph's {len(self.order)} edges; got {len(edges)}.")
        lacking = [edge for edge in edges if attribute not in network.edges[edge]]
        if lacking:
            raise ValueError(f"every edge needs the attribute {attribute!r}; edge {lacking[0]} has none.")
        values = torch.tensor([network.edges[edge][attribute] for edge in edges], dtype=dtype)
        return values[self.order]

    def to_networkx(self, attributes: Mapping[str, Tensor]) -> Any:
        """A directed multigraph of networkx with numbers `(E,)` of the edges as attributes by name."""
        network = networkx.MultiDiGraph()
        network.add_nodes_from(self.labels)
        columns = {name: values.tolist() for name, values in attributes.items()}
        for edge, (tail, head) in enumerate(
            zip(self._tails.on(CPU).tolist(), self._heads.on(CPU).tolist(), strict=True)
        ):
            own = {name: values[edge] for name, values in columns.items()}
            network.add_edge(self.labels[tail], self.labels[head], **own)
        return network

    def index(self, labels: Sequence[Hashable]) -> Tensor:
        """Numbers of labelled nodes, int64, shape `(M,)`.

        Raises:
            ValueError: If a label is none of a node.
        """
        for label in labels:
            if label not in self._numbers:
                raise ValueError(f"the graph has no node {label!r}.")
        return torch.tensor([self._numbers[label] for label in labels], dtype=torch.int64)

    def available(self, device: torch.device = CPU) -> Tensor:
        """All edges, shape `(E,)`."""
        return torch.ones(self.actions, dtype=torch.bool, device=device)

    def ahead(self, values: Tensor) -> Tensor:
        """See `Dynamics`."""
        return values.index_select(1, self._heads.on(values.device))

    def arrive(self, visits: Tensor) -> Tensor:
        """See `Dynamics`."""
        zeros = visits.new_zeros(len(visits), *self.states)
        return zeros.index_add(1, self._heads.on(visits.device), visits)

    def spread(self, values: Tensor) -> Tensor:
        """See `Dynamics`."""
        return values.index_select(1, self._tails.on(values.device))

    def collect(self, q: Tensor) -> Tensor:
        """See `Dynamics`."""
        return q.new_zeros(len(q), *self.states).index_add(1, self._tails.on(q.device), q)

    def largest(self, q: Tensor) -> Tensor:
        """See `Dynamics`."""
        lowest = q.new_full((len(q), *self.states), -torch.inf)
        return lowest.scatter_reduce(1, self._tails.on(q.device).expand_as(q), q, "amax")

    def options(self, states: Tensor) -> Tensor:
        """See `Dynamics`."""
        begin = self._begin.on(states.device)
        edges = begin[states].unsqueeze(-1) + torch.arange(self._degree, device=states.device)
        return torch.where(edges < begin[states + 1].unsqueeze(-1), edges, -1)

    def tails(self, actions: Tensor) -> Tensor:
        """See `Dynamics`."""
        return self._tails.on(actions.device)[actions]

    def heads(self, actions: Tensor) -> Tensor:
        """See `Dynamics`."""
        return self._heads.on(actions.device)[actions]

    def advance(self, actions: Tensor, *, generator: Generator) -> Tensor:
        """See `Dynamics`."""
        return self.heads(actions)

    def edges(self, costs: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Dynamics`."""
        numbers = costs.detach().to("cpu", torch.float64).numpy()
        finite = np.isfinite(numbers)
        before = np.concatenate([[0], finite.cumsum()])
        return (
            before[self._begin.on(CPU).numpy()],
            self._heads.on(CPU).numpy()[finite].astype(np.int32),
            numbers[finite],
        )

    def place(self, state: int) -> str:
        """See `Dynamics`."""
        return f"node {self.labels[state]!r}"

    def act(self, action: int) -> str:
        """See `Dynamics`."""
        tail, head = (self.labels[int(ends.on(CPU)[action])] for ends in (self._tails, self._heads))
        return f"edge {tail!r} to {head!r}"


def network_edges(network: Any) -> list[tuple]:
    """The edges of a networkx graph as its own views name them, an undirected one both ways except for loops."""
    edges = list(network.edges(keys=True) if network.is_multigraph() else network.edges)
    if network.is_directed():
        return edges
    return edges + [(edge[1], edge[0], *edge[2:]) for edge in edges if edge[0] != edge[1]]


def _require_nodes(tails: Tensor, heads: Tensor, count: int) -> None:
    if count < 1:
        raise ValueError(f"a graph needs at least one node; got {count}.")
    if tails.ndim != 1 or tails.shape != heads.shape:
        raise ValueError(
            f"tails and heads must have the same shape (E,); got {list(tails.shape)}, {list(heads.shape)}."
        )
    ends = torch.cat([tails, heads])
    wrong = ends[(ends < 0) | (ends >= count)]
    if len(wrong):
        raise ValueError(f"ends of edges must be nodes from 0 to {count - 1}; got {int(wrong[0])}.")
