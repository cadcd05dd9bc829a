r"""Scores of detections: average precision as COCO defines it, and how far scores can be believed.

The detections of a class in an image, at most D of them by falling scores, are matched one after the other with the
object of that class of largest IoU that is still free, if that is at least a threshold. Over all images, in the order
of falling scores, precision and recall after each detection make a curve; precision is made to fall with recall, read
at the 101 recalls 0, 0.01, .. 1, and averaged:

    AP    mean over thresholds 0.50, 0.55, .. 0.95 and over classes that occur
    AP50  at 0.50 alone,   AP75  at 0.75 alone

How far scores can be believed is told by those of them that somebody would act on: most detections are sure to be
nothing, and with them the error would say how many of these a detector has.

Detections and objects are rows (cx, cy, w, h, label, score), as `BoxSet` decodes to; a row with a score of zero is
empty. Shares of an image do as well as pixels, for an IoU has no unit. Images have no objects that are to be ignored,
and boxes of all areas count.

Source: Lin et al. 2014 (arXiv:1405.0312) and the reference program pycocotools, which the tests compare with.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embodied_gen.statistics.calibration import expected_calibration_error

Numbers = NDArray[np.floating]
THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""IoUs at which detections are matched."""
LIKELY = 0.1
"""Least score of detections whose calibration is told."""
_RECALLS = np.linspace(0, 1, 101)
_ROW = 6
_TOGETHER = 64  # images that are matched at once, which all take the room of the most crowded one


@final
@dataclass(frozen=True)
class DetectionScores:
    """Average precision.

    Attributes:
        precision: For each threshold and class, in [0, 1], not a number for classes without objects; `(10, K)`.
        recall: The share of objects that are found, likewise.
    """

    precision: Numbers
    recall: Numbers

    @property
    def ap(self) -> float:
        """Over thresholds and classes; not a number without any object."""
        return _mean(self.precision)

    @property
    def ap50(self) -> float:
        """At an IoU of 0.50."""
        return _mean(self.precision[0])

    @property
    def ap75(self) -> float:
        """At an IoU of 0.75."""
        return _mean(self.precision[5])


def detection_scores(detections: ArrayLike, truth: ArrayLike, classes: int, *, most: int = 100) -> DetectionScores:
    """Scores of the detections of some images.

    Args:
        detections: Rows (cx, cy, w, h, label, score) of each image, shape `(I, D, 6)`.
        truth: Objects, likewise, with a score of 1; shape `(I, G, 6)`.
        classes: K.
        most: Detections of a class in an image that count, >= 1.

    Raises:
        ValueError: If shapes do not fit, a label is out of range, `most` is, a number is not finite, or an object has
            no area.
    """
    precision, recall = (np.full((len(THRESHOLDS), classes), np.nan) for _ in range(2))
    for label, found in enumerate(_by_class(detections, truth, classes, THRESHOLDS, most)):
        if found.objects > 0:
            curves = [_averaged(hits, found.objects) for hits in found.hits]
            precision[:, label], recall[:, label] = np.array(curves).T
    return DetectionScores(precision, recall)


def score_calibration(
    detections: ArrayLike,
    truth: ArrayLike,
    classes: int,
    *,
    threshold: float = 0.5,
    likely: float = LIKELY,
    most: int = 100,
    bins: int = 15,
) -> float:
    """Expected calibration error of scores as the probability of a match at an IoU, in [0, 1].

    Args:
        detections: As for `detection_scores`.
        truth: Likewise.
        classes: K.
        threshold: The IoU.
        likely: Scores below are left out, though what they belong to may still be matched.
        most: Detections of a class in an image that count, >= 1.
        bins: Of equal width, >= 1.

    Raises:
        ValueError: As `detection_scores`, or if there is no detection with such a score.
    """
    found = list(_by_class(detections, truth, classes, np.array([threshold]), most))
    scores, hits = (np.concatenate(parts) for parts in zip(*((f.scores, f.hits[0]) for f in found), strict=True))
    some = scores >= likely
    if not some.any():
        raise ValueError(f"calibration needs a detection with a score of at least {likely:g}; got none.")
    return expected_calibration_error(scores[some], hits[some], bins=bins)


class Answers(NamedTuple):
    """How right the boxes are that are said to be things.

    Attributes:
        precision: Share of them that are matched; not a number without any.
        recall: Share of the objects that are matched; not a number without any.
    """

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Their harmonic mean; zero where nothing is matched."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total > 0 else 0.0


def answers(
    detections: ArrayLike, truth: ArrayLike, classes: int, *, threshold: float = 0.5, likely: float = 0.5
) -> Answers:
    """Precision and recall of detections with a score from a half on, over all classes together.

    Args:
        detections: As for `detection_scores`.
        truth: Likewise.
        classes: K.
        threshold: IoU at which a detection is matched.
        likely: Score from which on a box is said to be a thing.

    Raises:
        ValueError: As `detection_scores`.
    """
    rows = np.array(detections, float)
    if rows.ndim == 3 and rows.shape[2] == _ROW:
        rows[..., 5] *= rows[..., 5] >= likely
    most = max(1, rows.shape[1]) if rows.ndim == 3 else 1
    found = list(_by_class(rows, truth, classes, np.array([threshold]), most))
    hits, said, objects = (sum(n) for n in zip(*((f.hits.sum(), len(f.scores), f.objects) for f in found), strict=True))
    return Answers(hits / said if said else float("nan"), hits / objects if objects else float("nan"))


