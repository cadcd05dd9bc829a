"""The block of heads that draw label maps cell by cell, with its raster networks."""

from typing import Annotated, Literal

from pydantic import Field

from embodied_gen.blocks.net import MakeNet
from embodied_gen.config import Block
from embodied_gen.events import Event, LabelMap
from embodied_gen.heads import Head, PixelCNNHead
from embodied_gen.nets import MaskedConvNet, RasterNet, RowRecurrentNet


class MaskedConvBlock(Block):
    """Masked convolutions: fast to train."""

    kind: Literal["masked_conv"] = "masked_conv"
    width: int = Field(32, ge=1, description="Features of a cell.")
    depth: int = Field(4, ge=1, description="Gated layers.")
    kernel: int = Field(3, ge=3, description="Cells under a convolution, odd.")

    def build(self, classes: int, context: int) -> RasterNet:
        """The network."""
        return MaskedConvNet(
            channels_in=classes,
            channels_out=classes,
            context=context,
            width=self.width,
            depth=self.depth,
            kernel=self.kernel,
        )


class RowRecurrentBlock(Block):
    """Recurrent rows: every cell sees all rows above it."""

    kind: Literal["row_recurrent"] = "row_recurrent"
    width: int = Field(32, ge=1, description="Features of a cell.")
    depth: int = Field(2, ge=1, description="Gated layers along the row.")
    kernel: int = Field(3, ge=3, description="Cells under a convolution, odd.")

    def build(self, classes: int, context: int) -> RasterNet:
        """The network."""
        return RowRecurrentNet(
            channels_in=classes,
            channels_out=classes,
            context=context,
            width=self.width,
            depth=self.depth,
            kernel=self.kernel,
        )


RasterBlock = Annotated[MaskedConvBlock | RowRecurrentBlock, Field(discriminator="kind")]


class PixelCNNBlock(Block):
    """Label maps cell by cell."""

    kind: Literal["pixelcnn"] = "pixelcnn"
    raster: RasterBlock = MaskedConvBlock()
    features: int = Field(16, ge=1, description="Features of a cell that the network makes of the context.")
    candidates: int = Field(16, ge=1, description="Maps drawn for each sample under a guide.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        if not isinstance(event, LabelMap):
            raise ValueError(
                f"head.kind pixelcnn predicts label maps; got {type(event).__name__}. Choose another head."
            )
        raster = self.raster.build(event.classes, self.features)
        return PixelCNNHead(event, make_net(self.features), raster, candidates=self.candidates)
