r"""Latent diffusion: a denoising head over the codes of a variational autoencoder.

    loss = loss_vae(x) + loss_denoising(sg z),   z ~ q(z | x, c),       x = decode(z), z by the denoising head

Both parts are trained together; sg stops the gradient, so that codes are made to be decoded and not to be easily
denoised. The divergence of the autoencoder keeps codes near unit scale, which the schedules expect; by how much their
distribution differs from N(0, 1) is what the denoising head learns. Diffusion and flow matching, their schedules,
samplers and methods of guidance are those of `denoising`: a code is a trajectory of one step whose channels are the
latent's numbers.

The denoiser's flow has a density of codes p(z | c) (`likelihood`), with a little noise left on them, and with the
decoder's normal around its mean

    log p(x | c) >= E log mean_k p(x | z_k, c) p(z_k | c) / q(z_k | x, c),    z_k ~ q,

is a bound as `drawn_bound` describes. It takes the equation of the flow to be solved for each of the K draws.

A guide is pulled back through the decoder: cost(decode(z)) and margins(decode(z)) are a cost and constraints on codes,
which the denoising head follows by its own method, particles or steering. Codes that break a constraint at the end are
moved to what holds nearby, for the constraint alone. The noise of the decoder is left out of draws, which are so far
narrower than what is bounded.

Source: Rombach et al. 2022 (arXiv:2112.10752); Vahdat, Kreis and Kautz 2021 (arXiv:2106.05931) for joint training.
"""

import copy
from dataclasses import replace
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.events.base import Event
from embodied_gen.heads.base import Head
from embodied_gen.heads.denoising import DenoisingHead
from embodied_gen.heads.drawn_bound import DrawnBound
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.latents import Lift, Read, require, through
from embodied_gen.heads.likelihood import log_likelihood
from embodied_gen.heads.pullback import pull_back
from embodied_gen.heads.steering import settle
from embodied_gen.heads.vae import VAEHead
from embodied_gen.heads.variational import Repeated

VARIANCES = (1.0, 0.1, 0.01)  # of mending: far first, then sharply, as a vague estimate asks for wide margins


@final
class LatentNet(nn.Module):
    """A network of events as a network of codes, by linear maps into and out of the shape of an event.

    Args:
        event: Whose shape `*E` the network keeps.
        net: `net(x_t, t, c)`.
        latent: Numbers Z of a code.
    """

    def __init__(self, event: Event, net: nn.Module, *, latent: int):
        super().__init__()
        self.net, self.lift, self.read = net, Lift(latent, event), Read(event, latent)
        self.read.invert(self.lift, latent)

    def forward(self, z: Tensor, t: Tensor, c: Context) -> Tensor:
        """Codes `(M, 1, Z)` and times `(M,)` to the same shape as the codes."""
        return self.read(through(self.net, self.lift(z[:, 0]), t, c)).unsqueeze(1)


@final
class LatentDiffusionHead(DrawnBound, Head):
    """p(x | c) by denoised codes; implements `HasDrawnBound`, without a graph.

    Args:
        autoencoder: Makes codes of Z numbers and events of codes; predicts the events.
        denoiser: Head over `latent_event(Z)`, unclipped or clipped at some deviations of N(0, 1).
        importance: Draws K of the bound, >= 1; may be replaced on a trained head.
        noise: Deviation of what is left on codes where their density is told, > 0; see `likelihood`. Denoisers that
            predict clean codes tell more of them with 0.05 or 0.1.

    Raises:
        ValueError: If the denoiser's event does not fit the autoencoder's latent, or a number is out of range.
    """

    def __init__(self, autoencoder: VAEHead, denoiser: DenoisingHead, *, importance: int = 8, noise: float = 0.02):
        require({"importance": importance})
        if not noise > 0:
            raise ValueError(f"noise must be positive; got {noise}.")
        super().__init__(copy.deepcopy(autoencoder.event))  # parts of a saved state may not share memory
        if denoiser.event.shape != (1, autoencoder.latent):
            raise ValueError(
                f"the denoiser's event must have shape (1, {autoencoder.latent}), the autoencoder's latent; got "
                f"{denoiser.event.shape}. Build it on latent_event({autoencoder.latent})."
            )
        self.autoencoder, self.denoiser = autoencoder, denoiser
        self.importance, self.noise = importance, noise

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """The autoencoder's loss and the denoiser's on a draw of the code, shape `(B,)`."""
        own = self.autoencoder.loss(x, c, generator=generator, valid=valid)
        with torch.no_grad():
            posterior = self.autoencoder.encode(x, c, valid)
            z = posterior.at(draws.normal(posterior.mean.shape, generator=generator, like=x))
        return own + self.denoiser.loss(z.unsqueeze(1), c, generator=generator)

    @property
    def _posterior_numbers(self) -> int:
        return self.autoencoder.latent

    @torch.no_grad()
    def _log_weight(self, x: Tensor, c: Context, noise: Tensor, valid: Tensor | None) -> Tensor:
        k, schedule = noise.shape[1], self.denoiser.schedule
        posterior, rows = self.autoencoder.encode(x, c, valid).every(k), Repeated.of(x, c, valid, k)
        z = posterior.at(noise)
        code = z.flatten(0, 1).unsqueeze(1)
        likelihood = self.autoencoder.likelihood(self.decode(code, rows.c), rows.x, rows.valid)
        left = max(self.noise, schedule.least_noise)
        prior = log_likelihood(self.denoiser, schedule, code, rows.c, noise=left)
        return (likelihood + prior).view(noise.shape[:2]) - posterior.log_prob(z)

    def decode(self, z: Tensor, c: Context) -> Tensor:
        """The event of a code; `(M, 1, Z)` to `(M, *E)`."""
        return self.autoencoder.decode(z[:, 0], c)

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        if guide is None:
            return self.decode(self.denoiser._sample(c, rows, generator, None), c)
        every = context.every(c, rows // guide.contexts)
        pulled = pull_back(guide, self.decode, self.autoencoder.latent, every, like=self._like())
        return self.decode(_mended(self.denoiser._sample(c, rows, generator, pulled), pulled), c)


def _mended(z: Tensor, guide: RowGuide) -> Tensor:
    """Codes that break a constraint, replaced by what holds near them, or else near the middle of all codes."""
    if guide.guide.margins is None:
        return z
    constraints = replace(guide, guide=replace(guide.guide, cost=None))
    for start in (z, torch.zeros_like(z)):
        settled = start
        for variance in VARIANCES:
            settled, _ = settle(settled, variance, constraints)
        margin = guide.margin(z)
        keep = (margin >= 0) | (margin >= guide.margin(settled))
        z = torch.where(keep.view(-1, 1, 1), z, settled)
    return z
