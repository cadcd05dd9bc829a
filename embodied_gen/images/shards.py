r"""Labelled images: pictures of things with boxes, classes, instance masks and depth.

A shard is one compressed NumPy archive of N images of H x W pixels; with M_i things in image i and M their sum,

    images     uint8   (N, H, W, 3)   colours
    depth      int16   (N, H, W)      in units of 0.1 mm along the optical axis, cut off at 3.2 m
    instances  uint8   (N, H, W)      0 where there is no thing, else 1 + its place among those of the image
    boxes      float32 (M, 4)         x0, y0, x1, y1 [px]
    labels     int64   (M,)           classes
    counts     int64   (N,)           M_i
    dropped    int64   (N,)           things that are too little visible to be counted
    seeds      int64   (N,)           the images' seeds, consecutive

Visible parts of things do not overlap, so that one map holds all masks of an image without loss. The archive holds no
objects and is read without unpickling anything. Files are not trusted: what does not fit is refused by name.
"""

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
import torch
from torch import Tensor

from embodied_gen.training import files

DEPTH_UNIT = 1e-4
"""Metres of a unit of stored depth."""

_FARTHEST = np.iinfo(np.int16).max
_NUMBERED = np.iinfo(np.uint8).max
_TYPES = {
    "images": np.uint8,
    "depth": np.int16,
    "instances": np.uint8,
    "boxes": np.float32,
    "labels": np.int64,
    "counts": np.int64,
    "dropped": np.int64,
    "seeds": np.int64,
}
_AGAIN = "Delete the file and collect again."
_UNREADABLE = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError, EOFError, AttributeError, TypeError)

Arrays = dict[str, np.ndarray]


class Labelled(Protocol):
    """A picture and what is true of it, as environments give it."""

    @property
    def rgb(self) -> np.ndarray:
        """Colours, uint8, shape `(H, W, 3)`."""

    @property
    def depth(self) -> np.ndarray:
        """[m], shape `(H, W)`."""

    @property
    def instances(self) -> np.ndarray:
        """0, or 1 + the place of a thing; uint8, shape `(H, W)`."""

    @property
    def boxes(self) -> np.ndarray:
        """x0, y0, x1, y1 [px], shape `(M, 4)`."""

    @property
    def labels(self) -> np.ndarray:
        """Classes, shape `(M,)`."""

    @property
    def dropped(self) -> int:
        """Things that are too little visible to be counted."""


@final
@dataclass(frozen=True)
class Images:
    """N labelled images; K is the largest number of things of one.

    Attributes:
        images: uint8, shape `(N, H, W, 3)`.
        depth: int16, in units of `DEPTH_UNIT`, shape `(N, H, W)`.
        instances: 0, or 1 + the place of a thing, uint8, shape `(N, H, W)`.
        boxes: x0, y0, x1, y1 [px], zero where there is no thing, float32, shape `(N, K, 4)`.
        labels: Classes, -1 where there is no thing, int64, shape `(N, K)`.
        counts: Things of each image, int64, shape `(N,)`.
        dropped: Things that are too little visible to be counted, int64, shape `(N,)`.
    """

    images: Tensor
    depth: Tensor
    instances: Tensor
    boxes: Tensor
    labels: Tensor
    counts: Tensor
    dropped: Tensor

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    def masks(self, index: int) -> Tensor:
        """Masks of one image's things, bool, shape `(M, H, W)`."""
        count = int(self.counts[index])
        return self.instances[index] == torch.arange(1, count + 1, dtype=torch.uint8)[:, None, None]


