"""A small robot on rough ground: a body of 1 kg on two slides, pushed by a force in the plane.

The ground brakes it in proportion to its speed and pulls it downhill,

    m dv/dt = F a - (F / v_max) v - m g grad h,    |a| <= 1,

with F = 10 N the largest force and v_max the speed that it reaches on level ground of the kind below it. What the
ground does is read once for each control period of 0.1 s, in which the body moves by 0.4 m at most.
"""

from typing import Any, final

import mujoco
import numpy as np
from numpy.typing import NDArray

CONTROL_PERIOD = 0.1
"""Time between two actions [s]."""
FORCE = 10.0
"""Largest force F [N]."""
MASS = 1.0
"""[kg]."""
GRAVITY = 9.81
"""[m/s^2]."""
SUBSTEPS = 5
"""Positions in a control period."""
RADIUS = 0.2
"""Of the body as it is drawn [m]; ways are those of its centre."""

_MODEL = """
<mujoco model="rover">
  <compiler autolimits="true"/>
  <option timestep="{timestep}" gravity="0 0 0" integrator="implicitfast"/>
  <worldbody>
    <body name="rover" pos="0 0 {radius}">
      <joint name="x" type="slide" axis="1 0 0" damping="1"/><joint name="y" type="slide" axis="0 1 0" damping="1"/>
      <geom type="sphere" size="{radius}" mass="{mass}" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator><motor joint="x" gear="{force}"/><motor joint="y" gear="{force}"/></actuator>
</mujoco>
"""


@final
class Rover:
    """The simulated robot."""

    def __init__(self) -> None:
        self._model = mujoco.MjModel.from_xml_string(
            _MODEL.format(timestep=CONTROL_PERIOD / SUBSTEPS, radius=RADIUS, mass=MASS, force=FORCE)
        )
        self._data = mujoco.MjData(self._model)

    @property
    def position(self) -> NDArray[np.float64]:
        """[m], shape `(2,)`."""
        return self._data.qpos.copy()

    @property
    def velocity(self) -> NDArray[np.float64]:
        """[m/s], shape `(2,)`."""
        return self._data.qvel.copy()

    def place(self, position: NDArray[np.float64]) -> None:
        """Put the robot somewhere [m], shape `(2,)`, at rest, and clear all simulator state."""
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:] = position
        mujoco.mj_forward(self._model, self._data)

    def drive(self, action: NDArray[Any], *, speed: float, grade: NDArray[np.float64]) -> NDArray[np.float64]:
        """Simulate one control period.

        Args:
            action: Force in units of the largest, shape `(2,)`; longer ones are shortened to 1.
            speed: v_max of the ground [m/s].
            grade: grad h, shape `(2,)`.

        Returns:
            Positions from the start of the period to its end [m], shape `(SUBSTEPS + 1, 2)`.
        """
        push = np.asarray(action, dtype=np.float64)
        self._data.ctrl[:] = push / max(1.0, float(np.hypot(push[0], push[1])))
        self._data.qfrc_applied[:] = -MASS * GRAVITY * grade
        self._model.dof_damping[:] = FORCE / speed
        path = np.empty((SUBSTEPS + 1, 2))
        path[0] = self._data.qpos
        for index in range(1, SUBSTEPS + 1):
            mujoco.mj_step(self._model, self._data)
            path[index] = self._data.qpos
        return path
