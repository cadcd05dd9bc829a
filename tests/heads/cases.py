"""The one grid of heads that every law of the contract runs over: a new head is one line here."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embodied_gen.events import Binary, Event, Path, Trajectory
from embodied_gen.heads import (
    BeliefHead,
    BoltzmannHead,
    ContrastiveDivergence,
    DenoisingHead,
    DenoisingScoreMatching,
    EnergyHead,
    FlowHead,
    Hamiltonian,
    Head,
    HopfieldHead,
    ImplicitScoreMatching,
    InfoNCE,
    Langevin,
    LatentChain,
    MaximumLikelihood,
    MaxMargin,
    MixtureHead,
    RandomWalk,
    RBMHead,
    RegressionHead,
    Resampling,
    SlicedScoreMatching,
    TwoStepHead,
)
from embodied_gen.heads.chains import EnergySampler
from embodied_gen.heads.flows import (
    Affine,
    BlockAutoregressive,
    Continuous,
    Coupling,
    InverseAutoregressive,
    Layer,
    MaskedAutoregressive,
    Planar,
    Residual,
    Spline,
    alternating,
)
from embodied_gen.heads.objectives import Objective
from embodied_gen.heads.ode import HEUN, Fixed
from embodied_gen.heads.parametrisation import Clean, Noise, V, VariationalBound, Velocity
from embodied_gen.heads.samplers import DDIM, Ancestral, DPMSolver, Heun
from embodied_gen.heads.schedules import Cosine, Karras, Linear, Rectified
from embodied_gen.nets import LipschitzMLP, MaskedMLP, MonotoneMLP, ResidualMLP, TemporalUNet, Transformer

HORIZON, CHANNELS, CONTEXT = 4, 2, 3


def trajectory() -> Trajectory:
    return Trajectory(HORIZON, [-1.0, 0.0], [1.0, 5.0])


def path() -> Path:
    return Path(HORIZON, [-1.0, 0.0], [1.0, 5.0], [-0.2, -0.1], [0.2, 0.3])


def binary(low: float = 0.0) -> Binary:
    return Binary(CHANNELS, steps=HORIZON, low=low)


def mlp(channels_out: int = CHANNELS) -> nn.Module:
    return ResidualMLP(
        horizon=HORIZON, channels_in=CHANNELS, channels_out=channels_out, context=CONTEXT, width=32, depth=1
    )


def unet(channels_out: int = CHANNELS) -> nn.Module:
    return TemporalUNet(
        horizon=HORIZON,
        channels_in=CHANNELS,
        channels_out=channels_out,
        context=CONTEXT,
        width=8,
        multipliers=(1, 2),
        groups=4,
    )


def transformer(channels_out: int = CHANNELS) -> nn.Module:
    return Transformer(
        horizon=HORIZON,
        channels_in=CHANNELS,
        channels_out=channels_out,
        context=CONTEXT,
        width=16,
        depth=1,
        heads=2,
    )


def mixture(event: Trajectory) -> Head:
    return MixtureHead(event, mlp(MixtureHead.width(CHANNELS, 3)), components=3)


SIZES = {"horizon": HORIZON, "channels_in": CHANNELS, "context": CONTEXT}


def masked(numbers: int = 2) -> nn.Module:
    return MaskedMLP(**SIZES, channels_out=numbers * CHANNELS, width=24, depth=1)


def monotone() -> nn.Module:
    return MonotoneMLP(**SIZES, channels_out=2 * CHANNELS, block=3, depth=1)


def lipschitz() -> nn.Module:
    return LipschitzMLP(**SIZES, channels_out=CHANNELS, width=16, lipschitz=0.5)


def couplings(make: Callable[[int], nn.Module], transform: Spline | Affine, layers: int = 4) -> list[Layer]:
    masks = alternating((HORIZON, CHANNELS), layers)
    width = transform.numbers * CHANNELS
    return [Coupling(make(width), transform, mask, time=i / layers) for i, mask in enumerate(masks)]


def flow(event: Trajectory, layers: list[Layer], steps: int = 2) -> Head:
    return FlowHead(event, layers, chain=LatentChain(4, steps=steps, iterations=steps))


def energy(event: Event, net: nn.Module, objective: Objective, sampler: EnergySampler | None = None) -> Head:
    return EnergyHead(event, net, objective=objective, sampler=sampler or Langevin(20))


@dataclass(frozen=True)
class Case:
    name: str
    build: Callable[[Trajectory], Head]

    def __str__(self) -> str:
        return self.name

    def head(self) -> Head:
        return self.build(trajectory())

    def batch(self, rows: int = 5) -> tuple[Tensor, Tensor]:
        x, c = batch(rows)
        return (x.sign() if isinstance(self.head().event, Binary) else x), c


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
    Case("planar", lambda e: flow(e, [Planar(e.shape, mlp(3 * CHANNELS), time=i / 2) for i in range(2)])),
    Case("coupling", lambda e: flow(e, couplings(mlp, Affine()))),
    Case("coupling_transformer", lambda e: flow(e, couplings(transformer, Affine(), 2))),
    Case("spline_unet", lambda e: flow(e, couplings(unet, Spline(3), 2))),
    Case("maf", lambda e: flow(e, [MaskedAutoregressive(masked(), Affine())])),
    Case("iaf", lambda e: flow(e, [InverseAutoregressive(masked(), Affine())])),
    Case("bnaf", lambda e: flow(e, [BlockAutoregressive(e.shape, monotone(), iterations=10)], 1)),
    Case("residual", lambda e: flow(e, [Residual(lipschitz(), iterations=20)])),
    Case("continuous", lambda e: flow(e, [Continuous(mlp(), solver=Fixed(2, HEUN))])),
    Case("energy", lambda e: energy(e, mlp(1), InfoNCE(4, chain=Langevin(5)))),
    Case("energy_uniform", lambda e: energy(e, mlp(1), InfoNCE(), RandomWalk(50))),
    Case("energy_divergence", lambda e: energy(e, mlp(1), ContrastiveDivergence(), Hamiltonian(5, leapfrogs=4))),
    Case(
        "energy_likelihood", lambda e: energy(e, transformer(1), MaximumLikelihood(Langevin(5, starts=2)), Langevin(5))
    ),
    Case("energy_margin", lambda e: energy(e, mlp(1), MaxMargin(), Resampling(64))),
    Case("energy_denoising", lambda e: energy(e, unet(1), DenoisingScoreMatching(), RandomWalk(20))),
    Case("energy_sliced", lambda e: energy(e, mlp(1), SlicedScoreMatching(8, blur=0.0), Langevin(10))),
    Case("energy_implicit_path", lambda e: energy(path(), mlp(1), ImplicitScoreMatching(blur=0.01))),
    Case("hopfield", lambda e: HopfieldHead(binary(-1.0), mlp())),
    Case("boltzmann", lambda e: BoltzmannHead(binary(), mlp(CHANNELS + 3), hidden=3)),
    Case("rbm", lambda e: RBMHead(binary(), mlp(CHANNELS + 6), hidden=6)),
    Case("belief", lambda e: BeliefHead(binary(), mlp(BeliefHead.width(CHANNELS, (6, 4))), layers=(6, 4))),
]


def batch(rows: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    x = torch.rand(rows, HORIZON, CHANNELS, generator=g) * 2 - 1
    return x, torch.randn(rows, CONTEXT, generator=g)