def packed(views: Sequence[Labelled], seeds: Sequence[int]) -> Arrays:
    """The arrays of a shard of some views, at least one.

    Raises:
        ValueError: If a view has more things than a byte numbers.
    """
    most = max(len(view.labels) for view in views)
    if most > _NUMBERED:
        raise ValueError(f"an image of a shard has {_NUMBERED} things at most, which a byte numbers; got {most}.")
    depth = np.stack([view.depth for view in views]) / DEPTH_UNIT
    return {
        "images": np.stack([view.rgb for view in views]),
        "depth": np.minimum(np.rint(depth), _FARTHEST).astype(np.int16),
        "instances": np.stack([view.instances for view in views]),
        "boxes": np.concatenate([view.boxes.reshape(-1, 4) for view in views]).astype(np.float32),
        "labels": np.concatenate([view.labels for view in views]).astype(np.int64),
        "counts": np.array([len(view.labels) for view in views], dtype=np.int64),
        "dropped": np.array([view.dropped for view in views], dtype=np.int64),
        "seeds": np.array(seeds, dtype=np.int64),
    }


def write_shard(path: Path, arrays: Arrays) -> None:
    """Replaces a shard; the same arrays make the same bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    files.write_bytes(path, buffer.getvalue())


def read_shard(path: Path, *, size: tuple[int, int], classes: int, seeds: range) -> Arrays:
    """The arrays of a shard.

    Args:
        path: File.
        size: Width and height that its images must have [px].
        classes: Labels must be below this.
        seeds: Those of its images.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is truncated or foreign, or holds other images than those.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in _TYPES}
    except _UNREADABLE as error:
        raise ValueError(f"{path} is truncated or not a shard of images ({error}). {_AGAIN}") from error
    wrong = _wrong(arrays, size, classes, seeds)
    if wrong:
        raise ValueError(f"{path} does not fit the set it lies in: {wrong}. {_AGAIN}")
    return arrays


def joined(shards: Sequence[Arrays]) -> Images:
    """The images of some shards, at least one; things are padded to the largest number of any image."""
    whole = {name: np.concatenate([shard[name] for shard in shards]) for name in _TYPES}
    counts = whole["counts"]
    image = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(image)) - np.repeat(counts.cumsum() - counts, counts)
    most = int(counts.max(initial=0))
    boxes = np.zeros((len(counts), most, 4), dtype=np.float32)
    labels = np.full((len(counts), most), -1, dtype=np.int64)
    boxes[image, place], labels[image, place] = whole["boxes"], whole["labels"]
    kept = {name: torch.from_numpy(whole[name]) for name in ("images", "depth", "instances", "counts", "dropped")}
    return Images(boxes=torch.from_numpy(boxes), labels=torch.from_numpy(labels), **kept)


def _wrong(arrays: Arrays, size: tuple[int, int], classes: int, seeds: range) -> str:
    """What does not fit, or nothing."""
    n, things = len(seeds), len(arrays["labels"]) if arrays["labels"].ndim else 0
    picture = (n, size[1], size[0])
    shapes: dict[str, Any] = {"images": (*picture, 3), "depth": picture, "instances": picture}
    shapes |= {"boxes": (things, 4), "labels": (things,), "counts": (n,), "dropped": (n,), "seeds": (n,)}
    for name, kind in _TYPES.items():
        if arrays[name].shape != shapes[name] or arrays[name].dtype != kind:
            found = f"{arrays[name].dtype} {arrays[name].shape}"
            return f"{name} must be {np.dtype(kind)} {shapes[name]}; got {found}"
    if arrays["seeds"].tolist() != list(seeds):
        return f"its seeds must be {seeds.start} to {seeds.stop - 1}"
    labels, boxes = arrays["labels"], arrays["boxes"]
    if (arrays["counts"] < 0).any() or arrays["counts"].sum() != things:
        return f"counts must add up to {things} things"
    if ((labels < 0) | (labels >= classes)).any():
        return f"labels must lie between 0 and {classes - 1}"
    if (arrays["instances"].max(axis=(1, 2)) != arrays["counts"]).any():
        return "instances must be numbered as counts say"
    inside = (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= size).all() and (boxes[:, :2] < boxes[:, 2:]).all()
    return "" if inside else f"boxes must have an area and lie in {size[0]} x {size[1]} pixels"
