r"""Images with labels as examples: what a segmenter learns from, on the training device.

Variant v of image i shows a window of it, mirrored left and right or not, at the full size again,

    window side = s (H, W),   s uniform in [zoom, 1],   its place uniform in the image;

colours are read between pixels; labels, depth and normals at the nearest one. The normals of a mirrored window look the
other way in x. The windows are functions of the seed, i and v alone, so that a run which is resumed sees the same ones.

A pixel without a label does not count. With balanced classes, one of class k counts by median frequency,

    w_k = median_j f_j / f_k,    f_k = pixels of k / labelled pixels of images with k.

Source: Eigen and Fergus 2015 (arXiv:1411.4734) for median frequencies.
"""

from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from embodied_gen import draws
from embodied_gen.demos.examples import Batch, Examples
from embodied_gen.events.labels import UNLABELLED
from embodied_gen.image_encoder import COLOURS
from embodied_gen.images.labelled import VOID, LabelledImages

_SOME = 64  # images of which means are taken


@final
class LabelExamples(Examples):
    """Examples of images with labels; example i is a variant of image i modulo their number.

    Args:
        labelled: Images.
        classes: K.
        variants: Of each image; with 0 the images as they are.
        zoom: Smallest side of a window, over that of the image, in (0, 1].
        balanced: Whether pixels of rare classes count more.
        seed: Of the windows, >= 0.
        device: Where the data are kept.

    Raises:
        ValueError: If there is no image, or a label or a number is out of range.
    """

    def __init__(
        self,
        labelled: LabelledImages,
        *,
        classes: int,
        variants: int = 0,
        zoom: float = 0.5,
        balanced: bool = False,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ):
        if not len(labelled) or variants < 0 or not 0 < zoom <= 1:
            raise ValueError(
                f"{labelled.source}: there must be an image, variants at least 0 and zoom in (0, 1]; got "
                f"{len(labelled)}, {variants} and {zoom}."
            )
        _require_classes(labelled, classes)
        self.source, self.classes, self.count = labelled.source, classes, len(labelled)
        self._labelled = labelled.to(device)
        weights = median_frequency(labelled.labels, classes) if balanced else torch.ones(classes)
        self._weights = weights.to(device)
        self._windows = _windows(variants * self.count, zoom, seed).to(device) if variants else None

    def __len__(self) -> int:
        """The number of variants of all images."""
        return self.count if self._windows is None else len(self._windows)

    @property
    def device(self) -> torch.device:
        """Where the data are kept."""
        return self._labelled.images.device

    def batch(self, index: Tensor) -> Batch:
        """What is seen, `(B, C, H, W)`, see `LabelledImages.observed`; labels; and how much each pixel counts.

        Labels are int64, `UNLABELLED` where there is none; both have shape `(B, H, W)`.
        """
        images = index % self.count
        seen, labels = self._labelled.observed(images), self._labelled.labels[images]
        if self._windows is not None:
            seen, labels = _seen(seen, labels, self._windows[index])
        known = labels != VOID
        value = torch.where(known, labels.long(), UNLABELLED)
        return Batch(seen, value, self._weights[value.clamp(min=0)] * known)

    def values(self) -> Tensor:
        """A map of no class, of which the shape is what counts, `(1, H, W, K)`."""
        return torch.zeros(1, *self._labelled.labels.shape[1:], self.classes)

    def observations(self) -> Tensor:
        """Means of what is seen of images spread over all, of which the number of channels counts, shape `(N, C)`."""
        some = slice(None, None, max(1, self.count // _SOME))
        return self._labelled.observed(some).float().mean((2, 3)).cpu()

    def place(self, example: int) -> tuple[int, int]:
        """The number of an image, and of its variant."""
        return example % self.count, example // self.count


def median_frequency(labels: Tensor, classes: int) -> Tensor:
    """Weights of classes, shape `(K,)`, one for the median; zero for a class that no pixel has.

    Args:
        labels: Classes, or `VOID`, shape `(N, H, W)`.
        classes: K.
    """
    flat = labels.flatten(1).long()
    image = torch.arange(len(flat)).unsqueeze(1) * (VOID + 1)
    counts = torch.bincount((image + flat).flatten(), minlength=len(flat) * (VOID + 1))
    counts = counts.view(-1, VOID + 1)[:, :classes].double()
    among = ((counts > 0) * counts.sum(1, keepdim=True)).sum(0)
    share = counts.sum(0) / among.clamp(min=1)
    there = share > 0
    middle = share[there].median() if there.any() else share.new_ones(())
    return torch.where(there, middle / share.where(there, 1), 0.0).float()


def _require_classes(labelled: LabelledImages, classes: int) -> None:
    """Raises `ValueError` where a label is neither a class nor `VOID`."""
    wrong = (labelled.labels >= classes) & (labelled.labels != VOID)
    if wrong.any():
        image = int(wrong.flatten(1).any(1).nonzero()[0])
        raise ValueError(
            f"{labelled.source}: labels must be from 0 to {classes - 1}, or {VOID} where there is none; image {image} "
            f"has {labelled.labels[wrong][0].item()}. Give the number of classes that the labels have."
        )


def _windows(count: int, zoom: float, seed: int) -> Tensor:
    """Affine maps of [-1, 1]^2 into it, half of them mirrored, shape `(count, 2, 3)`."""
    like = torch.zeros(())
    side, x, y = draws.uniform((3, count), generator=draws.generator(seed), like=like)
    mirror = draws.signs((count,), generator=draws.generator(seed, 1), like=like)
    side = zoom + (1 - zoom) * side
    room = 1 - side
    zero = torch.zeros_like(side)
    first = torch.stack([side * mirror, zero, room * (2 * x - 1)], -1)
    return torch.stack([first, torch.stack([zero, side, room * (2 * y - 1)], -1)], 1)


def _seen(seen: Tensor, labels: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
    """What windows show of images, with depth and normals or without, and of labels."""
    grid = functional.affine_grid(windows, [*seen.shape], align_corners=False)
    colours = _at(grid, seen[:, :COLOURS].float(), "bilinear").round().to(seen.dtype)
    maps = torch.cat([labels.unsqueeze(1), seen[:, COLOURS:]], 1).float()  # whole numbers below 256 are exact
    nearest = _at(grid, maps, "nearest")
    labels = nearest[:, 0].to(torch.uint8)
    if seen.shape[1] == COLOURS:
        return colours, labels
    depth, across, others = nearest[:, 1:].to(seen.dtype).split([1, 1, 2], 1)
    mirrored = windows[:, 0, 0].sign().to(seen.dtype).view(-1, 1, 1, 1)
    return torch.cat([colours, depth, mirrored * across, others], 1), labels


def _at(grid: Tensor, maps: Tensor, mode: str) -> Tensor:
    return functional.grid_sample(maps, grid, mode=mode, padding_mode="border", align_corners=False)
