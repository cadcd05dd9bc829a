"""Blocks of networks."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from embodied_gen.config import Block
from embodied_gen.nets import ResidualMLP, TemporalUNet, Transformer


class MLPBlock(Block):
    """Residual MLP on the flat chunk: the fast default on a CPU."""

    kind: Literal["mlp"] = "mlp"
    width: int = Field(512, ge=1, description="Features of the residual stream.")
    depth: int = Field(3, ge=0, description="Residual blocks.")
    expansion: float = Field(0.5, gt=0, description="Hidden features of a block, over the width.")

    def build(self, horizon: int, channels_in: int, channels_out: int, context: int) -> nn.Module:
        """The network."""
        return ResidualMLP(
            horizon=horizon,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=self.width,
            depth=self.depth,
            expansion=self.expansion,
        )


class UNetBlock(Block):
    """Temporal U-Net with FiLM."""

    kind: Literal["unet"] = "unet"
    width: int = Field(64, ge=1, description="Channels of the first level.")
    multipliers: tuple[int, ...] = Field((1, 2, 4), description="Channels of each level, over the width.")
    kernel: int = Field(5, ge=1, description="Steps under a convolution, odd.")
    groups: int = Field(8, ge=1, description="Groups of the normalisation.")

    def build(self, horizon: int, channels_in: int, channels_out: int, context: int) -> nn.Module:
        """The network."""
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

    def build(self, horizon: int, channels_in: int, channels_out: int, context: int) -> nn.Module:
        """The network."""
        return Transformer(
            horizon=horizon,
            channels_in=channels_in,
            channels_out=channels_out,
            context=context,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
        )


NetBlock = Annotated[MLPBlock | UNetBlock | TransformerBlock, Field(discriminator="kind")]
MakeNet = Callable[[int], nn.Module]  # from the number of output channels for each step
