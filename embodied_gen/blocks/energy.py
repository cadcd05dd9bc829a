"""The block of energies, with their objectives and samplers."""

from typing import Annotated, Literal

from pydantic import Field

from embodied_gen.blocks.net import MakeNet
from embodied_gen.config import Block
from embodied_gen.events import Event
from embodied_gen.heads import EnergyHead, Head, chains, objectives, score_matching


class LangevinBlock(Block):
    """Metropolis-adjusted Langevin steps."""

    kind: Literal["langevin"] = "langevin"
    steps: int = Field(50, ge=0, description="Of the chain.")
    step: float = Field(0.01, gt=0, description="Length of the first, model units squared.")
    starts: int = Field(16, ge=1, description="Places of which a chain starts at one.")

    def build(self) -> chains.Chain:
        """The chain."""
        return chains.Langevin(self.steps, step=self.step, starts=self.starts)


class RandomWalkBlock(Block):
    """Random-walk Metropolis."""

    kind: Literal["random_walk"] = "random_walk"
    steps: int = Field(200, ge=0, description="Of the chain.")
    step: float = Field(0.5, gt=0, description="Longest deviation of a proposal, model units.")
    span: float = Field(100.0, ge=1, description="Ratio of the longest and the shortest.")
    starts: int = Field(16, ge=1, description="Places of which a chain starts at one.")

    def build(self) -> chains.Chain:
        """The chain."""
        return chains.RandomWalk(self.steps, step=self.step, span=self.span, starts=self.starts)


class HamiltonianBlock(Block):
    """Hamiltonian Monte Carlo."""

    kind: Literal["hamiltonian"] = "hamiltonian"
    steps: int = Field(10, ge=0, description="Of the chain.")
    step: float = Field(0.1, gt=0, description="Length of the first leapfrog, model units.")
    leapfrogs: int = Field(8, ge=1, description="Leapfrogs for each step.")
    starts: int = Field(16, ge=1, description="Places of which a chain starts at one.")

    def build(self) -> chains.Chain:
        """The chain."""
        return chains.Hamiltonian(self.steps, step=self.step, leapfrogs=self.leapfrogs, starts=self.starts)


class ResamplingBlock(Block):
    """Optimisation without derivatives."""

    kind: Literal["resampling"] = "resampling"
    candidates: int = Field(256, ge=1, description="Of each draw.")
    rounds: int = Field(3, ge=0, description="Of drawing anew and spreading.")
    noise: float = Field(0.33, gt=0, description="Deviation of the first spreading, model units.")
    shrink: float = Field(0.5, gt=0, le=1, description="Ratio of one deviation to that before.")

    def build(self) -> chains.EnergySampler:
        """The sampler."""
        return chains.Resampling(self.candidates, rounds=self.rounds, noise=self.noise, shrink=self.shrink)


ChainBlock = Annotated[LangevinBlock | RandomWalkBlock | HamiltonianBlock, Field(discriminator="kind")]
SamplerBlock = Annotated[
    LangevinBlock | RandomWalkBlock | HamiltonianBlock | ResamplingBlock, Field(discriminator="kind")
]


class InfoNCEBlock(Block):
    """Implicit behaviour cloning: tell events from counter-examples that a chain moved to low energies."""

    kind: Literal["info_nce"] = "info_nce"
    count: int = Field(16, ge=1, description="Counter-examples of each event.")
    chain: ChainBlock = LangevinBlock(steps=10)
    penalty: float = Field(1.0, ge=0, description="Weight of the penalty on slopes.")
    limit: float = Field(10.0, ge=0, description="Slope that is free of it, nat for a model unit.")

    def build(self) -> objectives.Objective:
        """The objective."""
        return objectives.InfoNCE(self.count, chain=self.chain.build(), penalty=self.penalty, limit=self.limit)


class UniformInfoNCEBlock(Block):
    """The same with uniform counter-examples, for events of few numbers."""

    kind: Literal["info_nce_uniform"] = "info_nce_uniform"
    count: int = Field(64, ge=1, description="Counter-examples of each event.")

    def build(self) -> objectives.Objective:
        """The objective."""
        return objectives.InfoNCE(self.count)


