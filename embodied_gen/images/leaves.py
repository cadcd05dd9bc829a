r"""Leaves: drawn clutter with instance maps, for tests and benchmarks that have no renderer.

An image has n leaves, n uniform between two numbers, painted one over the other. A leaf is an ellipse with

    middle uniform in the image, long half-axis uniform in [0.12, 0.28] of the shorter side, short half-axis 0.4 to 0.7
    of the long one, any angle; a hue of the whole circle, and a brightness that falls from the vein along its long
    axis to 70 % at its rim,

on brown soil with noise of 4 % in every channel. Pixels belong to the uppermost leaf; one of which less than 12 pixels
can be seen is no object, and its pixels are a part of the ground in the map. Objects are numbered from the lowest.

Image i is a function of (seed, i), the size and the numbers of leaves.
"""

import math
from typing import final

import torch
from torch import Tensor

from embodied_gen import draws

MOST = 255
"""Leaves of an image, whose map is of bytes."""

_LONG, _SLIM = (0.12, 0.28), (0.4, 0.7)
_SOIL = (0.36, 0.27, 0.2)
_NOISE, _RIM = 0.04, 0.7
_LEAST = 12  # visible pixels of an object
_NUMBERS = 7  # of a leaf: x, y, long, slim, angle, hue, brightness
_TOGETHER = 256  # images that are drawn at once


def leaves(
    count: int, *, size: tuple[int, int] = (48, 48), objects: tuple[int, int] = (0, 6), seed: int = 0, first: int = 0
) -> tuple[Tensor, Tensor]:
    """Images of leaves.

    Args:
        count: Of images, >= 1.
        size: Width and height [px], each >= 16.
        objects: Smallest and largest number of leaves, from 0 to `MOST`.
        seed: Of all images, >= 0.
        first: Number i of the first image, >= 0.

    Returns:
        Colours, uint8, shape `(count, H, W, 3)`, and instances, 0 or the number of a leaf, uint8, `(count, H, W)`.

    Raises:
        ValueError: If a number is out of its range.
    """
    fewest, most = objects
    if count < 1 or min(size) < 16 or min(seed, first) < 0 or not 0 <= fewest <= most <= MOST:
        raise ValueError(
            f"leaves need count >= 1, sides of at least 16 px, 0 <= fewest <= most <= {MOST} and seeds >= 0; got "
            f"count {count}, size {size}, objects {objects}, seed {seed} and first {first}."
        )
    parts = [
        _drawn(range(at, min(at + _TOGETHER, first + count)), size, objects, seed)
        for at in range(first, first + count, _TOGETHER)
    ]
    images, instances = (torch.cat(each) for each in zip(*parts, strict=True))
    return images, instances


@final
class _Leaf:
    """One leaf of each of B images, from numbers uniform in [0, 1), `(B, 7)`."""

    def __init__(self, numbers: Tensor, size: tuple[int, int]):
        x, y, long, slim, angle, hue, brightness = numbers.T[..., None, None]
        long = min(size) * (_LONG[0] + (_LONG[1] - _LONG[0]) * long)
        slim = long * (_SLIM[0] + (_SLIM[1] - _SLIM[0]) * slim)
        right = torch.arange(size[0]) + 0.5 - size[0] * x
        down = torch.arange(size[1])[:, None] + 0.5 - size[1] * y
        cos, sin = (math.pi * angle).cos(), (math.pi * angle).sin()
        along, across = (cos * right + sin * down) / long, (cos * down - sin * right) / slim
        self.inside = along.square() + across.square() < 1
        """Pixels, `(B, H, W)`."""
        shade = (0.6 + 0.4 * brightness) * (1 - (1 - _RIM) * across.abs())
        tone = 2 * math.pi * (hue.unsqueeze(-1) + torch.arange(3) / 3)
        self.colours = shade.unsqueeze(-1) * (0.5 + 0.4 * tone.cos())
        """Of all pixels as if they were inside, `(B, H, W, 3)`."""


def _drawn(numbers: range, size: tuple[int, int], objects: tuple[int, int], seed: int) -> tuple[Tensor, Tensor]:
    streams, like = [draws.generator(seed, number) for number in numbers], torch.zeros(())
    width, height = size
    drawn = draws.uniform((len(numbers), 1 + objects[1] * _NUMBERS), generator=streams, like=like)
    counts = objects[0] + (drawn[:, 0] * (objects[1] - objects[0] + 1)).long()
    images = torch.tensor(_SOIL).expand(len(numbers), height, width, 3)
    instances = torch.zeros(len(numbers), height, width, dtype=torch.long)
    for index, of_leaf in enumerate(drawn[:, 1:].unflatten(1, (objects[1], _NUMBERS)).unbind(1)):
        leaf = _Leaf(of_leaf, size)
        painted = leaf.inside & (index < counts)[:, None, None]
        images = torch.where(painted.unsqueeze(-1), leaf.colours, images)
        instances = instances.masked_fill(painted, index + 1)
    noise = _NOISE * draws.normal(images.shape, generator=streams, like=like)
    return (255 * (images + noise).clamp(0, 1)).round().to(torch.uint8), _renumbered(instances, objects[1])


def _renumbered(instances: Tensor, most: int) -> Tensor:
    """Maps without what is too little visible, numbered without gaps, uint8."""
    flat = instances.flatten(1)
    visible = torch.zeros(len(flat), most + 1, dtype=torch.long).scatter_add_(1, flat, torch.ones_like(flat))
    kept = visible >= _LEAST
    kept[:, 0] = False
    return (kept.cumsum(1) * kept).gather(1, flat).view(instances.shape).to(torch.uint8)
