"""Blocks of networks."""

from typing import Annotated, Literal, Protocol

from pydantic import Field
from torch import nn

from embodied_gen.config import Block
from embodied_gen.nets import (
    GlimpseNet,
    ImageUNet,
    LinearExperts,
    LipschitzMLP,
    MaskedMLP,
    MonotoneMLP,
    ResidualMLP,
    SceneTransformer,
    SetTransformer,
    TemporalUNet,
    Transformer,
)

Shape = tuple[int, ...]  # of an event


class MLPBlock(Block):
    """Residual MLP on the flat chunk: the fast default on a CPU."""

    kind: Literal["mlp"] = "mlp"
    width: int = Field(512, ge=1, description="Features of the residual stream.")
    depth: int = Field(3, ge=0, description="Residual blocks.")
    expansion: float = Field(0.5, gt=0, description="Hidden features of a block, over the width.")
    embedding: int = Field(128, ge=1, description="Features that a context is squeezed into.")

    def build(self, shape: Shape, channels_out: int, context: int) -> nn.Module:
        """The network."""
        horizon, channels_in = _chunk(shape, self.kind)
        return ResidualMLP(
            horizon=horizon,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=self.width,
            depth=self.depth,
            expansion=self.expansion,
            embedding=self.embedding,
        )


class ExpertsBlock(Block):
    """Linear maps under the gates of a residual MLP: for chunks that are copies of what is observed, one of a few."""

    kind: Literal["experts"] = "experts"
    experts: int = Field(4, ge=1, description="Linear maps.")
    width: int = Field(128, ge=1, description="Features of the gates' network.")
    depth: int = Field(2, ge=1, description="Its residual blocks.")

    def build(self, shape: Shape, channels_out: int, context: int) -> nn.Module:
        """The network."""
        horizon, channels_in = _chunk(shape, self.kind)
        return LinearExperts(
            horizon=horizon,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            experts=self.experts,
            width=self.width,
            depth=self.depth,
        )


class UNetBlock(Block):
    """Temporal U-Net with FiLM."""

    kind: Literal["unet"] = "unet"
    width: int = Field(64, ge=1, description="Channels of the first level.")
    multipliers: tuple[int, ...] = Field((1, 2, 4), description="Channels of each level, over the width.")
    kernel: int = Field(5, ge=1, description="Steps under a convolution, odd.")
    groups: int = Field(8, ge=1, description="Groups of the normalisation.")

    def build(self, shape: Shape, channels_out: int, context: int) -> nn.Module:
        """The network."""
        horizon, channels_in = _chunk(shape, self.kind)
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

    def build(self, shape: Shape, channels_out: int, context: int) -> nn.Module:
        """The network."""
        horizon, channels_in = _chunk(shape, self.kind)
        return Transformer(
            horizon=horizon,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
        )


class SetTransformerBlock(Block):
    """Transformer over things in no order, for heads whose slots start from noise of their own."""

    kind: Literal["set_transformer"] = "set_transformer"
    width: int = Field(128, ge=1, description="Features of a thing.")
    depth: int = Field(3, ge=1, description="Blocks.")
    heads: int = Field(4, ge=1, description="Attention heads; divide the width.")

    def build(self, shape: Shape, channels_out: int, context: int) -> nn.Module:
        """The network."""
        slots, channels_in = _chunk(shape, self.kind)
        return SetTransformer(
            horizon=slots,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
        )


class SceneNetBlock(Block):
    """Attention over the agents of a scene, each in its own frame."""

    kind: Literal["scene"] = "scene"
    width: int = Field(128, ge=1, description="Features of an agent.")
    depth: int = Field(3, ge=1, description="Blocks.")
    heads: int = Field(4, ge=1, description="Attention heads; divide the width.")

    def build(self, shape: Shape, channels_out: int, context: int) -> nn.Module:
        """The network."""
        if len(shape) != 3:
            raise ValueError(
                f"net.kind scene predicts motions of several agents; the event has shape {shape}. "
                "Set event.kind and control.kind to scene, or choose another net."
            )
        agents, horizon, channels_in = shape
        return SceneTransformer(
            agents=agents,
            horizon=horizon,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
        )


