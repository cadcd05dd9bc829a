"""Tabletop-v0: pick a thing of the class that is asked for out of clutter, by its picture.

A scene (`envs.tabletop_scene`) is drawn and settles; the class is drawn among those of which a thing can be picked: the
middle of its box shows it, and nothing lies on it. An observation is a mapping:

    rgb       the picture, uint8, shape (H, W, 3)
    target    the class that is asked for, one-hot over `envs.tabletop_things.CLASSES`, float32
    gripper   position of the cup's tip [m]; 1 if its lip was sealed in the last attempt, else 0; float32, shape (4,)

Action (u, v) in [0, 1]^2: where to pick, as shares of the picture's width and height from its upper left corner. The
environment has a depth camera: the cup comes down on the point that is seen there, along the normal of the surface,
draws a vacuum and goes up (`envs.tabletop_cup`). So the middle of a thing's box picks it, and a point near the edge of
its box mostly does not.

A thing is lifted that is more than 5 cm higher than before. An attempt that lifts something ends the episode; it is a
success, with reward 1, if exactly one thing was lifted and it is of the asked class. After an attempt that lifts
nothing the cup goes back and there is another try on a new picture, three at most.

`info`: `is_success`; `lifted`, the number of things lifted; `picked`, the class of the thing lifted, -1 if there is not
exactly one.
"""

from typing import Any, final

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from envs.actions import check_action
from envs.drawing import check_render_mode
from envs.tabletop_expert import TabletopExpert
from envs.tabletop_photographer import Photographer
from envs.tabletop_scene import TabletopScene, check_count
from envs.tabletop_things import CLASSES
from envs.tabletop_view import View

LIFTED = 0.05
"""Rise from which on a thing is lifted [m]."""

_ROOM = 1.0  # of the gantry [m]

Observation = dict[str, NDArray[Any]]


@final
class TabletopEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """A suction cup over a tray of things.

    Args:
        size: Width and height of the picture [px].
        things: Smallest and largest number of things in a scene, at least 1.
        render_mode: "rgb_array" or None.

    Raises:
        ValueError: If an argument is out of range.
        OSError: If off-screen rendering cannot be started.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 1, "classes": CLASSES}  # noqa: RUF012

    def __init__(
        self,
        *,
        size: tuple[int, int] = (160, 120),
        things: tuple[int, int] = (4, 12),
        render_mode: str | None = None,
    ) -> None:
        check_render_mode(render_mode)
        check_count(things)
        if things[0] < 1:
            raise ValueError(f"things must be at least 1, for there must be one to pick; got {things}.")
        self.render_mode = render_mode
        self._count = (things[0], things[1])
        self._photographer = Photographer(size)
        self._scene: TabletopScene | None = None
        self._target = 0
        self.action_space = Box(0.0, 1.0, (2,), np.float32)
        self.observation_space = _space(self._photographer.size)  # type: ignore[assignment]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Draw a scene and a class; `options` are not used."""
        super().reset(seed=seed)
        free = np.zeros(0, dtype=np.int64)
        while len(free) == 0:
            self._scene = TabletopScene(self.np_random, self._count)
            self._view = self._photographer.take(self._scene)
            free = _free(self._scene, self._view)
        self._target = int(self.np_random.choice(free))
        self._sealed = False
        return self._observation(), _info(False, np.zeros(0, dtype=np.int64))

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Try to pick what is seen at `action`, shares of width and height, clipped to [0, 1].

        Raises:
            ValueError: If `action` is not two finite numbers.
        """
        check_action(action, 2, "in [0, 1]")
        scene = self._scene
        assert scene is not None, "reset comes first"
        point, normal = _surface(self._view, np.clip(np.asarray(action, dtype=np.float64), 0, 1))
        before = scene.poses[:, 2]
        self._sealed = scene.cup.pick(point, normal)
        lifted = np.flatnonzero(scene.poses[:, 2] - before > LIFTED)
        success = [scene.things[index].label for index in lifted] == [self._target]
        if len(lifted) == 0:
            scene.cup.home()
        self._view = self._photographer.take(scene)
        return self._observation(), float(success), len(lifted) > 0, False, _info(success, scene.labels[lifted])

    def view(self) -> View:
        """The picture of the last observation with all that is true of it."""
        return self._view

    def render(self) -> NDArray[np.uint8] | None:
        """The picture of the last observation, shape `(H, W, 3)`, or None without a render mode."""
        return None if self.render_mode is None else self._view.rgb

    def close(self) -> None:
        """Release the renderer."""
        self._photographer.close()

    def expert(self) -> TabletopExpert:
        """A demonstrator that knows the true boxes."""
        return TabletopExpert(self.view)

    def _observation(self) -> Observation:
        assert self._scene is not None
        state = np.append(self._scene.cup.tip, float(self._sealed)).astype(np.float32)
        return {
            "rgb": self._view.rgb.copy(),
            "target": np.eye(len(CLASSES), dtype=np.float32)[self._target],
            "gripper": np.clip(state, -_ROOM, _ROOM),
        }


def _space(size: tuple[int, int]) -> Dict:
    highest = np.array([_ROOM, _ROOM, _ROOM, 1], dtype=np.float32)
    lowest = np.array([-_ROOM, -_ROOM, -_ROOM, 0], dtype=np.float32)
    return Dict(
        {
            "rgb": Box(0, 255, (size[1], size[0], 3), np.uint8),
            "target": Box(0.0, 1.0, (len(CLASSES),), np.float32),
            "gripper": Box(lowest, highest, dtype=np.float32),
        }
    )


def _free(scene: TabletopScene, view: View) -> NDArray[np.int64]:
    """Classes of the things that the middle of their box shows and that nothing lies on."""
    columns, rows = ((view.boxes[:, :2] + view.boxes[:, 2:]) / 2).astype(int).T
    shown = view.instances[rows, columns] == np.arange(1, len(view.labels) + 1)
    return np.unique(view.labels[shown & ~scene.covered()[view.things]])


def _surface(view: View, place: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The point of the world that is seen at a place of the picture, and the surface's normal there."""
    size = np.array(view.camera.size)
    pixel = place * size
    column, row = np.minimum(pixel.astype(int), size - 1)
    normal = view.camera.axes @ view.normals[row, column]
    return view.camera.points(pixel, view.depth[row, column]), normal


def _info(success: bool, picked: NDArray[np.int64]) -> dict[str, Any]:
    return {
        "is_success": success,
        "lifted": len(picked),
        "picked": int(picked[0]) if len(picked) == 1 else -1,
    }
