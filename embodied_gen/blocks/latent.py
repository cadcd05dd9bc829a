"""Blocks of heads with latents."""

from typing import Literal

from pydantic import Field
from torch import nn

from embodied_gen.blocks.chain import ChainBlock
from embodied_gen.blocks.denoising import (
    EulerSampler,
    GuidanceBlock,
    ParticlesGuidance,
    Prediction,
    RectifiedSchedule,
    SamplerBlock,
    ScheduleBlock,
    reading_of,
)
from embodied_gen.blocks.net import MakeNet
from embodied_gen.config import Block
from embodied_gen.events import Event
from embodied_gen.heads import (
    AutoencoderHead,
    DenoisingHead,
    Head,
    HierarchicalVAEHead,
    JointVAEHead,
    LatentDiffusionHead,
    LatentNet,
    VAEHead,
    VQVAEHead,
    latent_event,
)


class LatentBlock(Block):
    """What the blocks of heads with a continuous latent share."""

    latent: int = Field(8, ge=1, description="Numbers of the latent; more than an event has add nothing to speak of.")
    prior: Literal["normal", "learned"] = Field("normal", description="N(0, 1), or read from the context by a network.")
    chain: ChainBlock = ChainBlock()

    def make_prior(self, event: Event, make_net: MakeNet) -> nn.Module | None:
        """The network of the prior."""
        return make_net(event.shape[-1]) if self.prior == "learned" else None


class AutoencoderBlock(LatentBlock):
    """Autoencoder with a normal fitted to its codes."""

    kind: Literal["autoencoder"] = "autoencoder"
    prior: Literal["normal", "learned"] = Field("normal", description="Mean of the codes: constant, or by a network.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        net, encoder = make_net(event.shape[-1]), make_net(event.shape[-1])
        prior = self.make_prior(event, make_net)
        return AutoencoderHead(event, net, encoder, prior, latent=self.latent, chain=self.chain.build())


class VariationalBlock(LatentBlock):
    """What the blocks of variational heads share."""

    smallest: float = Field(0.01, gt=0, description="Smallest deviation of the decoder, model units.")
    temperature: float = Field(1.0, ge=0, description="Deviations of a draw from the decoder's mean.")
    importance: int = Field(64, ge=1, description="Draws of the bound of log p.")


class VAEBlock(VariationalBlock):
    """VAE and beta-VAE."""

    kind: Literal["vae"] = "vae"
    beta: float = Field(1.0, ge=0, description="Weight of the divergence from the prior.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        return VAEHead(
            event,
            make_net(event.shape[-1]),
            make_net(event.shape[-1]),
            self.make_prior(event, make_net),
            latent=self.latent,
            beta=self.beta,
            smallest=self.smallest,
            temperature=self.temperature,
            importance=self.importance,
            chain=self.chain.build(),
        )


class JointVAEBlock(VariationalBlock):
    """VAE with a class beside the continuous latent."""

    kind: Literal["joint_vae"] = "joint_vae"
    classes: int = Field(4, ge=2, description="Classes; each costs a call of the decoder in training.")
    beta: float = Field(1.0, ge=0, description="Weight of the divergence of the continuous latent.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        return JointVAEHead(
            event,
            make_net(event.shape[-1]),
            make_net(event.shape[-1]),
            self.make_prior(event, make_net),
            classes=self.classes,
            latent=self.latent,
            beta=self.beta,
            smallest=self.smallest,
            temperature=self.temperature,
            importance=self.importance,
            chain=self.chain.build(),
        )


class HierarchicalVAEBlock(VariationalBlock):
    """VAE with a Markov chain of latents."""

    kind: Literal["hierarchical_vae"] = "hierarchical_vae"
    levels: int = Field(3, ge=1, description="Levels of latents.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        return HierarchicalVAEHead(
            event,
            make_net(event.shape[-1]),
            make_net(event.shape[-1]),
            self.make_prior(event, make_net),
            levels=self.levels,
            latent=self.latent,
            smallest=self.smallest,
            temperature=self.temperature,
            importance=self.importance,
            chain=self.chain.build(),
        )


class VQVAEBlock(Block):
    """VQ-VAE with an autoregressive prior of its codes."""

    kind: Literal["vqvae"] = "vqvae"
    positions: int = Field(4, ge=1, description="Codes of an event.")
    words: int = Field(16, ge=2, description="Words of each position.")
    width: int = Field(4, ge=1, description="Numbers of a word.")
    commitment: float = Field(1.0, gt=0, description="Weight of the force of words on encodings.")
    softness: float = Field(0.05, gt=0, description="How many words an encoding pulls; squared units of an encoding.")
    smallest: float = Field(0.01, gt=0, description="Smallest deviation of the decoder, model units.")
    temperature: float = Field(1.0, ge=0, description="Deviations of a draw from the decoder's mean.")
    candidates: int = Field(64, ge=1, description="Proposals for each draw under a guide.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        net, encoder, prior = (make_net(event.shape[-1]) for _ in range(3))
        return VQVAEHead(
            event,
            net,
            encoder,
            prior,
            positions=self.positions,
            words=self.words,
            width=self.width,
            commitment=self.commitment,
            softness=self.softness,
            smallest=self.smallest,
            temperature=self.temperature,
            candidates=self.candidates,
        )


class LatentDiffusionBlock(Block):
    """Diffusion or flow matching over the codes of a VAE."""

    kind: Literal["latent_diffusion"] = "latent_diffusion"
    latent: int = Field(8, ge=1, description="Numbers of a code.")
    beta: float = Field(0.01, ge=0, description="Weight of the divergence, which keeps codes near unit scale.")
    smallest: float = Field(0.01, gt=0, description="Smallest deviation of the decoder, model units.")
    schedule: ScheduleBlock = RectifiedSchedule()
    prediction: Prediction = Field("velocity", description="What the network predicts.")
    sampler: SamplerBlock = EulerSampler()
    steps: int = Field(10, ge=1, description="Steps of the sampler.")
    clip: float | None = Field(4.0, description="Clean codes are confined to +- this, deviations of N(0, 1).")
    guidance: GuidanceBlock = ParticlesGuidance()
    importance: int = Field(8, ge=1, description="Draws of the bound of log p; each solves an equation.")
    noise: float = Field(0.02, gt=0, description="Noise that is left on codes where their density is told.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        net, encoder, denoising = (make_net(event.shape[-1]) for _ in range(3))
        schedule = self.schedule.build()
        return LatentDiffusionHead(
            VAEHead(event, net, encoder, latent=self.latent, beta=self.beta, smallest=self.smallest),
            DenoisingHead(
                latent_event(self.latent),
                LatentNet(event, denoising, latent=self.latent),
                schedule=schedule,
                parametrisation=reading_of(self.prediction, schedule),
                sampler=self.sampler.build(),
                steps=self.steps,
                clip=self.clip,
                guidance=self.guidance.build(),
            ),
            importance=self.importance,
            noise=self.noise,
        )