class _Found(NamedTuple):
    """The detections of one class over images; over all of them in the order of falling scores."""

    scores: Numbers  # (n,)
    hits: NDArray[np.bool_]  # (T, n), whether each is matched
    objects: int


def _by_class(
    detections: ArrayLike, truth: ArrayLike, classes: int, thresholds: Numbers, most: int
) -> Iterator[_Found]:
    ours, theirs = _checked("detections", detections, classes), _checked("truth", truth, classes)
    empty = (theirs[..., 5] > 0) & ~(theirs[..., 2:4] > 0).all(-1)
    if empty.any():
        raise ValueError(
            f"objects (cx, cy, w, h) must have a positive width and height; got {theirs[empty][0, :4].tolist()}. "
            "Drop objects without area."
        )
    if len(ours) != len(theirs) or most < 1:
        raise ValueError(
            "detections and truth must be of the same images and most at least 1; got "
            f"{len(ours)} and {len(theirs)} images and {most}."
        )
    for label in range(classes):
        parts = [
            _found(ours[some], theirs[some], label, thresholds, most)
            for some in (slice(first, first + _TOGETHER) for first in range(0, max(1, len(ours)), _TOGETHER))
        ]
        scores, hits = np.concatenate([part.scores for part in parts]), np.concatenate([part.hits for part in parts], 1)
        order = np.argsort(-scores, kind="stable")
        yield _Found(scores[order], hits[:, order], sum(part.objects for part in parts))


def _found(ours: Numbers, theirs: Numbers, label: int, thresholds: Numbers, most: int) -> _Found:
    """The detections of one class in some images, one image after the other."""
    found, there = (_of_class(rows, label) for rows in (ours, theirs))
    found = found[:, :most]
    hits = _matched(_overlap(found, there), there[..., 5] > 0, thresholds)
    some = found[..., 5] > 0
    return _Found(found[..., 5][some], hits[:, some], int((there[..., 5] > 0).sum()))


def _of_class(rows: Numbers, label: int) -> Numbers:
    """The rows of one class by falling scores, as many as an image has at most; others have a score of zero."""
    score = np.where(rows[..., 4] == label, rows[..., 5], 0.0)
    order = np.argsort(-score, axis=1, kind="stable")[:, : (score > 0).sum(1).max(initial=0)]
    chosen = np.take_along_axis(rows, order[..., None], 1)
    return np.concatenate([chosen[..., :5], np.take_along_axis(score, order, 1)[..., None]], -1)


def _overlap(ours: Numbers, theirs: Numbers) -> Numbers:
    """IoU of all pairs of an image, `(I, D, G)`."""
    a, b = ours[:, :, None], theirs[:, None]
    first = np.maximum(a[..., :2] - a[..., 2:4] / 2, b[..., :2] - b[..., 2:4] / 2)
    last = np.minimum(a[..., :2] + a[..., 2:4] / 2, b[..., :2] + b[..., 2:4] / 2)
    shared = (last - first).clip(min=0).prod(-1)
    union = a[..., 2:4].prod(-1) + b[..., 2:4].prod(-1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _matched(overlap: Numbers, there: NDArray[np.bool_], thresholds: Numbers) -> NDArray[np.bool_]:
    """Which detections are matched, one rank after the other in all images at once; `(T, I, D)`."""
    images, ranks, objects = overlap.shape
    hits = np.zeros((len(thresholds), images, ranks), bool)
    if objects == 0:
        return hits
    free = np.broadcast_to(there, (len(thresholds), images, objects)).copy()
    for rank in range(ranks):
        # Of equal overlaps the last object is taken, as the reference does.
        candidate = np.where(free, overlap[:, rank], -1.0)
        best = objects - 1 - candidate[..., ::-1].argmax(-1)
        value = np.take_along_axis(candidate, best[..., None], -1)[..., 0]
        hits[..., rank] = value >= np.minimum(thresholds, 1 - 1e-10)[:, None]
        taken = np.zeros_like(free)
        np.put_along_axis(taken, best[..., None], hits[..., rank, None], -1)
        free &= ~taken
    return hits


def _averaged(hits: NDArray[np.bool_], objects: int) -> tuple[float, float]:
    """Average precision and the last recall of one curve."""
    if len(hits) == 0:
        return 0.0, 0.0
    true = hits.cumsum()
    recall, precision = true / objects, true / np.arange(1, len(hits) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, _RECALLS, side="left")
    read = np.where(place < len(hits), falling[np.minimum(place, len(hits) - 1)], 0.0)
    return float(read.mean()), float(recall[-1])


def _checked(name: str, rows: ArrayLike, classes: int) -> Numbers:
    array = np.asarray(rows, float)
    if array.ndim != 3 or array.shape[2] != _ROW:
        raise ValueError(
            f"{name} must have shape (images, n, {_ROW}), rows (cx, cy, w, h, label, score); got {array.shape}."
        )
    if not np.isfinite(array).all():
        image = int(np.argmin(np.isfinite(array).all((1, 2))))
        raise ValueError(f"{name} must be finite; image {image} holds a number that is not. Leave its row at zeros.")
    label = array[..., 4][array[..., 5] > 0]
    if not np.isin(label, np.arange(classes)).all():
        raise ValueError(
            f"labels of {name} must be whole numbers from 0 to {classes - 1}; got {label.min():g} to {label.max():g}. "
            "Count classes from 0, or name more of them."
        )
    return array


def _mean(precision: Numbers) -> float:
    known = precision[~np.isnan(precision)]
    return float(known.mean()) if len(known) else float("nan")
