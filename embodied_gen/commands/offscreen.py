"""Rendering without a screen: by EGL, where there is none and EGL is installed.

MuJoCo chooses how to render when it is imported, by the environment variable MUJOCO_GL. Where that names a library
which is missing, MuJoCo cannot be imported at all, so it is looked for first.
"""

import os
import sys
from ctypes.util import find_library


def prefer_egl() -> None:
    """Sets MUJOCO_GL for what is imported from now on, unless it is set or there is a screen."""
    if sys.platform != "linux" or "MUJOCO_GL" in os.environ or os.environ.get("DISPLAY"):
        return
    if find_library("EGL") and (find_library("OpenGL") or find_library("GL")):
        os.environ["MUJOCO_GL"] = "egl"
