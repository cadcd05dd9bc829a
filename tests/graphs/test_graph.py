"""Graphs: their edges, their labels, and networkx."""

import networkx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen.graphs import Graph

pytestmark = pytest.mark.usefixtures("double")

ends = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=14)


def graph_of(pairs, count=6):
    tails, heads = torch.tensor(pairs).unbind(1)
    return Graph(tails, heads, count)


@given(ends)
def test_edges_keep_their_ends_and_options_are_the_edges_of_a_node(pairs):
    graph = graph_of(pairs)
    edges = torch.arange(len(pairs))
    kept = list(zip(graph.tails(edges).tolist(), graph.heads(edges).tolist(), strict=True))
    assert kept == [pairs[number] for number in graph.order.tolist()]
    for node in range(6):
        options = [edge for edge in graph.options(torch.tensor(node)).tolist() if edge >= 0]
        assert options == [edge for edge, (tail, _) in enumerate(kept) if tail == node]


@given(ends)
def test_what_arrives_is_the_adjoint_of_what_lies_ahead(pairs):
    graph = graph_of(pairs)
    values, visits = torch.rand(3, 6), torch.rand(3, len(pairs))
    torch.testing.assert_close((graph.ahead(values) * visits).sum(), (values * graph.arrive(visits)).sum())
    torch.testing.assert_close((graph.spread(values) * visits).sum(), (values * graph.collect(visits)).sum())
    largest = graph.largest(visits)
    for node in range(6):
        own = [e for e in graph.options(torch.tensor(node)).tolist() if e >= 0]
        expected = visits[:, own].amax(1) if own else torch.full((3,), -torch.inf)
        assert torch.equal(largest[:, node], expected)


@pytest.mark.parametrize("kind", [networkx.Graph, networkx.DiGraph, networkx.MultiDiGraph, networkx.MultiGraph])
def test_a_network_comes_back_as_it_went(kind):
    network = kind()
    network.add_edge("a", "b", length=2.0, lanes=1)
    network.add_edge("b", ("c", 1), length=3.5, lanes=2)
    network.add_edge("b", "a", length=4.0, lanes=3)
    network.add_edge("a", "a", length=1.0, lanes=1)
    network.add_node("alone")
    graph = Graph.from_networkx(network)
    lengths = graph.values_of(network, "length")
    back = graph.to_networkx({"length": lengths})
    assert list(back) == list(network)
    directed = network.to_directed()
    ours, given_ = (sorted((str(a), str(b), d["length"]) for a, b, d in n.edges(data=True)) for n in (back, directed))
    assert ours == given_
    assert graph.place(int(graph.index([("c", 1)])[0])) == "node ('c', 1)"


def test_graphs_that_are_none_are_refused():
    for pairs, count, match in (
        ([(0, 1)], 0, "at least one node; got 0"),
        ([(0, 3)], 3, "ends of edges must be nodes from 0 to 2; got 3"),
    ):
        with pytest.raises(ValueError, match=match):
            graph_of(pairs, count)
    with pytest.raises(ValueError, match=r"must have the same shape \(E,\); got \[2\], \[1\]"):
        Graph(torch.tensor([0, 1]), torch.tensor([0]), 2)
    with pytest.raises(ValueError, match="a graph of 2 nodes needs as many different labels; got 1"):
        Graph(torch.tensor([0]), torch.tensor([1]), 2, labels=["a", "a"])
    network = networkx.path_graph(3)
    graph = Graph.from_networkx(network)
    with pytest.raises(ValueError, match=r"every edge needs the attribute 'length'; edge \(0, 1\) has none"):
        graph.values_of(network, "length")
    with pytest.raises(ValueError, match="the network must have this graph's 4 edges; got 6"):
        graph.values_of(networkx.path_graph(4), "length")
    with pytest.raises(ValueError, match="the graph has no node 7"):
        graph.index([7])
