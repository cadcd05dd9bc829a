"""Blocks of a config: the network and the head, each chosen by its `kind` and built from plain numbers.

Swapping the generative family of an experiment is a change of the block `head` alone.
"""

from collections.abc import Callable
from typing import Annotated, Literal, final

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from embodied_gen.events import Event, Path, Trajectory
from embodied_gen.heads import DenoisingHead, Head, MixtureHead, RegressionHead, TwoStepHead, samplers, schedules
from embodied_gen.heads import parametrisation as reading
from embodied_gen.nets import ResidualMLP, TemporalUNet, Transformer


class Block(BaseModel):
    """A part of a config: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrajectoryBlock(Block):
    """Action chunks whose steps are coded on their own."""

    kind: Literal["trajectory"] = "trajectory"

    def build(self, chunks: Tensor) -> Event:
        """The event with the bounds of the chunks, physical units, shape `(W, T, D)`."""
        return Trajectory.from_data(chunks)


class PathBlock(Block):
    """Action chunks that are positions, coded as a start and its steps."""

    kind: Literal["path"] = "path"

    def build(self, chunks: Tensor) -> Event:
        """The event with the bounds of the chunks, physical units, shape `(W, T, D)`."""
        return Path.from_data(chunks)


EventBlock = Annotated[TrajectoryBlock | PathBlock, Field(discriminator="kind")]


class MLPBlock(Block):
    """Residual MLP on the flat chunk: the fast default on a CPU."""

    kind: Literal["mlp"] = "mlp"
    width: int = Field(512, ge=1, description="Features of the residual stream.")
    depth: int = Field(3, ge=0, description="Residual blocks.")
    expansion: float = Field(0.5, gt=0, description="Hidden features of a block, over the width.")

    def build(self, horizon: int, channels_in: int, channels_out: int, context: int) -> nn.Module:
        """The network."""
        return ResidualMLP(
            horizon=horizon,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=self.width,
            depth=self.depth,
            expansion=self.expansion,
        )


class UNetBlock(Block):
    """Temporal U-Net with FiLM."""

    kind: Literal["unet"] = "unet"
    width: int = Field(64, ge=1, description="Channels of the first level.")
    multipliers: tuple[int, ...] = Field((1, 2, 4), description="Channels of each level, over the width.")
    kernel: int = Field(5, ge=1, description="Steps under a convolution, odd.")
    groups: int = Field(8, ge=1, description="Groups of the normalisation.")

    def build(self, horizon: int, channels_in: int, channels_out: int, context: int) -> nn.Module:
        """The network."""
        return TemporalUNet(
            horizon=horizon,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=self.width,
            multipliers=self.multipliers,
            kernel=self.kernel,
            groups=self.groups,
        )


class TransformerBlock(Block):
    """Diffusion transformer with adaptive layer norm."""

    kind: Literal["transformer"] = "transformer"
    width: int = Field(256, ge=1, description="Features of a token.")
    depth: int = Field(4, ge=1, description="Blocks.")
    heads: int = Field(4, ge=1, description="Attention heads; divide the width.")

    def build(self, horizon: int, channels_in: int, channels_out: int, context: int) -> nn.Module:
        """The network."""
        return Transformer(
            horizon=horizon,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
        )


NetBlock = Annotated[MLPBlock | UNetBlock | TransformerBlock, Field(discriminator="kind")]
MakeNet = Callable[[int], nn.Module]  # from the number of output channels for each step


class LinearSchedule(Block):
    """DDPM's linear betas."""

    kind: Literal["linear"] = "linear"
    levels: int = Field(1000, ge=2, description="Noise levels.")
    first: float = Field(1e-4, gt=0, lt=1, description="First beta.")
    last: float = Field(0.02, gt=0, lt=1, description="Last beta.")

    def build(self) -> schedules.Schedule:
        """The schedule."""
        return schedules.Linear(self.levels, self.first, self.last)


class CosineSchedule(Block):
    """Squared-cosine betas."""

    kind: Literal["cosine"] = "cosine"
    levels: int = Field(100, ge=2, description="Noise levels.")

    def build(self) -> schedules.Schedule:
        """The schedule."""
        return schedules.Cosine(self.levels)


class RectifiedSchedule(Block):
    """Straight paths: flow matching."""

    kind: Literal["rectified"] = "rectified"
    concentration: float = Field(0.0, ge=0, description="Logit-normal training times; 0 draws them uniformly.")

    def build(self) -> schedules.Schedule:
        """The schedule."""
        return schedules.Rectified(self.concentration)


class KarrasSchedule(Block):
    """EDM."""

    kind: Literal["karras"] = "karras"
    smallest: float = Field(0.002, gt=0, description="Smallest sigma, model units.")
    largest: float = Field(80.0, gt=0, description="Largest sigma, model units.")
    data_deviation: float = Field(0.5, gt=0, description="Deviation of the data, model units.")

    def build(self) -> schedules.Schedule:
        """The schedule."""
        return schedules.Karras(self.smallest, self.largest, data_deviation=self.data_deviation)


ScheduleBlock = Annotated[
    LinearSchedule | CosineSchedule | RectifiedSchedule | KarrasSchedule, Field(discriminator="kind")
]


class DDIMSampler(Block):
    """DDIM."""

    kind: Literal["ddim"] = "ddim"
    eta: float = Field(0.0, ge=0, le=1, description="Share of the ancestral noise.")

    def build(self) -> samplers.Sampler:
        """The sampler."""
        return samplers.DDIM(self.eta)


