"""A planar three-joint arm whose effector is driven in Cartesian space.

Joint angles q, tool pose p(q) = (x, y, yaw), set-point s. Three MuJoCo actuators with site transmission
apply the tool wrench f = kp (s - p) - kv dp/dt; nearly all mass sits in the tool (mass m, inertia I), so
each axis is the critically damped oscillator m p'' = m w^2 (s - p) - 2 m w p', whatever the posture. For a
set-point that advances by h every control period T the remaining lag is about h (1 + w T) exp(-w T),
which is 7 mm at full speed. The third servo holds yaw = 0 (the last link points along +y): without it the
posture would drift in its null space, and the effector's response with it.

The motion is horizontal: gravity is switched off, the links pass above the posts and only the tool, a
vertical rod, can touch them. The inverse kinematics are closed-form because the yaw is fixed.

Source: MuJoCo manual, "Actuation model" (site transmission with refsite).
"""

import math
from typing import Any, NamedTuple, final

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.arguments import check_positive

WORKSPACE = np.array([0.5, 0.4])
"""Half extents of the workspace [m]: x in [-0.5, 0.5], y in [-0.4, 0.4]."""
EFFECTOR_RADIUS = 0.015
"""Radius of the tool rod [m]."""
CONTROL_PERIOD = 0.1
"""Time between two actions [s]."""
TIMESTEP = 0.01
"""Physics time step [s]; the paths of 10 ms and 1 ms differ by less than 2 mm at full speed."""
SUBSTEPS = round(CONTROL_PERIOD / TIMESTEP)

_BASE = (0.0, -0.85)  # [m]; far enough behind the workspace for every point to be clear of a singularity
_LINK = 0.62  # upper arm and forearm [m]
_HAND = 0.20  # last link [m]
_MASS, _INERTIA = 1.0, 0.01  # tool [kg], [kg m^2]
_FREQUENCY = 30.0  # w [rad/s]

_MODEL = """
<mujoco model="planar arm">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{timestep}" gravity="0 0 0" integrator="implicitfast"/>
  <statistic center="0 0 0.1" extent="1"/>
  <visual>
    <headlight ambient="0.4 0.4 0.4" diffuse="0.35 0.35 0.35" specular="0 0 0"/>
    <quality shadowsize="4096"/>
    <map shadowclip="2"/>
  </visual>
  <asset><texture type="skybox" builtin="flat" rgb1="0.95 0.94 0.91" width="8" height="48"/></asset>
  <default>
    <default class="look"><geom contype="0" conaffinity="0" rgba="0.62 0.66 0.72 1"/></default>
    <default class="solid"><geom type="cylinder" contype="1" conaffinity="2"/></default>
  </default>
  <worldbody>
    <light pos="0.3 -0.3 2" dir="-0.15 0.15 -1" directional="true" diffuse="0.35 0.35 0.35" specular="0 0 0"/>
    <camera name="front" pos="0.5 0.95 0.85" xyaxes="-0.903 0.429 0.000 -0.248 -0.521 0.817"/>
    <geom class="look" type="plane" size="4 4 1" rgba="1 0.99 0.96 1"/>
    <site name="origin" rgba="0 0 0 0"/>
    <body name="upper" pos="{base} 0.3">
      <joint name="shoulder" axis="0 0 1"/>
      <geom class="look" type="capsule" fromto="0 0 0 0 {link} 0" size="0.03" mass="0.05"/>
      <body name="fore" pos="0 {link} 0">
        <joint name="elbow" axis="0 0 1"/>
        <geom class="look" type="capsule" fromto="0 0 0 0 {link} 0" size="0.026" mass="0.05"/>
        <body name="hand" pos="0 {link} 0">
          <joint name="wrist" axis="0 0 1"/>
          <inertial pos="0 {hand} 0" mass="{mass}" diaginertia="{inertia} {inertia} {inertia}"/>
          <geom class="look" type="capsule" fromto="0 0 0 0 {hand} 0" size="0.022"/>
          <geom name="tool" class="solid" fromto="0 {hand} 0 0 {hand} -0.28" size="{radius}"
            rgba="0.2 0.55 0.98 1"/>
          <site name="effector" pos="0 {hand} -0.28" rgba="0 0 0 0"/>
        </body>
      </body>
    </body>
    {scenery}
  </worldbody>
  <actuator>
    <position site="effector" refsite="origin" gear="1 0 0 0 0 0" kp="{kp}" kv="{kv}"/>
    <position site="effector" refsite="origin" gear="0 1 0 0 0 0" kp="{kp}" kv="{kv}"/>
    <position site="effector" refsite="origin" gear="0 0 0 0 0 1" kp="{kp_yaw}" kv="{kv_yaw}"/>
  </actuator>
</mujoco>
"""
_POST = (
    '<geom class="solid" pos="{x} {y} 0.06" size="{radius} 0.06" contype="2" conaffinity="1" rgba="0.34 0.42 0.53 1"/>'
)


class Motion(NamedTuple):
    """What happened in one control period."""

    path: NDArray[np.float64]  # effector positions [m] at every physics time, (SUBSTEPS + 1, 2); reused
    touched: bool  # whether MuJoCo reported a contact between tool and post


