"""Sets of rendered images as images whose pixels have classes: those of the things that they show, or of none.

Label 0 is all that is no thing, such as the table; label 1 + k is class k of the set. Things that are too little
visible to be counted belong to the ground. Colours are reduced to smaller images by means, labels and depth by the
middle of each new pixel.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from embodied_gen.images import sets
from embodied_gen.images.examples import means, middles
from embodied_gen.images.labelled import LabelledImages
from embodied_gen.images.surfaces import DepthPictures

_TOGETHER = 256  # images whose labels are looked up at once


def read_labels(
    folder: Path, part: str, *, classes: Sequence[str], size: tuple[int, int], fov: float | None = None
) -> LabelledImages:
    """The images of a part, with depth.

    Args:
        folder: Of the set.
        part: "train" or "test".
        classes: A name for what is no thing, and then those of the set; at most 255.
        size: Width and height to reduce images to, by a whole number [px].
        fov: Vertical field of view of the camera [rad]; what the set tells where None.

    Raises:
        FileNotFoundError: If there is no whole set.
        ValueError: If classes, size or field of view are not those of the set, or a file is damaged.
    """
    found, of_things = sets.read(folder, part)
    if tuple(classes[1:]) != of_things:
        raise ValueError(
            f"data.classes must be a name for what is no thing, and then {', '.join(of_things)}, as in {folder}; got "
            f"{', '.join(classes)}."
        )
    labels = _classes(middles(found.instances, size), found.labels)
    images = means(found.images, size).permute(0, 3, 1, 2).contiguous()
    surfaces = DepthPictures(middles(found.depth, size), _field_of_view(folder, fov))
    return LabelledImages(images, labels, f"{folder}, {part}", surfaces)


def _classes(instances: Tensor, labels: Tensor) -> Tensor:
    """Class of each pixel, uint8 `(N, H, W)`, from instances of that shape and labels of things `(N, K)`."""
    table = torch.cat([torch.zeros(len(labels), 1, dtype=torch.uint8), (labels + 1).to(torch.uint8)], 1)
    parts = zip(instances.split(_TOGETHER), table.split(_TOGETHER), strict=True)
    return torch.cat([own.gather(1, seen.flatten(1).long()).view(seen.shape) for seen, own in parts])


def _field_of_view(folder: Path, fov: float | None) -> float:
    """What is given and what the set tells, which must not differ."""
    known = [each for each in (sets.field_of_view(folder), fov) if each is not None]
    if not known:
        raise ValueError(
            f"the images in {folder} do not tell their camera's field of view, which normals need. Set data.fov to it "
            "[rad], or collect the set again."
        )
    if not math.isclose(known[0], known[-1], rel_tol=1e-3):
        raise ValueError(
            f"data.fov must be the field of view of the camera of {folder}, {known[0]:g} rad; got {known[1]:g}. Leave "
            "it out, and it is what the set tells."
        )
    return known[0]
