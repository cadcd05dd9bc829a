r"""Joint variational autoencoder: a class beside the continuous latent, conditional on c.

The model is that of `vae` with a class k in 1 .. K beside z. The classes are few, so that nothing is relaxed: given z
the sum over them is exact,

    p(x | z, c) = sum_k p(k | c) p(x | z, k, c),

which spares an encoder of classes and gives a tighter bound than one would, since the posterior of k given z and x is
the exact one. Drawing a class takes one more entry of the whitened latent: its normal distribution function is uniform,
and chooses k. A guide's chain moves that entry by noise alone, and so changes the class where that helps.

Sources: Kingma et al. 2014 (arXiv:1406.5298) for the sum; Dupont 2018 (arXiv:1804.00104) for joint latents, there with
a relaxed class.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen.context import Context
from embodied_gen.events.base import Event
from embodied_gen.heads.latent_chain import LatentChain
from embodied_gen.heads.latents import through
from embodied_gen.heads.vae import EncodedHead
from embodied_gen.heads.variational import Repeated


@final
class JointVAEHead(EncodedHead):
    """A conditional VAE with classes; implements `HasDrawnBound` and `HasLatent`.

    Args:
        event: What is predicted.
        net: `net(x_t, t, c)` of the decoder, called with lifted latents and t = 0; keeps the shape of an event.
        encoder: Another such network, called with events.
        prior: Another, called with zeros, for a prior of z and of classes that depends on c; N(0, 1) and equal classes
            where None.
        classes: Number K of classes, >= 2; each costs a call of the decoder in training.
        latent: Numbers Z of the continuous latent, >= 1.
        beta: Weight of the divergence of the continuous latent, >= 0.
        smallest: Lower bound of the decoder's deviations, model units.
        temperature: Deviations of a draw from the decoder's mean; 1 draws from p(x | c), 0 the mean.
        importance: Draws K of the bound.
        chain: How a guide is followed; may be replaced on a trained head.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        event: Event,
        net: nn.Module,
        encoder: nn.Module,
        prior: nn.Module | None = None,
        *,
        classes: int = 4,
        latent: int = 8,
        beta: float = 1.0,
        smallest: float = 0.01,
        temperature: float = 1.0,
        importance: int = 64,
        chain: LatentChain | None = None,
    ):
        if classes < 2:
            raise ValueError(f"classes must be at least 2; got {classes}. Without classes use VAEHead.")
        super().__init__(
            event,
            net,
            encoder,
            prior,
            latent=latent,
            extra=classes,
            chosen=1,
            beta=beta,
            smallest=smallest,
            temperature=temperature,
            importance=importance,
            chain=chain,
        )

    def push(self, z: Tensor, c: Context) -> Tensor:
        """The decoder's mean for whitened latents; `(M, Z + 1)` to `(M, *E)`, the last entry chooses the class."""
        prior, logits = self._prior(c)
        cumulated = logits.softmax(1).cumsum(1)
        threshold = torch.special.ndtr(z[:, -1:]) * cumulated[:, -1:]
        chosen = (cumulated < threshold).sum(1).clamp(max=self.extra - 1)
        return self._decode(prior.at(z[:, :-1]), functional.one_hot(chosen, self.extra).to(z), c)

    def _decode(self, z: Tensor, classes: Tensor, c: Context) -> Tensor:
        return through(self.net, self.lift(torch.cat([z, classes], 1)), 0.0, c)

    def _log_likelihood(self, x: Tensor, z: Tensor, further: Tensor, c: Context, valid: Tensor | None) -> Tensor:
        every = torch.eye(self.extra, dtype=z.dtype, device=z.device).repeat(len(z), 1)
        rows = Repeated.of(x, c, valid, self.extra)
        mean = self._decode(z.repeat_interleave(self.extra, 0), every, rows.c)
        likelihood = self.likelihood(mean, rows.x, rows.valid).view(-1, self.extra)
        return torch.logsumexp(further.log_softmax(1) + likelihood, 1)
