r"""People who cross a square plaza and keep clear of one another by social forces.

Person a wants to go on to a goal at speed v_a, and gives way to every person b, and to a guest, whose space is an
ellipse that reaches ahead along its own way. With r = x_a - x_b and s = v_b DELTA the way that b is about to go:

    dv_a/dt = (v_a e_a - v) / TAU + sum_b w f_b + sum_o w f_o + noise
    f_b = -grad V(b),  V = V_0 exp(-(b - ROOM) / SIGMA),  2 b = sqrt((|r| + |r - s|)^2 - |s|^2)
    f_o = -grad U(|q|),  U = U_0 exp(-|q| / REACH),  q from the nearest point of the obstacle o

The weight w is 1 for what lies within 100 degrees of the direction e_a, 1/2 behind. Nobody walks faster than 1.3 v_a.
Obstacles push likewise, and within one towards its edge. People do not look for a way around: obstacles are to be
convex, such as pillars, along which they slide.

Desired speeds are N(1.34, 0.26^2) m/s. Who has crossed leaves, and somebody else enters at a random side.

Source: Helbing and Molnár 1995, Social force model for pedestrian dynamics (Physical Review E 51), with two numbers
changed. There people are points (ROOM = 0), and one who stands still is walked over: here the space around them counts
from ROOM on. There DELTA is 2 s, with which people who meet jerk from side to side, at 2.6 times the mean acceleration.
"""

from collections.abc import Sequence
from typing import final

import numpy as np
import shapely
from numpy.typing import NDArray

Array = NDArray[np.float64]

PERIOD = 0.1
"""Time of a step [s]."""
TAU, V_0, SIGMA = 0.5, 2.1, 0.3  # [s], [m^2/s^2], [m]
ROOM, DELTA = 0.3, 0.5  # [m], [s]
U_0, REACH = 10.0, 0.2  # of obstacles [m^2/s^2], [m]
_SIGHT, _BEHIND = np.cos(np.radians(100)), 0.5
_SPEED, _SPEED_SPREAD, _FASTEST = 1.34, 0.26, 1.3
_SLOWEST = 0.5  # desired speed at least [m/s]
_NOISE = 0.1  # deviation of the random acceleration [m/s^2]
_LEAST = 0.05  # of the semi-minor axis, so that forces stay bounded [m]
_ROOM = 0.8  # around who enters, where there is as much [m]
_FROM_GUEST = 1.2  # by which it is more around a guest [m]
_TRIES = 10


@final
class SocialForce:
    """A plaza with as many people all the time.

    Args:
        people: P, >= 1.
        half: Half of the width of the plaza [m].
        generator: Of everything that is drawn.
        guest: Where somebody stands who is no person, and where nobody enters [m], shape `(2,)`; None for nobody.
        obstacles: Polygons or lines [m], convex.

    Attributes:
        positions: [m], shape `(P, 2)`.
        velocities: [m/s], shape `(P, 2)`.
        numbers: Who is who, whole numbers, shape `(P,)`: a slot that somebody left has another number.
        present: All true, shape `(P,)`.
    """

    def __init__(
        self,
        people: int,
        half: float,
        generator: np.random.Generator,
        guest: Array | None = None,
        obstacles: Sequence[shapely.Geometry] = (),
    ) -> None:
        self.half, self._generator, self._obstacles = half, generator, tuple(obstacles)
        self.positions, self.velocities, self._goals = (np.full((people, 2), np.inf) for _ in range(3))
        self._speeds = np.full(people, _SPEED)
        self.numbers = np.zeros(people, dtype=np.int64)
        self.present = np.ones(people, dtype=bool)
        self._entered = 0
        for person in range(people):
            self._enter(person, guest, share=float(generator.uniform(0, 0.9)))

    def step(self, guest: Array | None = None) -> None:
        """Everybody walks on for one period.

        Args:
            guest: Position and velocity of one who is no person, shape `(4,)`; None for nobody.
        """
        # Who has crossed is replaced a step later, so that nobody vanishes before the last step was looked at.
        for person in np.flatnonzero(self._crossed()):
            self._enter(int(person), None if guest is None else guest[:2], share=0.0)
        ways = self._goals - self.positions
        ahead = ways / np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-9)
        force = (self._speeds[:, None] * ahead - self.velocities) / TAU
        pushed = repulsion(self.positions, self.positions, self.velocities)
        pushed[np.arange(len(pushed)), np.arange(len(pushed))] = 0
        force += seen(ahead, pushed).sum(1)
        if guest is not None:
            force += seen(ahead, repulsion(self.positions, guest[None, :2], guest[None, 2:])).sum(1)
        if self._obstacles:
            force += seen(ahead, pushed_off(self.positions, self._obstacles)).sum(1)
        force += self._generator.normal(0, _NOISE, force.shape)
        velocities = self.velocities + PERIOD * force
        speed = np.linalg.norm(velocities, axis=1, keepdims=True)
        self.velocities = velocities * np.minimum(1, _FASTEST * self._speeds[:, None] / np.maximum(speed, 1e-9))
        self.positions = self.positions + PERIOD * self.velocities

    def _crossed(self) -> NDArray[np.bool_]:
        """Who has come to the goal, or left the plaza anywhere else."""
        near = np.linalg.norm(self._goals - self.positions, axis=1) < 0.5
        return near | (np.abs(self.positions) > self.half + 0.5).any(1)

    def _enter(self, person: int, guest: Array | None, share: float) -> None:
        """Somebody new in a slot, a share of the way to the goal from a random side."""
        drawn = [self._way() for _ in range(_TRIES)]
        others = self.positions[np.arange(len(self.positions)) != person]
        guests = np.zeros((0, 2)) if guest is None else guest[None]
        places = [start + share * (goal - start) for start, goal in drawn]
        spaces = (
            [_clearance(place, others) for place in places],
            [_clearance(place, guests) - _FROM_GUEST for place in places],
            shapely.distance(shapely.points(places)[:, None], np.array(self._obstacles, object)).min(1, initial=np.inf),
        )
        room = np.min(spaces, axis=0)
        # The first with room enough, or the one with most.
        start, goal = drawn[next((i for i, space in enumerate(room) if space > _ROOM), int(room.argmax()))]
        self.positions = self.positions.copy()  # others hold the last one
        self.positions[person], self._goals[person] = start + share * (goal - start), goal
        self._speeds[person] = max(self._generator.normal(_SPEED, _SPEED_SPREAD), _SLOWEST)
        self.velocities[person] = self._speeds[person] * (goal - start) / np.linalg.norm(goal - start)
        self._entered += 1
        self.numbers[person] = self._entered

    def _way(self) -> tuple[Array, Array]:
        """From a point of a random side to one of the opposite side."""
        side = int(self._generator.integers(4))
        across = self._generator.uniform(-0.8 * self.half, 0.8 * self.half, 2)
        sign = 1.0 if side % 2 else -1.0
        ends = np.array([[sign * self.half, across[0]], [-sign * self.half, across[1]]])
        ends = ends if side < 2 else ends[:, ::-1]
        return ends[0], ends[1]


