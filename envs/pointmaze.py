"""PointMaze-v0: a force-driven ball in a maze; stay at the goal as long as possible.

Observation o = (x, y, vx, vy, gx, gy) [m], [m/s], [m]; action = force in [-1, 1]^2; control at 100 Hz. Cell
(i, j) of the maze has its centre at x = j + 1/2 - W/2, y = H/2 - i - 1/2 [m]. The task continues after the
goal is reached: reward 1 at every step with |x - g| <= 0.45 m, end after 300, 600 or 800 steps.
The number of steps is part of the task.

Physics, maps and radius are Gymnasium-Robotics' PointMaze; starts and goals are D4RL's Maze2D: start uniform
over the free cells, +-0.1 m, velocity 0.1 N(0, I); goal in the middle of a fixed cell. (D4RL's radius is
0.5 m, so its reference scores do not carry over; measure the expert instead.)

With a stream of goals the ball goes on from where it is, as in D4RL's data of a million steps, which are one
trajectory; here Gymnasium's limit cuts them into episodes of 10,000 steps, each from a new start.

The expert is D4RL's: 50 Q-iterations on the grid with discount 0.99, reward 1 for entering the target cell
and the actions stay, up, down, left, right; the greedy cells, all but the last shifted by -0.2 U[0, 1]^2 in
(row, column), are way points w for the controller a = clip(10 (w - x) - v, -1, 1); the next way point is due
once the ball is within 0.1 m and moved less than 0.1 m in the last step.

Source: Fu et al. 2020, D4RL (arXiv:2004.07219), `scripts/generation/generate_maze2d_datasets.py` and
`d4rl/pointmaze/waypoint_controller.py`.
"""

import os
from itertools import pairwise
from typing import Any, final

import gymnasium
import numpy as np
import shapely
from gymnasium.spaces import Box
from numpy.typing import NDArray
from shapely.geometry import Polygon

from envs.actions import check_action
from envs.arguments import check_choice
from envs.drawing import BLUE, GREEN, INK, Drawing, check_render_mode

GOAL_RADIUS = 0.45
"""Largest distance from the goal that counts as success [m]."""

# name: goal cell (row, column), episode length [control steps]
_MAZES = {"umaze": ((1, 1), 300), "medium": ((6, 6), 600), "large": ((7, 9), 800)}
_GOALS = ("fixed", "random", "stream")
_REACHED = 0.1  # distance at which a stream goes on to its next goal [m]
_BALL_RADIUS = 0.1
_SPREAD = 0.1  # half width of the uniform noise on start and random goal [m]
_SPEED = 10.0  # [m/s]; the simulator keeps speeds near 5


