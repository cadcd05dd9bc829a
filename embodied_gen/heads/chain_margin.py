r"""Structured SVM over chains: labels of L cells in a row, by maximum margin.

    score(y) = sum_i u_i(y_i) + sum_i v(y_{i-1}, y_i),       u = net(0, 0, c),  v learned and shared,
    hinge    = max over y of (score(y) + weight * wrong(y)) - score(labels),        at least 0,

wrong(y) the number of cells whose label is another (Hamming). The maximum is exact, by max-product with the loss added
to u; the hinge is the slack of the n-slack structured SVM with its margin scaled, its slope the features of what was
found less those of the labels, and its regulariser the optimiser's weight decay. It is the same hinge as that of paths
over a map (see `margin`), with scores the other way round than costs.

Draws are the best labels, where `temperature` is zero; else the best after Gumbel noise was added to u (perturb and
MAP). Guides are followed by proposals: the best labels, and those after noise of size `explore`.

Sources: Taskar et al. 2003, Tsochantaridis et al. 2005.
"""

from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.events.labels import LabelMap
from embodied_gen.graphs import Tree
from embodied_gen.heads.guidance import RowGuide, propose
from embodied_gen.heads.reads_once import ReadsOnce


@final
class ChainMarginHead(ReadsOnce):
    """Labels of a chain by their score; implements `HasEnergy`.

    Args:
        event: Labels of one row of cells: `LabelMap(1, L, K)`.
        net: `net(x_t, t, c)`, called with zeros and t = 0; returns K channels.
        weight: Of a wrong label, in units of score, > 0.
        temperature: Gumbel noise of draws, units of score, >= 0.
        explore: The same of all candidates but the first under a guide, >= 0.
        candidates: Labels for each sample under a guide, of which one is kept, >= 1.

    Raises:
        ValueError: If there is more than one row of cells or a number is out of range.
    """

    event: LabelMap

    def __init__(
        self,
        event: LabelMap,
        net: nn.Module,
        *,
        weight: float = 1.0,
        temperature: float = 0.0,
        explore: float = 1.0,
        candidates: int = 32,
    ):
        super().__init__(event)
        if event.shape[0] != 1:
            raise ValueError(f"a chain is one row of cells; got {event.shape[0]} rows.")
        if not weight > 0 or not temperature >= 0 or not explore >= 0 or candidates < 1:
            raise ValueError(
                "weight must be positive, temperature and explore at least 0 and candidates at least 1; got "
                f"{weight}, {temperature}, {explore} and {candidates}."
            )
        self.net, self.weight, self.candidates = net, weight, candidates
        self.temperature, self.explore = temperature, explore
        self.pairs = nn.Parameter(torch.zeros(event.classes, event.classes))
        self._chain = Tree.chain(event.shape[1])

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """The hinge of each chain, >= 0, units of score, shape `(B,)`; padding is learned as it is, `valid` or not.

        Raises:
            ValueError: If a cell has no label.
        """
        self.event.check(x)
        if not bool(self.event.labelled(x).all()):
            raise ValueError(
                "the margin of a chain is that of all its labels; got a cell without one. Drop such chains, or take "
                "head.kind chain_crf, which sums over what is not known."
            )
        unary, labels = self._scores(c), self.event.decode(x)[:, 0]
        right = torch.nn.functional.one_hot(labels, self.event.classes).to(unary)
        rival, _ = self._chain.best((unary + self.weight * (1 - right)).detach(), self._pairwise.detach())
        wrong = self.weight * (rival != labels).sum(1)
        both = self._chain.score(unary, self._pairwise, torch.stack([rival, labels], 1))
        return both[:, 0] - both[:, 1] + wrong

    def energy(self, x: Tensor, c: Context) -> Tensor:
        """Minus the score of labels, shape `(B,)`."""
        self.event.check(x)
        return -self._chain.score(self._scores(c), self._pairwise, self.event.decode(x))[:, 0]

    def _scores(self, c: Context) -> Tensor:
        """U, shape `(B, L, K)`."""
        zeros = self._like().new_zeros(size(c), *self.event.shape)
        output = self.net(zeros, zeros.new_zeros(len(zeros)), c).to(zeros.dtype)
        if output.shape != zeros.shape:
            raise ValueError(
                f"the network of a chain must return shape {tuple(zeros.shape)}; got {tuple(output.shape)}. Build it "
                f"with channels_out = {self.event.classes}."
            )
        return output[:, 0]

    @property
    def _pairwise(self) -> Tensor:
        return self.pairs[None, None]

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        unary = self._scores(c).repeat_interleave(rows // size(c), 0)
        if guide is None:
            return self._best(unary, unary.new_full((rows,), self.temperature), generator)
        noise = unary.new_full((rows * self.candidates,), max(self.explore, self.temperature))
        noise[:: self.candidates] = self.temperature
        candidates = self._best(unary.repeat_interleave(self.candidates, 0), noise, generator)
        return propose(candidates.unflatten(0, (rows, -1)), guide, generator=generator)

    def _best(self, unary: Tensor, noise: Tensor, generator: draws.Generator) -> Tensor:
        """The best labels after noise of the sizes `(M,)`, as events `(M, 1, L, K)`."""
        gumbel = draws.gumbel(unary.shape, generator=generator, like=unary)
        labels, _ = self._chain.best(unary + noise.view(-1, 1, 1) * gumbel, self._pairwise)
        return self.event.coded(labels).unsqueeze(1)
