"""Pictures of rectangles and discs on a noisy ground, with their boxes: what tests of detectors learn from."""

from dataclasses import dataclass

import numpy as np
import torch

from embodied_gen.boxes import corners
from embodied_gen.images import sets

CLASSES = 2  # rectangles and discs


def drawn(count, *, size=(64, 80), most=3, seed=0):
    """Images (n, 3, H, W) uint8, values (n, most, 6) of rows (cx, cy, w, h, label, score)."""
    rng = np.random.default_rng(seed)
    height, width = size
    images = rng.integers(90, 130, (count, height, width, 3)).astype(np.uint8)
    values = np.zeros((count, most, 6), np.float32)
    rows, columns = np.mgrid[:height, :width] + 0.5
    for image, value in zip(images, values, strict=True):
        taken = np.zeros((height, width), bool)
        for row in range(rng.integers(1, most + 1)):
            w, h = rng.integers(12, 28, 2)
            x, y = rng.integers(0, width - w), rng.integers(0, height - h)
            if taken[y : y + h, x : x + w].any():
                continue
            taken[y : y + h, x : x + w] = True
            label = int(rng.integers(CLASSES))
            inside = (abs(columns - x - w / 2) < w / 2) & (abs(rows - y - h / 2) < h / 2)
            if label:
                inside = ((columns - x - w / 2) / (w / 2)) ** 2 + ((rows - y - h / 2) / (h / 2)) ** 2 < 1
            image[inside] = (230, 60, 40) if label else (40, 80, 220)
            value[row] = (x + w / 2) / width, (y + h / 2) / height, w / width, h / height, label, 1
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(values)


@dataclass
class Taken:
    """A picture and what is true of it, as cameras of environments give it."""

    rgb: np.ndarray
    depth: np.ndarray
    instances: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    dropped: int = 0


def taken(seed, part, *, size=(64, 80)):
    """The picture of a seed and a part of a set."""
    images, values = drawn(1, size=size, seed=[seed, part])
    rows = values[0][values[0, :, 5] > 0]
    boxes = (corners(rows[:, :4]) * torch.tensor(size[::-1]).repeat(2)).round().numpy()
    instances = np.zeros(size, np.uint8)
    for number, (x0, y0, x1, y1) in enumerate(boxes.astype(int), 1):
        instances[y0:y1, x0:x1] = number
    rgb = images[0].permute(1, 2, 0).numpy()
    return Taken(rgb, np.ones(size, np.float32), instances, boxes, rows[:, 4].long().numpy())


def rendered(folder, *, train=12, test=4):
    """A set of drawn pictures of rectangles and discs in a folder."""
    recipe = sets.Recipe((80, 64), (1, 3), seed=0, train=train, test=test, shard=5)
    sets.fill(folder, recipe, taken, classes=("rectangle", "disc"), progress=lambda _: None)
    return folder
