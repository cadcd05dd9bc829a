"""The block of the head that draws polygons vertex by vertex."""

from typing import Literal

from pydantic import Field

from embodied_gen.blocks.autoregressive import CausalBlock, DecoderBlock
from embodied_gen.blocks.net import MakeNet
from embodied_gen.config import Block
from embodied_gen.events import Event, Polygon
from embodied_gen.heads import Head, PolygonHead


class PolygonBlock(Block):
    """Polygons vertex by vertex, until a stop token."""

    kind: Literal["polygon"] = "polygon"
    decoder: DecoderBlock = CausalBlock()
    features: int = Field(64, ge=1, description="Features of a token that the network makes of the context.")
    tries: int = Field(8, ge=1, description="Outlines drawn for each sample, of which the first simple one is kept.")
    candidates: int = Field(32, ge=1, description="The same under a guide.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        if not isinstance(event, Polygon):
            raise ValueError(f"head.kind polygon predicts polygons; got {type(event).__name__}. Take another head.")
        tokens = event.levels + 1
        decoder = self.decoder.build(2 * event.shape[0], tokens + self.features, tokens, self.features)
        net = make_net(2 * self.features)
        return PolygonHead(event, net, decoder, tries=self.tries, candidates=self.candidates)
