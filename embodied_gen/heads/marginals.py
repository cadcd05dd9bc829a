r"""Label maps by the marginals of their cells.

    p(x | c) = prod_i Q_i(x_i)

A network says of each cell which class it has, alone or through a CRF. What differs between heads is how Q comes about;
loss, densities, draws and guides are the same. A loss is the cross-entropy of Q over valid cells with a label, each of
which may count more or less than another,

    loss = -sum_i w_i log Q_i(x_i) / sum_i w_i,

so that rare classes are learned as well as common ones, if that is wanted. Impossible classes may have a logit of minus
infinity; a cell whose label is one makes the loss infinite.

Guides are followed as `label_laws` says: by proposals, half of them with the guide's slope at the marginals taken from
the logits of each cell.
"""

import abc
from typing import final

from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.events.labels import LabelMap
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.label_laws import Independent, draw_guided
from embodied_gen.heads.reads_once import ReadsOnce
from embodied_gen.softmax import weighted


class MarginalHead(ReadsOnce, abc.ABC):
    """p(x | c) of cells that do not depend on each other given Q; implements `HasLogProb`.

    Args:
        event: Maps of L classes.
        candidates: Maps drawn for each sample under a guide, >= 2.

    Raises:
        ValueError: If there are too few candidates.
    """

    event: LabelMap

    def __init__(self, event: LabelMap, *, candidates: int = 16):
        super().__init__(event)
        if candidates < 2:
            raise ValueError(f"candidates must be at least 2; got {candidates}.")
        self.candidates = candidates

    @abc.abstractmethod
    def log_marginals(self, c: Context) -> Tensor:
        """Log-probabilities of classes in each cell, shape `(B, H, W, L)`."""

    @abc.abstractmethod
    def learned(self, c: Context) -> Tensor:
        """Those that the loss is about, which may be made with less work; same shape."""

    @final
    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """Cross-entropy of the marginals, a valid cell's mean, nat, shape `(B,)`.

        `valid` has shape `(B, H, W)`: bool, or how much each cell counts, >= 0.
        """
        self.event.check(x)
        entropy = -weighted(self.event.unscale(x), self.learned(c)).sum(-1).flatten(1)
        weight = self.event.labelled(x).flatten(1).to(entropy.dtype)
        if valid is not None:
            weight = weight * valid.flatten(1).to(entropy.dtype)
        total = weight.sum(1)
        return weighted(weight, entropy).sum(1) / total.where(total > 0, 1)

    @final
    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """Log p(x | c), exact for one-hot maps, nat, shape `(B,)`; maps are counted, so that the largest is 0."""
        self.event.check(x)
        return weighted(self.event.unscale(x), self.log_marginals(c)).flatten(1).sum(1)

    @final
    def marginals(self, c: Context) -> Tensor:
        """Probabilities of classes in each cell, shape `(B, H, W, L)`."""
        return self.log_marginals(c).exp()

    @final
    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        law = Independent(self.log_marginals(c).repeat_interleave(rows // size(c), 0))
        if guide is None:
            return self.event.coded(law.draw(1, generator).squeeze(1))
        return draw_guided(law, self.event, guide, candidates=self.candidates, generator=generator)


@final
class CellwiseHead(MarginalHead):
    """Q = softmax of a network's logits: every cell on its own, the baseline of structured heads.

    Args:
        event: Maps of L classes.
        net: `net(x_t, t, c)`, called with zeros and t = 0; returns a logit for each class of each cell.
        candidates: Maps drawn for each sample under a guide, >= 2.
    """

    def __init__(self, event: LabelMap, net: nn.Module, *, candidates: int = 16):
        super().__init__(event, candidates=candidates)
        self.net = net

    def log_marginals(self, c: Context) -> Tensor:
        """Log-softmax of the logits."""
        return logits_of(self.net, self.event, c).log_softmax(-1)

    def learned(self, c: Context) -> Tensor:
        """The same."""
        return self.log_marginals(c)


def logits_of(net: nn.Module, event: LabelMap, c: Context) -> Tensor:
    """A network's logits of the classes of cells, shape `(B, H, W, L)`.

    Raises:
        ValueError: If it returns another shape.
    """
    logits = of_zeros(net, event.shape, event.low, c)
    expected = (size(c), *event.shape)
    if tuple(logits.shape) != expected:
        raise ValueError(
            f"the network of a label map must return shape {expected}, a logit for each class; got "
            f"{tuple(logits.shape)}."
        )
    return logits


def of_zeros(net: nn.Module, shape: tuple[int, ...], like: Tensor, c: Context) -> Tensor:
    """The network's output for nothing but a context, with the dtype of `like`."""
    zeros = like.new_zeros(size(c), *shape)
    return net(zeros, zeros.new_zeros(len(zeros)), c).to(like.dtype)
