r"""RRT-Connect: a geometric planner that knows the region and learns nothing; the baseline of sampling-based planning.

Two trees of straight segments grow towards each other, one from the start and one from the goal, until they meet
(Kuffner and LaValle 2000). The search is OMPL's, and so is what follows: vertices that are not needed are dropped, the
way is cut short, and its corners are rounded by B-splines. Every segment is tested exactly, on the polygon.

A shortest way touches the corners that it goes around, and there nothing can be rounded. So the search keeps
`clearance` from the boundary, which the rounding may use up. Start and goal may be nearer to it: the way begins and
ends with the straight lines to the nearest places with clearance.

The path is timed under limits of speed and acceleration (`planners.time_profile`) and followed by an `Execution`.

OMPL is an optional dependency: pip install 'embodied-gen[peers]'.

Source: Kuffner and LaValle 2000, RRT-connect: an efficient approach to single-query path planning (ICRA);
Şucan, Moll and Kavraki 2012, The Open Motion Planning Library (RA-M).
"""

from collections.abc import Sequence
from typing import final

import numpy as np
import shapely
import torch
from shapely.geometry import MultiPolygon, Polygon

from embodied_gen import draws
from embodied_gen.control import Chunk, Memory
from planners.execution import Execution
from planners.ompl_search import OmplSearch
from planners.regions import checked
from planners.replanning import Follower
from planners.time_profile import timed

_INSIDE = 1e-6  # [m] that a search starts inside of its region, which geometry finds to some digits


@final
class RRTConnect(Follower):
    """Plans a path in the plane to the goal in the observation, times it, follows it and plans again.

    A plan that arrives before `replan` steps waits at the goal. It counts as infeasible if no path was found, and the
    agent then stays where it is, or if the timed path leaves the region.

    Args:
        execution: Follows a plan of states (x, y, vx, vy).
        region: Where the position may be [m].
        obstacles: Polygons of it where the position may not be [m].
        state: The observation's channels of x, y, vx and vy.
        goal: The observation's two channels of the goal.
        period: Time of a control step [s].
        speed: Largest speed of a plan [m/s].
        acceleration: Largest acceleration of a plan [m/s^2].
        clearance: Distance from the boundary that the search keeps, so that corners can be rounded [m].
        iterations: After which the search gives up.
        replan: Control steps after which a plan is made anew.

    Raises:
        ImportError: If OMPL is not installed.
        ValueError: If a number is out of range, or nothing is left of the region.
    """

    def __init__(
        self,
        execution: Execution,
        region: Polygon | MultiPolygon,
        obstacles: Sequence[Polygon | MultiPolygon] = (),
        *,
        state: Sequence[int],
        goal: Sequence[int],
        period: float,
        speed: float,
        acceleration: float,
        clearance: float = 0.1,
        iterations: int = 10_000,
        replan: int = 200,
    ):
        if not all(number > 0 for number in (period, speed, acceleration, iterations, replan)) or not clearance >= 0:
            raise ValueError(
                "period, speed, acceleration, iterations and replan must be positive and clearance not negative; "
                f"got {period}, {speed}, {acceleration}, {iterations}, {replan} and {clearance}."
            )
        super().__init__(execution, state=state, replan=replan, block=1, device=torch.device("cpu"))
        self.goal, self.period, self.speed, self.acceleration = list(goal), period, speed, acceleration
        self.iterations = iterations
        self.region = checked(shapely.difference(region, shapely.union_all(list(obstacles))))
        self._core = self.region.buffer(-clearance - _INSIDE, join_style="mitre")
        if self._core.is_empty:
            raise ValueError(f"no place of the region has a clearance of {clearance} m; use less.")
        self._search = OmplSearch(self.region.buffer(-clearance, join_style="mitre"))
        self._rounding = OmplSearch(self.region)

    def _plan_anew(self, memories: Sequence[Memory]) -> int:
        return sum(self._replan(memory) for memory in memories)

    def _replan(self, memory: Memory) -> bool:
        """Puts a new plan into a memory; whether it is not good."""
        observation = memory.observations[-1].astype(np.float64)
        state, goal = observation[self.state], observation[self.goal]
        share = draws.uniform((1,), generator=memory.generator, like=torch.zeros(1, dtype=torch.float64))
        path = self._path(state[:2], goal, 1 + int(share * 2**31))
        good = False
        plan = np.concatenate([state[:2], [0, 0]])[None]
        if path is not None:
            start = float(state[2:] @ _direction(path))
            plan = timed(path, start=start, speed=self.speed, acceleration=self.acceleration, period=self.period)
            good = bool(shapely.covers(self.region, shapely.linestrings(np.concatenate([path[:1], plan[:, :2]]))))
        waiting = np.repeat(plan[-1:], max(self.replan - len(plan), 0), axis=0)
        memory.chunks = [Chunk(memory.step, np.concatenate([plan, waiting]))]
        return not good

    def _path(self, start: np.ndarray, goal: np.ndarray, seed: int) -> np.ndarray | None:
        """A smooth path `(P, 2)`, or None where the search found none."""
        ends = [shapely.get_coordinates(shapely.shortest_line(self._core, shapely.Point(p)))[0] for p in (start, goal)]
        between = self._search.path(*ends, seed=seed, iterations=self.iterations)
        if between is None:
            return None
        return self._rounding.smooth(np.concatenate([start[None], between, goal[None]]))


def _direction(path: np.ndarray) -> np.ndarray:
    """The direction in which a path starts, zero for one that stays where it is."""
    steps = np.diff(path, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    first = int(np.argmax(lengths > 0))
    return steps[first] / max(float(lengths[first]), 1e-12)