@final
class PointMazeEnv(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """Ball in a maze with a flat observation, shape `(6,)`: position, velocity, goal.

    Action, shape `(2,)`: force in units of the largest. `info`: `is_success`, whether the ball is at the goal
    now; the episode does not end there.

    Args:
        maze: "umaze", "medium" or "large".
        goals: "fixed" for the maze's own; "random" for one an episode, uniform over the free cells; "stream" for a new
            one whenever the last is reached, in episodes of 10,000 steps: data to plan from.
        render_mode: "rgb_array" or None.

    Raises:
        ImportError: If Gymnasium-Robotics is not installed.
        ValueError: If there is no such maze.

    Attributes:
        limits_of_steps: Least and largest limit of steps that Gymnasium may set, for the largest is part of the task;
            None with a stream of goals, which that limit alone ends.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 100}  # noqa: RUF012

    def __init__(self, *, maze: str = "umaze", goals: str = "fixed", render_mode: str | None = None) -> None:
        check_choice("goals", goals, _GOALS)
        check_choice("maze", maze, _MAZES)
        check_render_mode(render_mode)
        self.maze = maze
        self.goals = goals
        self.render_mode = render_mode
        self.goal_cell, steps = _MAZES[maze]
        self.limits_of_steps = None if goals == "stream" else (1, steps)
        self._inner, self.walls = _simulator(maze)
        self.free_cells = np.argwhere(~self.walls)
        half = np.array([self.walls.shape[1], self.walls.shape[0]]) / 2
        bound = np.concatenate([half, [_SPEED, _SPEED], half])
        self.observation_space = Box(-bound, bound, dtype=np.float64)
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Put the ball into a random free cell; `options` are not used."""
        super().reset(seed=seed)
        start = self._anywhere()
        self._inner.goal = cell_to_xy(self.goal_cell, self.walls) if self.goals == "fixed" else self._anywhere()
        point = self._inner.point_env
        point.init_qpos[:] = start
        point.init_qvel[:] = 0.1 * self.np_random.standard_normal(2)
        state, _ = point.reset()
        self._steps = 0
        observation = np.concatenate([state, self._inner.goal])
        return observation, {"is_success": at_goal(observation)}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Push the ball with force `action` for one control period of 10 ms.

        Raises:
            ValueError: If `action` is not two finite numbers.
        """
        check_action(action, 2, "in [-1, 1]")
        state = self._inner.step(action)[0]
        observation = np.concatenate([state["observation"], self._inner.goal])
        success = at_goal(observation)
        if self.goals == "stream" and np.linalg.norm(observation[:2] - observation[4:6]) < _REACHED:
            self._inner.goal = self._anywhere()
            observation[4:6] = self._inner.goal
        self._steps += 1
        truncated = self.limits_of_steps is not None and self._steps >= self.limits_of_steps[1]
        return observation, float(success), False, truncated, {"is_success": success}

    def render(self) -> NDArray[np.uint8] | None:
        """A drawing of the maze from above, 40 px per cell, or None without a render mode."""
        if self.render_mode is None:
            return None
        rows, columns = self.walls.shape
        drawing = Drawing(bounds=((-columns / 2, columns / 2), (-rows / 2, rows / 2)), size=(40 * columns, 40 * rows))
        for cell in np.argwhere(self.walls):
            centre = cell_to_xy(cell, self.walls)
            drawing.box(centre - 0.5, centre + 0.5, INK)
        drawing.disc(self._inner.goal, GOAL_RADIUS, (*GREEN[:3], 60), edge=GREEN, edge_width=0.03)
        drawing.disc(self._inner.point_env.data.qpos, _BALL_RADIUS, BLUE)
        return drawing.pixels()

    def free_space(self) -> Polygon:
        """Where there is no wall [m]: the cells that are free, together."""
        corners = np.array([cell_to_xy(cell, self.walls) for cell in self.free_cells]) - 0.5
        return shapely.union_all(shapely.box(*corners.T, *(corners + 1).T))

    def scene(self) -> dict[str, Any]:
        """Walls and goal in plain numbers [m], for plots: bounds, discs and lines with their role."""
        rows, columns = self.walls.shape
        rings = [self.free_space().exterior, *self.free_space().interiors]
        sides = [pair for ring in rings for pair in pairwise(ring.coords)]
        return {
            "bounds": [[-columns / 2, columns / 2], [-rows / 2, rows / 2]],
            "discs": [{"role": "goal", "centre": self._inner.goal.tolist(), "radius": GOAL_RADIUS}],
            "lines": [{"role": "wall", "start": list(start), "end": list(end)} for start, end in sides],
        }

    def close(self) -> None:
        """Release the simulator's renderer."""
        self._inner.close()

    def expert(self) -> "PointMazeExpert":
        """D4RL's controller for this maze."""
        return PointMazeExpert(walls=self.walls)

    def _anywhere(self) -> NDArray[np.float64]:
        cell = self.free_cells[self.np_random.integers(len(self.free_cells))]
        return cell_to_xy(cell, self.walls) + self.np_random.uniform(-_SPREAD, _SPREAD, 2)


@final
class PointMazeExpert:
    """Way points from Q-iteration, followed by a proportional-derivative controller.

    Args:
        walls: Which cells are walls, shape `(rows, columns)`.
    """

    TOLERANCE = 0.1  # of distance and of the last displacement at a way point [m]

    def __init__(self, *, walls: NDArray[np.bool_]) -> None:
        self.walls = walls
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Forget the way and restart the generator of the way points' noise."""
        self._generator = np.random.default_rng(seed)
        self._target: tuple[int, int] | None = None
        self._waypoints: list[NDArray[np.float64]] = []
        self._index = 0

    def act(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """Force, shape `(2,)`, for an observation, shape `(6,)`; a new goal cell starts a new way."""
        position, velocity = observation[:2], observation[2:4]
        target = xy_to_cell(observation[4:6], self.walls)
        if target != self._target:
            self._target = target
            self._waypoints = self._way(xy_to_cell(position, self.walls), target)
            self._index = 0
            self._last = position.copy()
        waypoint = self._waypoints[self._index]
        action = 10.0 * (waypoint - position) - velocity
        close = np.linalg.norm(waypoint - position) < self.TOLERANCE
        slow = np.linalg.norm(position - self._last) < self.TOLERANCE
        if close and slow:
            self._index = min(self._index + 1, len(self._waypoints) - 1)
        self._last = position.copy()
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    def _way(self, start: tuple[int, int], target: tuple[int, int]) -> list[NDArray[np.float64]]:
        waypoints = []
        for cell in greedy_cells(self.walls, start, target):
            shift = np.zeros(2) if cell == target else 0.2 * self._generator.uniform(size=2)
            waypoints.append(cell_to_xy(np.array(cell) - shift, self.walls))
        return waypoints


def greedy_cells(walls: NDArray[np.bool_], start: tuple[int, int], target: tuple[int, int]) -> list[tuple[int, int]]:
    """Cells after `start` on a shortest way to `target`, which is the last; at most 100.

    Args:
        walls: Which cells are walls, shape `(rows, columns)`; the border must be walls.
        start: Free cell (row, column).
        target: Free cell (row, column).
    """
    grid = np.moveaxis(np.indices(walls.shape), 0, -1)
    moves = np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])
    ahead = np.clip(grid[:, :, None] + moves, 0, np.array(walls.shape) - 1)  # (rows, columns, 5, 2)
    ahead = np.where(walls[ahead[..., 0], ahead[..., 1], None], grid[:, :, None], ahead)
    reward = (ahead == target).all(axis=-1).astype(np.float64)
    values = np.zeros(reward.shape)
    for _ in range(50):
        best = values.max(axis=-1)
        values = reward + 0.99 * best[ahead[..., 0], ahead[..., 1]]
    cells, cell = [], start
    for _ in range(100):
        row, column = ahead[(*cell, int(np.argmax(values[cell])))]
        cell = (int(row), int(column))
        cells.append(cell)
        if cell == target:
            break
    return cells


