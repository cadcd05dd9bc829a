"""Blocks of heads that sample by one call of a network."""

import abc
from typing import Literal

from pydantic import Field

from embodied_gen.blocks.chain import ChainBlock
from embodied_gen.blocks.net import MakeNet
from embodied_gen.config import Block
from embodied_gen.events import Event
from embodied_gen.heads import AverageVelocityHead, Head, identities


class AverageVelocityBlock(Block, abc.ABC):
    """What both share."""

    steps: int = Field(1, ge=1, description="Calls of the network for each draw.")
    chain: ChainBlock = ChainBlock()

    @abc.abstractmethod
    def identity(self) -> identities.Identity:
        """What the network is learned by."""

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        channels = event.shape[-1]
        net = make_net(channels, channels + 1)  # the length of the step is a channel of the input
        return AverageVelocityHead(event, net, identity=self.identity(), steps=self.steps, chain=self.chain.build())


class MeanFlowBlock(AverageVelocityBlock):
    """Average velocities by their derivative along the flow."""

    kind: Literal["mean_flow"] = "mean_flow"
    instant: float = Field(0.5, ge=0, le=1, description="Share of plain flow matching in the loss.")

    def identity(self) -> identities.Identity:
        """MeanFlow's."""
        return identities.MeanFlow(self.instant)


class ShortcutBlock(AverageVelocityBlock):
    """Average velocities of which two halves are one whole."""

    kind: Literal["shortcut"] = "shortcut"
    halvings: int = Field(7, ge=1, description="Lengths of steps, each half of the one before.")
    instant: float = Field(0.75, ge=0, le=1, description="Share of plain flow matching in the loss.")

    def identity(self) -> identities.Identity:
        """The shortcut models'."""
        return identities.Shortcut(self.halvings, instant=self.instant)
