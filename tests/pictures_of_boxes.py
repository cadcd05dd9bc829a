"""Pictures of rectangles and discs on a noisy ground, with their boxes: what tests of detectors learn from."""

import numpy as np
import torch

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
