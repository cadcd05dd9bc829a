r"""Label maps by a dense CRF over a network: CRF-RNN.

    p(x | c) = prod_i Q_i(x_i),    Q = mean field of (logits of the network, guide channels of the context)

The network says of each cell alone which class it has; the CRF, its steps unrolled, lets cells that look alike agree,
and both are trained through it by the cross-entropy of Q. Fewer steps are made in training than in use, which is
quicker and no worse. The guide channels are a leaf of the context, an image say, or are made from the context by a
network.

Guides are followed as `label_laws` says: by proposals, half of them with the guide's slope at the marginals taken from
the logits of each cell.

Sources: Zheng et al. 2015 (arXiv:1502.03240); Kraehenbuehl and Koltun 2011 (arXiv:1210.5644).
"""

import abc
from typing import final

from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.crf import DenseCRF
from embodied_gen.events.labels import LabelMap
from embodied_gen.heads.base import Head
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.label_laws import Independent, draw_guided


class Channels(nn.Module, abc.ABC):
    """Where the guide channels of a CRF come from."""

    @abc.abstractmethod
    def forward(self, c: Context) -> Tensor:
        """Channels of each cell, shape `(B, C, H, W)`."""


@final
class Leaf(Channels):
    """A leaf of the context as it is: an image, depth, normals.

    Args:
        name: Of the leaf, `(B, C, H, W)`, floating point in the units of the kernels' widths.
    """

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def forward(self, c: Context) -> Tensor:
        """The leaf."""
        if isinstance(c, Tensor) or self.name not in c:
            have = "a tensor" if isinstance(c, Tensor) else f"leaves {sorted(c)}"
            raise ValueError(f"the CRF reads the leaf {self.name!r} of a mapping context; got {have}.")
        return c[self.name]


@final
class Made(Channels):
    """Channels that a network makes of the context, learned with all else, about channels of each cell.

    Args:
        event: The maps.
        net: `net(x_t, t, c)`, called with zeros and t = 0; returns C channels for each cell.
        channels: C, >= 1.

    Raises:
        ValueError: If there is no channel.
    """

    def __init__(self, event: LabelMap, net: nn.Module, channels: int):
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels must be at least 1; got {channels}.")
        self.shape, self.net = event.shape, net
        # Cells start with different channels: where all are equal, kernels have no slope, and nothing is learned.
        own = draws.normal((channels, *event.shape[:2]), generator=draws.generator(0), like=event.low)
        self.own = nn.Parameter(own)

    def forward(self, c: Context) -> Tensor:
        """The sum of both."""
        made = _of_zeros(self.net, self.shape, self.own, c).movedim(-1, 1)
        if made.shape[1:] != self.own.shape:
            raise ValueError(
                f"the network of guide channels must return shape (B, H, W, C) = "
                f"{(size(c), *self.shape[:2], len(self.own))}; got {tuple(made.movedim(1, -1).shape)}."
            )
        return made + self.own


@final
class CRFHead(Head):
    """p(x | c) by mean field of a dense CRF; implements `HasLogProb`.

    Args:
        event: Maps of L classes.
        net: `net(x_t, t, c)`, called with zeros and t = 0; returns a logit for each class of each cell.
        crf: The CRF.
        channels: Its guide channels.
        iterations: Steps of mean field in use, >= 0.
        trained: Steps in training, >= 0.
        candidates: Maps drawn for each sample under a guide, >= 2.

    Raises:
        ValueError: If numbers do not fit or are out of range.
    """

    event: LabelMap

    def __init__(
        self,
        event: LabelMap,
        net: nn.Module,
        crf: DenseCRF,
        channels: Channels,
        *,
        iterations: int = 10,
        trained: int = 5,
        candidates: int = 16,
    ):
        super().__init__(event)
        if crf.classes != event.classes:
            raise ValueError(f"the CRF must have the {event.classes} classes of the event; got {crf.classes}.")
        if min(iterations, trained) < 0 or candidates < 2:
            raise ValueError(
                f"iterations and trained must be at least 0 and candidates at least 2; got {iterations}, {trained} "
                f"and {candidates}."
            )
        self.net, self.crf, self.channels = net, crf, channels
        self.iterations, self.trained, self.candidates = iterations, trained, candidates

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """Cross-entropy of the marginals after the steps of training, a valid cell's mean, nat, shape `(B,)`."""
        self.event.check(x)
        entropy = -(self.event.unscale(x) * self._log_marginals(c, self.trained)).sum(-1).flatten(1)
        if valid is None:
            return entropy.mean(1)
        weight = valid.flatten(1).to(entropy.dtype)
        return (entropy * weight).sum(1) / weight.sum(1).clamp(min=1)

    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """Log p(x | c), exact for one-hot maps, nat, shape `(B,)`; maps are counted, so that the largest is 0."""
        self.event.check(x)
        return (self.event.unscale(x) * self._log_marginals(c, self.iterations)).flatten(1).sum(1)

    def marginals(self, c: Context) -> Tensor:
        """Probabilities of classes in each cell, shape `(B, H, W, L)`."""
        return self._log_marginals(c, self.iterations).exp()

    def _log_marginals(self, c: Context, iterations: int) -> Tensor:
        logits = logits_of(self.net, self.event, c)
        return self.crf(logits, self.channels(c), iterations=iterations).log_softmax(-1)

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        law = Independent(self._log_marginals(c, self.iterations))
        if guide is None:
            return self.event.coded(law.draw(1, generator).squeeze(1))
        return draw_guided(law, self.event, guide, candidates=self.candidates, generator=generator)


def logits_of(net: nn.Module, event: LabelMap, c: Context) -> Tensor:
    """A network's logits of the classes of cells, shape `(B, H, W, L)`.

    Raises:
        ValueError: If it returns another shape.
    """
    logits = _of_zeros(net, event.shape, event.low, c)
    expected = (size(c), *event.shape)
    if tuple(logits.shape) != expected:
        raise ValueError(
            f"the network of a CRF must return shape {expected}, a logit for each class; got {tuple(logits.shape)}."
        )
    return logits


def _of_zeros(net: nn.Module, shape: tuple[int, ...], like: Tensor, c: Context) -> Tensor:
    """The network's output for nothing but a context, with the dtype of `like`."""
    zeros = like.new_zeros(size(c), *shape)
    return net(zeros, zeros.new_zeros(len(zeros)), c).to(like.dtype)
