"""The point mazes: what benchmarks in them share; worlds, trained runs, planners and scores.

The walls are known as a map, the region of free cells, and a plan keeps the middle of the ball a little away from them.
What becomes of a plan is what a force that is bounded along each axis can make of it (`control.course`). Scores are
returns over D4RL's published references for its random policy (0) and its controller (100).
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scored
import shapely

from embodied_gen import experiment, statistics
from embodied_gen.blocks import PlannerControl
from embodied_gen.slots import EnvMaker
from envs.pointmaze import PointMazeEnv, cell_to_xy, greedy_cells, xy_to_cell
from planners import Constraint, KeepInRegion
from planners.execution import Execution, InverseDynamics
from planners.guided import GuidedPlanner, planner_of

REFERENCES = {"umaze": (23.85, 161.86), "medium": (13.13, 277.39), "large": (6.7, 273.99)}  # D4RL's random, controller
CONFIGS = {
    "umaze": "configs/pointmaze_planner.yaml",
    "medium": "configs/pointmaze_medium.yaml",
    "large": "configs/pointmaze_large.yaml",
}
PERIOD = 0.01  # of a control step [s]
BALL = 0.08  # clearance from walls [m]; the ball has a radius of 0.1 m and may graze them
STATE, GOAL = (0, 1, 2, 3), (4, 5)  # channels of the observation


def maker_of(maze: str) -> EnvMaker:
    """The environment of a maze, with its own goal."""
    return EnvMaker("embodied/PointMaze-v0", {"maze": maze}, ("envs",))


@functools.cache
def _world(maze: str) -> PointMazeEnv:
    env = maker_of(maze)()
    bare: Any = env.unwrapped
    env.close()
    return bare


def free_cells(maze: str) -> shapely.Polygon:
    """The free cells of a maze [m]."""
    env = _world(maze)
    middles = [cell_to_xy(cell, env.walls) for cell in env.free_cells]
    return shapely.union_all([shapely.box(x - 0.5, y - 0.5, x + 0.5, y + 0.5) for x, y in middles])


def middle_way(maze: str, start: np.ndarray, goal: np.ndarray) -> shapely.LineString:
    """The way from a start to a goal, each `(2,)` [m], along the middles of cells."""
    walls = _world(maze).walls
    cells = greedy_cells(walls, xy_to_cell(start, walls), xy_to_cell(goal, walls))
    return shapely.LineString([start, *(cell_to_xy(cell, walls) for cell in cells), goal])


def shrunk(region: shapely.Polygon, clearance: float) -> shapely.Polygon:
    """The places of a region that have a clearance [m] from its boundary."""
    return region.buffer(-clearance, join_style="mitre")


def trained_planner(maze: str, work: Path) -> tuple[experiment.Run, float]:
    """The planner of a maze, trained where it is not yet, and the seconds that training took."""
    return _trained(Path(CONFIGS[maze]), work / maze / "planner")


def trained_inverse(maze: str, work: Path) -> InverseDynamics:
    """Inverse dynamics from the demonstrations of a maze, trained where they are not yet."""

    def change(content: dict[str, Any]) -> None:
        content["env"]["kwargs"]["maze"] = maze
        content["data"]["dataset"] = f"embodied/pointmaze-{maze}/stream-v0"

    path = scored.variant(Path("configs/pointmaze_inverse.yaml"), work / maze / "inverse.yaml", change)
    run, _ = _trained(path, work / maze / "inverse")
    return InverseDynamics(run.predictor, (2, 3), block=32)


def _trained(config: Path, folder: Path) -> tuple[experiment.Run, float]:
    scored.run(["collect", str(config), "--if-missing"])
    seconds = scored.train(config, folder, seed=0)
    return experiment.load(folder), seconds


def walls(free: shapely.Polygon) -> KeepInRegion:
    """Where the middle of the ball may be."""
    return KeepInRegion(shrunk(free, BALL))


def guided_planner(
    run: experiment.Run,
    execution: Execution,
    places: Sequence[Constraint],
    *,
    predictor: Any = None,
    candidates: int = 6,
    block: int = 8,
) -> GuidedPlanner:
    """The planner that learned ways, with constraints on places."""
    control = run.experiment.control
    assert isinstance(control, PlannerControl)
    return planner_of(
        predictor or run.predictor,
        control.model_copy(update={"candidates": candidates}),
        execution,
        period=PERIOD,
        limits=lambda _: places,
        block=block,
    )


def scores(returns: Sequence[float], references: tuple[float, float]) -> np.ndarray:
    """Returns over the references of a random policy, 0, and of a controller, 100."""
    low, high = references
    return 100 * (np.array(returns) - low) / (high - low)


def summary(values: np.ndarray) -> dict[str, Any]:
    """Mean, its interval and median of scores."""
    interval = statistics.bootstrap_mean(values, rng=np.random.default_rng(0))
    return {"score": float(values.mean()), "score_interval": list(interval), "median": float(np.median(values))}
