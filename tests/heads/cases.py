"""The one grid of heads that every law of the contract runs over: a new head is one line here."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embodied_gen.events import Path, Trajectory
from embodied_gen.heads import (
    AutoencoderHead,
    DenoisingHead,
    Head,
    HierarchicalVAEHead,
    JointVAEHead,
    LatentDiffusionHead,
    LatentNet,
    MixtureHead,
    RegressionHead,
    TwoStepHead,
    VAEHead,
    VQVAEHead,
    latent_event,
)
from embodied_gen.heads.parametrisation import Clean, Noise, V, VariationalBound, Velocity
from embodied_gen.heads.samplers import DDIM, Ancestral, DPMSolver, Heun
from embodied_gen.heads.schedules import Cosine, Karras, Linear, Rectified
from embodied_gen.nets import ResidualMLP, TemporalUNet, Transformer

HORIZON, CHANNELS, CONTEXT = 4, 2, 3


def trajectory() -> Trajectory:
    return Trajectory(HORIZON, [-1.0, 0.0], [1.0, 5.0])


def path() -> Path:
    return Path(HORIZON, [-1.0, 0.0], [1.0, 5.0], [-0.2, -0.1], [0.2, 0.3])


def mlp(channels_out: int = CHANNELS) -> nn.Module:
    return ResidualMLP(
        horizon=HORIZON, channels_in=CHANNELS, channels_out=channels_out, context=CONTEXT, width=32, depth=1
    )


def unet() -> nn.Module:
    return TemporalUNet(
        horizon=HORIZON,
        channels_in=CHANNELS,
        channels_out=CHANNELS,
        context=CONTEXT,
        width=8,
        multipliers=(1, 2),
        groups=4,
    )


def transformer() -> nn.Module:
    return Transformer(
        horizon=HORIZON,
        channels_in=CHANNELS,
        channels_out=CHANNELS,
        context=CONTEXT,
        width=16,
        depth=1,
        heads=2,
    )


def mixture(event: Trajectory) -> Head:
    return MixtureHead(event, mlp(MixtureHead.width(CHANNELS, 3)), components=3)


def latent_diffusion(event: Trajectory) -> Head:
    denoiser = DenoisingHead(latent_event(3), LatentNet(event, mlp(), latent=3), clip=4.0)
    return LatentDiffusionHead(VAEHead(event, mlp(), mlp(), latent=3), denoiser)


@dataclass(frozen=True)
class Case:
    name: str
    build: Callable[[Trajectory], Head]

    def __str__(self) -> str:
        return self.name

    def head(self) -> Head:
        return self.build(trajectory())


CASES = [
    Case("flow_matching_mlp", lambda e: DenoisingHead(e, mlp())),
    Case("flow_matching_unet", lambda e: DenoisingHead(e, unet(), sampler=Heun(), steps=5)),
    Case("flow_matching_transformer", lambda e: DenoisingHead(e, transformer(), schedule=Rectified(1.0))),
    Case(
        "ddpm_noise",
        lambda e: DenoisingHead(e, mlp(), schedule=Cosine(20), parametrisation=Noise(), sampler=Ancestral(), steps=20),
    ),
    Case(
        "ddim_clean",
        lambda e: DenoisingHead(e, mlp(), schedule=Linear(50), parametrisation=Clean(), sampler=DDIM(0.5)),
    ),
    Case(
        "solver_v_bound",
        lambda e: DenoisingHead(
            e,
            mlp(),
            schedule=Cosine(50),
            parametrisation=V(),
            sampler=DPMSolver(),
            weighting=VariationalBound(),
        ),
    ),
    Case(
        "edm",
        lambda e: DenoisingHead(e, mlp(), schedule=Karras(), parametrisation=V(0.5), sampler=Heun(), steps=6),
    ),
    Case(
        "classifier_free",
        lambda e: DenoisingHead(e, mlp(), parametrisation=Velocity(), dropout=0.2, guidance_weight=1.0),
    ),
    Case("flow_matching_path", lambda e: DenoisingHead(path(), mlp())),
    Case("regression_path", lambda e: RegressionHead(path(), mlp())),
    Case("regression", lambda e: RegressionHead(e, mlp())),
    Case("regression_with_noise", lambda e: RegressionHead(e, mlp(), temperature=1.0)),
    Case("two_step", lambda e: TwoStepHead(e, mlp())),
    Case("mixture", mixture),
    Case("autoencoder", lambda e: AutoencoderHead(e, mlp(), mlp(), mlp(), latent=3)),
    Case("vae", lambda e: VAEHead(e, mlp(), mlp(), latent=3)),
    Case("beta_vae_learned_prior", lambda e: VAEHead(e, unet(), transformer(), mlp(), latent=3, beta=2.0)),
    Case("vae_path", lambda e: VAEHead(path(), mlp(), mlp(), latent=3)),
    Case("vae_of_means", lambda e: VAEHead(e, mlp(), mlp(), latent=3, temperature=0.0)),
    Case("joint_vae", lambda e: JointVAEHead(e, mlp(), mlp(), mlp(), classes=3, latent=2)),
    Case("hierarchical_vae", lambda e: HierarchicalVAEHead(e, mlp(), mlp(), mlp(), levels=2, latent=3)),
    Case("vqvae", lambda e: VQVAEHead(e, mlp(), mlp(), mlp(), positions=3, words=5, width=2)),
    Case("latent_diffusion", latent_diffusion),
]


def batch(rows: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    x = torch.rand(rows, HORIZON, CHANNELS, generator=g) * 2 - 1
    return x, torch.randn(rows, CONTEXT, generator=g)
