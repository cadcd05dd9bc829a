"""Blocks of heads: swapping the generative family of an experiment is a change of the block `head` alone."""

from typing import Annotated, Literal

from pydantic import Field

from embodied_gen.blocks.adversarial import AdversarialBlock
from embodied_gen.blocks.autoregressive import AutoregressiveBlock
from embodied_gen.blocks.average_velocity import MeanFlowBlock, ShortcutBlock
from embodied_gen.blocks.binary import BeliefBlock, BoltzmannBlock, HopfieldBlock, RBMBlock
from embodied_gen.blocks.crf import CellwiseBlock, ChainCRFBlock, CRFBlock
from embodied_gen.blocks.denoising import DenoisingBlock
from embodied_gen.blocks.energy import EnergyBlock
from embodied_gen.blocks.flows import (
    BNAFBlock,
    ContinuousFlowBlock,
    CouplingBlock,
    IAFBlock,
    MAFBlock,
    PlanarBlock,
    ResidualFlowBlock,
)
from embodied_gen.blocks.latent import (
    AutoencoderBlock,
    HierarchicalVAEBlock,
    JointVAEBlock,
    LatentDiffusionBlock,
    VAEBlock,
    VQVAEBlock,
)
from embodied_gen.blocks.margin import ChainMarginBlock, LearchBlock, MarginBlock
from embodied_gen.blocks.maxent import MaxEntBlock
from embodied_gen.blocks.net import MakeNet
from embodied_gen.blocks.pixelcnn import PixelCNNBlock
from embodied_gen.blocks.polygon import PolygonBlock
from embodied_gen.blocks.recurrent_attention import RecurrentAttentionBlock
from embodied_gen.config import Block
from embodied_gen.events import Event
from embodied_gen.heads import Head, MixtureHead, RegressionHead, TwoStepHead


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


HeadBlock = Annotated[
    DenoisingBlock
    | RegressionBlock
    | TwoStepBlock
    | MixtureBlock
    | PlanarBlock
    | CouplingBlock
    | MAFBlock
    | IAFBlock
    | BNAFBlock
    | ResidualFlowBlock
    | ContinuousFlowBlock
    | EnergyBlock
    | HopfieldBlock
    | BoltzmannBlock
    | RBMBlock
    | BeliefBlock
    | AutoregressiveBlock
    | PixelCNNBlock
    | CellwiseBlock
    | CRFBlock
    | ChainCRFBlock
    | PolygonBlock
    | RecurrentAttentionBlock
    | AutoencoderBlock
    | VAEBlock
    | JointVAEBlock
    | HierarchicalVAEBlock
    | VQVAEBlock
    | LatentDiffusionBlock
    | AdversarialBlock
    | MeanFlowBlock
    | ShortcutBlock
    | MaxEntBlock
    | MarginBlock
    | LearchBlock
    | ChainMarginBlock,
    Field(discriminator="kind"),
]