class ContrastiveDivergenceBlock(Block):
    """Short chains from the events."""

    kind: Literal["contrastive_divergence"] = "contrastive_divergence"
    chain: ChainBlock = LangevinBlock(steps=5)
    pull: float = Field(0.01, ge=0, description="Weight of the squares of energies.")

    def build(self) -> objectives.Objective:
        """The objective."""
        return objectives.ContrastiveDivergence(self.chain.build(), pull=self.pull)


class PersistentContrastiveDivergenceBlock(Block):
    """Chains that go on from one step of training to the next."""

    kind: Literal["persistent_contrastive_divergence"] = "persistent_contrastive_divergence"
    chain: ChainBlock = LangevinBlock(steps=10, starts=4)
    count: int = Field(1024, ge=1, description="Chains.")
    fresh: float = Field(0.05, ge=0, le=1, description="Share of the chains of a batch that begin anew.")
    pull: float = Field(0.01, ge=0, description="Weight of the squares of energies.")

    def build(self) -> objectives.Objective:
        """The objective."""
        return objectives.PersistentContrastiveDivergence(
            self.chain.build(), count=self.count, fresh=self.fresh, pull=self.pull
        )


class MaximumLikelihoodBlock(Block):
    """Long chains from anywhere."""

    kind: Literal["maximum_likelihood"] = "maximum_likelihood"
    chain: ChainBlock = LangevinBlock(steps=40, starts=4)
    pull: float = Field(0.01, ge=0, description="Weight of the squares of energies.")

    def build(self) -> objectives.Objective:
        """The objective."""
        return objectives.MaximumLikelihood(self.chain.build(), pull=self.pull)


class MaxMarginBlock(Block):
    """Structured hinge with the worst other found by descent."""

    kind: Literal["max_margin"] = "max_margin"
    starts: int = Field(8, ge=1, description="Places from which the worst other is sought.")
    steps: int = Field(20, ge=0, description="Of the descent.")
    step: float = Field(0.1, gt=0, description="Length of the first, over the slope.")

    def build(self) -> objectives.Objective:
        """The objective."""
        return objectives.MaxMargin(self.starts, steps=self.steps, step=self.step)


class DenoisingScoreBlock(Block):
    """Score of blurred data."""

    kind: Literal["denoising_score"] = "denoising_score"
    sigma: float = Field(0.1, gt=0, description="Deviation of the blur, model units.")

    def build(self) -> objectives.Objective:
        """The objective."""
        return score_matching.DenoisingScoreMatching(self.sigma)


class SlicedScoreBlock(Block):
    """Score along random directions."""

    kind: Literal["sliced_score"] = "sliced_score"
    slices: int = Field(1, ge=1, description="Directions for each event.")
    blur: float = Field(0.05, ge=0, description="Deviation of the noise that data are seen with, model units.")

    def build(self) -> objectives.Objective:
        """The objective."""
        return score_matching.SlicedScoreMatching(self.slices, blur=self.blur)


class ImplicitScoreBlock(Block):
    """Score with the exact trace, for events of few numbers."""

    kind: Literal["implicit_score"] = "implicit_score"
    blur: float = Field(0.05, ge=0, description="Deviation of the noise that data are seen with, model units.")

    def build(self) -> objectives.Objective:
        """The objective."""
        return score_matching.ImplicitScoreMatching(blur=self.blur)


ObjectiveBlock = Annotated[
    InfoNCEBlock
    | UniformInfoNCEBlock
    | ContrastiveDivergenceBlock
    | PersistentContrastiveDivergenceBlock
    | MaximumLikelihoodBlock
    | MaxMarginBlock
    | DenoisingScoreBlock
    | SlicedScoreBlock
    | ImplicitScoreBlock,
    Field(discriminator="kind"),
]


class EnergyBlock(Block):
    """Energy-based model."""

    kind: Literal["energy"] = "energy"
    objective: ObjectiveBlock = InfoNCEBlock()
    sampler: SamplerBlock = LangevinBlock()
    confinement: float = Field(100.0, ge=0, description="Stiffness beyond the bounds, nat for a squared model unit.")
    reach: float = Field(1.1, gt=0, description="Half the width of the box of starting places, model units.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        return EnergyHead(
            event,
            make_net(1),
            objective=self.objective.build(),
            sampler=self.sampler.build(),
            confinement=self.confinement,
            reach=self.reach,
        )
