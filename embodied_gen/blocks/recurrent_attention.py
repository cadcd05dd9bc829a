"""The block of the head that segments one object a step."""

from typing import Literal

from pydantic import Field

from embodied_gen.blocks.net import MakeNet
from embodied_gen.config import Block
from embodied_gen.events import Event, InstanceMap
from embodied_gen.heads import Head, RecurrentAttentionHead


class RecurrentAttentionBlock(Block):
    """Instance maps one object a step, by recurrent attention; with net.kind glimpse."""

    kind: Literal["recurrent_attention"] = "recurrent_attention"
    candidates: int = Field(16, ge=1, description="Maps drawn for each sample under a guide.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        if not isinstance(event, InstanceMap):
            raise ValueError(
                f"head.kind {self.kind} predicts instance maps; got {type(event).__name__}. Take another head, or "
                "event.kind instances."
            )
        return RecurrentAttentionHead(event, make_net(1), candidates=self.candidates)
