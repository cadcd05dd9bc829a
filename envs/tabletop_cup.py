r"""A suction cup on a gantry.

The cup's tip moves along x, y and z and turns about x and y, by five position actuators f = m w^2 (s - q) - 2 m w dq/dt
(critically damped). Its lip is a ring of eight pads, each on a spring of its own along the cup's axis, so that the lip
gives way by up to a centimetre and lies on what is curved or tilted.

Vacuum holds only where the lip is sealed: all pads touch one and the same body. Then each pad is drawn to what it
touches by the pressure on its share of the lip (MuJoCo's adhesion actuators, forces at contacts); where a pad loses
touch the vacuum is gone. Nothing is attached and nothing is moved but by forces.

A cup whose axis is to point along n (a unit vector, the outer normal of a surface) is turned by
a = atan2(-n_y, n_z) about x and then by b = asin(n_x) about y.
"""

import math
from typing import final

import mujoco
import numpy as np
from numpy.typing import NDArray

RING = 0.005
"""Radius of the lip [m]."""
PARKED = np.array([-0.4, 0.0, 0.2])
"""Where the tip waits, out of the picture [m]."""
LARGEST_TILT = math.radians(40)
"""Of the cup's axis from the vertical [rad]."""

_PADS, _PAD, _GIVE = 8, 0.0012, 0.01  # number; radius, and travel on the spring [m]
_HOLD = 0.8  # adhesion of a pad [N]; 6.4 N in all are 81 kPa on the ring
_STIFF, _PAD_MASS = 60.0, 0.002  # [N/m], [kg]
_CARRIAGE, _ARMATURE, _FREQUENCY = 0.3, 0.01, 40.0  # [kg], [kg m^2], w [rad/s]
_TRAVEL, _APPROACH, _PRESS = 1.0, 0.3, 0.1  # speeds [m/s]
_ABOVE, _BEYOND, _CARRY = 0.06, 0.004, 0.2  # from the surface, into it, height of the tip with a thing [m]
_BLOCK = 4  # simulation steps between two looks at the seal


def body() -> str:
    """The cup, as MJCF; the origin of its frame is the middle of the lip."""
    slides = "".join(
        f'<joint name="cup_{name}" type="slide" axis="{axis}"/>'
        for name, axis in (("x", "1 0 0"), ("y", "0 1 0"), ("z", "0 0 1"))
    )
    hinges = "".join(
        f'<joint name="cup_{name}" type="hinge" axis="{axis}" armature="{_ARMATURE}"/>'
        for name, axis in (("roll", "1 0 0"), ("pitch", "0 1 0"))
    )
    damping = 2 * math.sqrt(_STIFF * _PAD_MASS)
    pads = "".join(
        f'<body name="pad{index}" gravcomp="1" pos="{RING * math.cos(angle)!r} {RING * math.sin(angle)!r} {_PAD}">'
        f'<joint type="slide" axis="0 0 1" range="0 {_GIVE}" stiffness="{_STIFF}" damping="{damping!r}"/>'
        f'<geom name="pad{index}" type="sphere" size="{_PAD}" mass="{_PAD_MASS}" contype="2" conaffinity="0" '
        f'friction="1 0.005 0.0001" margin="0.001" gap="0.001" rgba="0.15 0.15 0.17 1"/></body>'
        for index, angle in enumerate(np.arange(_PADS) * 2 * math.pi / _PADS)
    )
    return (
        f'<body name="cup" gravcomp="1">{slides}{hinges}'
        f'<geom type="capsule" fromto="0 0 0.016 0 0 0.09" size="0.004" mass="{_CARRIAGE}" contype="2" '
        f'conaffinity="0" rgba="0.3 0.32 0.36 1"/>{pads}</body>'
    )


def actuators() -> str:
    """Its actuators, as MJCF: five of the gantry, then one a pad."""
    mass = _CARRIAGE + _PADS * _PAD_MASS
    drives = "".join(
        f'<position joint="cup_{name}" kp="{load * _FREQUENCY**2!r}" kv="{2 * load * _FREQUENCY!r}"/>'
        for name, load in (("x", mass), ("y", mass), ("z", mass), ("roll", _ARMATURE), ("pitch", _ARMATURE))
    )
    holds = "".join(f'<adhesion body="pad{index}" ctrlrange="0 1" gain="{_HOLD}"/>' for index in range(_PADS))
    return f"<actuator>{drives}{holds}</actuator>"


