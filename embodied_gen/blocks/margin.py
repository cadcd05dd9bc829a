"""Blocks of maximum margin: paths over a map, and chains of labels."""

from typing import Annotated, Literal

from pydantic import Field

from embodied_gen.blocks.net import MakeNet
from embodied_gen.blocks.path import (
    Charging,
    ConvMapBlock,
    MapNetBlock,
    UntilGoalBlock,
    WholeBlock,
    charge_of,
    path_event,
)
from embodied_gen.config import Block
from embodied_gen.events import Event, LabelMap
from embodied_gen.heads import ChainMarginHead, Head, LearchHead, MarginHead, path_loss
from embodied_gen.nets import Positive


class HammingBlock(Block):
    """Cells off the demonstration."""

    kind: Literal["hamming"] = "hamming"
    weight: float = Field(0.1, gt=0, description="Of a wrong cell, units of cost.")

    def build(self) -> path_loss.PathLoss:
        """The loss."""
        return path_loss.Hamming(self.weight)


class SmoothedBlock(Block):
    """Distances to the demonstration."""

    kind: Literal["smoothed"] = "smoothed"
    radius: float = Field(3.0, gt=0, description="Distance at which a cell is as wrong as can be, cells.")
    weight: float = Field(0.1, gt=0, description="Of such a cell, units of cost.")

    def build(self) -> path_loss.PathLoss:
        """The loss."""
        return path_loss.Smoothed(self.radius, self.weight)


PathLossBlock = Annotated[HammingBlock | SmoothedBlock, Field(discriminator="kind")]


class PlanningBlock(Block):
    """What blocks of heads that answer with the cheapest path share."""

    layers: int = Field(1, ge=1, description="Layers of the map.")
    map: MapNetBlock = ConvMapBlock()
    length: WholeBlock = UntilGoalBlock()
    path_loss: PathLossBlock = HammingBlock()
    charge: Charging = Field("length", description="What costs: length through cells, cells or moves.")
    temperature: float = Field(0.0, ge=0, description="Noise of draws, over the mean cost of a move.")
    explore: float = Field(0.5, ge=0, description="The same of candidates under a guide.")
    candidates: int = Field(32, ge=1, description="Paths for each sample under a guide.")


class MarginBlock(PlanningBlock):
    """Max-margin planning on a map; its context is a mapping with layers, start and goal."""

    kind: Literal["margin"] = "margin"
    floor: float = Field(0.1, ge=0, description="Least cost; for until_goal at least the weight of a wrong cell.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        paths, charge = path_event(event, self.kind), charge_of(self.charge)
        return MarginHead(
            paths,
            Positive(self.map.build(self.layers, charge.channels(paths.grid)), floor=self.floor),
            length=self.length.build(),
            path_loss=self.path_loss.build(),
            charge=charge,
            temperature=self.temperature,
            explore=self.explore,
            candidates=self.candidates,
        )


class LearchBlock(PlanningBlock):
    """Learning to search on a map: costs are exponentials; its context is a mapping with layers, start and goal."""

    kind: Literal["learch"] = "learch"

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        paths, charge = path_event(event, self.kind), charge_of(self.charge)
        return LearchHead(
            paths,
            self.map.build(self.layers, charge.channels(paths.grid)),
            length=self.length.build(),
            path_loss=self.path_loss.build(),
            charge=charge,
            temperature=self.temperature,
            explore=self.explore,
            candidates=self.candidates,
        )


class ChainMarginBlock(Block):
    """Structured SVM over a chain of labels."""

    kind: Literal["chain_margin"] = "chain_margin"
    weight: float = Field(1.0, gt=0, description="Of a wrong label, units of score.")
    temperature: float = Field(0.0, ge=0, description="Noise of draws, units of score.")
    explore: float = Field(1.0, ge=0, description="The same of candidates under a guide.")
    candidates: int = Field(32, ge=1, description="Labels for each sample under a guide.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        if not isinstance(event, LabelMap):
            raise ValueError(
                f"head.kind chain_margin predicts label maps; got {type(event).__name__}. Choose another head."
            )
        return ChainMarginHead(
            event,
            make_net(event.classes),
            weight=self.weight,
            temperature=self.temperature,
            explore=self.explore,
            candidates=self.candidates,
        )