def repulsion(positions: Array, others: Array, velocities: Array) -> Array:
    """Forces f_b of others on people [m/s^2].

    Args:
        positions: Of people [m], shape `(P, 2)`.
        others: Positions [m], shape `(K, 2)`.
        velocities: Of the others [m/s], shape `(K, 2)`.

    Returns:
        Shape `(P, K, 2)`.
    """
    r = positions[:, None] - others[None]
    ahead = DELTA * velocities[None]
    rest = r - ahead
    from_here, from_there = (np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-9) for x in (r, rest))
    sum_ = from_here + from_there
    axis = np.sqrt(np.maximum(sum_**2 - (ahead**2).sum(-1, keepdims=True), 0)) / 2
    axis = np.maximum(axis, _LEAST)
    slope = sum_ / (4 * axis) * (r / from_here + rest / from_there)
    force: Array = V_0 / SIGMA * np.exp((ROOM - axis) / SIGMA) * slope
    return force


def pushed_off(positions: Array, obstacles: Sequence[shapely.Geometry]) -> Array:
    """Forces f_o of obstacles on people [m/s^2].

    Args:
        positions: Of people [m], shape `(P, 2)`.
        obstacles: K polygons or lines [m].

    Returns:
        Shape `(P, K, 2)`.
    """
    points, solid = shapely.points(positions)[:, None], np.array(obstacles, dtype=object)
    edges = np.where(shapely.get_dimensions(solid) == 2, shapely.boundary(solid), solid)
    nearest = shapely.get_coordinates(shapely.shortest_line(edges[None], points)).reshape(len(positions), -1, 2, 2)
    q = positions[:, None] - nearest[:, :, 0]
    away = np.maximum(np.linalg.norm(q, axis=-1, keepdims=True), 1e-9)
    inside = shapely.contains(solid[None], points)[..., None]
    size = U_0 / REACH * np.where(inside, 1.0, np.exp(-away / REACH))
    force: Array = size * q / away * np.where(inside, -1.0, 1.0)
    return force


def seen(ahead: Array, forces: Array) -> Array:
    """Forces `(P, K, 2)` weighed by whether their source lies in sight of directions `(P, 2)`."""
    towards = -(ahead[:, None] * forces).sum(-1)
    in_sight = towards >= np.linalg.norm(forces, axis=-1) * _SIGHT
    weighed: Array = forces * np.where(in_sight, 1.0, _BEHIND)[..., None]
    return weighed


def _clearance(point: Array, others: Array) -> float:
    return float(np.linalg.norm(others - point, axis=1).min(initial=np.inf))


def walked(
    people: int,
    frames: int,
    *,
    half: float,
    every: int,
    generator: np.random.Generator,
    obstacles: Sequence[shapely.Geometry] = (),
) -> tuple[Array, Array]:
    """A walk of people on a plaza, without a guest.

    Args:
        people: P, on the plaza all the time.
        frames: F, how often they are looked at.
        half: Half of the width of the plaza [m].
        every: Steps of 0.1 s between two frames.
        generator: Of everything that is drawn.
        obstacles: Convex polygons or lines [m].

    Returns:
        Positions [m], shape `(F, P, 2)`, and who is who, shape `(F, P)`.
    """
    plaza = SocialForce(people, half, generator, obstacles=obstacles)
    positions, numbers = np.zeros((frames, people, 2)), np.zeros((frames, people))
    for frame in range(frames):
        positions[frame], numbers[frame] = plaza.positions, plaza.numbers
        for _ in range(every):
            plaza.step()
    return positions, numbers
