"""Crowd-v0: a robot crosses a plaza among people who give way, or a recording of people who do not.

The robot is a disc that moves in any direction: its velocity follows the commanded one by at most A_MAX T a step, and
never exceeds V_MAX. Control at 10 Hz; an episode is cut off after 20 s, which is Gymnasium's limit and may be changed
there, or where a recording ends. People are discs that walk by social forces (`envs.social_force`) and see the robot as
one of them, or repeat a recording (`envs.track_replay`).

Within a step robot and people move on straight lines, so that the smallest distance of a pair is that of a point from a
segment: no collision is missed between steps. An episode ends with a collision, or as a success where the robot's
centre is within GOAL_RADIUS of the goal without one.

With d the distance from the goal, the reward of a step is (d_before - d_after) / d_start, plus 1 on success and minus 1
on collision.
"""

import copy
from typing import Any, final

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from envs.actions import check_action
from envs.arguments import check_whole
from envs.crowd_expert import CrowdExpert
from envs.crowd_layout import EVERY, OBSERVED, CrowdLayout
from envs.drawing import BLUE, GREEN, INK, ORANGE, RED, Drawing, check_render_mode
from envs.social_force import PERIOD, Array, SocialForce
from envs.track_replay import Recording, Replay

STEPS = 200
"""Steps that a recording lasts for after any first one; the registered limit."""
HALF = 6.0
"""Half of the width of the plaza [m]."""
ROBOT, PERSON = 0.3, 0.2
"""Radii [m]."""
V_MAX, A_MAX = 1.5, 3.0
"""Limits of the robot [m/s], [m/s^2]."""
GOAL_RADIUS = 0.3
_BEFORE = (OBSERVED - 1) * EVERY  # steps that are walked before an episode begins
_OFF = 4.0  # room of the observation space around the plaza [m]
_FREE = 1.5  # distance from the robot's start at which nobody is, if there is such a place [m]
_TRIES = 20


