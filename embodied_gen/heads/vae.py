r"""Variational autoencoders, conditional on c.

    p(x | c) = int p(z | c) p(x | z, c) dz,        q(z | x, c) normal,
    loss     = E_q[-log p(x | z, c)] + beta KL(q(z | x, c) | p(z | c)),   over the event's size,

with the divergence in closed form. beta = 1 is the negative ELBO; larger values buy independent latents with blurred
events, smaller ones sharp reconstructions with a prior that fits the codes less. The prior is N(0, 1), or a normal that
a network reads from the context.

Sources: Kingma and Welling 2014 (arXiv:1312.6114); Sohn, Lee and Yan 2015 for conditions; Higgins et al. 2017 for
beta.
"""

import abc
from typing import final

from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.events.base import Event
from embodied_gen.heads.latent_chain import LatentChain
from embodied_gen.heads.latents import Lift, Read, only, require, through
from embodied_gen.heads.variational import Normal, Repeated, VariationalHead, certain


class EncodedHead(VariationalHead, abc.ABC):
    """A variational head whose posterior is a normal that one network reads from x and c.

    Args:
        event: What is predicted.
        net: `net(x_t, t, c)` of the decoder, called with lifted latents and t = 0; keeps the shape of an event.
        encoder: Another such network, called with events.
        prior: Another, called with zeros, for a prior that depends on c; N(0, 1) and equal classes where None.
        latent: Numbers Z of the continuous latent, >= 1.
        extra: Numbers that the decoder and the prior know besides.
        chosen: Entries of the whitened latent besides.
        beta: Weight of the divergence, >= 0.
        smallest: Lower bound of the decoder's deviations, model units.
        temperature: Deviations of a draw from the decoder's mean.
        importance: Draws K of the bound.
        chain: How a guide is followed.
    """

    def __init__(
        self,
        event: Event,
        net: nn.Module,
        encoder: nn.Module,
        prior: nn.Module | None,
        *,
        latent: int,
        extra: int,
        chosen: int,
        beta: float,
        smallest: float,
        temperature: float,
        importance: int,
        chain: LatentChain | None,
    ):
        require({"latent": latent})
        super().__init__(
            event,
            numbers=latent + chosen,
            smallest=smallest,
            temperature=temperature,
            importance=importance,
            chain=chain,
        )
        if not beta >= 0:
            raise ValueError(f"beta must be at least 0; got {beta}.")
        self.latent, self.extra, self.beta = latent, extra, beta
        self.net, self.encoder, self.prior = net, encoder, prior
        self.lift, self.read = Lift(latent + extra, event), certain(Read(event, 2 * latent))
        self.read.invert(self.lift, latent)
        self.read_prior = None if prior is None else Read(event, 2 * latent + extra)

    @abc.abstractmethod
    def _log_likelihood(self, x: Tensor, z: Tensor, further: Tensor, c: Context, valid: Tensor | None) -> Tensor:
        """Log p(x | z, c) of the valid parts; rows `(M, *E)`, `(M, Z)`, the prior's `(M, extra)` to `(M,)`."""

    @property
    def _posterior_numbers(self) -> int:
        return self.latent

    def encode(self, x: Tensor, c: Context, valid: Tensor | None = None) -> Normal:
        """q(z | x, c), of the valid parts alone; shapes `(B, Z)`."""
        return Normal.of(self.read(through(self.encoder, only(x, valid), 0.0, c)))

    def _prior(self, c: Context) -> tuple[Normal, Tensor]:
        """p(z | c), shapes `(B, Z)`, and the further numbers that the prior says, shape `(B, extra)`."""
        if self.prior is None or self.read_prior is None:
            numbers = self._like().new_zeros(size(c), 2 * self.latent + self.extra)
        else:
            zeros = self._like().new_zeros(size(c), *self.event.shape)
            numbers = self.read_prior(through(self.prior, zeros, 0.0, c))
        return Normal.of(numbers[:, : 2 * self.latent]), numbers[:, 2 * self.latent :]

    @final
    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """Distortion and beta times rate at one draw of the posterior, over the event's size, nat, shape `(B,)`."""
        self.event.check(x)
        posterior = self.encode(x, c, valid)
        z = posterior.at(draws.normal(posterior.mean.shape, generator=generator, like=x))
        prior, further = self._prior(c)
        rate = posterior.divergence(prior)
        return (self.beta * rate - self._log_likelihood(x, z, further, c, valid)) / x[0].numel()

    @final
    def _log_weight(self, x: Tensor, c: Context, noise: Tensor, valid: Tensor | None) -> Tensor:
        k, (prior, further) = noise.shape[1], self._prior(c)
        posterior = self.encode(x, c, valid).every(k)
        z, rows, more = posterior.at(noise), Repeated.of(x, c, valid, k), further.repeat_interleave(k, 0)
        likelihood = self._log_likelihood(rows.x, z.flatten(0, 1), more, rows.c, rows.valid)
        return likelihood.view(noise.shape[:2]) + prior.every(k).log_prob(z) - posterior.log_prob(z)


@final
class VAEHead(EncodedHead):
    """A conditional VAE, or beta-VAE; implements `HasDrawnBound` and `HasLatent`.

    Args:
        event: What is predicted.
        net: `net(x_t, t, c)` of the decoder, called with lifted latents and t = 0; keeps the shape of an event.
        encoder: Another such network, called with events.
        prior: Another, called with zeros, for a prior that depends on c; N(0, 1) where None.
        latent: Numbers Z of the latent, >= 1.
        beta: Weight of the divergence, >= 0; draws and `log_prob` are those of the model whatever it is.
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
        latent: int = 8,
        beta: float = 1.0,
        smallest: float = 0.01,
        temperature: float = 1.0,
        importance: int = 64,
        chain: LatentChain | None = None,
    ):
        super().__init__(
            event,
            net,
            encoder,
            prior,
            latent=latent,
            extra=0,
            chosen=0,
            beta=beta,
            smallest=smallest,
            temperature=temperature,
            importance=importance,
            chain=chain,
        )

    def decode(self, z: Tensor, c: Context) -> Tensor:
        """The mean of p(x | z, c) for a latent z of the model, not whitened; `(M, Z)` to `(M, *E)`."""
        return through(self.net, self.lift(z), 0.0, c)

    def push(self, z: Tensor, c: Context) -> Tensor:
        """The decoder's mean for whitened latents; `(M, Z)` to `(M, *E)`, model units."""
        return self.decode(self._prior(c)[0].at(z), c)

    def _log_likelihood(self, x: Tensor, z: Tensor, further: Tensor, c: Context, valid: Tensor | None) -> Tensor:
        return self.likelihood(self.decode(z, c), x, valid)
