r"""Scores of label maps: how well cells, classes, outlines and probabilities agree with the truth.

With n_kl the number of valid cells of class k that are called l, over all maps,

    global accuracy   sum_k n_kk / sum_kl n_kl
    class accuracy    mean over classes in the truth of n_kk / sum_l n_kl
    mIoU              mean over classes that occur of n_kk / (sum_l n_kl + sum_l n_lk - n_kk)

The boundary of a class are its cells that have a valid neighbour, of four, of another class. Precision is the share of
the called boundary that lies within a tolerance of the true one, recall the converse; their F1 is averaged over the
classes with a boundary in the truth of a map, and then over maps. The tolerance is a share of the diagonal, 0.75 %. The
edge of a map is no boundary.

Calibration compares how sure a label is with how often it is right (`calibration`).

Sources: Csurka et al. 2013 and Badrinarayanan et al. 2017 (SegNet, arXiv:1511.00561) for boundary F1.
"""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from embodied_gen.statistics.calibration import expected_calibration_error

TOLERANCE = 0.0075  # of a boundary, over the diagonal
Numbers = NDArray[np.floating]
Counts = NDArray[np.int64]


@final
@dataclass(frozen=True)
class LabelScores:
    """Scores of labels, in [0, 1].

    Attributes:
        iou: Of each class, not a number where it does not occur; shape `(K,)`.
        recall: The share of each class that is found, not a number where the truth has none; shape `(K,)`.
        accuracy: Share of cells that are right.
        boundary: Boundary F1; not a number where no map has a true boundary.
    """

    iou: Numbers
    recall: Numbers
    accuracy: float
    boundary: float

    @property
    def mean_iou(self) -> float:
        """Over classes that occur."""
        return float(np.nanmean(self.iou))

    @property
    def class_accuracy(self) -> float:
        """Over classes in the truth."""
        return float(np.nanmean(self.recall))


def label_scores(
    labels: ArrayLike, truth: ArrayLike, classes: int, *, valid: ArrayLike | None = None, tolerance: float = TOLERANCE
) -> LabelScores:
    """Scores of maps.

    Args:
        labels: Called, integers from 0 to K - 1, shape `(B, H, W)`.
        truth: True, of the same shape; of any value where it is not valid.
        classes: K.
        valid: Cells that count, bool, of the same shape; all where None.
        tolerance: Of boundaries, over the diagonal, >= 0.

    Raises:
        ValueError: If shapes differ, a label is out of range, or no cell is valid.
    """
    number = confusions(labels, truth, classes, valid=valid)
    return scores_of(number, boundary_f1(labels, truth, classes, valid=valid, tolerance=tolerance))


def confusions(labels: ArrayLike, truth: ArrayLike, classes: int, *, valid: ArrayLike | None = None) -> Counts:
    """Valid cells of each true class that are called each class, of each map, shape `(B, K, K)`; see `label_scores`."""
    called, true, counts = _checked(labels, truth, classes, valid)
    of = np.arange(len(true))[:, None, None] * classes**2 + classes * true + called
    return np.bincount(of[counts], minlength=len(true) * classes**2).reshape(-1, classes, classes)


def scores_of(number: Counts, boundary: Numbers) -> LabelScores:
    """Scores of maps from their `confusions`, `(B, K, K)`, and `boundary_f1`, `(B,)`, those of a resample too."""
    total = number.sum(0)
    hits, found, made = np.diag(total), total.sum(1), total.sum(0)
    with np.errstate(invalid="ignore"):
        iou, recall = hits / (found + made - hits), hits / found
    known = boundary[~np.isnan(boundary)]
    return LabelScores(iou, recall, float(hits.sum() / total.sum()), float(known.mean()) if len(known) else math.nan)


