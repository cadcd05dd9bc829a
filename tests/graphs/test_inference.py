"""Sums over chains and trees are those over all labels."""

import itertools
import math

import networkx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from embodied_gen import draws
from embodied_gen.graphs import Tree

pytestmark = pytest.mark.usefixtures("double")


@st.composite
def parents(draw):
    """Forests of up to five nodes, numbered in any order."""
    count = draw(st.integers(1, 5))
    order = draw(st.permutations(range(count)))
    found = [-1] * count
    for place in range(1, count):
        above = draw(st.integers(-1, place - 1))
        found[order[place]] = -1 if above < 0 else order[above]
    return found


def potentials(tree, labels, rows=2, shared=False):
    count = len(tree.parents)
    pairs = torch.randn(1 if shared else rows, 1 if shared else count, labels, labels)
    return torch.randn(rows, count, labels), pairs


def everything(tree, unary, pairwise):
    """All labels `(L, N)` and their log weights `(B, L)`, one by one."""
    rows, count, labels = unary.shape
    pairwise = pairwise.expand(rows, count, labels, labels)
    every = list(itertools.product(range(labels), repeat=count))
    weights = torch.zeros(rows, len(every))
    for number, own in enumerate(every):
        for node, label in enumerate(own):
            weights[:, number] += unary[:, node, label]
            if tree.parents[node] >= 0:
                weights[:, number] += pairwise[:, node, own[tree.parents[node]], label]
    return torch.tensor(every), weights


@given(parents(), st.integers(1, 3), st.booleans())
@settings(max_examples=40)
def test_sums_best_labels_and_marginals_are_those_of_enumeration(found, labels, shared):
    tree = Tree(found)
    unary, pairwise = potentials(tree, labels, shared=shared)
    every, weights = everything(tree, unary, pairwise)
    torch.testing.assert_close(tree.log_partition(unary, pairwise), weights.logsumexp(1))
    best, score = tree.best(unary, pairwise)
    torch.testing.assert_close(score, weights.amax(1))
    assert torch.equal(best, every[weights.argmax(1)])
    torch.testing.assert_close(tree.score(unary, pairwise, every.expand(2, -1, -1)), weights)
    own, pairs = tree.marginals(unary, pairwise)
    shares = weights.softmax(1)
    hot = torch.nn.functional.one_hot(every, labels).double()  # (L, N, K)
    torch.testing.assert_close(own, torch.einsum("bl,lnk->bnk", shares, hot))
    for node, above in enumerate(found):
        expected = torch.zeros(2, labels, labels)
        if above >= 0:
            expected = torch.einsum("bl,lk,lm->bkm", shares, hot[:, above], hot[:, node])
        torch.testing.assert_close(pairs[:, node], expected)


def test_draws_have_the_law_of_the_tree():
    tree = Tree([1, -1, 1, 2])
    unary, pairwise = potentials(tree, 2)
    _, weights = everything(tree, unary, pairwise)
    found = tree.sample(unary, pairwise, 8000, generator=draws.generator(0))
    code = (found * torch.tensor([8, 4, 2, 1])).sum(-1)
    for row in range(2):
        shares = torch.bincount(code[row], minlength=16) / 8000
        torch.testing.assert_close(shares.double(), weights.softmax(1)[row], atol=0.02, rtol=0)
    one_each = tree.sample(unary, pairwise, 3, generator=[draws.generator(n) for n in (0, 1)])
    assert torch.equal(one_each[1:], tree.sample(unary[1:], pairwise[1:], 3, generator=[draws.generator(1)]))


def test_a_chain_is_a_hidden_markov_models():
    """Forward sums of a chain of 300 nodes, whose plain probabilities would underflow."""
    steps, labels = 300, 4
    tree = Tree.chain(steps)
    unary, pairwise = 30 * torch.randn(1, steps, labels), torch.randn(1, 1, labels, labels)
    forward = unary[0, 0]
    for step in range(1, steps):
        forward = torch.logsumexp(forward[:, None] + pairwise[0, 0], 0) + unary[0, step]
    torch.testing.assert_close(tree.log_partition(unary, pairwise)[0], torch.logsumexp(forward, 0))


