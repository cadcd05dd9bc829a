"""Particle-v0: pass through one goal and stop at another, in any number of dimensions.

A point x in R^N follows the set-point a in [0, 1]^N of a proportional-derivative controller, ten Euler steps of
dt = 5 ms to a control step, control at 20 Hz, episodes of 50 control steps:

    x <- x + v dt,    v <- v + (k_p (a - x) - k_v v) dt,    k_p = 10 / s^2, k_v = 5 / s.

Start and goals g_1, g_2 are uniform in the unit cube, the start is at rest. Success: at the end of some control step
|x - g_1| < 0.05, and |x - g_2| < 0.05 at the end of the last. The expert commands g_1 until |x - g_1| < 0.01 and g_2
from then on: its action jumps at the surface of a small ball, and a mean of both goals is the action of neither.

A set-point is met in the same time however far it is: from rest, the error of every coordinate is one function of time
times its first value.

Source: Florence et al. 2021, "Implicit Behavioral Cloning" (arXiv:2109.00137), section 4 and its released task.
"""

from typing import Any, final

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from envs.actions import check_action
from envs.arguments import check_whole
from envs.drawing import BLUE, GREEN, GRID, ORANGE, Drawing, check_render_mode

GOAL_RADIUS = 0.05
"""Largest distance from a goal that counts as reached, in units of the cube."""
LARGEST = 32
"""Largest number of dimensions."""
STEPS = 50
"""Control steps of an episode."""

_TIMESTEP = 0.005  # [s]
_SUBSTEPS = 10
_STIFFNESS, _DAMPING = 10.0, 5.0  # k_p [1/s^2], k_v [1/s]
# No sequence of set-points in the cube takes a coordinate further: the damping ratio is 0.79, so that the integral of
# the impulse response's magnitude is 1.04; and |v| <= k_p max |a - x| / k_v.
_OVERSHOOT, _SPEED = 0.25, 2.5
_LANE = 36  # height of a dimension's line [px]


def spaces(dimension: int) -> tuple[Box[np.float64], Box[np.float32]]:
    """Of observations, shape `(4 N,)`, and of actions, shape `(N,)`.

    Raises:
        ValueError: If the dimension is out of range.
    """
    check_whole("dimension", dimension, 1, LARGEST)
    place = np.full(dimension, _OVERSHOOT)
    low = np.concatenate([-place, np.full(dimension, -_SPEED), np.zeros(2 * dimension)])
    high = np.concatenate([1 + place, np.full(dimension, _SPEED), np.ones(2 * dimension)])
    return Box(low, high, dtype=np.float64), Box(0.0, 1.0, (dimension,), np.float32)


def drawn(stream: np.random.Generator, dimension: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A start, shape `(N,)`, and both goals, shape `(2, N)`."""
    return stream.uniform(size=dimension), stream.uniform(size=(2, dimension))


def followed(
    position: NDArray[np.float64], velocity: NDArray[np.float64], action: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Position and velocity one control period of 50 ms on, at a set-point clipped to the cube; shapes `(*B, N)`."""
    setpoint = np.clip(np.asarray(action, dtype=np.float64), 0.0, 1.0)
    for _ in range(_SUBSTEPS):
        force = _STIFFNESS * (setpoint - position) - _DAMPING * velocity
        position = position + _TIMESTEP * velocity
        velocity = velocity + _TIMESTEP * force
    return position, velocity


def is_near(position: NDArray[np.float64], goal: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a goal counts as reached; shapes `(*B, N)` twice to `B`."""
    return np.asarray(np.linalg.norm(position - goal, axis=-1) < GOAL_RADIUS)


def frame(position: NDArray[np.float64], goals: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A line for each dimension with both goals (first green, second orange) and the point; `(N,)` and `(2, N)`."""
    dimension = len(position)
    room, lane = 0.2, 1.4 * _LANE / 400
    rows = np.arange(dimension - 0.5, -0.5, -1.0) * lane
    drawing = Drawing(bounds=((-room, 1 + room), (0.0, dimension * lane)), size=(400, _LANE * dimension))
    for y, first, second, place in zip(rows, *goals, position, strict=True):
        drawing.line([(0.0, y), (1.0, y)], GRID, width=0.012)
        drawing.disc((first, y), GOAL_RADIUS, None, edge=GREEN, edge_width=0.012)
        drawing.disc((second, y), GOAL_RADIUS, None, edge=ORANGE, edge_width=0.012)
        drawing.disc((place, y), 0.025, BLUE)
    return drawing.pixels()


@final
class ParticleEnv(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """A point between two goals.

    Observation, shape `(4 N,)`: position, velocity [1/s], first goal, second goal. Action, shape `(N,)`: set-point in
    the unit cube. The episode ends after 50 steps; reward 1 there on success, else 0. `info`: `is_success`, as if the
    episode ended now, and `first_reached`.

    Args:
        dimension: N, from 1 to 32.
        render_mode: "rgb_array" or None.

    Raises:
        ValueError: If an argument is out of range.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(self, *, dimension: int = 2, render_mode: str | None = None) -> None:
        self.observation_space, self.action_space = spaces(dimension)
        check_render_mode(render_mode)
        self.dimension = dimension
        self.render_mode = render_mode
        self._position, self._velocity = np.zeros(dimension), np.zeros(dimension)
        self.goals = np.zeros((2, dimension))
        self._first_reached = False
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Draw the start and both goals; `options` are not used."""
        super().reset(seed=seed)
        self._position, self.goals = drawn(self.np_random, self.dimension)
        self._velocity = np.zeros(self.dimension)
        self._first_reached = False
        self._steps = 0
        return self._observation(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Follow the set-point `action`, clipped to the unit cube, for one control period of 50 ms.

        Raises:
            ValueError: If `action` is not N finite numbers.
        """
        check_action(action, self.dimension, "in [0, 1]")
        self._position, self._velocity = followed(self._position, self._velocity, action)
        self._steps += 1
        self._first_reached = self._first_reached or self._is_near(0)
        info, ended = self._info(), self._steps >= STEPS
        return self._observation(), float(ended and info["is_success"]), False, ended, info

    def render(self) -> NDArray[np.uint8] | None:
        """A line for each dimension with both goals (first green, second orange) and the point; None without a mode."""
        return None if self.render_mode is None else frame(self._position, self.goals)

    def expert(self) -> "ParticleExpert":
        """The source's demonstrator for this number of dimensions."""
        return ParticleExpert(dimension=self.dimension)

    def _is_near(self, goal: int) -> bool:
        return bool(is_near(self._position, self.goals[goal]))

    def _observation(self) -> NDArray[np.float64]:
        return np.concatenate([self._position, self._velocity, *self.goals])

    def _info(self) -> dict[str, Any]:
        success = self._first_reached and self._is_near(1)
        return {"is_success": success, "first_reached": self._first_reached}


@final
class ParticleExpert:
    """Commands the first goal until it was near it once, then the second; it makes no random choices.

    Args:
        dimension: N of the environment.
    """

    NEAR = 0.01
    """Distance from the first goal at which it turns to the second."""

    def __init__(self, *, dimension: int) -> None:
        self.dimension = dimension
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Forget the last episode."""
        self._turned = False

    def act(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """Set-point, shape `(N,)`, for an observation, shape `(4 N,)`."""
        position, _, first, second = np.split(observation, 4)
        self._turned = self._turned or bool(np.linalg.norm(position - first) < self.NEAR)
        return np.asarray(second if self._turned else first, dtype=np.float32)
