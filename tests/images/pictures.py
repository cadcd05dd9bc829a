"""Labelled images for tests: rectangles, without a renderer."""

from dataclasses import dataclass

import numpy as np

SIZE = (24, 18)


@dataclass
class Picture:
    rgb: np.ndarray
    depth: np.ndarray
    instances: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    dropped: int


def picture_of(seed, part=0, most=4, size=SIZE):
    """Up to `most` rectangles side by side."""
    generator = np.random.default_rng([seed, part])
    width, height = size
    count = int(generator.integers(most + 1))
    instances = np.zeros((height, width), np.uint8)
    boxes = np.zeros((count, 4), np.float32)
    for index in range(count):
        left, right = index * width // most, (index + 1) * width // most - 1
        top = int(generator.integers(height - 3))
        boxes[index] = left, top, right, top + 3
        instances[top : top + 3, left:right] = index + 1
    return Picture(
        generator.integers(256, size=(height, width, 3), dtype=np.uint8),
        generator.uniform(0.3, 4.0, (height, width)).astype(np.float32),
        instances,
        boxes,
        generator.integers(3, size=count),
        int(generator.integers(3)),
    )