class EulerSampler(Block):
    """Euler's method, which is DDIM without noise."""

    kind: Literal["euler"] = "euler"

    def build(self) -> samplers.Sampler:
        """The sampler."""
        return samplers.DDIM(0.0)


class AncestralSampler(Block):
    """DDPM."""

    kind: Literal["ancestral"] = "ancestral"
    width: float = Field(0.0, ge=0, le=1, description="Step variance from beta-tilde (0) to beta (1).")

    def build(self) -> samplers.Sampler:
        """The sampler."""
        return samplers.Ancestral(self.width)


class DPMSolverSampler(Block):
    """DPM-Solver++(2M)."""

    kind: Literal["dpm_solver"] = "dpm_solver"

    def build(self) -> samplers.Sampler:
        """The sampler."""
        return samplers.DPMSolver()


class HeunSampler(Block):
    """Heun's method: two network calls a step."""

    kind: Literal["heun"] = "heun"

    def build(self) -> samplers.Sampler:
        """The sampler."""
        return samplers.Heun()


SamplerBlock = Annotated[
    DDIMSampler | EulerSampler | AncestralSampler | DPMSolverSampler | HeunSampler,
    Field(discriminator="kind"),
]


class DenoisingBlock(Block):
    """Diffusion and flow matching."""

    kind: Literal["denoising"] = "denoising"
    schedule: ScheduleBlock = RectifiedSchedule()
    prediction: Literal["noise", "clean", "v", "velocity"] = Field("velocity", description="What the network predicts.")
    weighting: Literal["simple", "bound"] = Field("simple", description="Weight of the error over time.")
    sampler: SamplerBlock = EulerSampler()
    steps: int = Field(10, ge=1, description="Steps of the sampler.")
    clip: float | None = Field(1.0, description="Clean estimates are confined to +- this, model units.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Probability of dropping the context in training.")
    guidance_weight: float = Field(0.0, description="Weight of classifier-free guidance.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        schedule = self.schedule.build()
        parametrisations: dict[str, reading.Parametrisation] = {
            "noise": reading.Noise(),
            "clean": reading.Clean(),
            "v": reading.V(schedule.data_deviation),
            "velocity": reading.Velocity(),
        }
        return DenoisingHead(
            event,
            make_net(event.shape[-1]),
            schedule=schedule,
            parametrisation=parametrisations[self.prediction],
            weighting=reading.Simple() if self.weighting == "simple" else reading.VariationalBound(),
            sampler=self.sampler.build(),
            steps=self.steps,
            clip=self.clip,
            dropout=self.dropout,
            guidance_weight=self.guidance_weight,
        )


class RegressionBlock(Block):
    """Least squares."""

    kind: Literal["regression"] = "regression"
    temperature: float = Field(0.0, ge=0, description="Deviations of a draw from the estimate.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        return RegressionHead(event, make_net(event.shape[-1]), temperature=self.temperature)


class TwoStepBlock(Block):
    """Two-step regression: the minimal iterative policy."""

    kind: Literal["two_step"] = "two_step"
    refine_at: float = Field(0.9, gt=0, lt=1, description="How clean the input of the refinement is.")
    temperature: float = Field(0.0, ge=0, description="Deviations of a draw from the estimate.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        net = make_net(event.shape[-1])
        return TwoStepHead(event, net, refine_at=self.refine_at, temperature=self.temperature)


class MixtureBlock(Block):
    """Mixture density network."""

    kind: Literal["mixture"] = "mixture"
    components: int = Field(8, ge=1, description="Normals in the mixture.")
    smallest: float = Field(0.01, gt=0, description="Smallest deviation, model units.")
    candidates: int = Field(64, ge=1, description="Proposals for each draw under a guide.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        return MixtureHead(
            event,
            make_net(MixtureHead.width(event.shape[-1], self.components)),
            components=self.components,
            smallest=self.smallest,
            candidates=self.candidates,
        )


HeadBlock = Annotated[DenoisingBlock | RegressionBlock | TwoStepBlock | MixtureBlock, Field(discriminator="kind")]


@final
class EnvBlock(Block):
    """The environment."""

    id: str = Field(description="Gymnasium id, such as embodied/Avoid-v0, or module:id.")
    kwargs: dict[str, str | int | float | bool] = Field({}, description="Arguments of gymnasium.make.")
    keys: tuple[str, ...] = Field((), description="Entries of a Dict observation to keep; all where empty.")


@final
class DataBlock(Block):
    """Demonstrations."""

    dataset: str = Field(description="Minari id, such as embodied/avoid/expert-v0.")
    root: str = Field("data", description="Folder of datasets.")
    episodes: int = Field(100, ge=1, description="Episodes to collect, and to train on.")
    seed: int = Field(0, ge=0, description="Seed of the first collected episode.")
    only_successes: bool = Field(True, description="Drop the expert's failures.")
    held_out: float = Field(0.05, ge=0, lt=1, description="Share of episodes held out of training.")


@final
class ControlBlock(Block):
    """How action chunks are predicted and executed."""

    history: int = Field(2, ge=1, description="Observations the policy sees (n_obs_steps).")
    horizon: int = Field(16, ge=1, description="Actions it predicts.")
    actions: int = Field(8, ge=1, description="Actions it executes of each prediction (n_action_steps).")
    ensemble: float | None = Field(None, description="Temporal ensembling's m; None for none.")
