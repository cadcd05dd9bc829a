"""Blocks of a config: each chosen by its `kind` and built from plain numbers."""

from embodied_gen.blocks.control import (
    ControlBlock,
    InverseControl,
    PlannerControl,
    PolicyControl,
    SceneControl,
    TrackerBlock,
)
from embodied_gen.blocks.denoising import DenoisingBlock
from embodied_gen.blocks.event import BinaryBlock, EventBlock, LabelMapBlock, PolygonEventBlock, TrajectoryBlock
from embodied_gen.blocks.forecast import (
    CrowdControl,
    CrowdSetControl,
    EthUcyBlock,
    ForecastControl,
    RecordingsBlock,
    RecordingsControl,
    TracksBlock,
)
from embodied_gen.blocks.head import HeadBlock
from embodied_gen.blocks.instances import ImageSetBlock, InstancesControl, LeavesBlock
from embodied_gen.blocks.net import MLPBlock, NetBlock
from embodied_gen.blocks.outlines import OutlinesBlock, OutlinesControl
from embodied_gen.blocks.segmentation import LabelledImagesBlock, LabelledSetBlock, LabelsBlock, SegmentationControl
from embodied_gen.blocks.task import DataBlock, EnvBlock
from embodied_gen.blocks.ways import AheadControl, WholeWayControl

__all__ = [
    "AheadControl",
    "BinaryBlock",
    "ControlBlock",
    "CrowdControl",
    "CrowdSetControl",
    "DataBlock",
    "DenoisingBlock",
    "EnvBlock",
    "EthUcyBlock",
    "EventBlock",
    "ForecastControl",
    "HeadBlock",
    "ImageSetBlock",
    "InstancesControl",
    "InverseControl",
    "LabelMapBlock",
    "LabelledImagesBlock",
    "LabelledSetBlock",
    "LabelsBlock",
    "LeavesBlock",
    "MLPBlock",
    "NetBlock",
    "OutlinesBlock",
    "OutlinesControl",
    "PlannerControl",
    "PolicyControl",
    "PolygonEventBlock",
    "RecordingsBlock",
    "RecordingsControl",
    "SceneControl",
    "SegmentationControl",
    "TrackerBlock",
    "TracksBlock",
    "TrajectoryBlock",
    "WholeWayControl",
]
