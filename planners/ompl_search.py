"""OMPL's RRT-Connect and path smoothing in a region of the plane, with segments tested exactly on the polygon.

OMPL seeds its generators one after another from one seed of the process. It is set before a search, which builds all
that draws anew, so that a path is a function of the seed; a search ends after a number of iterations, because one that
ends after a time depends on the machine.
"""

from itertools import repeat
from typing import Any, final

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon


@final
class OmplSearch:
    """Paths between places of a region.

    Args:
        region: Where a path may be [m], closed.

    Raises:
        ImportError: If OMPL is not installed.
    """

    def __init__(self, region: Polygon | MultiPolygon):
        base, _, util = _ompl()
        util.setLogLevel(util.LOG_NONE)  # what went wrong is in the answer
        self._region = region
        shapely.prepare(region)
        low, high = region.bounds[:2], region.bounds[2:]
        bounds = base.RealVectorBounds(2)
        for axis in (0, 1):
            bounds.setLow(axis, low[axis])
            bounds.setHigh(axis, high[axis])
        space = base.RealVectorStateSpace(2)
        space.setBounds(bounds)
        self._space = base.SpaceInformation(space)
        self._space.setStateValidityChecker(lambda p: bool(shapely.intersects_xy(region, p[0], p[1])))
        self._space.setMotionValidator(_exact(self._space, region))
        self._space.setup()
        self._states = self._space.allocState(), self._space.allocState()  # OMPL copies what it is given

    def path(self, start: np.ndarray, goal: np.ndarray, *, seed: int, iterations: int) -> np.ndarray | None:
        """Corners `(P, 2)` of a short path between two places `(2,)` [m], or None where none was found.

        Args:
            start: Inside the region.
            goal: Inside the region.
            seed: Of the search, in [1, 2^31].
            iterations: After which the search gives up.
        """
        base, geometric, util = _ompl()
        util.RNG.setSeed(seed)
        problem = base.ProblemDefinition(self._space)
        problem.setStartAndGoalStates(*map(_filled, self._states, (start, goal)))
        planner = geometric.RRTConnect(self._space)
        planner.setProblemDefinition(problem)
        planner.setup()
        left = repeat(False, iterations)
        if not planner.solve(base.PlannerTerminationCondition(lambda: next(left, True))):
            return None
        if not problem.hasExactSolution():
            return None
        path, simplifier = problem.getSolutionPath(), geometric.PathSimplifier(self._space)
        simplifier.reduceVertices(path)
        simplifier.partialShortcutPath(path)
        return _corners(path)

    def smooth(self, corners: np.ndarray) -> np.ndarray:
        """A path `(P, 2)` [m] with its corners rounded by B-splines as far as the region allows."""
        _, geometric, _ = _ompl()
        path = geometric.PathGeometric(self._space)
        for corner in corners:
            path.append(_filled(self._states[0], corner))
        geometric.PathSimplifier(self._space).smoothBSpline(path)
        return _corners(path)


def _filled(state: Any, place: np.ndarray) -> Any:
    state[0], state[1] = map(float, place)
    return state


def _exact(space: Any, region: Polygon | MultiPolygon) -> Any:
    """Tests segments on the polygon, where OMPL's own way is to test points along them."""

    class Exact(_ompl()[0].MotionValidator):  # type: ignore[misc]
        def checkMotion(self, a: Any, b: Any) -> bool:
            return bool(shapely.covers(region, shapely.linestrings([[a[0], a[1]], [b[0], b[1]]])))

    return Exact(space)


def _corners(path: Any) -> np.ndarray:
    return np.array([[state[0], state[1]] for state in path.getStates()])


def _ompl() -> tuple[Any, Any, Any]:
    """OMPL's modules base, geometric and util."""
    try:
        from ompl import base, geometric, util
    except ImportError as error:
        raise ImportError("RRT-Connect needs OMPL: pip install 'embodied-gen[peers]'") from error
    return base, geometric, util
