r"""Average velocities: samples by one call of a network (MeanFlow, shortcut models).

A flow carries noise at t = 1 to events at t = 0. A network is the average of its velocity between two times r <= t,

    u(x_t, r, t, c) = net([x_t, t - r], t, c),        x_r = x_t - (t - r) u(x_t, r, t, c),

so that one call leads from noise to an event, x_0 = z - u(z, 0, 1, c), and more calls follow the flow more closely.
It is learned by an identity (`identities`),

    min E_{x, z, r <= t} |u - target|^2 over the event's size,

whose value at r = t is flow matching's. Networks here know one time; the length t - r enters as one more channel of the
input, constant over the event, because every network takes any number of input channels, while contexts belong to the
encoder and may have any structure. Velocities are no events: entries are compared, not what the event calls an error.

The identity of MeanFlow holds the derivative of the network by t, which is noise where its features of time turn fast
(Lu and Song 2025), as those of `nets.time` do, by 1000 rad from 0 to 1. The network is told the time t / 250 instead,
so that none turns by more than 4 rad.

Where r = t the network is the velocity itself, so that E[x | x_t, c] = x_t - t u(x_t, t, t, c).
"""

from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, aligned
from embodied_gen.events.base import Event
from embodied_gen.heads.identities import Identity, MeanFlow
from embodied_gen.heads.latent_chain import LatentChain
from embodied_gen.heads.latents import LatentHead, require
from embodied_gen.heads.stages import shaped

SLOWNESS = 0.004  # the time that the network is told, over t


@final
class AverageVelocityHead(LatentHead):
    """p(x | c) as noise carried along a flow by long steps; implements `HasLatent` and `HasDenoiser`.

    Args:
        event: What is predicted.
        net: `net(x_t, t, c)` with one input channel more than the event has, and as many output channels.
        identity: What it is learned by.
        steps: Calls of the network for each draw, >= 1.
        chain: How a guide is followed; may be replaced on a trained head.

    Raises:
        ValueError: If `steps` is not positive.
    """

    def __init__(
        self,
        event: Event,
        net: nn.Module,
        *,
        identity: Identity | None = None,
        steps: int = 1,
        chain: LatentChain | None = None,
    ):
        require({"steps": steps})
        super().__init__(event, numbers=torch.Size(event.shape).numel(), chain=chain)
        self.net, self.steps = net, steps
        self.identity = identity or MeanFlow()

    def average(self, x_t: Tensor, r: Tensor, t: Tensor, c: Context) -> Tensor:
        """u(x_t, r, t, c) for times r <= t in [0, 1], shapes `(M,)`; `(M, *E)` in and out."""
        length = aligned(t - r, x_t).expand(*x_t.shape[:-1], 1)
        return shaped(self.net(torch.cat([x_t, length], -1), SLOWNESS * t, c), x_t)

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """Mean squared miss of the identity at one draw of noise and times for each example, shape `(B,)`.

        Padding is learned as it is, `valid` or not: every part of x_t is an input of the others.
        """
        self.event.check(x)
        at = self.identity.times(len(x), generator=generator, like=x)
        noise = draws.normal(x.shape, generator=generator, like=x)
        x_t = x + aligned(at.t, x) * (noise - x)

        def average(x_t: Tensor, r: Tensor, t: Tensor) -> Tensor:
            return self.average(x_t, r, t, c)

        return self.identity.residual(average, x_t, noise - x, at).square().flatten(1).mean(1)

    def denoise(self, x_t: Tensor, t: Tensor, c: Context) -> Tensor:
        """E[x | x_t, c] at times t, shape `(B,)`; shapes `(B, *E)` in and out."""
        return x_t - aligned(t, x_t) * self.average(x_t, t, t, c)

    def push(self, z: Tensor, c: Context) -> Tensor:
        """The end of the flow from noise; `(M, U)` to `(M, *E)`, model units, U the entries of an event."""
        x = z.unflatten(-1, self.event.shape)
        for step in range(self.steps, 0, -1):
            r, t = (x.new_full((len(x),), end / self.steps) for end in (step - 1, step))
            x = x - self.average(x, r, t, c) / self.steps
        return x
