"""Frames of the planar arm: a fast drawing from above, or MuJoCo's own renderer.

The trail is the history of effector positions of the running episode; it is recorded only when frames are
wanted, because a policy never sees it.
"""

from typing import Any, final

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.arm import Arm
from envs.drawing import BLUE, METAL, METAL_EDGE, ORANGE, RED, Drawing, draw_scene

SIZE = (400, 320)
"""Width and height of a frame [px]."""
RENDERERS = ("drawing", "mujoco")
_BOUNDS = ((-0.55, 0.55), (-0.44, 0.44))


@final
class ArmView:
    """Makes the frames of one environment.

    Args:
        arm: The arm to show.
        renderer: "drawing" (Pillow) or "mujoco" (needs OpenGL, off-screen).
    """

    def __init__(self, *, arm: Arm, renderer: str) -> None:
        if renderer not in RENDERERS:
            raise ValueError(f"renderer must be one of {', '.join(RENDERERS)}; got {renderer!r}.")
        self.arm = arm
        self.renderer = renderer
        self._trail: list[NDArray[np.float64]] = []
        self._offscreen: Any = None

    def restart(self) -> None:
        """Forget the trail; call at reset."""
        self._trail = [self.arm.position]

    def record(self) -> None:
        """Append the effector's position to the trail; call after every step."""
        self._trail.append(self.arm.position)

    def frame(self, scene: dict[str, Any], *, collision: bool = False) -> NDArray[np.uint8]:
        """The present state, shape `(320, 400, 3)`.

        Args:
            scene: The environment's `scene()`.
            collision: Whether to show the effector in the colour of failure.
        """
        if self.renderer == "mujoco":
            return self._photograph()
        drawing = Drawing(bounds=_BOUNDS, size=SIZE)
        drawing.grid(0.1)
        draw_scene(drawing, scene)
        joints = self.arm.joints
        for start, end, radius in zip(joints[:-1], joints[1:], (0.024, 0.02, 0.016), strict=True):
            drawing.capsule(start, end, radius, METAL)
        for joint in joints[:-1]:
            drawing.disc(joint, 0.011, METAL_EDGE)
        drawing.trail(self._trail, BLUE, width=0.006)
        drawing.disc(self.arm.setpoint, 0.019, None, edge=ORANGE, edge_width=0.005)
        drawing.disc(joints[-1], scene["effector_radius"], RED if collision else BLUE)
        return drawing.pixels()

    def close(self) -> None:
        """Release the graphics context, if there is one."""
        if self._offscreen is not None:
            self._offscreen.close()
            self._offscreen = None

    def _photograph(self) -> NDArray[np.uint8]:
        if self._offscreen is None:
            try:
                self._offscreen = mujoco.Renderer(self.arm.model, SIZE[1], SIZE[0])
            except Exception as error:  # the GL back ends raise anything from AttributeError to GLError
                raise RuntimeError(
                    f"renderer='mujoco' needs off-screen OpenGL, which could not be started ({error}). Set "
                    "MUJOCO_GL=egl before Python starts, or use renderer='drawing'."
                ) from error
        self._offscreen.update_scene(self.arm.data, camera="front")
        return np.asarray(self._offscreen.render(), dtype=np.uint8)