@final
class CrowdEnv(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """A robot among people.

    Observation, shape `(6 + 24 P,)`: see `envs.crowd_layout`. Action, shape `(2,)`, in [-1, 1]: velocity in units of
    1.5 m/s, shortened to the unit disc. `info`: `is_success`, `collision`, `time_to_goal` [s], infinite before the goal
    is reached, and `closest`, the smallest distance so far between the surfaces of the robot and of anybody [m].

    Args:
        pedestrians: Slots P; as many people are on the plaza all the time.
        tracks: Text file of a recording to repeat; None for people who walk by social forces.
        render_mode: "rgb_array" or None.

    Raises:
        ValueError: If an argument is out of range, or the recording is wrong, too short, or has more people at once
            than slots.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, *, pedestrians: int = 12, tracks: str | None = None, render_mode: str | None = None) -> None:
        check_render_mode(render_mode)
        check_whole("pedestrians", pedestrians, 1, 128)
        self.render_mode = render_mode
        self.layout = CrowdLayout(pedestrians)
        self._recording = None if tracks is None else _recording(tracks, pedestrians)
        self.half = np.full(2, HALF) if self._recording is None else np.maximum(self._recording.half, HALF)
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = Box(*self._bounds(), dtype=np.float64)
        self._people: SocialForce | Replay
        self._robot, self.goal = np.zeros(4), np.zeros(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Draw start, goal and people; `options` are not used."""
        super().reset(seed=seed)
        self._people = self._drawn_people()
        self._past = [(self._people.positions.copy(), self._people.numbers.copy())]
        for _ in range(_BEFORE):
            self._walk(None)
        self._robot = self._drawn_robot()
        self.goal = np.array([self.np_random.uniform(-0.5, 0.5) * self.half[0], self.half[1] - 1])
        self._distance = self._start = float(np.linalg.norm(self.goal - self._robot[:2]))
        self._steps, self._time_to_goal, self._closest = 0, np.inf, np.inf
        self._collision = False
        return self._observation(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Command a velocity for one control period of 0.1 s.

        Raises:
            ValueError: If `action` is not two finite numbers.
        """
        check_action(action, 2, "in [-1, 1]")
        here, numbers = self._people.positions, self._people.numbers.copy()
        before = self._robot[:2].copy()
        self._drive(np.asarray(action, dtype=np.float64))
        self._walk(self._robot)
        stayed = (numbers == self._people.numbers) & self._people.present
        start, end = here[stayed] - before, self._people.positions[stayed] - self._robot[:2]
        self._closest = min(self._closest, float(distances(start, end).min(initial=np.inf)) - ROBOT - PERSON)
        self._steps += 1
        self._collision = self._closest < 0
        reward = self._advance()
        terminated = self._collision or self._success
        return self._observation(), reward, terminated, not terminated and self._ended, self._info()

    def render(self) -> NDArray[np.uint8] | None:
        """The plaza from above, 400 pixels wide, or None without a render mode."""
        if self.render_mode is None:
            return None
        x, y = (self.half + 1).tolist()
        drawing = Drawing(bounds=((-x, x), (-y, y)), size=(400, round(400 * y / x)))
        drawing.disc(self.goal, GOAL_RADIUS, None, edge=GREEN, edge_width=0.06)
        for slot in np.flatnonzero(self._people.present):
            trail = [at[slot] for at, numbers in self._past if numbers[slot] == self._people.numbers[slot]]
            drawing.trail(trail, ORANGE, width=0.06)
            drawing.disc(self._people.positions[slot], PERSON, INK)
        drawing.disc(self._robot[:2], ROBOT, RED if self._collision else BLUE)
        return drawing.pixels()

    def expert(self) -> CrowdExpert:
        """A demonstrator that passes by everybody on the side that it likes."""
        return CrowdExpert(layout=self.layout, speed=V_MAX, radius=ROBOT + PERSON)

    def foreseen(self, frames: int) -> Array:
        """Where the people who are here will be if the robot is not, which only an oracle knows.

        Of a recording it is what happens. Those who walk by social forces would give way to the robot, and do not here.
        Whoever leaves goes on at the last step.

        Args:
            frames: F, as far apart as those of an observation, 0.4 s.

        Returns:
            Positions [m], shape `(P, F, 2)`; zero where nobody is now.
        """
        people = copy.deepcopy(self._people, {id(self._recording): self._recording})  # a recording is never written
        here, numbers, step = people.positions, people.numbers.copy(), np.zeros((self.layout.people, 2))
        found = np.zeros((self.layout.people, frames, 2))
        for index in range(frames * EVERY):
            people.step(None)
            stayed = (numbers == people.numbers) & people.present
            step = np.where(stayed[:, None], people.positions - here, step)
            here = np.where(stayed[:, None], people.positions, here + step)
            found[:, index // EVERY] = here
        return found

    def scene(self) -> dict[str, Any]:
        """The fixed geometry in plain numbers [m], for plots: bounds; nothing stands on the plaza."""
        return {"bounds": [[-side, side] for side in self.half.tolist()], "discs": [], "lines": []}

    @property
    def _success(self) -> bool:
        return bool(np.isfinite(self._time_to_goal))

    @property
    def _ended(self) -> bool:
        """Whether nobody would be there any more."""
        return isinstance(self._people, Replay) and self._people.ended

    def _drawn_people(self) -> SocialForce | Replay:
        if self._recording is None:
            return SocialForce(self.layout.people, HALF, self.np_random)
        last = len(self._recording) - _BEFORE - STEPS
        return Replay(self._recording, int(self.np_random.integers(last)), self.layout.people)

    def _drawn_robot(self) -> Array:
        """At rest near the lower side, at a place with room, or where there is most."""
        x = self.np_random.uniform(-0.5, 0.5, _TRIES) * self.half[0]
        places = np.stack([x, np.full(_TRIES, 1 - self.half[1])], 1)
        there = self._people.positions[self._people.present]
        room = np.linalg.norm(places[:, None] - there, axis=-1).min(1, initial=np.inf)
        place = places[int(np.argmax(room > _FREE)) if (room > _FREE).any() else int(room.argmax())]
        return np.concatenate([place, np.zeros(2)])

    def _walk(self, guest: Array | None) -> None:
        self._people.step(guest)
        self._past = [*self._past[-_BEFORE:], (self._people.positions.copy(), self._people.numbers.copy())]

    def _drive(self, action: Array) -> None:
        wanted = V_MAX * action / max(1.0, float(np.linalg.norm(action)))
        change = wanted - self._robot[2:]
        change *= min(1.0, A_MAX * PERIOD / max(float(np.linalg.norm(change)), 1e-9))
        velocity = self._robot[2:] + change
        place = np.clip(self._robot[:2] + PERIOD * velocity, -self.half - _OFF / 2, self.half + _OFF / 2)
        self._robot = np.concatenate([place, (place - self._robot[:2]) / PERIOD])

    def _advance(self) -> float:
        """The reward of a step; marks success."""
        before, self._distance = self._distance, float(np.linalg.norm(self.goal - self._robot[:2]))
        if not self._collision and self._distance < GOAL_RADIUS:
            self._time_to_goal = self._steps * PERIOD
        return (before - self._distance) / self._start + float(self._success) - float(self._collision)

    def _observation(self) -> NDArray[np.float64]:
        seen = self._past[::EVERY]
        tracks = np.stack([at for at, _ in seen], 1)
        there = np.stack([numbers == self._people.numbers for _, numbers in seen], 1) & self._people.present[:, None]
        tracks = np.where(there[..., None], tracks, 0.0)
        return np.concatenate([self._robot, self.goal, tracks.ravel(), there.ravel().astype(np.float64)])

    def _info(self) -> dict[str, Any]:
        return {
            "is_success": self._success,
            "collision": self._collision,
            "time_to_goal": float(self._time_to_goal),
            "closest": float(self._closest),
        }

    def _bounds(self) -> tuple[Array, Array]:
        """Lowest and highest observations."""
        place, people = self.half + _OFF, self.layout.people * OBSERVED
        high = np.concatenate([place, [V_MAX + 1e-6] * 2, place, np.tile(place, people), np.ones(people)])
        return np.concatenate([-high[: len(high) - people], np.zeros(people)]), high


def distances(start: Array, end: Array) -> Array:
    """Smallest distance from the origin of points that move straight from start to end; `(K, 2)` to `(K,)`."""
    way = end - start
    share = np.clip(-(start * way).sum(-1) / np.maximum((way**2).sum(-1), 1e-18), 0, 1)
    found: Array = np.linalg.norm(start + share[:, None] * way, axis=-1)
    return found


def _recording(path: str, slots: int) -> Recording:
    recording = Recording(path)
    if recording.crowd > slots:
        raise ValueError(
            f"{path} has {recording.crowd} people at once, more than the {slots} slots of an observation. "
            f"Set pedestrians to {recording.crowd} or more."
        )
    if len(recording) <= _BEFORE + STEPS:
        raise ValueError(
            f"{path} lasts {len(recording) * PERIOD:.1f} s; an episode takes more than "
            f"{(_BEFORE + STEPS) * PERIOD:.1f} s of a recording. Give a longer one."
        )
    return recording