def boundary_f1(
    labels: ArrayLike, truth: ArrayLike, classes: int, *, valid: ArrayLike | None = None, tolerance: float = TOLERANCE
) -> Numbers:
    """Boundary F1 of each map, shape `(B,)`, not a number where no class has a true boundary; see `label_scores`."""
    called, true, counts = _checked(labels, truth, classes, valid)
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0; got {tolerance}.")
    near = _disc(tolerance * math.hypot(*true.shape[1:]))
    ours, theirs = (_boundaries(each, counts, classes) for each in (called, true))
    precision = _share(ours, ndimage.binary_dilation(theirs, near))
    recall = _share(theirs, ndimage.binary_dilation(ours, near))
    with np.errstate(invalid="ignore"):
        f1 = np.where(precision + recall > 0, 2 * precision * recall / (precision + recall), 0.0)
    # A true boundary that nothing was called near has F1 = 0; a class without one is left out.
    known = theirs.any((2, 3))
    total, count = np.where(known, f1, 0.0).sum(1), known.sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def calibration_error(
    probabilities: ArrayLike, truth: ArrayLike, *, valid: ArrayLike | None = None, bins: int = 15
) -> float:
    """Expected calibration error of the most probable labels, in [0, 1].

    Args:
        probabilities: Of classes, shape `(B, H, W, K)`.
        truth: Labels, shape `(B, H, W)`.
        valid: Cells that count, bool, of the same shape; all where None.
        bins: Of equal width, >= 1.

    Raises:
        ValueError: As `label_scores`, or if bins is out of range.
    """
    p = np.asarray(probabilities, float)
    called, true, counts = _checked(p.argmax(-1), truth, p.shape[-1], valid)
    return expected_calibration_error(p.max(-1)[counts], (called == true)[counts], bins=bins)


def _checked(
    labels: ArrayLike, truth: ArrayLike, classes: int, valid: ArrayLike | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    called, true = np.asarray(labels), np.asarray(truth)
    counts = np.ones(true.shape, bool) if valid is None else np.asarray(valid, bool)
    if called.ndim != 3 or called.shape != true.shape or counts.shape != true.shape:
        raise ValueError(
            "labels, truth and valid must have one shape (B, H, W); "
            f"got {called.shape}, {true.shape} and {counts.shape}."
        )
    if not counts.any():
        raise ValueError("at least one cell must be valid; got none.")
    for name, each in (("labels", called), ("truth", true)):
        if each.dtype.kind not in "iu" or not ((each >= 0) & (each < classes))[counts].all():
            raise ValueError(
                f"{name} must be integers from 0 to {classes - 1} where valid; got {each.dtype} from "
                f"{each[counts].min()} to {each[counts].max()}. Mark cells without a label as not valid."
            )
    return np.where(counts, called, 0).astype(np.int64), np.where(counts, true, 0).astype(np.int64), counts


def _boundaries(labels: NDArray[np.int64], valid: NDArray[np.bool_], classes: int) -> NDArray[np.bool_]:
    """The cells of each class that have a valid neighbour of another one, `(B, H, W)` to `(B, K, H, W)`."""
    edge = np.zeros(labels.shape, bool)
    down = (labels[:, 1:] != labels[:, :-1]) & valid[:, 1:] & valid[:, :-1]
    right = (labels[..., 1:] != labels[..., :-1]) & valid[..., 1:] & valid[..., :-1]
    edge[:, 1:] |= down
    edge[:, :-1] |= down
    edge[..., 1:] |= right
    edge[..., :-1] |= right
    return edge[:, None] & (labels[:, None] == np.arange(classes)[:, None, None])


def _disc(radius: float) -> NDArray[np.bool_]:
    """Offsets within a radius of cells, for maps of several classes and rows."""
    reach = np.arange(-int(radius), int(radius) + 1)
    return (np.hypot(reach[:, None], reach) <= radius)[None, None]


def _share(of: NDArray[np.bool_], near: NDArray[np.bool_]) -> Numbers:
    """The share of the cells of each boundary that are near; zero where there is none. Shape `(B, K)`."""
    return (of & near).sum((2, 3)) / np.maximum(of.sum((2, 3)), 1)
