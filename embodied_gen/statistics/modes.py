"""Modes that a generator reaches: whether it drops some, or collapses within them.

A reference holds m values with the number of the mode that each belongs to, as labelled or as found by `clusters`. A
sample belongs to the mode of the value nearest to it, or to none where that is further away than

    radius = quantile of the distances of reference values to the nearest other one,

so that of faithful samples a share of one less the quantile belongs to none, whatever the density is.

    dropped modes    share of modes with fewer samples than a tenth of what the reference has of them
    balance          entropy of the modes, see `entropy`
    collapse         deviation of samples about the mean of their mode over that of the reference, averaged over the
                     modes with two samples or more: 0 where every mode is a single point, 1 where it is faithful

Few samples have less entropy than the law that they come from, and miss modes that it has. Where samples are of
different numbers, both are told over what as many of the reference have in the mean: `relative_entropy` and
`relative_reach`, which are one for faithful samples of any number.

Values are vectors; lay events flat. Source: Che et al. 2017 (arXiv:1612.02136) for counting modes that are missing.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats
from scipy.cluster import vq
from scipy.spatial import KDTree

from embodied_gen.statistics.interval import Estimate, check_shares
from embodied_gen.statistics.resampling import entropy

DROPPED = 0.1  # of a mode's share in the reference


@final
@dataclass(frozen=True)
class Modes:
    """What samples have of the modes of a reference.

    Attributes:
        counts: Samples of each mode, shape `(K,)`.
        expected: Samples of each mode if they were as the reference, shape `(K,)`.
        outside: Share of samples that belong to no mode.
        entropy: Of the counts, over log K; [0, 1] where no sample belongs to a mode.
        spread: Deviation within modes over that of the reference; 0 where no mode has two samples.
    """

    counts: np.ndarray
    expected: np.ndarray
    outside: float
    entropy: Estimate
    spread: float

    @property
    def reached(self) -> float:
        """Share of modes that are not dropped."""
        return reached(self.counts, self.expected)


def reached(counts: ArrayLike, expected: ArrayLike) -> float:
    """Share of modes that are not dropped, of those that are expected at all.

    Args:
        counts: Samples of each mode, shape `(K,)`.
        expected: Samples of each mode if they were as the reference, shape `(K,)`.
    """
    found, due = np.asarray(counts, float), np.asarray(expected, float)
    return float((found >= np.maximum(DROPPED * due, 1))[due > 0].mean())


def relative_entropy(counts: ArrayLike, expected: ArrayLike) -> float | None:
    """Entropy of how often each mode was chosen, over that of as many samples of the reference in the mean.

    Args:
        counts: Samples of each mode, shape `(K,)`; of modes that are not expected they do not count.
        expected: Of the reference, or shares that are in proportion, shape `(K,)`.

    Returns:
        1 for faithful samples in the mean; None of fewer than two samples, and where fewer than two modes are expected.
    """
    found, share = _of_expected(counts, expected)
    total = int(found.sum())
    if len(found) < 2 or total < 2:
        return None
    n, (values, times) = np.arange(total + 1), np.unique(share, return_counts=True)
    of_modes = stats.binom.pmf(n, total, values[:, None]) @ special.entr(n / total)
    return float(special.entr(found / total).sum() / (times @ of_modes))


def relative_reach(counts: ArrayLike, expected: ArrayLike) -> float | None:
    """Modes that are not dropped, over those that as many samples of the reference do not drop in the mean.

    Args:
        counts: As for `relative_entropy`.
        expected: Likewise.

    Returns:
        1 for faithful samples in the mean; None of fewer than two samples.
    """
    found, share = _of_expected(counts, expected)
    total = found.sum()
    if total < 2:
        return None
    least = np.ceil(np.maximum(DROPPED * total * share, 1))
    return float((found >= least).sum() / stats.binom.sf(least - 1, total, share).sum())


def count_modes(
    samples: ArrayLike, reference: ArrayLike, labels: ArrayLike, *, rng: np.random.Generator, quantile: float = 0.99
) -> Modes:
    """Counts the modes that samples reach.

    Args:
        samples: Shape `(n, D)`, n >= 1.
        reference: Shape `(m, D)`.
        labels: Mode of each value of the reference, whole numbers in [0, K), each at least twice, shape `(m,)`.
        rng: Source of the entropy's interval.
        quantile: Of the distances between neighbours of the reference that a sample may have, in (0, 1).

    Returns:
        What the samples have of the modes.

    Raises:
        ValueError: If a shape or a label is wrong, or there are fewer than two modes.
    """
    x, y, mode = np.asarray(samples, float), np.asarray(reference, float), np.asarray(labels)
    check_shares(quantile=quantile)
    _check(x, y, mode)
    tree = KDTree(y)
    radius = np.quantile(tree.query(y, k=2)[0][:, 1], quantile)
    distance, nearest = tree.query(x)
    inside = distance <= radius
    reached = mode[nearest[inside]]
    k = int(mode.max()) + 1
    counts = np.bincount(reached, minlength=k)
    return Modes(
        counts,
        np.bincount(mode, minlength=k) * len(x) / len(y),
        float(1 - inside.mean()),
        entropy(counts, rng=rng) if inside.any() else Estimate(0.0, 0.0, 1.0),
        spread(x[inside], reached, y, mode),
    )


def spread(samples: ArrayLike, found: ArrayLike, reference: ArrayLike, labels: ArrayLike) -> float:
    """Collapse within modes, see the head of this file: the deviation of samples over that of a reference.

    Args:
        samples: Shape `(n, D)`.
        found: Mode of each sample, whole numbers >= 0, shape `(n,)`.
        reference: Shape `(m, D)`.
        labels: Mode of each value of the reference, whole numbers >= 0, shape `(m,)`.

    Returns:
        The mean over the modes that have two samples and two values of the reference or more; 0 where there are none.
    """
    x, y, ours, theirs = (np.asarray(part) for part in (samples, reference, found, labels))
    k = int(max(ours.max(initial=-1), theirs.max(initial=-1))) + 1
    seen = (np.bincount(ours, minlength=k) > 1) & (np.bincount(theirs, minlength=k) > 1)
    if not seen.any():
        return 0.0
    width, due = (_deviations(values, mode, k)[seen] for values, mode in ((x, ours), (y, theirs)))
    return float(np.mean(width / np.maximum(due, np.finfo(float).tiny)))


def clusters(reference: ArrayLike, k: int, *, rng: np.random.Generator) -> np.ndarray:
    """Modes of a reference without labels: k clusters (k-means++).

    Args:
        reference: Shape `(m, D)`.
        k: Clusters, in [2, m].
        rng: Source of the first centres.

    Returns:
        The cluster of each value, whole numbers in [0, k), shape `(m,)`.

    Raises:
        ValueError: If k is out of range.
    """
    y = np.asarray(reference, float)
    if not 2 <= k <= len(y):
        raise ValueError(f"k must be at least 2 and at most the {len(y)} values of the reference; got {k}.")
    return vq.kmeans2(y, k, minit="++", rng=rng)[1]


def _of_expected(counts: ArrayLike, expected: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Samples of the modes that are expected, and the share of each of them."""
    found, due = np.asarray(counts, float), np.asarray(expected, float)
    return found[due > 0], due[due > 0] / due.sum()


def _check(x: np.ndarray, y: np.ndarray, mode: np.ndarray) -> None:
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not len(x):
        raise ValueError(
            f"samples and reference must have shapes (n, D) and (m, D); got {x.shape} and {y.shape}. Lay events flat."
        )
    if mode.shape != y.shape[:1] or not np.issubdtype(mode.dtype, np.integer) or mode.min(initial=0) < 0:
        raise ValueError(f"labels must be {len(y)} whole numbers >= 0, one for each value; got shape {mode.shape}.")
    counts = np.bincount(mode)
    if len(counts) < 2 or counts.min() < 2:
        raise ValueError(f"there must be two modes or more, each of two values or more; got counts {counts.tolist()}.")


def _deviations(values: np.ndarray, mode: np.ndarray, k: int) -> np.ndarray:
    """Root mean square distance from the mean of each mode, unbiased; shape `(k,)`, zero where there are none."""
    counts = np.bincount(mode, minlength=k)
    sums = np.stack([np.bincount(mode, column, minlength=k) for column in values.T], 1)
    means = sums / np.maximum(counts, 1)[:, None]
    squares = np.bincount(mode, np.square(values - means[mode]).sum(1), minlength=k)
    return np.sqrt(squares / np.maximum(counts - 1, 1))