@final
class Arm:
    """The simulated arm among posts, and the set-point that it follows.

    Args:
        posts: Post centres [m], shape `(K, 2)`; K may be 0.
        post_radius: Post radius [m].
        max_speed: Speed limit of the set-point [m/s], > 0.
        scenery: MJCF elements to add to the world, for looks only.
    """

    def __init__(self, *, posts: NDArray[np.float64], post_radius: float, max_speed: float, scenery: str = "") -> None:
        check_positive("max_speed", max_speed, "m/s")
        cylinders = "".join(_POST.format(x=x, y=y, radius=post_radius) for x, y in posts)
        self.model = mujoco.MjModel.from_xml_string(
            _MODEL.format(
                timestep=TIMESTEP,
                base=f"{_BASE[0]} {_BASE[1]}",
                link=_LINK,
                hand=_HAND,
                mass=_MASS,
                inertia=_INERTIA,
                radius=EFFECTOR_RADIUS,
                kp=_MASS * _FREQUENCY**2,
                kv=2 * _MASS * _FREQUENCY,
                kp_yaw=_INERTIA * _FREQUENCY**2,
                kv_yaw=2 * _INERTIA * _FREQUENCY,
                scenery=cylinders + scenery,
            )
        )
        self.data = mujoco.MjData(self.model)
        self.max_advance = max_speed * CONTROL_PERIOD
        self.setpoint = (0.0, 0.0)
        self._path = np.zeros((SUBSTEPS + 1, 2))
        # A view into MuJoCo's memory: looking it up by name in every substep would double the cost.
        self._effector = self.data.site_xpos[self.model.site("effector").id][:2]

    @property
    def position(self) -> NDArray[np.float64]:
        """Effector position [m], shape `(2,)`."""
        return self._effector.copy()

    @property
    def joints(self) -> NDArray[np.float64]:
        """Shoulder, elbow, wrist and effector [m], shape `(4, 2)`, for drawing."""
        hinges = [self.data.body(name).xpos[:2] for name in ("upper", "fore", "hand")]
        return np.array([*hinges, self._effector])

    def place(self, position: NDArray[np.float64]) -> None:
        """Put the arm at rest with the effector and the set-point at `position`.

        All simulator state is cleared, the solver's warm start included, so that an episode cannot
        depend on the one before it.

        Args:
            position: Effector position [m], shape `(2,)`, inside the workspace.
        """
        mujoco.mj_resetData(self.model, self.data)
        self.setpoint = (float(position[0]), float(position[1]))
        self.data.qpos[:] = inverse_kinematics(*self.setpoint)
        self.data.ctrl[:2] = self.setpoint
        mujoco.mj_forward(self.model, self.data)

    def drive(self, command: NDArray[Any]) -> Motion:
        """Move the set-point towards `command` and simulate one control period.

        Args:
            command: Wanted set-point [m], shape `(2,)`; clipped to the workspace.

        Returns:
            The effector's path and whether the tool touched a post.

        Raises:
            ValueError: If `command` is not two finite numbers.
        """
        self._advance(command)
        model, data, path, effector = self.model, self.data, self._path, self._effector
        data.ctrl[:2] = self.setpoint
        touched = False
        # mj_step leaves positions and contacts of the time before its integration. One call per substep
        # instead of one with nstep costs 10 us and shows every position to the swept collision test.
        for index in range(SUBSTEPS):
            mujoco.mj_step(model, data)
            path[index] = effector
            touched = touched or data.ncon > 0
        mujoco.mj_kinematics(model, data)
        path[SUBSTEPS] = effector
        return Motion(path, touched)

    def _advance(self, command: NDArray[Any]) -> None:
        if np.shape(command) != (2,):
            raise ValueError(f"An action must be a set-point (x, y) of shape (2,); got shape {np.shape(command)}.")
        x, y = float(command[0]), float(command[1])
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(f"An action must be finite; got ({x}, {y}). Check the policy's output for NaN.")
        # Scalars: for two numbers NumPy's call overhead is ten times the arithmetic.
        x = min(max(x, -WORKSPACE[0]), WORKSPACE[0])
        y = min(max(y, -WORKSPACE[1]), WORKSPACE[1])
        dx, dy = x - self.setpoint[0], y - self.setpoint[1]
        distance = math.hypot(dx, dy)
        if distance > self.max_advance:
            scale = self.max_advance / distance
            x, y = self.setpoint[0] + scale * dx, self.setpoint[1] + scale * dy
        self.setpoint = (float(x), float(y))


def inverse_kinematics(x: float, y: float) -> tuple[float, float, float]:
    """Joint angles [rad] which put the effector at (x, y) [m] with yaw 0 and the elbow to the right.

    Raises:
        ValueError: If the position is out of the arm's reach.
    """
    wrist_x, wrist_y = x - _BASE[0], y - _HAND - _BASE[1]
    cosine = (wrist_x**2 + wrist_y**2) / (2 * _LINK**2) - 1
    if not -1 < cosine < 1:
        raise ValueError(f"Position ({x}, {y}) is out of the arm's reach; stay inside the workspace.")
    elbow = math.acos(cosine)
    # Angles are counted from +y; both long links are equal, so the chord halves the elbow angle.
    shoulder = math.atan2(-wrist_x, wrist_y) - elbow / 2
    return shoulder, elbow, -shoulder - elbow
