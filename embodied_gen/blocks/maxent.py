"""The block of maximum entropy over paths."""

from typing import Literal

from pydantic import Field

from embodied_gen.blocks.net import MakeNet
from embodied_gen.blocks.path import (
    AtMostBlock,
    Charging,
    ConvMapBlock,
    LengthBlock,
    MapNetBlock,
    charge_of,
    path_event,
)
from embodied_gen.config import Block
from embodied_gen.events import Event
from embodied_gen.heads import Head, MaxEntHead
from embodied_gen.nets import Positive


class MaxEntBlock(Block):
    """Maximum entropy over paths on a map; its context is a mapping with layers, start and goal."""

    kind: Literal["max_ent"] = "max_ent"
    layers: int = Field(1, ge=1, description="Layers of the map.")
    map: MapNetBlock = ConvMapBlock()
    length: LengthBlock = AtMostBlock()
    charge: Charging = Field("length", description="What costs: length through cells, cells or moves.")
    floor: float = Field(0.1, ge=0, description="Least cost; for until_goal at least the log of the number of moves.")
    candidates: int = Field(64, ge=1, description="Paths drawn for each sample under a guide.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        paths, charge = path_event(event, self.kind), charge_of(self.charge)
        net = Positive(self.map.build(self.layers, charge.channels(paths.grid)), floor=self.floor)
        return MaxEntHead(paths, net, length=self.length.build(), charge=charge, candidates=self.candidates)
