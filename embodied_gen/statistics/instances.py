r"""Scores of instance maps: how well the objects of an image are segmented, and whether they are counted right.

With P and T the sets of called and of true objects of one image, each a set of pixels,

    Dice(a, b) = 2 |a n b| / (|a| + |b|)
    BD(A, B)   = mean over a in A of max over b in B of Dice(a, b)
    SBD        = min(BD(P, T), BD(T, P))                symmetric best Dice
    DiC        = |P| - |T|                              difference in count

An image without a true object has an SBD of 1 where none is called and of 0 otherwise.

Source: Scharr et al. 2016 (leaf segmentation in plant phenotyping) for both.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray


@final
@dataclass(frozen=True)
class InstanceScores:
    """Scores of B images.

    Attributes:
        sbd: Symmetric best Dice, in [0, 1], shape `(B,)`.
        difference: Called objects less true ones, int64, shape `(B,)`.
    """

    sbd: NDArray[np.float64]
    difference: NDArray[np.int64]

    @property
    def mean_sbd(self) -> float:
        """Over images."""
        return float(self.sbd.mean())

    @property
    def mean_error(self) -> float:
        """|DiC|: the mean absolute difference in count."""
        return float(np.abs(self.difference).mean())


def instance_scores(labels: ArrayLike, truth: ArrayLike) -> InstanceScores:
    """Scores of maps.

    Args:
        labels: Called, 0 where there is no object, any other whole number for an object, shape `(B, H, W)`.
        truth: True, likewise; their numbers need not agree.

    Raises:
        ValueError: If shapes differ, there is no image, or labels are no whole numbers >= 0.
    """
    called, true = _checked("labels", labels), _checked("truth", truth)
    if called.shape != true.shape:
        raise ValueError(f"labels and truth must have one shape (B, H, W); got {called.shape} and {true.shape}.")
    # One image after the other: joint tables of all images would grow with the most objects of any.
    tables = [_overlaps(ours, theirs) for ours, theirs in zip(called, true, strict=True)]
    sbd = np.array([_symmetric(table) for table in tables])
    return InstanceScores(sbd, np.array([table.shape[0] - table.shape[1] for table in tables], dtype=np.int64))


def _checked(name: str, labels: ArrayLike) -> NDArray[np.integer]:
    array = np.asarray(labels)
    if array.ndim != 3 or array.size == 0:
        raise ValueError(f"{name} must have shape (B, H, W) with at least one pixel; got {array.shape}.")
    if array.dtype.kind not in "iu" or array.min() < 0:
        raise ValueError(f"{name} must be whole numbers from 0 on; got {array.dtype} from {array.min()}.")
    return array


def _overlaps(called: NDArray[np.integer], true: NDArray[np.integer]) -> NDArray[np.float64]:
    """Dice of all pairs of objects of one image, `(H, W)` twice to `(|P|, |T|)`."""
    ours, row = np.unique(called, return_inverse=True)
    theirs, column = np.unique(true, return_inverse=True)
    shape = len(ours), len(theirs)
    joint = np.bincount(row.ravel() * shape[1] + column.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    dice = 2 * joint / (joint.sum(1, keepdims=True) + joint.sum(0))
    return dice[ours > 0][:, theirs > 0]


def _symmetric(dice: NDArray[np.float64]) -> float:
    """SBD of the Dice of all pairs."""
    if 0 in dice.shape:
        return float(dice.shape[0] == dice.shape[1])
    return float(min(dice.max(1).mean(), dice.max(0).mean()))