@final
class Cup:
    """The cup of one model; between calls it rests.

    Args:
        model: With `body` and `actuators`.
        data: Its state.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._model, self._data = model, data
        self._joints = np.array([model.joint(f"cup_{name}").qposadr[0] for name in ("x", "y", "z", "roll", "pitch")])
        self._pads = model.geom("pad0").id
        self._vacuum = False

    @property
    def tip(self) -> NDArray[np.float64]:
        """Position of the tip [m], shape `(3,)`."""
        return self._data.qpos[self._joints[:3]].copy()

    def park(self) -> None:
        """Put the cup where it waits, at rest; for the beginning of an episode."""
        self._data.qpos[self._joints] = self._data.ctrl[:5] = [*PARKED, 0.0, 0.0]

    def pick(self, point: NDArray[np.float64], normal: NDArray[np.float64]) -> bool:
        """Come down on a surface along its normal, draw a vacuum and go up.

        Args:
            point: On the surface [m], shape `(3,)`.
            normal: Outer unit normal there, shape `(3,)`; one that is steeper than `LARGEST_TILT` is raised to it.

        Returns:
            Whether the lip was sealed when the cup set off upwards.
        """
        along = _raised(normal)
        turn = [math.atan2(-along[1], along[2]), math.asin(along[0])]
        above = point + _ABOVE * along
        self._go(np.array([*above[:2], max(above[2], PARKED[2]), *turn]), _TRAVEL)
        self._go(np.array([*above, *turn]), _TRAVEL)
        self._go(np.array([*point + 0.01 * along, *turn]), _APPROACH)
        self._vacuum = True
        self._go(np.array([*point - _BEYOND * along, *turn]), _PRESS)
        self._wait(0.1)
        sealed = self.sealed()
        self._go(np.array([*point[:2], _CARRY, *turn]), _APPROACH)
        self._wait(0.2)
        return sealed

    def home(self) -> None:
        """Let go of what is held and go where the cup waits."""
        self._vacuum = False
        self._go(np.array([*self._data.ctrl[:2], PARKED[2], 0.0, 0.0]), _TRAVEL)
        self._go(np.array([*PARKED, 0.0, 0.0]), _TRAVEL)
        self._wait(0.2)

    def sealed(self) -> bool:
        """Whether all pads touch one and the same body."""
        pairs = self._data.contact.geom
        pads = (pairs >= self._pads) & (pairs < self._pads + _PADS)
        found = pads.any(axis=1)
        touched = self._model.geom_bodyid[pairs[found][~pads[found]]]
        return len(np.unique(pairs[pads])) == _PADS and len(np.unique(touched)) == 1

    def _go(self, target: NDArray[np.float64], speed: float) -> None:
        """Move the set-points to other ones in a straight line, with the tip at `speed` [m/s]."""
        start = self._data.ctrl[:5].copy()
        blocks = math.ceil(math.dist(start[:3], target[:3]) / speed / (self._model.opt.timestep * _BLOCK))
        for share in np.arange(1, blocks + 1) / max(blocks, 1):
            self._data.ctrl[:5] = start + share * (target - start)
            self._step()

    def _wait(self, seconds: float) -> None:
        for _ in range(math.ceil(seconds / (self._model.opt.timestep * _BLOCK))):
            self._step()

    def _step(self) -> None:
        self._data.ctrl[5:] = float(self._vacuum and self.sealed())
        mujoco.mj_step(self._model, self._data, nstep=_BLOCK)


def _raised(normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest unit vector that is no steeper than the largest tilt."""
    level = float(np.linalg.norm(normal[:2]))
    tilt = math.atan2(level, normal[2])
    if tilt <= LARGEST_TILT:
        return normal
    share = math.sin(LARGEST_TILT) / max(level, 1e-9)
    return np.array([normal[0] * share, normal[1] * share, math.cos(LARGEST_TILT)])