def at_goal(observation: NDArray[np.float64]) -> bool:
    """Whether an observation, shape `(6,)`, is within the goal's radius."""
    return bool(np.linalg.norm(observation[:2] - observation[4:6]) <= GOAL_RADIUS)


def cell_to_xy(cell: Any, walls: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Position [m], shape `(2,)`, of the middle of cell (row, column), which need not be whole numbers."""
    rows, columns = walls.shape
    return np.array([cell[1] + 0.5 - columns / 2, rows / 2 - cell[0] - 0.5])


def xy_to_cell(position: NDArray[np.float64], walls: NDArray[np.bool_]) -> tuple[int, int]:
    """Cell (row, column) which contains a position [m], shape `(2,)`."""
    rows, columns = walls.shape
    return int(np.floor(rows / 2 - position[1])), int(np.floor(position[0] + columns / 2))


def _simulator(maze: str) -> tuple[Any, NDArray[np.bool_]]:
    try:
        from gymnasium_robotics.envs.maze import maps
        from gymnasium_robotics.envs.maze.point_maze import PointMazeEnv as Simulator
    except ImportError as error:
        raise ImportError(
            "PointMaze environments need the 'robotics' extra: pip install 'embodied-gen[robotics]'"
        ) from error
    layout = {"umaze": maps.U_MAZE, "medium": maps.MEDIUM_MAZE, "large": maps.LARGE_MAZE}[maze]
    simulator = Simulator(maze_map=layout, continuing_task=True, reset_target=False)
    # It leaves the generated model in the temporary folder; it has been compiled by now.
    os.unlink(simulator.tmp_xml_file_path)
    # Needed once by the parts of its step that look at the goal.
    simulator.goal = np.zeros(2)
    return simulator, np.array([[cell == 1 for cell in row] for row in layout])
