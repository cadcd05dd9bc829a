"""Things on a table: six shapes of random size, colour and texture, made of a few primitives each.

A class is a shape; size, colour and texture say nothing of it. Outer sizes [m]:

    box       three sides in [0.025, 0.055]
    cylinder  radius in [0.014, 0.026], height in 0.6 to 1.7 diameters
    ball      radius in [0.015, 0.027]
    capsule   radius in [0.011, 0.017], length in 2.2 to 3.5 diameters
    angle     an L: two bars of equal length in [0.04, 0.055], each 0.6 to 0.7 of it broad, height in [0.016, 0.03]
    mug       a cylinder, radius in [0.018, 0.025], height in 0.8 to 1.1 diameters, dark on top, with a handle

Bars and bodies are so stout that the middle of an outline lies on the thing. Everything has the density 400 kg/m^3.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

CLASSES = ("box", "cylinder", "ball", "capsule", "angle", "mug")
"""Shapes, by label."""
DENSITY = 400.0
"""[kg/m^3]."""

_DARK = 0.35  # brightness of a mug's inside


@final
@dataclass(frozen=True)
class Part:
    """A primitive of MuJoCo in the frame of its thing.

    Attributes:
        kind: "box", "cylinder", "sphere" or "capsule".
        size: Half sides; radius and half length along z; radius [m].
        at: Centre [m].
        turned: About x, y and z in turn [rad].
        brightness: Factor of the thing's colour.
    """

    kind: str
    size: tuple[float, ...]
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turned: tuple[float, float, float] = (0.0, 0.0, 0.0)
    brightness: float = 1.0


@final
@dataclass(frozen=True)
class Thing:
    """A rigid body.

    Attributes:
        label: Index into `CLASSES`.
        parts: Its primitives.
        reach: Distance from the origin of its frame to its furthest point, at most [m].
    """

    label: int
    parts: tuple[Part, ...]
    reach: float


def drawn(generator: np.random.Generator) -> Thing:
    """A random thing; all classes are equally likely."""
    label = int(generator.integers(len(CLASSES)))
    parts, reach = _DRAW[label](generator)
    return Thing(label, parts, reach)


_Drawn = tuple[tuple[Part, ...], float]


def _box(generator: np.random.Generator) -> _Drawn:
    half = generator.uniform(0.0125, 0.0275, 3)
    return (Part("box", tuple(half.tolist())),), float(np.linalg.norm(half))


def _cylinder(generator: np.random.Generator) -> _Drawn:
    radius = generator.uniform(0.014, 0.026)
    half = radius * generator.uniform(0.6, 1.7)
    return (Part("cylinder", (radius, half)),), math.hypot(radius, half)


def _ball(generator: np.random.Generator) -> _Drawn:
    radius = generator.uniform(0.015, 0.027)
    return (Part("sphere", (radius,)),), radius


def _capsule(generator: np.random.Generator) -> _Drawn:
    radius = generator.uniform(0.011, 0.017)
    half = radius * generator.uniform(1.2, 2.5)
    return (Part("capsule", (radius, half)),), radius + half


def _angle(generator: np.random.Generator) -> _Drawn:
    bar, height = generator.uniform(0.04, 0.055), generator.uniform(0.016, 0.03)
    broad = bar * generator.uniform(0.6, 0.7)
    rest = bar - broad
    parts = (
        Part("box", (bar / 2, broad / 2, height / 2), (0.0, -rest / 2, 0.0)),
        Part("box", (broad / 2, rest / 2, height / 2), (-rest / 2, broad / 2, 0.0)),
    )
    return parts, math.hypot(bar / math.sqrt(2), height / 2)


def _mug(generator: np.random.Generator) -> _Drawn:
    radius = generator.uniform(0.018, 0.025)
    half = radius * generator.uniform(0.8, 1.1)
    out, thick = radius * generator.uniform(0.35, 0.5), 0.0035
    middle, level = radius + out / 2 - thick, half / 2
    parts = (
        Part("cylinder", (radius, half)),
        Part("cylinder", (0.86 * radius, 0.0005), (0.0, 0.0, half), brightness=_DARK),
        Part("capsule", (thick, out / 2), (middle, 0.0, level), (0.0, math.pi / 2, 0.0)),
        Part("capsule", (thick, out / 2), (middle, 0.0, -level), (0.0, math.pi / 2, 0.0)),
        Part("capsule", (thick, level), (radius + out - thick, 0.0, 0.0)),
    )
    return parts, math.hypot(radius + out, half + thick)


_DRAW: tuple[Callable[[np.random.Generator], _Drawn], ...] = (_box, _cylinder, _ball, _capsule, _angle, _mug)
