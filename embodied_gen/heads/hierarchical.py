r"""Hierarchical variational autoencoder: a Markov chain of latents with Gaussian steps.

    p(x, z_1 .. z_L | c) = p(x | z_1, c) p(z_1 | z_2, c) ... p(z_{L-1} | z_L, c) p(z_L | c),
    q(z_1 .. z_L | x, c) = q(z_1 | x, c) q(z_2 | z_1, c) ... q(z_L | z_{L-1}, c).

One network makes all steps of the model and one all steps of the posterior: the level is their time, t = l / L, and
each level has linear maps of its own into and out of them. The mean of a step is where it starts and a correction, and
both chains start with deviations of the same size, so that a level costs nothing before it is of use. The loss is the
negative ELBO with one draw of the chain,

    -log p(x | z_1) + sum_l log q(z_l | z_{l-1}) - log p(z_l | z_{l+1}).

Two more steps lead from here to diffusion (Sohl-Dickstein et al. 2015; Kingma et al. 2021, arXiv:2107.00630): give the
latents the shape of the event, and put fixed steps z_l = a_l z_{l-1} + b_l e in the place of the posterior's network.
q(z_l | x) then has a closed form, so that one random level an example is enough for an unbiased ELBO, and the network
of the model at time t = l / L is a denoiser: see `denoising`.

Whitened, the latent is the noise of every step, u_L first, and so a guide acts on all levels at once.

Sources: Rezende, Mohamed and Wierstra 2014 (arXiv:1401.4082); Sonderby et al. 2016 (arXiv:1602.02282).
"""

from typing import final

from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.events.base import Event
from embodied_gen.heads.latent_chain import LatentChain
from embodied_gen.heads.latents import Lift, Read, only, require, through
from embodied_gen.heads.variational import Normal, Repeated, VariationalHead, certain


@final
class HierarchicalVAEHead(VariationalHead):
    """A conditional VAE with L levels of latents; implements `HasDrawnBound` and `HasLatent`.

    Args:
        event: What is predicted.
        net: `net(x_t, t, c)` of the model, called with lifted latents of level l and t = l / L; for x, t = 1 / L.
        encoder: Another such network, of the posterior, called with x and t = 0, then with lifted latents.
        prior: Another, called with zeros, for p(z_L | c); N(0, 1) where None.
        levels: L, >= 1.
        latent: Numbers Z of each level, >= 1.
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
        levels: int = 3,
        latent: int = 8,
        smallest: float = 0.01,
        temperature: float = 1.0,
        importance: int = 64,
        chain: LatentChain | None = None,
    ):
        require({"levels": levels, "latent": latent})
        super().__init__(
            event,
            numbers=levels * latent,
            smallest=smallest,
            temperature=temperature,
            importance=importance,
            chain=chain,
        )
        self.levels, self.latent = levels, latent
        self.net, self.encoder, self.prior = net, encoder, prior
        lift, read = Lift(latent, event), certain(Read(event, 2 * latent))
        read.invert(lift, latent)
        above = range(levels - 1)
        self.lifts = nn.ModuleList([lift, *(Lift(latent, event) for _ in above)])
        self.reads = nn.ModuleList(certain(Read(event, 2 * latent)) for _ in above)
        self.encoder_lifts = nn.ModuleList(Lift(latent, event) for _ in above)
        self.encoder_reads = nn.ModuleList([read, *(certain(Read(event, 2 * latent)) for _ in above)])
        self.read_prior = None if prior is None else Read(event, 2 * latent)

    def push(self, z: Tensor, c: Context) -> Tensor:
        """The decoder's mean for the noises of all steps, u_L first; `(M, L Z)` to `(M, *E)`, model units."""
        noise = z.unflatten(1, (self.levels, self.latent)).unbind(1)
        state = self._prior(c).at(noise[0])
        for level, step in zip(range(self.levels - 1, 0, -1), noise[1:], strict=True):
            state = self._down(level, state, c).at(step)
        return self._decode(state, c)

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """The negative ELBO of one draw over the event's size, nat, shape `(B,)`."""
        self.event.check(x)
        noise = draws.normal((len(x), 1, self._posterior_numbers), generator=generator, like=x)
        return -self._log_weight(x, c, noise, valid)[:, 0] / x[0].numel()

    @property
    def _posterior_numbers(self) -> int:
        return self.levels * self.latent

    def _log_weight(self, x: Tensor, c: Context, noise: Tensor, valid: Tensor | None) -> Tensor:
        k = noise.shape[1]
        rows, steps = (
            Repeated.of(x, c, valid, k),
            noise.unflatten(2, (self.levels, self.latent)).flatten(0, 1).unbind(1),
        )
        lowest = Normal.of(self.encoder_reads[0](through(self.encoder, only(x, valid), 0.0, c)))
        posterior, prior = lowest.repeated(k), self._prior(c).repeated(k)
        z = posterior.at(steps[0])
        total = self.likelihood(self._decode(z, rows.c), rows.x, rows.valid) - posterior.log_prob(z)
        for level in range(1, self.levels):
            posterior = self._up(level, z, rows.c)
            above = posterior.at(steps[level])
            total = total + self._down(level, above, rows.c).log_prob(z) - posterior.log_prob(above)
            z = above
        return (total + prior.log_prob(z)).view(noise.shape[:2])

    def _prior(self, c: Context) -> Normal:
        """p(z_L | c)."""
        if self.prior is None or self.read_prior is None:
            return Normal.standard(self._like().new_zeros(size(c), self.latent))
        zeros = self._like().new_zeros(size(c), *self.event.shape)
        return Normal.of(self.read_prior(through(self.prior, zeros, 0.0, c)))

    def _decode(self, z: Tensor, c: Context) -> Tensor:
        """The mean of p(x | z_1, c)."""
        return through(self.net, self.lifts[0](z), 1 / self.levels, c)

    def _down(self, level: int, above: Tensor, c: Context) -> Normal:
        """p(z_l | z_{l+1}, c) at l = `level`."""
        h = through(self.net, self.lifts[level](above), (level + 1) / self.levels, c)
        return Normal.of(self.reads[level - 1](h)).around(above)

    def _up(self, level: int, below: Tensor, c: Context) -> Normal:
        """q(z_{l+1} | z_l, c) at l = `level`."""
        h = through(self.encoder, self.encoder_lifts[level - 1](below), level / self.levels, c)
        return Normal.of(self.encoder_reads[level](h)).around(below)
