"""Scenes of a table: a heap of random things in a tray, settled by simulation.

Each thing is dropped from just above those it could meet: with r the reach of a thing and d the distance of two in the
plane, it starts sqrt((r + r')^2 - d^2) above the centre of every earlier one with d < r + r'. So things come to lie
beside, against and on one another. They fall until all were slower than 1 cm/s and 0.5 rad/s at three moments 0.1 s
apart, or for 3 s.

A scene is a function of its seed: things, surroundings and poses to the last bit, with one version of MuJoCo.
"""

from collections.abc import Sequence
from typing import Any, final

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs import tabletop_cup, tabletop_surroundings, tabletop_things
from envs.arguments import is_whole
from envs.pinhole import Pinhole
from envs.tabletop_cup import Cup
from envs.tabletop_surroundings import numbers
from envs.tabletop_things import Thing

LARGEST = (1280, 960)
"""Largest width and height of a picture [px]."""
MOST = 40
"""Things of a scene, at most."""

_INNER = np.array([0.15, 0.105])  # half sides of the tray [m]
_RIM = (0.004, 0.008)  # half width and half height of its rim [m]
_TIMESTEP = 0.0025  # [s]
_SLOW = np.array([0.01] * 3 + [0.5] * 3)  # [m/s], [rad/s]
_BLOCK, _QUIET, _LONGEST = 40, 3, 1200  # steps between looks, looks at rest, steps
_MODEL = """
<mujoco model="tabletop">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{timestep}" gravity="0 0 -9.81" integrator="implicitfast" cone="elliptic" impratio="5"/>
  <statistic extent="1" center="0 0 0"/>
  <size memory="16M"/>
  <visual>
    <global offwidth="{size[0]}" offheight="{size[1]}"/>
    <quality shadowsize="512" offsamples="4" numslices="24" numstacks="12" numquads="2"/>
    <map znear="0.1" zfar="3" shadowclip="0.5"/>
    {visual}
  </visual>
  <default><geom contype="1" conaffinity="3" friction="0.8 0.005 0.0005"/></default>
  {assets}
  <worldbody>{world}{things}</worldbody>
  {actuators}
</mujoco>
"""


@final
class TabletopScene:
    """One scene, settled, with a suction cup that waits.

    Args:
        generator: Draws all of it.
        count: Smallest and largest number of things, between 0 and `MOST`.

    Raises:
        ValueError: If the numbers are out of range.

    Attributes:
        things: What is in it; body k + 1 of the model is thing k.
        model: Of MuJoCo.
        data: Its state.
        cup: The suction cup.
    """

    def __init__(self, generator: np.random.Generator, count: tuple[int, int]) -> None:
        check_count(count)
        around = tabletop_surroundings.drawn(generator)
        self.things = tuple(tabletop_things.drawn(generator) for _ in range(generator.integers(count[0], count[1] + 1)))
        self.model = _compiled(
            visual=around.visual,
            world=around.world + _rim(generator),
            things="".join(_body(thing, generator) for thing in self.things) + tabletop_cup.body(),
            actuators=tabletop_cup.actuators(),
        )
        self.data = mujoco.MjData(self.model)
        self.cup = Cup(self.model, self.data)
        self.cup.park()
        self._heap(generator)
        self._settle()

    @property
    def poses(self) -> NDArray[np.float64]:
        """Position [m] and unit quaternion (w, x, y, z) of every thing, shape `(n, 7)`."""
        return self.data.qpos[: 7 * len(self.things)].reshape(-1, 7).copy()

    @property
    def labels(self) -> NDArray[np.int64]:
        """Classes of the things, shape `(n,)`."""
        return np.array([thing.label for thing in self.things], dtype=np.int64)

    def camera(self, size: tuple[int, int]) -> Pinhole:
        """The camera, with pictures of a width and height [px]."""
        position, axes = tabletop_surroundings.camera_of(self.model, self.data)
        return Pinhole(position, axes, tabletop_surroundings.FOV, size)

    def covered(self) -> NDArray[np.bool_]:
        """Whether something that touches a thing has its centre of mass above that of it, shape `(n,)`."""
        bodies = self.model.geom_bodyid[self.data.contact.geom]
        bodies = bodies[((bodies >= 1) & (bodies <= len(self.things))).all(axis=1) & (bodies[:, 0] != bodies[:, 1])]
        height = self.data.xipos[:, 2]
        lower = np.where(height[bodies[:, 0]] < height[bodies[:, 1]], bodies[:, 0], bodies[:, 1])
        return np.isin(np.arange(1, len(self.things) + 1), lower)

    def _heap(self, generator: np.random.Generator) -> None:
        """Things above one another."""
        centres, reaches = np.zeros((0, 3)), np.zeros(0)
        for index, thing in enumerate(self.things):
            level = generator.uniform(-1, 1, 2) * (_INNER - thing.reach)
            both = reaches + thing.reach
            over = np.maximum(both**2 - ((centres[:, :2] - level) ** 2).sum(axis=1), 0)
            height = max([thing.reach, *(centres[:, 2] + np.sqrt(over))[over > 0]])
            centre = np.array([*level, height])
            turn = generator.normal(size=4)
            self.data.qpos[7 * index : 7 * index + 7] = [*centre, *turn / np.linalg.norm(turn)]
            centres, reaches = np.vstack([centres, centre]), np.append(reaches, thing.reach)
        mujoco.mj_forward(self.model, self.data)

    def _settle(self) -> None:
        """Simulate until things are at rest."""
        velocities = self.data.qvel[: 6 * len(self.things)].reshape(-1, 6)
        quiet = 0
        for _ in range(0, _LONGEST, _BLOCK):
            mujoco.mj_step(self.model, self.data, nstep=_BLOCK)
            quiet = quiet + 1 if (np.abs(velocities) < _SLOW).all() else 0
            if quiet == _QUIET:
                break
        mujoco.mj_forward(self.model, self.data)


