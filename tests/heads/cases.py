"""The one grid of heads that every law of the contract runs over: a new head is one line here."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from embodied_gen.crf import Nystroem, Permutohedral
from embodied_gen.events import (
    InstanceMap,
    LabelMap,
    Trajectory,
)
from embodied_gen.graphs.inference import Tree
from embodied_gen.heads import (
    AdversarialHead,
    AutoencoderHead,
    AverageVelocityHead,
    BeliefHead,
    BoltzmannHead,
    ChainMarginHead,
    ContrastiveDivergence,
    DenoisingHead,
    DenoisingScoreMatching,
    Hamiltonian,
    Head,
    HierarchicalVAEHead,
    HopfieldHead,
    ImplicitScoreMatching,
    InfoNCE,
    JointVAEHead,
    Langevin,
    LearchHead,
    MarginHead,
    MaxEntHead,
    MaximumLikelihood,
    MaxMargin,
    PersistentChains,
    PersistentContrastiveDivergence,
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
)
from embodied_gen.heads.charges import ByMove
from embodied_gen.heads.emissions import Bins, Mixtures, Words
from embodied_gen.heads.flows import (
    Affine,
    BlockAutoregressive,
    Continuous,
    InverseAutoregressive,
    MaskedAutoregressive,
    Planar,
    Residual,
    Spline,
)
from embodied_gen.heads.games import LeastSquares, Minimax, NonSaturating, Wasserstein
from embodied_gen.heads.identities import MeanFlow, Shortcut
from embodied_gen.heads.lengths import AtMost, Exactly, Fading, UntilGoal
from embodied_gen.heads.ode import HEUN, Fixed
from embodied_gen.heads.orders import Learned, Shuffled
from embodied_gen.heads.parametrisation import Clean, Noise, V, VariationalBound, Velocity
from embodied_gen.heads.samplers import DDIM, Ancestral, DPMSolver, Heun
from embodied_gen.heads.schedules import Cosine, Karras, Linear, Rectified
from embodied_gen.heads.teaching import ClosedLoop, ScheduledSampling
from embodied_gen.nets import (
    MaskedConvNet,
    RowRecurrentNet,
)
from tests.heads.batches import (
    CHANNELS,
    batch,
    binary,
    boxes,
    chains,
    items,
    maps,
    objects,
    outlines,
    path,
    spins,
    to_goal,
    trajectory,
    walks,
)
from tests.heads.builders import (
    autoregressive,
    cellwise,
    couplings,
    crf,
    denoised_boxes,
    energy,
    flow,
    latent_diffusion,
    mixture,
    over_maps,
    pixelcnn,
    polygon,
    queried_boxes,
)
from tests.heads.networks import (
    LooksAtDrawing,
    causal,
    lipschitz,
    masked,
    mlp,
    monotone,
    over_cells,
    recurrent,
    set_transformer,
    stirred,
    transformer,
    unet,
)


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
    Case("continuous", lambda e: flow(e, [Continuous(mlp(), solver=Fixed(2, HEUN), training_solver=Fixed(2, HEUN))])),
    Case("energy", lambda e: energy(e, mlp(1), InfoNCE(4, chain=Langevin(5))), loss_tells=False),
    Case("energy_uniform", lambda e: energy(e, mlp(1), InfoNCE(), RandomWalk(50))),
    Case(
        "energy_divergence",
        lambda e: energy(e, mlp(1), ContrastiveDivergence(), Hamiltonian(5, leapfrogs=4)),
        loss_tells=False,
    ),
    Case(
        "energy_persistent",
        lambda e: energy(e, mlp(1), PersistentContrastiveDivergence(Langevin(3), count=16)),
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
        "rbm_persistent",
        lambda e: RBMHead(binary(), mlp(CHANNELS + 6), hidden=6, chains=PersistentChains(16)),
        spins,
        loss_tells=False,
    ),
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
    Case(
        "autoregressive_scheduled",
        lambda e: autoregressive(e, Mixtures(e.shape[-1], components=3), teaching=ScheduledSampling(0.5)),
    ),
    Case(
        "autoregressive_closed_loop",
        lambda e: autoregressive(e, Words(e.shape[-1], count=12), teaching=ClosedLoop(2)),
    ),
    Case("pixelcnn", lambda e: pixelcnn(MaskedConvNet, LabelMap(3, 4, 3)), maps),
    Case("pixelcnn_rows", lambda e: pixelcnn(RowRecurrentNet, LabelMap(3, 4, 3)), maps),
    Case("cellwise", lambda e: cellwise(LabelMap(3, 4, 3)), maps, leaves_padding_out=True),
    Case("crf", lambda e: crf(Permutohedral(), LabelMap(3, 4, 3)), maps, leaves_padding_out=True),
    Case(
        "crf_nystroem",
        lambda e: crf(Nystroem(6), LabelMap(3, 4, 3), learn_widths=True),
        maps,
        leaves_padding_out=True,
    ),
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
    Case("latent_diffusion", latent_diffusion, leaves_padding_out=True, bounds=True),
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
