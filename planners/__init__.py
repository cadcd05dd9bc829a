"""Constraints at test time and planning under them."""

from planners.constraints import (
    AccelerationLimit,
    Constraint,
    CurvatureLimit,
    DoubleIntegrator,
    KeepInBox,
    KeepOutDisc,
    ReachPoint,
    SpeedLimit,
)
from planners.guides import GuideFile, feasible, guide_of, read_guide, smallest_margin
from planners.regions import KeepInRegion, KeepOutRegion, polygon_of

__all__ = [
    "AccelerationLimit",
    "Constraint",
    "CurvatureLimit",
    "DoubleIntegrator",
    "GuideFile",
    "KeepInBox",
    "KeepInRegion",
    "KeepOutDisc",
    "KeepOutRegion",
    "ReachPoint",
    "SpeedLimit",
    "feasible",
    "guide_of",
    "polygon_of",
    "read_guide",
    "smallest_margin",
]