def test_marginals_can_be_learned_from():
    tree = Tree.chain(3)
    unary, pairwise = potentials(tree, 2)
    unary.requires_grad_()
    own, _ = tree.marginals(unary, pairwise)
    (slope,) = torch.autograd.grad(own[0, 0, 0], unary)
    with torch.no_grad():
        ends = []
        for sign in (1e-5, -1e-5):
            moved = unary.clone()
            moved[0, 2, 1] += sign
            ends.append(tree.marginals(moved, pairwise)[0][0, 0, 0])
    assert float(slope[0, 2, 1]) == pytest.approx(float(ends[0] - ends[1]) / 2e-5, rel=1e-5)


class Written(TorchDispatchMode):
    """Counts the numbers of all tensors that are made."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if not any(result.alias_info for result in function._schema.returns):  # no views
            self.numbers += sum(each.numel() for each in tree_leaves(made) if isinstance(each, torch.Tensor))
        return made


@pytest.mark.parametrize("shared", [True, False])
def test_the_work_of_a_chain_is_linear_in_its_length(shared):
    def work(steps):
        tree = Tree.chain(steps)
        unary, pairwise = (part.requires_grad_() for part in potentials(tree, 3, shared=shared))
        labels = torch.zeros(2, 1, steps, dtype=torch.long)
        with Written() as written:
            (tree.log_partition(unary, pairwise) - tree.score(unary, pairwise, labels)[:, 0]).sum().backward()
            tree.marginals(unary.detach(), pairwise.detach())
            tree.best(unary, pairwise)
        return written.numbers

    assert work(120) < 2.1 * work(60)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("found", [[2, 2, -1, 2, 0], [-1, 0, -1], [-1]])
def test_slopes_of_sums_and_scores_are_those_of_differences(found, shared):
    tree = Tree(found)
    parts = [part.requires_grad_() for part in potentials(tree, 2, shared=shared)]
    labels = torch.randint(2, (2, 3, len(found)))
    assert torch.autograd.gradcheck(tree.log_partition, parts)
    assert torch.autograd.gradcheck(lambda *parts: tree.score(*parts, labels), parts)


def test_impossible_labels_are_never_chosen_and_leave_slopes_finite():
    tree = Tree.chain(3)
    unary, pairwise = potentials(tree, 3, rows=1)
    pairwise[:, 1, 0] = -math.inf  # the first label of the first node leads nowhere
    own, pairs = tree.marginals(unary, pairwise)
    assert own.isfinite().all() and pairs.isfinite().all() and own[0, 0, 0] == 0
    assert (tree.sample(unary, pairwise, 200, generator=draws.generator(0))[..., 0] > 0).all()
    unary[0, 0, 1:] = -math.inf
    with pytest.raises(ValueError, match="no labels are possible in row 0: every choice meets minus infinity"):
        tree.sample(unary, pairwise, 1, generator=draws.generator(0))


@given(st.integers(1, 12), st.integers(0, 1000))
@settings(max_examples=20)
def test_a_tree_of_networkx_has_its_edges(count, seed):
    network = networkx.relabel_nodes(
        networkx.random_labeled_tree(count, seed=seed) if count > 1 else networkx.path_graph(1), lambda n: f"n{n}"
    )
    tree = Tree.from_networkx(network, f"n{seed % count}")
    labels = list(network)
    edges = {frozenset((labels[i], labels[p])) for i, p in enumerate(tree.parents) if p >= 0}
    assert edges == {frozenset(edge) for edge in network.edges}
    assert tree.parents[labels.index(f"n{seed % count}")] == -1


def test_trees_that_are_none_are_refused():
    for found, match in (
        ([1, 0], "every node must descend from a root; node 0 does not"),
        ([-1, 2], r"parents must be numbers of the tree's 2 nodes, or -1 for a root; got \[-1, 2\]"),
        ([], "parents must be numbers of the tree's 0 nodes"),
    ):
        with pytest.raises(ValueError, match=match):
            Tree(found)
    with pytest.raises(ValueError, match="expected an undirected tree with the node 0"):
        Tree.from_networkx(networkx.cycle_graph(3), 0)
    tree = Tree.chain(2)
    with pytest.raises(ValueError, match=r"unary must have shape \(B, 2, K\); got \[1, 3, 2\]"):
        tree.log_partition(torch.zeros(1, 3, 2), torch.zeros(1, 1, 2, 2))
    with pytest.raises(ValueError, match=r"pairwise must have shape \[1, 2, 3, 3\], or 1 for B or N"):
        tree.log_partition(torch.zeros(1, 2, 3), torch.zeros(1, 2, 2, 2))
    with pytest.raises(ValueError, match="unary must be numbers below infinity"):
        tree.log_partition(torch.full((1, 2, 2), math.nan), torch.zeros(1, 1, 2, 2))
