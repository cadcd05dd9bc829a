"""The block of the autoregressive head, with its decoders and emissions."""

from typing import Annotated, Literal

from pydantic import Field

from embodied_gen.blocks.net import MakeNet
from embodied_gen.config import Block
from embodied_gen.events import Event
from embodied_gen.heads import AutoregressiveHead, Head
from embodied_gen.heads.emissions import Bins, Emission, Mixtures, Words
from embodied_gen.heads.orders import Given, InStep, InTurn, Learned, OfAgents, Order, Shuffled
from embodied_gen.heads.teaching import ClosedLoop, ScheduledSampling, TeacherForcing, Teaching
from embodied_gen.nets import CausalTransformer, Decoder, RecurrentDecoder


class RecurrentBlock(Block):
    """Gated recurrent units: a step costs the same however long the sequence is."""

    kind: Literal["recurrent"] = "recurrent"
    width: int = Field(128, ge=1, description="Features of a layer.")
    depth: int = Field(1, ge=1, description="Layers.")

    def build(self, length: int, channels_in: int, channels_out: int, context: int) -> Decoder:
        """The decoder."""
        return RecurrentDecoder(
            length=length,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=self.width,
            depth=self.depth,
        )


class CausalBlock(Block):
    """Causal transformer: every position reads all before it."""

    kind: Literal["causal"] = "causal"
    width: int = Field(128, ge=1, description="Features of a position.")
    depth: int = Field(3, ge=1, description="Blocks.")
    heads: int = Field(4, ge=1, description="Attention heads; divide the width.")

    def build(self, length: int, channels_in: int, channels_out: int, context: int) -> Decoder:
        """The decoder."""
        return CausalTransformer(
            length=length,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
        )


DecoderBlock = Annotated[RecurrentBlock | CausalBlock, Field(discriminator="kind")]


class BinsBlock(Block):
    """Every channel of every step by the bin that it lies in."""

    kind: Literal["bins"] = "bins"
    count: int = Field(64, ge=2, description="Bins over the bounds of a channel.")
    reach: float = Field(1.0, gt=0, description="Bins cover +- this, model units.")

    def build(self, event: Event) -> Emission:
        """The emission."""
        return Bins(self.count, self.reach)


class MixturesBlock(Block):
    """All channels of a step at once from a mixture of normals."""

    kind: Literal["mixtures"] = "mixtures"
    components: int = Field(8, ge=1, description="Normals in the mixture.")
    smallest: float = Field(0.01, gt=0, description="Smallest deviation, model units.")

    def build(self, event: Event) -> Emission:
        """The emission."""
        return Mixtures(event.shape[-1], components=self.components, smallest=self.smallest)


class WordsBlock(Block):
    """All channels of a step at once by the word of a learned vocabulary that they lie around."""

    kind: Literal["words"] = "words"
    count: int = Field(128, ge=2, description="Words of the vocabulary.")
    smallest: float = Field(0.01, gt=0, description="Smallest deviation around a word, model units.")

    def build(self, event: Event) -> Emission:
        """The emission."""
        return Words(event.shape[-1], count=self.count, smallest=self.smallest)


EmissionBlock = Annotated[BinsBlock | MixturesBlock | WordsBlock, Field(discriminator="kind")]


Sequence = Literal["given", "shuffled", "learned"]
_ORDERS: dict[Sequence, type[Order]] = {"given": Given, "shuffled": Shuffled, "learned": Learned}


class PositionsBlock(Block):
    """An order of all positions."""

    kind: Literal["positions"] = "positions"
    sequence: Sequence = Field("given", description="As in the event, every order in training, or one that is learned.")

    def build(self, event: Event, positions: int) -> Order:
        """The order."""
        return _ORDERS[self.sequence](positions)


class AgentsBlock(Block):
    """An order of the agents of a scene."""

    kind: Literal["in_turn", "in_step"]
    sequence: Sequence = Field("given", description="Of the agents: that of the scene, every one, or a learned one.")

    def build(self, event: Event, positions: int) -> Order:
        """The order.

        Raises:
            ValueError: If the event is not one of several agents.
        """
        if len(event.shape) != 3:
            raise ValueError(
                f"head.order.kind {self.kind} is of the agents of a scene, of shape (A, T, D); the event has shape "
                f"{event.shape}. Set event.kind to scene, or head.order.kind to positions."
            )
        kinds: dict[str, type[OfAgents]] = {"in_turn": InTurn, "in_step": InStep}
        return kinds[self.kind](_ORDERS[self.sequence](event.shape[0]), positions // event.shape[0])


OrderBlock = Annotated[PositionsBlock | AgentsBlock, Field(discriminator="kind")]


class TeacherForcingBlock(Block):
    """The decoder reads the truth in training."""

    kind: Literal["teacher_forcing"] = "teacher_forcing"

    def build(self) -> Teaching:
        """The teaching."""
        return TeacherForcing()


class ScheduledSamplingBlock(Block):
    """The decoder reads the truth and, more and more, own draws in its place."""

    kind: Literal["scheduled_sampling"] = "scheduled_sampling"
    share: float = Field(0.25, ge=0, le=1, description="Of own draws, at last.")
    ramp: float = Field(0.5, ge=0, le=1, description="Part of training over which their share grows.")

    def build(self) -> Teaching:
        """The teaching."""
        return ScheduledSampling(self.share, ramp=self.ramp)


class ClosedLoopBlock(Block):
    """The decoder reads own draws and is asked for the way back to the truth; set `start_from` to a trained run."""

    kind: Literal["closed_loop"] = "closed_loop"
    draws: int = Field(8, ge=1, description="At each position, of which the nearest to the way back is followed.")

    def build(self) -> Teaching:
        """The teaching."""
        return ClosedLoop(self.draws)


TeachingBlock = Annotated[TeacherForcingBlock | ScheduledSamplingBlock | ClosedLoopBlock, Field(discriminator="kind")]


class AutoregressiveBlock(Block):
    """The numbers of an event one after the other."""

    kind: Literal["autoregressive"] = "autoregressive"
    decoder: DecoderBlock = RecurrentBlock()
    emission: EmissionBlock = BinsBlock()
    order: OrderBlock = PositionsBlock()
    features: int = Field(64, ge=1, description="Features of a position that the network makes of the context.")
    teaching: TeachingBlock = TeacherForcingBlock()
    candidates: int = Field(64, ge=1, description="Proposals for each draw under a guide.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        emission = self.emission.build(event)
        positions = AutoregressiveHead.positions(event, emission)
        decoder = self.decoder.build(positions, emission.inputs + self.features, emission.width, self.features)
        return AutoregressiveHead(
            event,
            make_net(AutoregressiveHead.width(event, emission, self.features)),
            decoder,
            emission,
            order=self.order.build(event, positions),
            teaching=self.teaching.build(),
            candidates=self.candidates,
        )
