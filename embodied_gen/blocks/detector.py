"""Blocks of detectors: the backbone, and the head that draws boxes from what it sees."""

import math
from functools import partial
from typing import Annotated, Literal, NamedTuple

from pydantic import Field
from torch import nn

from embodied_gen.boxes import DynamicK, Hungarian
from embodied_gen.config import Block
from embodied_gen.events import BoxSet
from embodied_gen.heads import DenoisingHead, Head, RegressionHead, Steered
from embodied_gen.heads.parametrisation import Clean
from embodied_gen.heads.renewal import Renewal
from embodied_gen.heads.schedules import Cosine
from embodied_gen.nets import BoxDecoder, BoxQueries, DenseBoxes, FeaturePyramid


class Scenery(NamedTuple):
    """What a detector is built for.

    Attributes:
        classes: K.
        objects: The most objects of an image.
        pixels: Of all levels of the pyramid of an image.
        extent: Width and height that few objects exceed, shares of the image.
    """

    classes: int
    objects: int
    pixels: int
    extent: tuple[float, float]


class PyramidBlock(Block):
    """Feature pyramid."""

    width: int = Field(64, ge=8, description="Features of a pixel of the pyramid, a multiple of 8.")
    stages: tuple[int, ...] = Field((32, 64, 96), min_length=1, description="Channels of each stage, multiples of 8.")
    depth: int = Field(1, ge=1, description="Residual blocks of a stage.")

    def build(self, channels: int) -> FeaturePyramid:
        """The network."""
        return FeaturePyramid(channels_in=channels, width=self.width, stages=self.stages, depth=self.depth)


class _BoxesBlock(Block):
    """A detector."""

    least: float = Field(
        1.0, gt=0, description="The error of an image is divided by its matched boxes, and by so many at least."
    )


class _CascadeBlock(_BoxesBlock):
    """A cascade of stages that move boxes."""

    boxes: int = Field(100, ge=1, description="Boxes in training, and in use unless others are asked for.")
    depth: int = Field(3, ge=1, description="Stages.")
    heads: int = Field(4, ge=1, description="Attention heads; divide the width of the pyramid.")
    dynamic: int = Field(16, ge=1, description="Features between the dynamic convolutions.")
    cells: int = Field(5, ge=1, description="Cells along a side under a box.")
    points: int = Field(1, ge=1, description="Points along a side of a cell, of which a cell is the mean.")


class DenoisedBoxes(_CascadeBlock):
    """Boxes from noise; their number and the steps are free in use.

    Guides steer its own sampler: other methods of guidance know neither renewal nor the merging of steps.
    """

    kind: Literal["denoising"] = "denoising"
    levels: int = Field(1000, ge=2, description="Noise levels of the cosine schedule.")
    steps: int = Field(1, ge=1, description="Steps of the sampler.")
    signal: float = Field(2.0, gt=0, description="Scale of model units.")
    renewal: float = Field(0.5, ge=0, le=1, description="Score up to which boxes start again between steps.")

    def build(self, scenery: Scenery, pyramid: PyramidBlock) -> Head:
        """The head."""
        count = max(self.boxes, scenery.objects)
        event = BoxSet(
            scenery.classes,
            count,
            objects=scenery.objects,
            signal=self.signal,
            extent=scenery.extent,
            least=self.least,
            matching=DynamicK(),
        )
        net = BoxDecoder(
            classes=scenery.classes,
            width=pyramid.width,
            depth=self.depth,
            heads=self.heads,
            dynamic=self.dynamic,
            size=self.cells,
            points=self.points,
            signal=self.signal,
            extent=scenery.extent,
        )
        head = DenoisingHead(
            event,
            net,
            schedule=Cosine(self.levels),
            parametrisation=Clean(),
            sampler=Renewal(partial(event.likely, threshold=self.renewal), event.merged),
            steps=self.steps,
            clip=self.signal,
            guidance=Steered(),
        )
        # Things are found to a few hundredths of the image, and a short training would not come there from a half.
        nn.init.constant_(head.log_deviation[:, :4], math.log(0.1))
        return head


class QueriedBoxes(_CascadeBlock):
    """Learned boxes, matched one to one: the baseline of set prediction."""

    kind: Literal["queries"] = "queries"

    def build(self, scenery: Scenery, pyramid: PyramidBlock) -> Head:
        """The head."""
        count = max(self.boxes, scenery.objects)
        event = BoxSet(
            scenery.classes,
            count,
            objects=scenery.objects,
            extent=scenery.extent,
            least=self.least,
            matching=Hungarian(),
        )
        net = BoxQueries(
            count=count,
            classes=scenery.classes,
            width=pyramid.width,
            depth=self.depth,
            heads=self.heads,
            dynamic=self.dynamic,
            size=self.cells,
            points=self.points,
            signal=event.signal,
            extent=scenery.extent,
        )
        return RegressionHead(event, net)


class DenseBlock(_BoxesBlock):
    """One box for each pixel of the pyramid: the baseline of one stage."""

    kind: Literal["dense"] = "dense"
    depth: int = Field(2, ge=1, description="Convolutions before the last.")

    def build(self, scenery: Scenery, pyramid: PyramidBlock) -> Head:
        """The head.

        Raises:
            ValueError: If images have more objects than the pyramid has pixels.
        """
        event = BoxSet(scenery.classes, scenery.pixels, objects=scenery.objects, least=self.least, matching=DynamicK())
        net = DenseBoxes(
            classes=scenery.classes,
            levels=len(pyramid.stages),
            width=pyramid.width,
            depth=self.depth,
            signal=event.signal,
        )
        return RegressionHead(event, net)


DetectorBlock = Annotated[DenoisedBoxes | QueriedBoxes | DenseBlock, Field(discriminator="kind")]
