"""Constraints and costs at test time, of paths, scenes of several agents and sets of boxes; planning under them."""

from planners.attributes import AttributeRange, Fixed, LongitudinalAcceleration
from planners.box_grasp import BoxGrasp
from planners.box_sets import BoxCount, BoxesApart, BoxesWithin
from planners.collisions import NoCollision
from planners.constraints import (
    AccelerationLimit,
    Constraint,
    KeepInBox,
    KeepOutDisc,
    ReachPoint,
    SpeedLimit,
)
from planners.contradictions import contradictions
from planners.cost_along import CostAlong
from planners.cost_map import CostMap, read_cost_map
from planners.costs import (
    CostDuring,
    CostOfAgents,
    Headway,
    PathCost,
    Progress,
    Smoothness,
    TargetPoint,
    TargetSpeed,
)
from planners.curvature import CurvatureLimit
from planners.dynamics import Bicycle, DoubleIntegrator, Unicycle
from planners.guides import GuideFile, feasible, guide_of, read_guide, smallest_margin
from planners.headway import KeepDistance
from planners.regions import KeepInRegion, KeepOutRegion, polygon_of
from planners.roads import OnRoad
from planners.scenes import OfAgents
from planners.spans import During

__all__ = [
    "AccelerationLimit",
    "AttributeRange",
    "Bicycle",
    "BoxCount",
    "BoxGrasp",
    "BoxesApart",
    "BoxesWithin",
    "Constraint",
    "CostAlong",
    "CostDuring",
    "CostMap",
    "CostOfAgents",
    "CurvatureLimit",
    "DoubleIntegrator",
    "During",
    "Fixed",
    "GuideFile",
    "Headway",
    "KeepDistance",
    "KeepInBox",
    "KeepInRegion",
    "KeepOutDisc",
    "KeepOutRegion",
    "LongitudinalAcceleration",
    "NoCollision",
    "OfAgents",
    "OnRoad",
    "PathCost",
    "Progress",
    "ReachPoint",
    "Smoothness",
    "SpeedLimit",
    "TargetPoint",
    "TargetSpeed",
    "Unicycle",
    "contradictions",
    "feasible",
    "guide_of",
    "polygon_of",
    "read_cost_map",
    "read_guide",
    "smallest_margin",
]