class MaskedBlock(Block):
    """Masked MLP (MADE): an output reads the entries before it. For head.kind maf and iaf."""

    kind: Literal["masked"] = "masked"
    width: int = Field(256, ge=1, description="Hidden features.")
    depth: int = Field(2, ge=0, description="Residual blocks.")

    def build(self, shape: Shape, channels_out: int, context: int) -> nn.Module:
        """The network."""
        horizon, channels_in = _chunk(shape, self.kind)
        return MaskedMLP(
            horizon=horizon,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=self.width,
            depth=self.depth,
        )


class MonotoneBlock(Block):
    """Block autoregressive MLP: an output increases in its own entry. For head.kind bnaf."""

    kind: Literal["monotone"] = "monotone"
    block: int = Field(8, ge=1, description="Hidden features of each entry.")
    depth: int = Field(2, ge=1, description="Hidden layers.")

    def build(self, shape: Shape, channels_out: int, context: int) -> nn.Module:
        """The network."""
        horizon, channels_in = _chunk(shape, self.kind)
        return MonotoneMLP(
            horizon=horizon,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            block=self.block,
            depth=self.depth,
        )


class LipschitzBlock(Block):
    """MLP with a Lipschitz constant below one. For head.kind residual_flow."""

    kind: Literal["lipschitz"] = "lipschitz"
    width: int = Field(128, ge=1, description="Hidden features.")
    depth: int = Field(2, ge=1, description="Hidden layers.")
    lipschitz: float = Field(0.8, gt=0, lt=1, description="Lipschitz constant.")

    def build(self, shape: Shape, channels_out: int, context: int) -> nn.Module:
        """The network."""
        horizon, channels_in = _chunk(shape, self.kind)
        return LipschitzMLP(
            horizon=horizon,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=self.width,
            depth=self.depth,
            lipschitz=self.lipschitz,
        )


class ImageUNetBlock(Block):
    """U-Net over images, for label maps."""

    kind: Literal["image_unet"] = "image_unet"
    width: int = Field(16, ge=1, description="Channels of the first level.")
    multipliers: tuple[int, ...] = Field((1, 2, 4, 8), min_length=1, description="Channels of each level, over it.")
    groups: int = Field(8, ge=1, description="Groups of the normalisation.")

    def build(self, shape: Shape, channels_out: int, context: int) -> nn.Module:
        """The network; a context is an image with so many colours."""
        if len(shape) != 3:
            raise ValueError(
                f"net.kind image_unet predicts maps of images; the event has shape {shape}. Set event.kind and "
                "control.kind to label_map and segmentation, or choose another net."
            )
        return ImageUNet(
            channels_in=shape[2],
            channels_out=channels_out,
            colours=context,
            width=self.width,
            multipliers=self.multipliers,
            groups=self.groups,
        )


class GlimpseBlock(Block):
    """Looks at an image one object at a time; for head.kind recurrent_attention."""

    kind: Literal["glimpse"] = "glimpse"
    features: int = Field(32, ge=2, multiple_of=2, description="Features of the image's cells.")
    memory: int = Field(96, ge=1, description="Numbers that are remembered from object to object.")
    cells: int = Field(16, ge=2, multiple_of=2, description="Cells of a glimpse along each side.")
    looks: int = Field(2, ge=1, description="At the image before each object.")

    def build(self, shape: Shape, channels_out: int, context: int) -> nn.Module:
        """The network for maps of shape `(H, W, 1 + N)` from images of as many channels as `context` says."""
        if len(shape) != 3:
            raise ValueError(
                f"net.kind {self.kind} segments images; the event has shape {shape}. Set event.kind to instances."
            )
        return GlimpseNet(
            height=shape[0],
            width=shape[1],
            channels_in=context,
            features=self.features,
            memory=self.memory,
            cells=self.cells,
            looks=self.looks,
        )


def _chunk(shape: Shape, kind: str) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError(
            f"net.kind {kind} predicts chunks of steps; the event has shape {shape}. Set net.kind to scene, or to "
            "image_unet for label maps of images."
        )
    return shape[0], shape[1]


NetBlock = Annotated[
    MLPBlock
    | UNetBlock
    | TransformerBlock
    | SceneNetBlock
    | SetTransformerBlock
    | ExpertsBlock
    | MaskedBlock
    | MonotoneBlock
    | LipschitzBlock
    | ImageUNetBlock
    | GlimpseBlock,
    Field(discriminator="kind"),
]


class MakeNet(Protocol):
    """Makes networks of the kind that an experiment asks for, for its event and context."""

    def __call__(self, channels_out: int, channels_in: int | None = None) -> nn.Module:
        """A network from channels of each step of its output and of its input; the event's own where None."""
