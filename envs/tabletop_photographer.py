"""Pictures of table scenes by MuJoCo's own renderer.

One renderer serves all scenes: it was made for a model with the textures that all of them share, and is shown the
geometry of one scene after the other. Colours are rendered with four samples a pixel; depth and identities are those of
pixel centres.
"""

import atexit
import weakref
from typing import Any, final

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.arguments import is_whole
from envs.tabletop_scene import LARGEST, TabletopScene, empty_model
from envs.tabletop_surroundings import CAMERA
from envs.tabletop_view import View, boxes_of, seen

_MOST_GEOMS = 400


@final
class Photographer:
    """Takes views of scenes.

    Args:
        size: Width and height of the pictures [px].

    Raises:
        ValueError: If the size is out of range.
        OSError: If off-screen rendering cannot be started.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        pair = np.shape(size) == (2,) and all(is_whole(*each) for each in zip(size, (16, 16), LARGEST, strict=True))
        if not pair:
            raise ValueError(f"size must be a width and a height from 16 to {LARGEST[0]} and {LARGEST[1]}; got {size}.")
        self.size = (int(size[0]), int(size[1]))
        self._renderer = _started(self.size)
        self._options = mujoco.MjvOption()
        # MuJoCo ends EGL when Python exits; what is still open then complains, so it is closed before.
        self._at_exit = _Closing(weakref.ref(self))
        atexit.register(self._at_exit)

    def take(self, scene: TabletopScene) -> View:
        """The view of a scene as it is now.

        Raises:
            RuntimeError: After `close`.
        """
        if self._renderer is None:
            raise RuntimeError("this photographer was closed; make another one.")
        self._show(scene)
        rgb = self._renderer.render().copy()
        self._renderer.enable_depth_rendering()
        depth = self._renderer.render()
        self._renderer.enable_segmentation_rendering()
        found = self._renderer.render()
        self._renderer.disable_segmentation_rendering()
        count = len(scene.things)
        instances, things = seen(_identities(scene, found), count)
        return View(
            rgb=rgb,
            depth=depth,
            instances=instances,
            boxes=boxes_of(instances, len(things)),
            labels=scene.labels[things],
            poses=scene.poses[things],
            things=things,
            dropped=count - len(things),
            camera=scene.camera(self.size),
        )

    def close(self) -> None:
        """Release the graphics context; more than once does no harm."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
            atexit.unregister(self._at_exit)

    def _show(self, scene: TabletopScene) -> None:
        """Hands the scene's geometry to the renderer, whose own model has none."""
        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        camera.fixedcamid = scene.model.camera(CAMERA).id
        every = mujoco.mjtCatBit.mjCAT_ALL.value
        shown = self._renderer.scene
        mujoco.mjv_updateScene(scene.model, scene.data, self._options, None, camera, every, shown)


@final
class _Closing:
    """Closes a photographer that is still there."""

    def __init__(self, photographer: weakref.ref) -> None:
        self._photographer = photographer

    def __call__(self) -> None:
        photographer = self._photographer()
        if photographer is not None:
            photographer.close()


def _started(size: tuple[int, int]) -> Any:
    try:
        return mujoco.Renderer(empty_model(size), size[1], size[0], max_geom=_MOST_GEOMS)
    except Exception as error:  # the GL back ends raise anything from AttributeError to GLError
        raise OSError(
            f"pictures of scenes need off-screen OpenGL, which could not be started ({type(error).__name__}: {error}). "
            "Set MUJOCO_GL=egl before Python starts, and install libegl1, libopengl0 and libgl1-mesa-dri if need be."
        ) from error


def _identities(scene: TabletopScene, found: NDArray[np.int32]) -> NDArray[np.int64]:
    """1 + the place in the scene of the thing at each pixel, 0 for all else, shape `(H, W)`."""
    geom = np.where(found[..., 1] == mujoco.mjtObj.mjOBJ_GEOM, found[..., 0], 0)  # geom 0 is the table top
    body = scene.model.geom_bodyid[geom].astype(np.int64)
    return np.where(body <= len(scene.things), body, 0)
