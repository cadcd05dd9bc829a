r"""Label maps cell by cell: PixelCNN, and its relative with recurrent rows.

    p(x | c) = prod_i p(x_i | x_1, ..., x_{i-1}, c),    cells in raster order,

each factor a softmax over classes, so that the probability of a map is exact. `net(0, 0, c)` maps the context to F
features for each cell, as any network of any other head does; a raster network reads the cells before beside them.
Training is parallel over cells; a cell without a label has no factor, and later cells read that it has no class.
Drawing goes cell by cell: what a row gets from above is computed once, from as many rows as the network reads, and
of its own row a cell is given as many cells to its left as the network reads.

Guides are followed by proposals: k maps are drawn for each sample and one is kept, which tends to the exact conditional
as k grows. Guides see probabilities in physical units, which are one-hot here, as maps are finished.

Sources: van den Oord et al. 2016, PixelRNN (arXiv:1601.06759) and gated PixelCNN (arXiv:1606.05328).
"""

from typing import Protocol, final

from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.events.labels import LabelMap
from embodied_gen.heads.base import Head
from embodied_gen.heads.guidance import RowGuide, drawn
from embodied_gen.softmax import weighted


class ReadsRasters(Protocol):
    """A network in which no cell sees itself or a later one; those of `nets` are, and their base class says more."""

    channels_in: int
    channels_out: int
    context: int

    @property
    def reach(self) -> int | None:
        """Rows before its own that a row reads; None where all."""

    @property
    def span(self) -> int | None:
        """Cells before its own that `along` reads of a row, in x and in what came from above; None where all."""

    def __call__(self, x: Tensor, c: Tensor) -> Tensor:
        """All cells at once, `(M, H, W, K)` and `(M, H, W, F)` to `(M, H, W, K)`."""

    def above(self, x: Tensor, c: Tensor) -> Tensor:
        """What each row gets from those before it, `(M, H, W, A)`."""

    def along(self, x: Tensor, above: Tensor) -> Tensor:
        """Rows from the left, `(N, W, K)` and `(N, W, A)` to `(N, W, K)`."""


@final
class PixelCNNHead(Head):
    """p(x | c) by a product over cells; implements `HasLogProb`.

    Args:
        event: Maps of K classes.
        net: `net(x_t, t, c)`, called with zeros and t = 0; returns F channels, the raster network's `context`.
        raster: Reads maps in raster order: K channels in and out.
        candidates: Maps drawn for each sample under a guide.

    Raises:
        ValueError: If sizes do not fit or a number is out of range.
    """

    event: LabelMap
    raster: ReadsRasters

    def __init__(self, event: LabelMap, net: nn.Module, raster: ReadsRasters, *, candidates: int = 16):
        super().__init__(event)
        if candidates < 1:
            raise ValueError(f"candidates must be at least 1; got {candidates}.")
        if (raster.channels_in, raster.channels_out) != (event.classes, event.classes):
            raise ValueError(
                f"the raster network must have channels_in and channels_out {event.classes}, one for each class; "
                f"got {raster.channels_in} and {raster.channels_out}."
            )
        self.net, self.raster, self.candidates = net, raster, candidates

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """-log p(x | c) divided by the number of labelled cells, nat, shape `(B,)`.

        Where a map is no one-hot map, this is the cross-entropy from its probabilities. Padding is learned as it is,
        `valid` or not: cells that come after a padded one read it. What has no label is no padding, and is left out.
        """
        return -self.log_prob(x, c) / self.event.labelled(x).flatten(1).sum(1).clamp(min=1)

    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """Log p(x | c), exact for one-hot maps, nat, shape `(B,)`; maps are counted, so that the largest is 0.

        Of a map with cells without a label, it is the product of the others' factors.
        """
        self.event.check(x)
        log_prob = self.raster(x, self._conditions(c)).to(x.dtype).log_softmax(-1)
        return weighted(self.event.unscale(x), log_prob).flatten(1).sum(1)

    def _conditions(self, c: Context) -> Tensor:
        """Features of each cell, `(B, H, W, F)`."""
        zeros = self._like().new_zeros(size(c), *self.event.shape)
        output = self.net(zeros, zeros.new_zeros(len(zeros)), c).to(zeros.dtype)
        expected = (len(zeros), *self.event.shape[:2], self.raster.context)
        if tuple(output.shape) != expected:
            raise ValueError(
                f"the network of a PixelCNN must return shape {expected}, as many channels as the raster network's "
                f"context; got {tuple(output.shape)}."
            )
        return output

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        return drawn(self._draw, self._conditions(c), guide, candidates=self.candidates, generator=generator)

    def _draw(self, conditions: Tensor, generator: draws.Generator) -> Tensor:
        """One map for each row of conditions, shape `(M, H, W, K)`."""
        height, width, _ = self.event.shape
        x = conditions.new_zeros(len(conditions), *self.event.shape)
        reach = height if self.raster.reach is None else self.raster.reach
        span = width if self.raster.span is None else self.raster.span
        for row in range(height):
            seen = slice(max(0, row - reach), row + 1)
            above = self.raster.above(x[:, seen], conditions[:, seen])[:, -1]
            for column in range(width):
                left = slice(max(0, column - span), column + 1)
                logits = self.raster.along(x[:, row, left], above[:, left])[:, -1].to(x.dtype)
                x[:, row, column] = self.event.coded(draws.categorical(logits, generator=generator))
        return x
