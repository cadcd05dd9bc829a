"""Small renderings with noise, and logits that know a part of what is in them."""

import numpy as np
import torch
from torch.nn import functional


def picture(height, width, seed=0):
    """Discs and boxes before a slope of light, with texture; uint8, shape `(H, W, 3)`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    image = np.stack([60 + 80 * y / height, 90 + 60 * x / width, 120 + 0 * x], -1)
    for _ in range(6):
        centre, size = rng.random(2) * (height, width), (0.1 + 0.2 * rng.random()) * height
        colour, round_one = 255 * rng.random(3), rng.random() < 0.5
        dy, dx = np.abs(y - centre[0]), np.abs(x - centre[1])
        inside = np.hypot(dy, dx) < size if round_one else np.maximum(dy, 0.6 * dx) < size
        image[inside] = colour * (0.8 + 0.2 * (x + y)[inside, None] / (height + width))
    image += rng.normal(0, 6, image.shape) + rng.normal(0, 6, (height, width, 1))
    return np.ascontiguousarray(image.clip(0, 255).astype(np.uint8))


def noisy_logits(image, classes, seed=0):
    """Log-probabilities `(H, W, L)` that lean towards a class by brightness, under much noise."""
    rng = np.random.default_rng(seed)
    label = (image.astype(int).sum(-1) * classes) // 766
    logits = 2.0 * np.eye(classes)[label] + rng.normal(0, 1.2, (*label.shape, classes))
    return torch.tensor(logits, dtype=torch.float32).log_softmax(-1)


def channels(image):
    """Guide channels `(1, 3, H, W)`."""
    return torch.tensor(image).permute(2, 0, 1).to(torch.get_default_dtype()).unsqueeze(0)


def one_hot(labels, classes):
    return functional.one_hot(labels, classes).to(torch.get_default_dtype())
