r"""Adversarial head: a generator and a critic that learn from one another (GAN), conditional on c.

    G(z, c) = h + net(h, 0, c),   h = lift(z),   z ~ N(0, 1)
    D(x, c) = mean of critic(x, 0, c) over its entries

A game (`games`) says what each of both minimises. Heads have one loss and one optimizer, so that both parts are added,
each with the weights of the other taken for constants,

    loss = L_D(D(x), D(sg G(z))) + penalties + w L_G(D_sg(G(z))),

and the gradient of every weight is that of its own player alone: players move at the same time. The loss is the value
of a game and does not fall as draws get better. The penalties R1 and R2, gamma / 2 |grad_x D|^2 on data and on draws,
make the fixed point attract (Mescheder et al. 2018); the Wasserstein game brings a penalty of its own. An optimizer
with momentum carries players around the fixed point, so that games are trained without, and at a third of the rate
(`train: {momentum: 0, rate: 3.0e-4}`): a step of Adam is then as long as the rate for noise too, of which momentum 0.9
leaves a quarter. In steps of 1e-3 what all rows share swings from one side to the other, until networks follow their
input no more: the critic gets flat, draws stay the normal of the lift, and later steps do not lead back.

With w the generator learns faster than the critic under gradient descent. Adam divides a gradient's size out, and feels
w only where gradients of both are clipped together.

A draw is one call of the network. There is no density, and modes may be missing: `statistics.modes` counts them.

Sources: Goodfellow et al. 2014 (arXiv:1406.2661); Mirza and Osindero 2014 (arXiv:1411.1784) for conditions; Mescheder
et al. 2018 (arXiv:1801.04406) for R1; Gidel et al. 2019 (arXiv:1807.04740) for momentum.
"""

from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context
from embodied_gen.events.base import Event
from embodied_gen.heads.derivatives import slope
from embodied_gen.heads.games import Game, Relativistic
from embodied_gen.heads.latent_chain import LatentChain
from embodied_gen.heads.latents import LatentHead, Lift, require, through


@final
class AdversarialHead(LatentHead):
    """A conditional GAN; implements `HasLatent`.

    Args:
        event: What is predicted.
        net: `net(x_t, t, c)` of the generator, called with lifted latents and t = 0; keeps the shape of an event.
        critic: Another such network, called with events and t = 0; any number of output channels, one is enough.
        latent: Numbers Z of the latent, >= 1.
        game: What both minimise.
        r1: Weight gamma of the penalty on data, >= 0.
        r2: Weight gamma of the penalty on draws, >= 0.
        generator_weight: w, > 0.
        chain: How a guide is followed; may be replaced on a trained head.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        event: Event,
        net: nn.Module,
        critic: nn.Module,
        *,
        latent: int = 16,
        game: Game | None = None,
        r1: float = 0.1,
        r2: float = 0.1,
        generator_weight: float = 1.0,
        chain: LatentChain | None = None,
    ):
        require({"latent": latent})
        super().__init__(event, numbers=latent, chain=chain)
        if not (r1 >= 0 and r2 >= 0):
            raise ValueError(f"r1 and r2 must be at least 0; got {r1} and {r2}.")
        if not generator_weight > 0:
            raise ValueError(f"generator_weight must be positive; got {generator_weight}.")
        self.net, self.critic, self.lift = net, critic, Lift(latent, event)
        self.game = game or Relativistic()
        self.r1, self.r2, self.generator_weight = r1, r2, generator_weight

    def push(self, z: Tensor, c: Context) -> Tensor:
        """G(z, c); `(M, Z)` to `(M, *E)`, model units."""
        return through(self.net, self.lift(z), 0.0, c)

    def value(self, x: Tensor, c: Context) -> Tensor:
        """D(x, c), by which the critic tells data from draws; `(B, *E)` to `(B,)`."""
        return _pooled(self.critic(x, x.new_zeros(len(x)), c), x)

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """Losses of both players at one draw for each example, shape `(B,)`.

        Padding is learned as it is, `valid` or not: the critic sees whole events.
        """
        self.event.check(x)
        z = draws.normal((len(x), self.numbers), generator=generator, like=x)
        fake = self.push(z, c)
        real, critic_loss = self._critic_loss(x, fake.detach(), c, generator)
        generator_loss = self.game.generator(real.detach(), self._frozen_value(fake, c))
        return critic_loss + self.generator_weight * generator_loss

    def _critic_loss(self, x: Tensor, fake: Tensor, c: Context, generator: draws.Generator) -> tuple[Tensor, Tensor]:
        """D on data, and what the critic minimises; shapes `(B,)`."""

        def critic(x: Tensor) -> Tensor:
            return self.value(x, c)

        real = critic(x)
        loss = self.game.critic(real, critic(fake)) + self.game.penalty(critic, x, fake, generator=generator)
        for weight, where in ((self.r1, x), (self.r2, fake)):
            if weight > 0:
                loss = loss + weight / 2 * slope(critic, where).flatten(1).square().sum(1)
        return real, loss

    def _frozen_value(self, x: Tensor, c: Context) -> Tensor:
        """D with its weights taken for constants."""
        weights = {name: weight.detach() for name, weight in self.critic.named_parameters()}
        output = torch.func.functional_call(self.critic, weights, (x, x.new_zeros(len(x)), c))
        return _pooled(output, x)


def _pooled(output: Tensor, x: Tensor) -> Tensor:
    return output.flatten(1).mean(1).to(x.dtype)
