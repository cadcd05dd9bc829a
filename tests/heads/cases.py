"""The one grid of heads that every law of the contract runs over: a new head is one line here."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embodied_gen import context, draws
from embodied_gen.boxes import Hungarian
from embodied_gen.crf import DenseCRF, Kernel, Method, Nystroem, Permutohedral
from embodied_gen.events import (
    Binary,
    BoxSet,
    Event,
    GridPath,
    InstanceMap,
    LabelMap,
    Path,
    Polygon,
    SetEvent,
    Trajectory,
)
from embodied_gen.graphs import Finite, Grid, Horizon, Soft, Within, sampled
from embodied_gen.graphs.inference import Tree
from embodied_gen.heads import (
    AdversarialHead,
    AutoencoderHead,
    AutoregressiveHead,
    AverageVelocityHead,
    BeliefHead,
    BoltzmannHead,
    CellwiseHead,
    ChainMarginHead,
    ContrastiveDivergence,
    CRFHead,
    DenoisingHead,
    DenoisingScoreMatching,
    EnergyHead,
    FlowHead,
    Hamiltonian,
    Head,
    HierarchicalVAEHead,
    HopfieldHead,
    ImplicitScoreMatching,
    InfoNCE,
    JointVAEHead,
    Langevin,
    LatentChain,
    LatentDiffusionHead,
    LatentNet,
    LearchHead,
    Made,
    MarginHead,
    MaxEntHead,
    MaximumLikelihood,
    MaxMargin,
    MixtureHead,
    PixelCNNHead,
    PolygonHead,
    RandomWalk,
    RBMHead,
    RecurrentAttentionHead,
    RegressionHead,
    Resampling,
    SlicedScoreMatching,
    TreeCRFHead,
    TwoStepHead,
    VAEHead,
    VQVAEHead,
    latent_event,
)
from embodied_gen.heads.chains import EnergySampler
from embodied_gen.heads.charges import ByMove, Charge
from embodied_gen.heads.emissions import Bins, Emission, Mixtures, Words
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
from embodied_gen.heads.games import LeastSquares, Minimax, NonSaturating, Wasserstein
from embodied_gen.heads.identities import MeanFlow, Shortcut
from embodied_gen.heads.lengths import AtMost, Exactly, Fading, Length, UntilGoal
from embodied_gen.heads.objectives import Objective
from embodied_gen.heads.ode import HEUN, Fixed
from embodied_gen.heads.orders import Given, Learned, Order, Shuffled
from embodied_gen.heads.parametrisation import Clean, Noise, V, VariationalBound, Velocity
from embodied_gen.heads.path_head import PathHead
from embodied_gen.heads.renewal import Renewal
from embodied_gen.heads.samplers import DDIM, Ancestral, DPMSolver, Heun
from embodied_gen.heads.schedules import Cosine, Karras, Linear, Rectified
from embodied_gen.nets import (
    BoxCascade,
    BoxDecoder,
    BoxQueries,
    CausalTransformer,
    ConvMap,
    Decoder,
    GlimpseNet,
    LipschitzMLP,
    MaskedConvNet,
    MaskedMLP,
    MonotoneMLP,
    OverCells,
    Positive,
    RasterNet,
    RecurrentDecoder,
    ResidualMLP,
    RowRecurrentNet,
    SetTransformer,
    TemporalUNet,
    Transformer,
)

HORIZON, CHANNELS, CONTEXT = 4, 2, 3


def trajectory() -> Trajectory:
    return Trajectory(HORIZON, [-1.0, 0.0], [1.0, 5.0])


def path() -> Path:
    return Path(HORIZON, [-1.0, 0.0], [1.0, 5.0], [-0.2, -0.1], [0.2, 0.3])


def binary(low: float = 0.0) -> Binary:
    return Binary(CHANNELS, steps=HORIZON, low=low)


def mlp(channels_out: int = CHANNELS, channels_in: int = CHANNELS) -> nn.Module:
    return ResidualMLP(
        horizon=HORIZON, channels_in=channels_in, channels_out=channels_out, context=CONTEXT, width=32, depth=1
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


def transformer(channels_out: int = CHANNELS, channels_in: int = CHANNELS) -> nn.Module:
    return Transformer(
        horizon=HORIZON,
        channels_in=channels_in,
        channels_out=channels_out,
        context=CONTEXT,
        width=16,
        depth=1,
        heads=2,
    )


def items() -> SetEvent:
    return SetEvent(HORIZON, [-1.0], [1.0])


def set_transformer() -> nn.Module:
    return SetTransformer(
        horizon=HORIZON, channels_in=CHANNELS, channels_out=CHANNELS, context=CONTEXT, width=16, depth=1, heads=2
    )


def mixture(event: Event) -> Head:
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


FEATURES = 6


def recurrent(length: int, channels_in: int, channels_out: int) -> Decoder:
    return RecurrentDecoder(
        length=length, channels_in=channels_in, channels_out=channels_out, context=FEATURES, width=16
    )


def causal(length: int, channels_in: int, channels_out: int) -> Decoder:
    return CausalTransformer(
        length=length, channels_in=channels_in, channels_out=channels_out, context=FEATURES, width=16, depth=1, heads=2
    )


def autoregressive(
    event: Event,
    emission: Emission,
    decoder: Callable[[int, int, int], Decoder] = recurrent,
    order: type[Order] = Given,
    own: float = 0.0,
) -> Head:
    positions = AutoregressiveHead.positions(event, emission)
    net = ResidualMLP(
        horizon=event.shape[0],
        channels_in=event.shape[1],
        channels_out=AutoregressiveHead.width(event, emission, FEATURES),
        context=CONTEXT,
        width=32,
        depth=1,
    )
    reads = decoder(positions, emission.inputs + FEATURES, emission.width)
    return AutoregressiveHead(event, net, reads, emission, order=order(positions), own=own)


def over_cells(event: Event, channels_out: int) -> nn.Module:
    height, width, channels = event.shape
    net = ResidualMLP(
        horizon=height * width,
        channels_in=channels,
        channels_out=channels_out,
        context=CONTEXT,
        width=32,
        depth=1,
    )
    return OverCells(net, height=height, width=width)


def pixelcnn(raster: Callable[..., RasterNet], event: LabelMap) -> Head:
    k = event.classes
    return PixelCNNHead(
        event, over_cells(event, FEATURES), raster(channels_in=k, channels_out=k, context=FEATURES, width=8, depth=1)
    )


def crf(method: Method, event: LabelMap) -> Head:
    layer = DenseCRF(event.classes, [Kernel(1.0), Kernel(2.0, (0.5, 0.5))], [1.0, 1.0], method=method)
    channels = Made(event, over_cells(event, 2), 2)
    return CRFHead(event, stirred(over_cells(event, event.classes)), layer, channels)


def cellwise(event: LabelMap) -> Head:
    return CellwiseHead(event, stirred(over_cells(event, event.classes)))


def stirred(net: nn.Module) -> nn.Module:
    """Away from layers that start at zero: every map would have the same loss."""
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=g))
    return net


def batch(rows: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    x = torch.rand(rows, HORIZON, CHANNELS, generator=g) * 2 - 1
    return x, torch.randn(rows, CONTEXT, generator=g)


def spins(rows: int = 5) -> tuple[Tensor, Tensor]:
    x, c = batch(rows)
    return x.sign(), c


def maps(rows: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    label = torch.randint(3, (rows, 3, 4), generator=g)
    return LabelMap(3, 4, 3).encode(label), torch.randn(rows, CONTEXT, generator=g)


def chains(rows: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    label = torch.randint(3, (rows, 1, 5), generator=g)
    return LabelMap(1, 5, 3).encode(label), torch.randn(rows, CONTEXT, generator=g)


class LooksAtDrawing(nn.Module):
    """Draws an image of a flat context, and looks for objects in it."""

    def __init__(self, event: InstanceMap):
        super().__init__()
        height, width = event.shape[:2]
        self.drawing = over_cells(event, 2)
        self.looking = GlimpseNet(height=height, width=width, channels_in=2, features=8, memory=8, cells=4)
        self.shape = event.shape

    def begin(self, c: context.Context) -> Mapping[str, Tensor]:
        zeros = self.looking.places.new_zeros(context.size(c), *self.shape)
        return self.looking.begin(self.drawing(zeros, zeros[:, 0, 0, 0], c).movedim(-1, 1))

    def look(self, state: Mapping[str, Tensor], canvas: Tensor) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        return self.looking.look(state, canvas)


def objects(rows: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 4, (rows, 4, 4), generator=g).repeat_interleave(2, 1).repeat_interleave(2, 2)
    return InstanceMap(8, 8, 3).encode(labels), torch.randn(rows, CONTEXT, generator=g)


def outline() -> Polygon:
    return Polygon(6, [-2.0, -1.0], [2.0, 1.0], levels=16)


def outlines(rows: int = 5) -> tuple[Tensor, Tensor]:
    """Stars of three to six vertices around the middle."""
    g = torch.Generator().manual_seed(1)
    count = torch.randint(3, 7, (rows, 1), generator=g)
    angle = 2 * math.pi * (torch.arange(6) + 0.5 * torch.rand(rows, 6, generator=g)) / count
    radius = 0.5 + 0.4 * torch.rand(rows, 6, generator=g)
    value = torch.stack([2 * radius * angle.cos(), radius * angle.sin(), torch.ones(rows, 6)], -1)
    value = value * (torch.arange(6) < count).unsqueeze(-1)
    return outline().encode(value), torch.randn(rows, CONTEXT, generator=g)


def polygon(decoder: Callable[[int, int, int], Decoder]) -> Head:
    event = outline()
    net = ResidualMLP(horizon=6, channels_in=3, channels_out=2 * FEATURES, context=CONTEXT, width=32, depth=1)
    return PolygonHead(event, net, decoder(12, event.levels + 1 + FEATURES, event.levels + 1), candidates=64)


START, GOAL, LAYERS = 0, 11, 3


def ways() -> GridPath:
    return GridPath(Grid(3, 4, connectivity=8), 6, cell=0.5, origin=(-1.0, 0.0))


class DrawsMap(nn.Module):
    """Reads a flat context as a map of features, with one start and one goal."""

    def __init__(self):
        super().__init__()
        self.event = ways()
        self.net = ResidualMLP(horizon=12, channels_in=1, channels_out=LAYERS, context=CONTEXT, width=32, depth=1)

    def forward(self, c: context.Context) -> dict[str, Tensor]:
        zeros = self.event.low.new_zeros(context.size(c), 12, 1)
        layers = self.net(zeros, zeros[:, 0, 0], c).transpose(1, 2).unflatten(2, (3, 4))
        ends = {"start": START, "goal": GOAL}
        return {"layers": layers} | {
            name: self.event.centres(torch.full((len(zeros),), state)) for name, state in ends.items()
        }


def drawn_ways(horizon: Horizon, rows: int) -> tuple[Tensor, Tensor]:
    """Paths of a horizon that are all alike to it."""
    event, states = ways(), torch.full((1, rows), START)
    costs = torch.ones(1, *event.grid.actions)
    paths = sampled(horizon, event.grid, costs, states, Soft(), generator=draws.generator(1)).states[0]
    last = paths.gather(1, (paths >= 0).sum(1, keepdim=True) - 1)
    return event.coded(torch.where(paths < 0, last, paths)), batch(rows)[1]


def to_goal(rows: int = 5) -> tuple[Tensor, Tensor]:
    return drawn_ways(Within(ways().grid.mask(torch.tensor([GOAL])), 6), rows)


def walks(rows: int = 5) -> tuple[Tensor, Tensor]:
    end = torch.where(ways().grid.mask(torch.tensor([GOAL])), 0.0, math.inf)
    return drawn_ways(Finite(6, end=end), rows)


def over_maps(kind: type[PathHead], length: Length, charge: Charge | None = None) -> Head:
    channels = 1 if charge is None else charge.channels(ways().grid)
    net = Positive(ConvMap(channels_in=LAYERS, channels_out=channels, width=8, depth=1), floor=1.5)
    return kind(ways(), net, length=length, charge=charge, reader=DrawsMap())


SLOTS, KINDS = 6, 2


class DrawsImage(nn.Module):
    """Reads a flat context as the levels of a pyramid, for a network that looks at them."""

    def __init__(self, decoder: BoxCascade):
        super().__init__()
        self.decoder = decoder
        self.net = ResidualMLP(horizon=20, channels_in=1, channels_out=8, context=CONTEXT, width=32, depth=1)

    def stages(self, x: Tensor, t: Tensor, c: context.Context) -> Tensor:
        pixels = self.net(x.new_zeros(len(x), 20, 1), x.new_zeros(len(x)), c).transpose(1, 2)
        fine, coarse = pixels.split([16, 4], 2)
        levels = {"fine": fine.unflatten(2, (4, 4)), "coarse": coarse.unflatten(2, (2, 2))}
        return self.decoder.stages(x, t, levels)

    def forward(self, x: Tensor, t: Tensor, c: context.Context) -> Tensor:
        return self.stages(x, t, c)[-1]


SMALL = {"classes": KINDS, "width": 8, "depth": 2, "heads": 2, "dynamic": 4, "size": 2}


def denoised_boxes(renewed: bool = False) -> Head:
    event = BoxSet(KINDS, SLOTS)
    return DenoisingHead(
        event,
        stirred(DrawsImage(BoxDecoder(**SMALL))),
        schedule=Cosine(50),
        parametrisation=Clean(),
        sampler=Renewal(event.likely, event.merged) if renewed else DDIM(1.0),
        steps=3,
        clip=2.0,
    )


def queried_boxes() -> Head:
    event = BoxSet(KINDS, SLOTS, matching=Hungarian())
    return RegressionHead(event, stirred(DrawsImage(BoxQueries(count=SLOTS, **SMALL))))


def boxes(rows: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    size = 0.1 + 0.4 * torch.rand(rows, 3, 2, generator=g)
    middle = size / 2 + (1 - size) * torch.rand(rows, 3, 2, generator=g)
    label = torch.randint(KINDS, (rows, 3, 1), generator=g)
    there = torch.rand(rows, 3, 1, generator=g) < 0.8
    value = torch.cat([middle, size, label, there], -1)
    return BoxSet(KINDS, SLOTS).encode(value), torch.randn(rows, CONTEXT, generator=g)


def latent_diffusion(event: Trajectory) -> Head:
    denoiser = DenoisingHead(latent_event(3), LatentNet(event, mlp(), latent=3), clip=4.0)
    return LatentDiffusionHead(VAEHead(event, mlp(), mlp(), latent=3), denoiser)


def as_after_training(head):
    """With weights away from zero."""
    stream = draws.generator(7)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.2 * draws.normal(parameter.shape, generator=stream, like=parameter))
    return head


@dataclass(frozen=True)
class Case:
    name: str
    build: Callable[[Trajectory], Head]
    batch: Callable[..., tuple[Tensor, Tensor]] = batch  # of a given number of rows
    leaves_padding_out: bool = False  # of its loss
    loss_tells: bool = True  # that the model has become better, by falling
    bounds: bool = False  # its log_prob is a lower bound, and integrates to less than one

    def __str__(self) -> str:
        return self.name

    def head(self) -> Head:
        return self.build(trajectory())


# A loss tells nothing where it compares events with draws of the model itself, is the value of a game, or falls without
# end as a few examples become spikes. That such heads learn, the tests of their families say.
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
    Case("regression_path", lambda e: RegressionHead(path(), mlp()), leaves_padding_out=True),
    Case("regression", lambda e: RegressionHead(e, mlp()), leaves_padding_out=True),
    Case("regression_with_noise", lambda e: RegressionHead(e, mlp(), temperature=1.0), leaves_padding_out=True),
    Case("two_step", lambda e: TwoStepHead(e, mlp())),
    Case("mixture", mixture, leaves_padding_out=True),
    Case("planar", lambda e: flow(e, [Planar(e.shape, mlp(3 * CHANNELS), time=i / 2) for i in range(2)])),
    Case("coupling", lambda e: flow(e, couplings(mlp, Affine()))),
    Case("coupling_transformer", lambda e: flow(e, couplings(transformer, Affine(), 2))),
    Case("spline_unet", lambda e: flow(e, couplings(unet, Spline(3), 2))),
    Case("maf", lambda e: flow(e, [MaskedAutoregressive(masked(), Affine())])),
    Case("iaf", lambda e: flow(e, [InverseAutoregressive(masked(), Affine())])),
    Case("bnaf", lambda e: flow(e, [BlockAutoregressive(e.shape, monotone(), iterations=10)], 1)),
    Case("residual", lambda e: flow(e, [Residual(lipschitz(), iterations=20)])),
    Case("continuous", lambda e: flow(e, [Continuous(mlp(), solver=Fixed(2, HEUN))])),
    Case("energy", lambda e: energy(e, mlp(1), InfoNCE(4, chain=Langevin(5))), loss_tells=False),
    Case("energy_uniform", lambda e: energy(e, mlp(1), InfoNCE(), RandomWalk(50))),
    Case(
        "energy_divergence",
        lambda e: energy(e, mlp(1), ContrastiveDivergence(), Hamiltonian(5, leapfrogs=4)),
        loss_tells=False,
    ),
    Case(
        "energy_likelihood",
        lambda e: energy(e, transformer(1), MaximumLikelihood(Langevin(5, starts=2)), Langevin(5)),
        loss_tells=False,
    ),
    Case("energy_margin", lambda e: energy(e, mlp(1), MaxMargin(), Resampling(64))),
    Case("energy_denoising", lambda e: energy(e, unet(1), DenoisingScoreMatching(), RandomWalk(20))),
    Case("energy_sliced", lambda e: energy(e, mlp(1), SlicedScoreMatching(8, blur=0.0), Langevin(10))),
    Case("energy_implicit_path", lambda e: energy(path(), mlp(1), ImplicitScoreMatching(blur=0.01)), loss_tells=False),
    Case("hopfield", lambda e: HopfieldHead(binary(-1.0), mlp()), spins),
    Case("boltzmann", lambda e: BoltzmannHead(binary(), mlp(CHANNELS + 3), hidden=3), spins),
    Case("rbm", lambda e: RBMHead(binary(), mlp(CHANNELS + 6), hidden=6), spins, loss_tells=False),
    Case(
        "belief",
        lambda e: BeliefHead(binary(), mlp(BeliefHead.width(CHANNELS, (6, 4))), layers=(6, 4)),
        spins,
        loss_tells=False,
    ),
    Case("autoregressive_bins", lambda e: autoregressive(e, Bins(16))),
    Case("autoregressive_bins_causal", lambda e: autoregressive(e, Bins(16), causal, Shuffled)),
    Case("autoregressive_learned_order", lambda e: autoregressive(e, Bins(8), causal, Learned)),
    Case("autoregressive_mixtures", lambda e: autoregressive(e, Mixtures(e.shape[-1], components=3), causal)),
    Case("autoregressive_words", lambda e: autoregressive(e, Words(e.shape[-1], count=12))),
    Case("autoregressive_own", lambda e: autoregressive(e, Mixtures(e.shape[-1], components=3), own=0.5)),
    Case("pixelcnn", lambda e: pixelcnn(MaskedConvNet, LabelMap(3, 4, 3)), maps),
    Case("pixelcnn_rows", lambda e: pixelcnn(RowRecurrentNet, LabelMap(3, 4, 3)), maps),
    Case("cellwise", lambda e: cellwise(LabelMap(3, 4, 3)), maps, leaves_padding_out=True),
    Case("crf", lambda e: crf(Permutohedral(), LabelMap(3, 4, 3)), maps, leaves_padding_out=True),
    Case("crf_nystroem", lambda e: crf(Nystroem(6), LabelMap(3, 4, 3)), maps, leaves_padding_out=True),
    Case("chain_crf", lambda e: TreeCRFHead(m := LabelMap(3, 4, 3), over_cells(m, 3)), maps),
    Case(
        "tree_crf",
        lambda e: TreeCRFHead(
            m := LabelMap(3, 4, 3), over_cells(m, 3), Tree([-1, *((i - 1) // 2 for i in range(1, 12))])
        ),
        maps,
    ),
    Case("flow_matching_maps", lambda e: DenoisingHead(m := LabelMap(3, 4, 3), over_cells(m, 3)), maps),
    Case(
        "recurrent_attention",
        lambda e: RecurrentAttentionHead(m := InstanceMap(8, 8, 3), stirred(LooksAtDrawing(m))),
        objects,
        leaves_padding_out=True,
    ),
    Case("polygon", lambda e: polygon(causal), outlines),
    Case("polygon_recurrent", lambda e: polygon(recurrent), outlines),
    Case("autoregressive_path", lambda e: autoregressive(path(), Bins(16))),
    Case("flow_matching_set", lambda e: DenoisingHead(items(), set_transformer())),
    Case("regression_set", lambda e: RegressionHead(items(), mlp()), leaves_padding_out=True),
    Case("mixture_set", lambda e: mixture(items()), leaves_padding_out=True),
    Case("denoised_boxes", lambda e: denoised_boxes(), boxes),
    Case("renewed_boxes", lambda e: denoised_boxes(renewed=True), boxes),
    Case("queried_boxes", lambda e: queried_boxes(), boxes, leaves_padding_out=True),
    Case("autoencoder", lambda e: AutoencoderHead(e, mlp(), mlp(), mlp(), latent=3), leaves_padding_out=True),
    Case("vae", lambda e: VAEHead(e, mlp(), mlp(), latent=3), leaves_padding_out=True, bounds=True),
    Case(
        "beta_vae_learned_prior",
        lambda e: VAEHead(e, unet(), transformer(), mlp(), latent=3, beta=2.0),
        leaves_padding_out=True,
        bounds=True,
    ),
    Case("vae_path", lambda e: VAEHead(path(), mlp(), mlp(), latent=3), leaves_padding_out=True, bounds=True),
    Case(
        "vae_of_means",
        lambda e: VAEHead(e, mlp(), mlp(), latent=3, temperature=0.0),
        leaves_padding_out=True,
        bounds=True,
    ),
    Case(
        "joint_vae",
        lambda e: JointVAEHead(e, mlp(), mlp(), mlp(), classes=3, latent=2),
        leaves_padding_out=True,
        bounds=True,
    ),
    Case(
        "hierarchical_vae",
        lambda e: HierarchicalVAEHead(e, mlp(), mlp(), mlp(), levels=2, latent=3),
        leaves_padding_out=True,
        bounds=True,
    ),
    Case(
        "vqvae",
        lambda e: VQVAEHead(e, mlp(), mlp(), mlp(), positions=3, words=5, width=2),
        leaves_padding_out=True,
        bounds=True,
    ),
    Case("latent_diffusion", latent_diffusion, leaves_padding_out=True),
    Case("gan", lambda e: AdversarialHead(e, mlp(), mlp(1), latent=3), loss_tells=False),
    Case("gan_minimax", lambda e: AdversarialHead(e, mlp(), unet(), game=Minimax(), r2=0.0), loss_tells=False),
    Case(
        "gan_non_saturating_path",
        lambda e: AdversarialHead(path(), mlp(), mlp(1), game=NonSaturating()),
        loss_tells=False,
    ),
    Case(
        "gan_least_squares", lambda e: AdversarialHead(e, mlp(), mlp(), game=LeastSquares(), r1=0.0), loss_tells=False
    ),
    Case(
        "gan_wasserstein",
        lambda e: AdversarialHead(e, transformer(), transformer(), game=Wasserstein(), r1=0.0, r2=0.0),
        loss_tells=False,
    ),
    Case("mean_flow", lambda e: AverageVelocityHead(e, mlp(channels_in=CHANNELS + 1))),
    Case(
        "mean_flow_transformer",
        lambda e: AverageVelocityHead(e, transformer(channels_in=CHANNELS + 1), identity=MeanFlow(0.9)),
    ),
    Case("mean_flow_path_two_steps", lambda e: AverageVelocityHead(path(), mlp(channels_in=CHANNELS + 1), steps=2)),
    Case("max_ent", lambda e: over_maps(MaxEntHead, AtMost()), to_goal),
    Case("max_ent_until_goal", lambda e: over_maps(MaxEntHead, UntilGoal(), ByMove()), to_goal),
    Case("max_ent_exactly", lambda e: over_maps(MaxEntHead, Exactly()), walks),
    Case("max_ent_fading", lambda e: over_maps(MaxEntHead, Fading(0.9)), walks),
    Case("margin", lambda e: over_maps(MarginHead, AtMost()), to_goal),
    Case("margin_exactly", lambda e: over_maps(MarginHead, Exactly(), ByMove()), walks),
    Case("learch", lambda e: over_maps(LearchHead, UntilGoal()), to_goal),
    Case("chain_margin", lambda e: ChainMarginHead(m := LabelMap(1, 5, 3), over_cells(m, 3)), chains),
    Case("shortcut", lambda e: AverageVelocityHead(e, mlp(channels_in=CHANNELS + 1), identity=Shortcut(4))),
]
