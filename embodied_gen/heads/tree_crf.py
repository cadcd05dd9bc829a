r"""Label maps by a conditional random field on a chain or a tree of cells: exact in all that is asked.

    p(x | c) = exp(sum_i u_i(x_i; c) + sum_i v(x_parent(i), x_i)) / Z(c)

Logits u come from a network, transitions v are learned and shared by all edges. Sum-product gives Z, marginals and
draws, max-product the best map. A map of which some cells have no label is as probable as all that it may be together,
which is a sum-product, too. Guides are followed as `label_laws` says: a change of logits is seen by the neighbours of a
cell, too.

Source: Lafferty, McCallum and Pereira 2001.
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.events.labels import LabelMap
from embodied_gen.graphs.inference import Tree
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.label_laws import Law, draw_guided
from embodied_gen.heads.marginals import logits_of
from embodied_gen.heads.reads_once import ReadsOnce


@final
class TreeCRFHead(ReadsOnce):
    """p(x | c) by a chain or tree of cells; implements `HasLogProb`.

    Args:
        event: Maps of L classes; those of one row are sequences.
        net: `net(x_t, t, c)`, called with zeros and t = 0; returns a logit for each class of each cell.
        tree: Of the cells, numbered row after row; a chain in that order if not given.
        candidates: Maps drawn for each sample under a guide, >= 2.

    Raises:
        ValueError: If sizes do not fit or a number is out of range.
    """

    event: LabelMap

    def __init__(self, event: LabelMap, net: nn.Module, tree: Tree | None = None, *, candidates: int = 16):
        super().__init__(event)
        cells = event.shape[0] * event.shape[1]
        if tree is not None and len(tree.parents) != cells:
            raise ValueError(f"the tree must have the {cells} cells of the event; got {len(tree.parents)}.")
        if candidates < 2:
            raise ValueError(f"candidates must be at least 2; got {candidates}.")
        self.net, self.candidates = net, candidates
        self.tree = Tree.chain(cells) if tree is None else tree
        self.transitions = nn.Parameter(torch.zeros(event.classes, event.classes))

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """-log p(x | c) divided by the number of labelled cells, nat, shape `(B,)`; padding is learned as it is."""
        return -self.log_prob(x, c) / self.event.labelled(x).flatten(1).sum(1).clamp(min=1)

    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """Log p(x | c) of the most probable labels of x, exact, nat, shape `(B,)`; maps are counted.

        Of a map with cells without a label, it is that of the others' labels.
        """
        self.event.check(x)
        law, labelled = self._law(c), self.event.labelled(x)
        if bool(labelled.all()):
            return law.log_prob(self.event.unscale(x).unsqueeze(1)).squeeze(1)
        return law.log_prob_of_some(x.argmax(-1), labelled)

    def marginals(self, c: Context) -> Tensor:
        """Probabilities of classes in each cell, exact, shape `(B, H, W, L)`."""
        return self._law(c).marginals()

    def best(self, c: Context) -> Tensor:
        """The most probable map as a whole, labels, int64, shape `(B, H, W)`."""
        law = self._law(c)
        return self.tree.best(law.logits.flatten(1, 2), law.pairs)[0].view(law.logits.shape[:3])

    def _law(self, c: Context) -> "OnTree":
        return OnTree(self.tree, self._logits(c), self.transitions)

    def _logits(self, c: Context) -> Tensor:
        return logits_of(self.net, self.event, c)

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        logits = self._logits(c).repeat_interleave(rows // size(c), 0)
        law = OnTree(self.tree, logits, self.transitions)
        if guide is None:
            return self.event.coded(law.draw(1, generator).squeeze(1))
        return draw_guided(law, self.event, guide, candidates=self.candidates, generator=generator)


@final
class OnTree(Law):
    """Cells that depend on each other along a tree.

    Args:
        tree: Of the cells.
        logits: Shape `(M, H, W, L)`.
        transitions: Log potentials of a parent's and a cell's class, shape `(L, L)`.
    """

    def __init__(self, tree: Tree, logits: Tensor, transitions: Tensor):
        self.tree, self.logits, self.transitions = tree, logits, transitions
        self.pairs = transitions[None, None]

    def draw(self, k: int, generator: draws.Generator) -> Tensor:
        """Labels."""
        labels = self.tree.sample(self.logits.flatten(1, 2), self.pairs, k, generator=generator)
        return labels.unflatten(2, self.logits.shape[1:3])

    def log_prob(self, maps: Tensor) -> Tensor:
        """Log p of the most probable labels of maps."""
        unary, labels = self.logits.flatten(1, 2), maps.argmax(-1).flatten(2)
        total = self.tree.log_partition(unary, self.pairs).unsqueeze(1)
        return self.tree.score(unary, self.pairs, labels) - total

    def log_prob_of_some(self, labels: Tensor, known: Tensor) -> Tensor:
        """Log p of the labels of known cells, int64 and bool `(M, H, W)`, whatever the others are; shape `(M,)`."""
        unary = self.logits.flatten(1, 2)
        possible = functional.one_hot(labels, unary.shape[2]).bool() | ~known.unsqueeze(-1)
        told = unary.masked_fill(~possible.flatten(1, 2), -math.inf)
        return self.tree.log_partition(told, self.pairs) - self.tree.log_partition(unary, self.pairs)

    def marginals(self) -> Tensor:
        """Exact ones."""
        return self.tree.marginals(self.logits.flatten(1, 2), self.pairs)[0].view_as(self.logits)

    def tilted(self, change: Tensor) -> "OnTree":
        """The same tree with other logits."""
        return OnTree(self.tree, self.logits + change, self.transitions)
