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
from embodied_gen.blocks.event import BinaryBlock, EventBlock, TrajectoryBlock
from embodied_gen.blocks.forecast import EthUcyBlock, ForecastControl
from embodied_gen.blocks.head import HeadBlock
from embodied_gen.blocks.instances import ImageSetBlock, InstancesControl, LeavesBlock
from embodied_gen.blocks.net import MLPBlock, NetBlock
from embodied_gen.blocks.task import DataBlock, EnvBlock

__all__ = [
    "BinaryBlock",
    "ControlBlock",
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
    "LeavesBlock",
    "MLPBlock",
    "NetBlock",
    "PlannerControl",
    "PolicyControl",
    "SceneControl",
    "TrackerBlock",
    "TrajectoryBlock",
]
