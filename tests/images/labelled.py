"""Labelled images for tests: noisy pictures of a disc and a bar, each of its own colour; in memory and in a folder."""

import numpy as np
import torch
from PIL import Image

from embodied_gen.images.labelled import VOID, LabelledImages
from embodied_gen.images.surfaces import DepthPictures

SIZE = (24, 18)
CLASSES = ("ground", "disc", "bar")
COLOURS = np.array([[90, 90, 90], [200, 60, 60], [60, 60, 200]])


def drawn(seed, *, size=SIZE, noise=20.0):
    """Colours `(H, W, 3)` and labels `(H, W)` with a frame of void at the top."""
    generator = np.random.default_rng(seed)
    width, height = size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    labels = np.zeros((height, width), np.uint8)
    labels[:, (at := int(generator.integers(width - 4))) : at + 4] = 2
    cx, cy = generator.uniform(4, width - 4), generator.uniform(4, height - 4)
    labels[np.hypot(x - cx, y - cy) < 0.25 * height] = 1
    colours = COLOURS[labels] + noise * generator.normal(size=(height, width, 3))
    labels[0] = VOID
    return colours.clip(0, 255).astype(np.uint8), labels


def labelled_pictures(count, *, classes=3, size=SIZE, noise=20.0, deep=False):
    """Pictures in memory; with depth, of which each class has its own, where `deep`."""
    pairs = [drawn(seed, size=size, noise=noise) for seed in range(count)]
    labels = np.stack([labels for _, labels in pairs])
    labels = np.where(labels == VOID, VOID, np.minimum(labels, classes - 1)).astype(np.uint8)
    images = torch.from_numpy(np.stack([colours for colours, _ in pairs])).permute(0, 3, 1, 2).contiguous()
    depth = torch.from_numpy(6000 - 100 * np.where(labels == VOID, 0, labels).astype(np.int16))
    surfaces = DepthPictures(depth, 0.4) if deep else None
    return LabelledImages(images, torch.from_numpy(labels), "pictures", surfaces)


def save(folder, part, pairs, *, void=3):
    """Writes a part; images as PNG, as that loses nothing."""
    for kind in ("images", "labels"):
        (folder / kind / part).mkdir(parents=True, exist_ok=True)
    names = [f"{part}_{i}" for i in range(len(pairs))]
    for name, (colours, labels) in zip(names, pairs, strict=True):
        Image.fromarray(colours).save(folder / "images" / part / f"{name}.png")
        Image.fromarray(np.where(labels == VOID, void, labels).astype(np.uint8)).save(
            folder / "labels" / part / f"{name}.png"
        )
    (folder / f"{part}.txt").write_text("\n".join(names) + "\n")


def save_parts(folder, *, train=6, val=2, size=SIZE):
    save(folder, "train", [drawn(seed, size=size) for seed in range(train)])
    save(folder, "val", [drawn(100 + seed, size=size) for seed in range(val)])
    return folder