def scene_of(seed: int | Sequence[int], count: tuple[int, int]) -> TabletopScene:
    """The scene of a seed or of several numbers; see `TabletopScene` for the arguments."""
    return TabletopScene(np.random.default_rng(seed), count)


def check_count(count: Any) -> None:
    """Raises `ValueError` unless it is a smallest and a largest number of things that scenes can have."""
    pair = np.shape(count) == (2,) and all(is_whole(number, 0, MOST) for number in count)
    if not pair or count[0] > count[1]:
        raise ValueError(
            f"things must be a smallest and a largest number between 0 and {MOST}, such as (2, 10); got {count}."
        )


def empty_model(size: tuple[int, int]) -> mujoco.MjModel:
    """A model with the textures of all scenes and nothing else, for a renderer of pictures of a size [px]."""
    return _compiled(size=size)


def _compiled(
    *, size: tuple[int, int] = (16, 16), visual: str = "", world: str = "", things: str = "", actuators: str = ""
) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(
        _MODEL.format(
            timestep=_TIMESTEP,
            size=size,
            visual=visual,
            assets=tabletop_surroundings.assets(),
            world=world,
            things=things,
            actuators=actuators,
        )
    )


def _rim(generator: np.random.Generator) -> str:
    """The rim of the tray, as MJCF."""
    (half_x, half_y), (width, height) = _INNER, _RIM
    looks = tabletop_surroundings.look(generator, 0.6)
    sides = [(sign * (half_x + width), 0.0, width, half_y + 2 * width) for sign in (-1, 1)]
    ends = [(0.0, sign * (half_y + width), half_x, width) for sign in (-1, 1)]
    return "".join(
        f'<geom type="box" pos="{numbers(x, y, height)}" size="{numbers(a, b, height)}" {looks}/>'
        for x, y, a, b in [*sides, *ends]
    )


def _body(thing: Thing, generator: np.random.Generator) -> str:
    material = tabletop_surroundings.MATERIALS[generator.integers(len(tabletop_surroundings.MATERIALS))]
    rgb = tabletop_surroundings.colour(generator, 1.0)
    geoms = "".join(
        f'<geom type="{part.kind}" size="{numbers(*part.size)}" pos="{numbers(*part.at)}" '
        f'euler="{numbers(*part.turned)}" density="{tabletop_things.DENSITY}" condim="6" material="{material}" '
        f"{tabletop_surroundings.tint(rgb, part.brightness)}/>"
        for part in thing.parts
    )
    return f"<body><freejoint/>{geoms}</body>"
