"""The block of diffusion and flow matching, with its schedules and samplers."""

from typing import Annotated, Literal

from pydantic import Field

from embodied_gen.blocks.net import MakeNet
from embodied_gen.config import Block
from embodied_gen.events import Event
from embodied_gen.heads import DenoisingHead, Guidance, Head, Particles, Steered, samplers, schedules
from embodied_gen.heads import parametrisation as reading


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


class ParticlesGuidance(Block):
    """Twisted particles: tends to the exact conditional."""

    kind: Literal["particles"] = "particles"
    count: int = Field(16, ge=2, description="Particles a context.")
    eta: float = Field(1.0, gt=0, le=1, description="Share of the ancestral noise.")
    free: float = Field(0.3, gt=0, lt=1, description="Share of steps that are not guided.")
    corrections: int = Field(0, ge=0, description="Langevin steps at each level of low noise.")
    tempering: float = Field(0.0, ge=0, lt=1, description="Effective share of K that a step leaves; 0 tempers not.")

    def build(self) -> Guidance:
        """The method."""
        return Particles(
            self.count, eta=self.eta, free=self.free, corrections=self.corrections, tempering=self.tempering
        )


class SteeredGuidance(Block):
    """Steered estimates: fast, and concentrated too much."""

    kind: Literal["steered"] = "steered"
    iterations: int = Field(3, ge=1, description="Gradient steps for each estimate.")

    def build(self) -> Guidance:
        """The method."""
        return Steered(self.iterations)


GuidanceBlock = Annotated[ParticlesGuidance | SteeredGuidance, Field(discriminator="kind")]


Prediction = Literal["noise", "clean", "v", "velocity"]


def reading_of(prediction: Prediction, schedule: schedules.Schedule) -> reading.Parametrisation:
    """How the output of a network that predicts this is read."""
    parametrisations: dict[Prediction, reading.Parametrisation] = {
        "noise": reading.Noise(),
        "clean": reading.Clean(),
        "v": reading.V(schedule.data_deviation),
        "velocity": reading.Velocity(),
    }
    return parametrisations[prediction]


class DenoisingBlock(Block):
    """Diffusion and flow matching."""

    kind: Literal["denoising"] = "denoising"
    schedule: ScheduleBlock = RectifiedSchedule()
    prediction: Prediction = Field("velocity", description="What the network predicts.")
    weighting: Literal["simple", "bound"] = Field("simple", description="Weight of the error over time.")
    sampler: SamplerBlock = EulerSampler()
    steps: int = Field(10, ge=1, description="Steps of the sampler.")
    clip: float | None = Field(1.0, description="Clean estimates are confined to +- this, model units.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Probability of dropping the context in training.")
    guidance_weight: float = Field(0.0, description="Weight of classifier-free guidance.")
    guidance: GuidanceBlock = ParticlesGuidance()

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        schedule = self.schedule.build()
        return DenoisingHead(
            event,
            make_net(event.shape[-1]),
            schedule=schedule,
            parametrisation=reading_of(self.prediction, schedule),
            weighting=reading.Simple() if self.weighting == "simple" else reading.VariationalBound(),
            sampler=self.sampler.build(),
            steps=self.steps,
            clip=self.clip,
            dropout=self.dropout,
            guidance_weight=self.guidance_weight,
            guidance=self.guidance.build(),
        )
