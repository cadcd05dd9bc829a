"""Constraints at test time and planning under them."""

from planners.constraints import Constraint, KeepInBox, KeepOutDisc, ReachPoint, SpeedLimit
from planners.guides import GuideFile, feasible, guide_of, read_guide

__all__ = [
    "Constraint",
    "GuideFile",
    "KeepInBox",
    "KeepOutDisc",
    "ReachPoint",
    "SpeedLimit",
    "feasible",
    "guide_of",
    "read_guide",
]
