r"""Mixture density head: K normals with diagonal covariance over the whole event.

    p(x | c) = sum_k w_k(c) N(x; m_k(c), s_k(c)^2)

One component covers one way of doing the whole event, so that steps of a chunk agree about the mode. Parts of x
that are padding are left out of the density, which for diagonal normals is the exact marginal of the other parts.

Guides are followed by proposals: draws of the mixture, of which one is kept.

Source: Bishop 1994, "Mixture density networks".
"""

from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, aligned, size
from embodied_gen.events.base import Event
from embodied_gen.heads.components import Components, deviation_of
from embodied_gen.heads.guidance import RowGuide, propose
from embodied_gen.heads.reads_once import ReadsOnce


@final
class MixtureHead(ReadsOnce):
    """p(x | c) as a mixture of normals; implements `HasLogProb`.

    Args:
        event: What is predicted, with D channels.
        net: `net(x_t, t, c)`, called with zeros and t = 0; returns K (2 D + 1) channels, `MixtureHead.width`.
        components: Number K of components.
        smallest: Lower bound of the deviations, model units, which keeps the likelihood bounded.
        candidates: Proposals for each draw under a guide.
    """

    def __init__(
        self,
        event: Event,
        net: nn.Module,
        *,
        components: int = 8,
        smallest: float = 0.01,
        candidates: int = 64,
    ):
        super().__init__(event)
        if components < 1 or candidates < 1:
            raise ValueError(f"components and candidates must be at least 1; got {components} and {candidates}.")
        if not smallest > 0:
            raise ValueError(f"smallest must be positive; got {smallest}.")
        self.net = net
        self.components = components
        self.smallest = smallest
        self.candidates = candidates
        # Equal components would receive equal gradients for ever: their centres start apart.
        self.centres = nn.Parameter(torch.empty(components, *event.shape).uniform_(-1, 1))

    @staticmethod
    def width(channels: int, components: int) -> int:
        """Channels that the network must return for D event channels and K components."""
        return components * (2 * channels + 1)

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """-log p(x | c) of the valid parts divided by the event's size, nat, shape `(B,)`."""
        return -self._log_prob(x, c, valid) / x[0].numel()

    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """Log p(x | c), exact, nat with respect to model units, shape `(B,)`."""
        return self._log_prob(x, c, None)

    def _log_prob(self, x: Tensor, c: Context, valid: Tensor | None) -> Tensor:
        self.event.check(x)
        counted = None
        if valid is not None:
            counted = aligned(valid, x).expand_as(x).flatten(1)
        return self._forward(c).log_prob(x.flatten(1), counted)

    def _forward(self, c: Context) -> Components:
        zeros = self._like().new_zeros(size(c), *self.event.shape)
        output = self.net(zeros, zeros.new_zeros(len(zeros)), c).to(zeros.dtype)
        channels, k = self.event.shape[-1], self.components
        expected = (*self.event.shape[:-1], self.width(channels, k))
        if tuple(output.shape[1:]) != expected:
            raise ValueError(
                f"the network of a mixture of {k} components must return shape (B, "
                f"{', '.join(map(str, expected))}); got {tuple(output.shape)}. "
                "Build it with channels_out = MixtureHead.width(channels, components)."
            )
        mean, raw, logit = output.split([k * channels, k * channels, k], dim=-1)
        return Components(
            logit.flatten(1, -2).mean(1).log_softmax(-1),
            (self.centres + self._by_component(mean)).flatten(2),
            deviation_of(self._by_component(raw), self.smallest).flatten(2),
        )

    def _by_component(self, entries: Tensor) -> Tensor:
        """(B, ..., K D) to (B, K, ..., D)."""
        return entries.unflatten(-1, (self.components, -1)).movedim(-2, 1)

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        mixtures, each = self._forward(c), 1 if guide is None else self.candidates
        drawn = mixtures.draw(rows // size(c) * each, generator=generator)
        candidates = drawn.view(rows, each, *self.event.shape)
        return candidates[:, 0] if guide is None else propose(candidates, guide, generator=generator)
