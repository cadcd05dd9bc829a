"""A table with two cubes, two target zones and the tip of a robot that pushes.

The tip slides in a plane above the table (mass m, no rotation) and follows a set-point s by two position actuators,
f = m w^2 (s - p) - 2 m w dp/dt: critically damped, whatever it pushes. The set-point moves at constant speed from one
commanded place to the next, in one control period.

Cubes are upright (a hinge about the vertical and three slides), rest on the table by their weight, and keep to it by
dry friction at four corners: without a push they stop within millimetres, and a push beside the centre turns them.

The yaw of a cube has a period of a quarter turn; observations give it modulo a half turn, as the source does.

Source of the sizes: Florence et al. 2021, "Implicit Behavioral Cloning" (arXiv:2109.00137), its pushing tasks, and
Shafiullah et al. 2022, "Behavior Transformers" (arXiv:2206.11251), for two cubes. They have an xArm in PyBullet,
another simulator of contacts and friction: numbers measured here compare with theirs in their order and gaps alone.
"""

from typing import Any, final

import mujoco
import numpy as np
from numpy.typing import NDArray

WORKSPACE = np.array([[0.15, -0.5], [0.7, 0.5]])
"""Corners of the set-point's range [m]."""
CONTROL_PERIOD = 0.1
"""Time between two actions [s]."""
HALF_SIDE = 0.02
"""Half of a cube's side [m]."""
TIP_RADIUS = 0.005
"""Radius of the tip [m]."""

_TIMESTEP = 0.005  # [s]
_SUBSTEPS = round(CONTROL_PERIOD / _TIMESTEP)
_MASS, _FREQUENCY = 0.5, 30.0  # tip [kg], w [rad/s]
_CUBE = """
    <body name="cube{index}" pos="0 0 {half}">
      <joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/><joint type="slide" axis="0 0 1"/>
      <joint type="hinge" axis="0 0 1"/>
      <geom type="box" size="{half} {half} {half}" mass="0.05" friction="0.5" contype="3" conaffinity="3"/>
    </body>"""
_MODEL = """
<mujoco model="push blocks">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{timestep}" gravity="0 0 -9.81" integrator="implicitfast" cone="elliptic"/>
  <worldbody>
    <geom type="plane" size="2 2 1" friction="0.5" contype="2" conaffinity="2"/>
    <body name="tip" pos="0 0 0">
      <joint name="tip_x" type="slide" axis="1 0 0"/><joint name="tip_y" type="slide" axis="0 1 0"/>
      <geom type="capsule" fromto="0 0 0.01 0 0 0.06" size="{radius}" mass="{mass}" friction="0.5"/>
    </body>
    {cubes}
  </worldbody>
  <actuator>
    <position joint="tip_x" kp="{kp}" kv="{kv}"/>
    <position joint="tip_y" kp="{kp}" kv="{kv}"/>
  </actuator>
</mujoco>
"""


@final
class PushTable:
    """The simulated table.

    Attributes:
        setpoint: Where the tip is sent [m], shape `(2,)`.
    """

    def __init__(self) -> None:
        cubes = "".join(_CUBE.format(index=index, half=HALF_SIDE) for index in range(2))
        self._model = mujoco.MjModel.from_xml_string(
            _MODEL.format(
                timestep=_TIMESTEP,
                radius=TIP_RADIUS,
                mass=_MASS,
                kp=_MASS * _FREQUENCY**2,
                kv=2 * _MASS * _FREQUENCY,
                cubes=cubes,
            )
        )
        self._data = mujoco.MjData(self._model)
        self.setpoint = np.zeros(2)

    @property
    def tip(self) -> NDArray[np.float64]:
        """Position of the tip [m], shape `(2,)`."""
        return self._data.qpos[:2].copy()

    @property
    def cubes(self) -> NDArray[np.float64]:
        """Position [m] and yaw [rad] in [0, pi) of both cubes, shape `(2, 3)`."""
        poses = self._data.qpos[2:].reshape(2, 4)[:, [0, 1, 3]]
        poses[:, 2] %= np.pi
        return poses

    def place(self, tip: NDArray[np.float64], cubes: NDArray[np.float64]) -> None:
        """Put everything at rest and clear all simulator state.

        Args:
            tip: Position of tip and set-point [m], shape `(2,)`.
            cubes: Positions [m] and yaws [rad], shape `(2, 3)`.
        """
        mujoco.mj_resetData(self._model, self._data)
        self.setpoint = np.array(tip, dtype=np.float64)
        self._data.qpos[:2] = self._data.ctrl[:] = self.setpoint
        self._data.qpos[2:].reshape(2, 4)[:, [0, 1, 3]] = cubes
        mujoco.mj_forward(self._model, self._data)

    def drive(self, setpoint: NDArray[Any]) -> None:
        """Simulate one control period in which the set-point moves to another.

        Args:
            setpoint: Where it goes [m], shape `(2,)`; clipped to the workspace.
        """
        start, end = self.setpoint, np.clip(setpoint, *WORKSPACE)
        for share in np.linspace(0, 1, _SUBSTEPS + 1)[1:]:
            self._data.ctrl[:] = start + share * (end - start)
            mujoco.mj_step(self._model, self._data)
        self.setpoint = end
