r"""Calibration: whether what is said to be sure is as sure as is said.

The expected calibration error compares probabilities with how often they are right, in bins of equal width,

    ECE = sum_b n_b / n |accuracy_b - mean probability_b|.

Coverage compares the spread of samples with where the truth lies: the central interval of level l reaches from the (1 -
l) / 2 to the (1 + l) / 2 quantile of the samples, and a share l of truths should lie in it. With n samples its ends are
order statistics, linearly interpolated at rank q (n + 1): where that is a whole number, a truth that is one more sample
of the same kind is covered with probability l exactly.

Sources: Guo et al. 2017 (arXiv:1706.04599) for the error; Hyndman and Fan 1996 (type 6) for the quantiles.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embodied_gen.statistics.interval import check_finite

Numbers = NDArray[np.floating]

_ROUNDING = 1e-5  # by which sums of float32 probabilities may leave [0, 1]


def expected_calibration_error(probabilities: ArrayLike, right: ArrayLike, *, bins: int = 15) -> float:
    """The error of probabilities, in [0, 1].

    Args:
        probabilities: In [0, 1] up to rounding, shape `(n,)`, at least one.
        right: Whether each came true, bool, shape `(n,)`.
        bins: Of equal width, >= 1.

    Raises:
        ValueError: If shapes differ, there is none, one is no probability, or bins is out of range.
    """
    sure, came_true = np.asarray(probabilities, float), np.asarray(right, bool)
    if bins < 1:
        raise ValueError(f"bins must be at least 1; got {bins}.")
    if sure.ndim != 1 or sure.shape != came_true.shape or len(sure) == 0:
        raise ValueError(
            f"probabilities and right must have one shape (n,) with n >= 1; got {sure.shape} and {came_true.shape}."
        )
    check_finite(sure, "probabilities")
    if sure.min() < -_ROUNDING or sure.max() > 1 + _ROUNDING:
        raise ValueError(f"probabilities must lie in [0, 1]; got {sure.min():g} to {sure.max():g}. Give no logits.")
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gap = np.bincount(place, came_true - sure, minlength=bins)
    return float(np.abs(gap).sum() / len(sure))


def central_intervals(
    samples: ArrayLike, levels: Sequence[float] = (0.5, 0.8, 0.9), *, there: ArrayLike | None = None
) -> tuple[Numbers, Numbers]:
    """The ends of central intervals of samples.

    Args:
        samples: Of each number, shape `(..., n)` with n >= 2.
        levels: Of the intervals, in (0, 1).
        there: Which samples there are, two of each number or more, bool, the shape of samples; all where None.

    Returns:
        Lower and upper ends, each of shape `(levels, ...)`.

    Raises:
        ValueError: If shapes do not fit, a number has fewer than two samples, one that is there is not finite, or a
            level is out of range.
    """
    drawn = np.asarray(samples, float)
    some = np.ones(drawn.shape, bool) if there is None else np.asarray(there, bool)
    if drawn.ndim < 1 or some.shape != drawn.shape or drawn.shape[-1] < 2 or bool((some.sum(-1) < 2).any()):
        raise ValueError(
            f"samples must have shape (..., n), and two or more of each number be there; got {drawn.shape} and "
            f"{some.shape}. Leave out numbers with fewer."
        )
    check_finite(drawn[some], "samples")
    if not all(0 < level < 1 for level in levels):
        raise ValueError(f"levels must lie strictly between 0 and 1; got {list(levels)}.")
    shares = np.asarray(levels, float).reshape(-1, *[1] * (drawn.ndim - 1))
    ordered, counts = np.sort(np.where(some, drawn, np.inf), -1), some.sum(-1)
    return _quantiles(ordered, counts, (1 - shares) / 2), _quantiles(ordered, counts, (1 + shares) / 2)


def coverage(
    samples: ArrayLike,
    truth: ArrayLike,
    levels: Sequence[float] = (0.5, 0.8, 0.9),
    *,
    there: ArrayLike | None = None,
) -> Numbers:
    """The share of truths in the central intervals of their samples.

    Args:
        samples: Of each number, shape `(..., n)` with n >= 2.
        truth: Shape `(...)`, at least one.
        levels: Of the intervals, in (0, 1).
        there: Which samples there are, see `central_intervals`.

    Returns:
        One share for each level.

    Raises:
        ValueError: If shapes do not fit, a truth or a sample that is there is not finite, or a level is out of range.
    """
    drawn, true = np.asarray(samples, float), np.asarray(truth, float)
    if drawn.ndim < 1 or drawn.shape[:-1] != true.shape or drawn.shape[-1] < 2 or true.size == 0:
        raise ValueError(
            f"samples must have shape (..., n) with n >= 2 for a truth of shape (...) that is not empty; got "
            f"{drawn.shape} and {true.shape}."
        )
    check_finite(true, "truth")
    low, high = central_intervals(drawn, levels, there=there)
    return ((low <= true) & (true <= high)).reshape(len(levels), -1).mean(1)


def _quantiles(ordered: Numbers, counts: NDArray[np.integer], shares: Numbers) -> Numbers:
    """Quantiles (type 6) of the first `counts`, `(...)`, of samples in order, `(..., n)`; `(levels, ...)`."""
    rank = np.clip(shares * (counts + 1), 1, counts) - 1
    before = np.minimum(np.floor(rank).astype(int), counts - 2)
    low, high = (np.take_along_axis(ordered[None], index[..., None], -1)[..., 0] for index in (before, before + 1))
    return low + (rank - before) * (high - low)
