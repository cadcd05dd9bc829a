"""What is predicted."""

from embodied_gen.events.base import Event
from embodied_gen.events.binary import Binary
from embodied_gen.events.box_set import BoxSet, extent_of
from embodied_gen.events.grid_path import GridPath
from embodied_gen.events.instances import InstanceMap
from embodied_gen.events.labels import LabelMap
from embodied_gen.events.path import Path
from embodied_gen.events.polygon import Polygon
from embodied_gen.events.scene import Scene
from embodied_gen.events.set import SetEvent
from embodied_gen.events.trajectory import Trajectory
from embodied_gen.events.walk import Walk

__all__ = [
    "Binary",
    "BoxSet",
    "Event",
    "GridPath",
    "InstanceMap",
    "LabelMap",
    "Path",
    "Polygon",
    "Scene",
    "SetEvent",
    "Trajectory",
    "Walk",
    "extent_of",
]
