"""Blocks of heads that draw label maps by conditional random fields, and of the one that does without."""

from typing import Annotated, Literal

from pydantic import Field

from embodied_gen.blocks.net import MakeNet
from embodied_gen.config import Block
from embodied_gen.crf import ByDevice, DenseCRF, Exact, Kernel, Method, Nystroem, Permutohedral
from embodied_gen.events import Event, LabelMap
from embodied_gen.heads import CellwiseHead, Channels, CRFHead, Head, Leaf, Made, Stacked, TreeCRFHead

Width = Annotated[float, Field(gt=0)]


class LeafBlock(Block):
    """Guide channels that are a leaf of the context, as an image is."""

    kind: Literal["leaf"] = "leaf"
    name: str = Field("image", description="Name of the leaf, of shape (B, C, H, W).")
    widths: tuple[Width, ...] = Field(
        (13.0, 13.0, 13.0), min_length=1, description="Deviation of each channel that still counts as alike."
    )

    def build(self, event: LabelMap, make_net: MakeNet) -> Channels:
        """The channels."""
        return Leaf(self.name)


class MadeBlock(Block):
    """Guide channels that a network makes of the context."""

    kind: Literal["made"] = "made"
    channels: int = Field(3, ge=1, description="How many.")

    @property
    def widths(self) -> tuple[float, ...]:
        """One for each channel, as their scale is learned."""
        return (1.0,) * self.channels

    def build(self, event: LabelMap, make_net: MakeNet) -> Channels:
        """The channels."""
        return Made(event, make_net(self.channels), self.channels)


class StackedBlock(Block):
    """Guide channels of several kinds, one after the other, such as colours, depth and normals."""

    kind: Literal["stacked"] = "stacked"
    parts: tuple[Annotated[LeafBlock | MadeBlock, Field(discriminator="kind")], ...] = Field(
        min_length=1, description="Of the channels."
    )

    @property
    def widths(self) -> tuple[float, ...]:
        """Those of all parts."""
        return tuple(width for part in self.parts for width in part.widths)

    def build(self, event: LabelMap, make_net: MakeNet) -> Channels:
        """The channels."""
        return Stacked([part.build(event, make_net) for part in self.parts])


class ByDeviceBlock(Block):
    """The lattice on a CPU, low rank elsewhere."""

    kind: Literal["by_device"] = "by_device"

    def build(self) -> Method:
        """The method."""
        return ByDevice()


class PermutohedralBlock(Block):
    """The permutohedral lattice."""

    kind: Literal["permutohedral"] = "permutohedral"

    def build(self) -> Method:
        """The method."""
        return Permutohedral()


class NystroemBlock(Block):
    """Low rank."""

    kind: Literal["nystroem"] = "nystroem"
    landmarks: int = Field(256, ge=1, description="Rank.")

    def build(self) -> Method:
        """The method."""
        return Nystroem(self.landmarks)


class ExactBlock(Block):
    """All pairs of cells."""

    kind: Literal["exact"] = "exact"

    def build(self) -> Method:
        """The method."""
        return Exact()


class CellwiseBlock(Block):
    """Label maps of cells that do not depend on each other: the baseline of CRFs."""

    kind: Literal["cellwise"] = "cellwise"
    candidates: int = Field(16, ge=2, description="Maps drawn for each sample under a guide.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        maps = _label_maps(event, self.kind)
        return CellwiseHead(maps, make_net(maps.classes), candidates=self.candidates)


class CRFBlock(Block):
    """Label maps by a dense CRF, its mean field unrolled (CRF-RNN)."""

    kind: Literal["crf"] = "crf"
    guide: Annotated[LeafBlock | MadeBlock | StackedBlock, Field(discriminator="kind")] = MadeBlock()
    method: Annotated[ByDeviceBlock | PermutohedralBlock | NystroemBlock | ExactBlock, Field(discriminator="kind")] = (
        ByDeviceBlock()
    )
    smooth: float = Field(3.0, gt=0, description="Deviation of the smoothness kernel [cells].")
    smooth_weight: float = Field(3.0, description="Its weight before training.")
    near: float = Field(80.0, gt=0, description="Deviation of positions in the appearance kernel [cells].")
    alike_weight: float = Field(10.0, description="Weight of the appearance kernel before training.")
    learn_widths: bool = Field(False, description="Whether deviations are learned; by method nystroem or exact alone.")
    iterations: int = Field(10, ge=0, description="Steps of mean field in use.")
    trained: int = Field(5, ge=0, description="Steps of mean field in training.")
    candidates: int = Field(16, ge=2, description="Maps drawn for each sample under a guide.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        maps = _label_maps(event, self.kind)
        crf = DenseCRF(
            maps.classes,
            [Kernel(self.smooth), Kernel(self.near, self.guide.widths)],
            [self.smooth_weight, self.alike_weight],
            method=self.method.build(),
            learn_widths=self.learn_widths,
        )
        return CRFHead(
            maps,
            make_net(maps.classes),
            crf,
            self.guide.build(maps, make_net),
            iterations=self.iterations,
            trained=self.trained,
            candidates=self.candidates,
        )


class ChainCRFBlock(Block):
    """Label maps by a chain of cells, row after row; sequences of labels are maps of one row."""

    kind: Literal["chain_crf"] = "chain_crf"
    candidates: int = Field(16, ge=2, description="Maps drawn for each sample under a guide.")

    def build(self, event: Event, make_net: MakeNet) -> Head:
        """The head."""
        maps = _label_maps(event, self.kind)
        return TreeCRFHead(maps, make_net(maps.classes), candidates=self.candidates)


def _label_maps(event: Event, kind: str) -> LabelMap:
    if not isinstance(event, LabelMap):
        raise ValueError(f"head.kind {kind} predicts label maps; got {type(event).__name__}. Choose another head.")
    return event
