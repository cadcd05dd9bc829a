r"""Label maps by a dense CRF over a network: CRF-RNN.

    p(x | c) = prod_i Q_i(x_i),    Q = mean field of (logits of the network, guide channels of the context)

The network says of each cell alone which class it has; the CRF, its steps unrolled, lets cells that look alike agree,
and both are trained through it by the cross-entropy of Q. Fewer steps are made in training than in use, which is
quicker and no worse. The guide channels are a leaf of the context, an image say, or are made from the context by a
network; or they are several of these one after the other, such as colours, depth and normals.

Sources: Zheng et al. 2015 (arXiv:1502.03240); Kraehenbuehl and Koltun 2011 (arXiv:1210.5644).
"""

import abc
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.crf import DenseCRF
from embodied_gen.events.labels import LabelMap
from embodied_gen.heads.marginals import MarginalHead, logits_of, of_zeros


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
        made = of_zeros(self.net, self.shape, self.own, c).movedim(-1, 1)
        if made.shape[1:] != self.own.shape:
            raise ValueError(
                f"the network of guide channels must return shape (B, H, W, C) = "
                f"{(size(c), *self.shape[:2], len(self.own))}; got {tuple(made.movedim(1, -1).shape)}."
            )
        return made + self.own


@final
class Stacked(Channels):
    """Channels of several kinds, one after the other.

    Args:
        parts: Of which each gives some, at least one.

    Raises:
        ValueError: If there is none.
    """

    def __init__(self, parts: Sequence[Channels]):
        super().__init__()
        if not parts:
            raise ValueError("stacked guide channels need at least one part; got none.")
        self.parts = nn.ModuleList(parts)

    def forward(self, c: Context) -> Tensor:
        """All of them."""
        return torch.cat([part(c) for part in self.parts], 1)


@final
class CRFHead(MarginalHead):
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
        super().__init__(event, candidates=candidates)
        if crf.classes != event.classes:
            raise ValueError(f"the CRF must have the {event.classes} classes of the event; got {crf.classes}.")
        if min(iterations, trained) < 0:
            raise ValueError(f"iterations and trained must be at least 0; got {iterations} and {trained}.")
        self.net, self.crf, self.channels = net, crf, channels
        self.iterations, self.trained = iterations, trained

    def log_marginals(self, c: Context) -> Tensor:
        """After the steps of use."""
        return self._after(c, self.iterations)

    def learned(self, c: Context) -> Tensor:
        """After the steps of training."""
        return self._after(c, self.trained)

    def _after(self, c: Context, iterations: int) -> Tensor:
        logits = logits_of(self.net, self.event, c)
        return self.crf(logits, self.channels(c), iterations=iterations).log_softmax(-1)
