"""What is around the things on a table and changes with the scene: textures, light, sheets of paper, the camera.

The camera stands in front of the table and looks down on it, 20 degrees off the vertical, from 0.61 m; its pose varies
by a few degrees and millimetres. Its field of view is 24 degrees high, so that pictures of 4 : 3 show 0.35 m x 0.26 m.

Textures come from a library that is the same in all scenes, because a renderer holds the textures of one model; they
are grey and take on the colour of what they cover.
"""

import math
from dataclasses import dataclass
from typing import final

import mujoco
import numpy as np
from numpy.typing import NDArray

CAMERA = "camera"
"""Name of the camera in the model."""
FOV = math.radians(24)
"""Vertical field of view [rad]."""

_DISTANCE, _TILT = 0.61, math.radians(20)  # of the camera from what it looks at [m], from the vertical [rad]
_SHIFT, _TURN = 0.006, math.radians(2)  # standard deviations of the camera's jitter [m], [rad]
_SHEETS = 3  # of paper, at most
_TEXTURES = {
    "plain": 'builtin="flat" rgb1="1 1 1"',
    "dots": 'builtin="flat" rgb1="1 1 1" mark="random" markrgb="0.55 0.55 0.55" random="0.08"',
    "sand": 'builtin="flat" rgb1="0.9 0.9 0.9" mark="random" markrgb="0.6 0.6 0.6" random="0.4"',
    "shade": 'builtin="gradient" rgb1="1 1 1" rgb2="0.5 0.5 0.5"',
    "squares": 'builtin="checker" rgb1="1 1 1" rgb2="0.72 0.72 0.72"',
    "checks": 'builtin="checker" rgb1="1 1 1" rgb2="0.45 0.45 0.45" mark="edge" markrgb="0.8 0.8 0.8"',
}
_REPEAT = {"plain": 1, "dots": 6, "sand": 4, "shade": 1, "squares": 30, "checks": 12}  # [1 / m] on the table
MATERIALS = (*_TEXTURES, *(f"{name}-gloss" for name in _TEXTURES))
"""Names of materials: every texture, dull and with gloss."""


def assets() -> str:
    """The library of textures and materials, as MJCF."""
    textures = "".join(
        f'<texture name="{name}" type="2d" {made} width="64" height="64"/>' for name, made in _TEXTURES.items()
    )
    materials = "".join(
        f'<material name="{name}{kind}" texture="{name}" texuniform="true" texrepeat="{repeat} {repeat}" '
        f'specular="{gloss}" shininess="{gloss}"/>'
        for name, repeat in _REPEAT.items()
        for kind, gloss in (("", 0.05), ("-gloss", 0.7))
    )
    return f"<asset>{textures}{materials}</asset>"


@final
@dataclass(frozen=True)
class Surroundings:
    """A draw of them, as MJCF.

    Attributes:
        visual: Light from where the camera is.
        world: Table top, sheets of paper, lamps and camera.
    """

    visual: str
    world: str


def drawn(generator: np.random.Generator) -> Surroundings:
    """Random surroundings."""
    ambient = generator.uniform(0.1, 0.3)
    visual = f'<headlight ambient="{_grey(ambient)}" diffuse="{_grey(generator.uniform(0.05, 0.2))}" specular="0 0 0"/>'
    top = f'<geom name="top" type="box" size="0.7 0.7 0.02" pos="0 0 -0.02" {look(generator, 0.5)}/>'
    sheets = "".join(_sheet(generator, index) for index in range(generator.integers(_SHEETS + 1)))
    return Surroundings(visual, top + sheets + _lamps(generator) + _camera(generator))


def look(generator: np.random.Generator, colourful: float, brightness: float = 1.0) -> str:
    """A random material and colour, as attributes of a geom.

    Args:
        generator: Draws them.
        colourful: Largest saturation of the colour, in [0, 1].
        brightness: Factor of the colour.
    """
    material = MATERIALS[generator.integers(len(MATERIALS))]
    return f'material="{material}" {tint(colour(generator, colourful), brightness)}'


def colour(generator: np.random.Generator, colourful: float) -> NDArray[np.float64]:
    """A random colour, shape `(3,)`, in [0, 1]."""
    hue, saturation, value = generator.uniform(size=3) * (1, colourful, 0.65) + (0, 0, 0.35)
    wheel = np.clip(np.abs((hue + np.array([0, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1, 0, 1)
    return np.asarray(value * (1 - saturation * (1 - wheel)))


def tint(rgb: NDArray[np.float64], brightness: float) -> str:
    """The colour of a geom, as an attribute."""
    return f'rgba="{numbers(*(rgb * brightness))} 1"'


def numbers(*values: float) -> str:
    """Numbers as MJCF, to the last bit."""
    return " ".join(repr(float(value)) for value in values)


def _grey(value: float) -> str:
    return numbers(value, value, value)


def _sheet(generator: np.random.Generator, index: int) -> str:
    """Paper lies above the last sheet and under the things, which do not feel it."""
    x, y = generator.uniform(-1, 1, 2) * (0.15, 0.11)
    half, yaw = generator.uniform(0.02, 0.07, 2), generator.uniform(0, math.pi)
    size, at = numbers(*half, 1e-4), numbers(x, y, 1e-4 * index)
    return (
        f'<geom type="box" size="{size}" pos="{at}" euler="0 0 {yaw!r}" contype="0" conaffinity="0" '
        f"{look(generator, 1.0)}/>"
    )


def _lamps(generator: np.random.Generator) -> str:
    """A lamp that casts shadows, and a weaker one that does not."""
    lamps = ""
    for shadow, low, high in (("true", 0.35, 0.65), ("false", 0.0, 0.2)):
        angle, tilt = generator.uniform(0, 2 * math.pi), generator.uniform(0, 0.8)
        way = np.array([math.sin(tilt) * math.cos(angle), math.sin(tilt) * math.sin(angle), -math.cos(tilt)])
        bright = generator.uniform(low, high) * (0.85 + 0.15 * generator.uniform(size=3))
        lamps += (
            f'<light type="directional" pos="{numbers(*-way)}" dir="{numbers(*way)}" castshadow="{shadow}" '
            f'diffuse="{numbers(*bright)}" specular="0.3 0.3 0.3"/>'
        )
    return lamps


def _camera(generator: np.random.Generator) -> str:
    tilt, azimuth, roll = np.array([_TILT, 0, 0]) + _TURN * generator.normal(size=3)
    aim = np.array([0, 0, 0.01]) + _SHIFT * generator.normal(size=3)
    back = np.array([math.sin(tilt) * math.sin(azimuth), -math.sin(tilt) * math.cos(azimuth), math.cos(tilt)])
    right = np.array([math.cos(azimuth), math.sin(azimuth), 0])
    up = np.cross(back, right)
    right, up = math.cos(roll) * right + math.sin(roll) * up, math.cos(roll) * up - math.sin(roll) * right
    place, axes = numbers(*(aim + _DISTANCE * back)), numbers(*right, *up)
    return f'<camera name="{CAMERA}" pos="{place}" xyaxes="{axes}" fovy="{math.degrees(FOV)!r}"/>'


def camera_of(model: mujoco.MjModel, data: mujoco.MjData) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Position and axes of the camera as `Pinhole` has them: MuJoCo's look along -z with y up."""
    index = model.camera(CAMERA).id
    return data.cam_xpos[index].copy(), data.cam_xmat[index].reshape(3, 3) * (1, -1, -1)
