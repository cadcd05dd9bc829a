"""Boxes in the plane: overlaps, duplicates, which estimate belongs to which object, and what samples say of a box."""

from embodied_gen.boxes.geometry import area, centred, corners, giou, iou
from embodied_gen.boxes.matching import DynamicK, Hungarian, Matching
from embodied_gen.boxes.posterior import followed
from embodied_gen.boxes.suppression import suppress, survivors

__all__ = [
    "DynamicK",
    "Hungarian",
    "Matching",
    "area",
    "centred",
    "corners",
    "followed",
    "giou",
    "iou",
    "suppress",
    "survivors",
]
