"""Folders of images with a label image beside each.

    PART.txt            names of the images of a part, one a line
    images/PART/NAME.*  colours, 8 bits a channel, of any format that Pillow reads
    labels/PART/NAME.*  one channel of 8 bits: the class of each pixel, or the number of those without a label

Every image of a part has one size. Images are reduced to another by the mean colour of what each new pixel covers,
labels by the nearest one, as classes have no mean. Files are not trusted: what does not fit is refused by name.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from embodied_gen.images import picture_files
from embodied_gen.images.labelled import VOID, LabelledImages


def read_part(
    folder: Path, part: str, *, classes: int, void: int | None = None, size: tuple[int, int] | None = None
) -> LabelledImages:
    """The images of a part.

    Args:
        folder: Holds the lists, images and labels.
        part: Name of the part, such as "train".
        classes: Labels are 0 .. classes - 1; at most 255.
        void: Label of pixels that have none; every pixel has one where None.
        size: Width and height to reduce images to [px]; as they are where None.

    Raises:
        FileNotFoundError: If the list or an image is missing.
        ImportError: If Pillow is missing.
        ValueError: If an image or a label does not fit, which names the file; or void is a class.
    """
    if not 1 <= classes <= VOID or (void is not None and void < classes):
        raise ValueError(
            f"there must be 1 to {VOID} classes, and void none of their labels; got {classes} classes and void {void}."
        )
    listed = folder / f"{part}.txt"
    if not listed.is_file():
        raise FileNotFoundError(
            f"there is no list of images {listed}. Give the folder that holds {part}.txt, images and labels."
        )
    names = listed.read_text().split()
    if not names:
        raise ValueError(f"{listed} names no image.")
    pairs = [_read(folder, part, name, classes, void, size) for name in names]
    shapes = {colours.shape[:2] for colours, _ in pairs}
    if len(shapes) > 1:
        raise ValueError(f"{listed}: images must have one size; got {_sizes(shapes)}. Set a size to reduce all to.")
    images = torch.from_numpy(np.stack([colours for colours, _ in pairs])).permute(0, 3, 1, 2).contiguous()
    return LabelledImages(images, torch.from_numpy(np.stack([labels for _, labels in pairs])), f"{folder}, {part}")


def _read(
    folder: Path, part: str, name: str, classes: int, void: int | None, size: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Colours `(H, W, 3)` and labels `(H, W)` of one image."""
    colours_at, labels_at = (_found(folder / kind / part, name) for kind in ("images", "labels"))
    colours, labels = picture_files.colours(colours_at), picture_files.labels(labels_at)
    if colours.size != labels.size:
        sizes = " and ".join(f"{width} x {height}" for width, height in (colours.size, labels.size))
        raise ValueError(f"{colours_at} and {labels_at} must have one size; got {sizes} pixels.")
    numbers = np.asarray(labels)
    known = numbers < classes if void is None else (numbers < classes) | (numbers == void)
    if not known.all():
        beside = "" if void is None else f", or {void} where there is none"
        raise ValueError(
            f"{labels_at} must have labels from 0 to {classes - 1}{beside}; got {numbers[~known].max()}. "
            "Set data.classes and data.void to those of the folder."
        )
    if size is not None and size != colours.size:
        filters = picture_files.resampling()
        colours, labels = colours.resize(size, filters.BOX), labels.resize(size, filters.NEAREST)
    small = np.asarray(labels)
    return np.asarray(colours), np.where(small < classes, small, VOID).astype(np.uint8)


def _found(folder: Path, name: str) -> Path:
    files = sorted(folder.glob(f"{name}.*")) if Path(name).name == name else []
    if len(files) != 1:
        raise FileNotFoundError(f"there must be one file {folder / name}.*; got {len(files)}.")
    return files[0]


def _sizes(shapes: Iterable[tuple[int, ...]]) -> str:
    return ", ".join(f"{width} x {height}" for height, width in sorted(shapes))
