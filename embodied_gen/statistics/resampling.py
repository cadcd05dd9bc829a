"""Intervals by resampling: means of scores, also of values that resemble those before them, and entropies of modes.

Sources: Efron 1987 (BCa bootstrap), through scipy; Kuensch 1989 (blocks of successive values) and Politis and Romano
1992 (which go on at the beginning); Jeffreys 1946 (prior of the entropy's interval).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from embodied_gen.statistics.interval import Estimate, Interval, check_counts, check_shares, check_values

BATCH = 4_000_000  # numbers that the bootstrap holds at once


def bootstrap_mean(
    values: ArrayLike, *, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 10_000
) -> Interval:
    """Bootstrap interval (BCa) of a mean, for scores whose distribution is not known.

    Args:
        values: Independent values, such as one score per episode, shape `(n,)`, n >= 2.
        rng: Source of the resamples.
        confidence: Coverage in (0, 1).
        resamples: Number of resamples, >= 1.

    Returns:
        Interval; of width 0 if all values are equal, which says nothing about values never seen.

    Raises:
        ValueError: If there are fewer than two values, one is not finite, or a parameter is out of range.
    """
    x = check_values(values, "values", least=2)
    _check_resampling(confidence, resamples)
    if np.ptp(x) == 0:
        return Interval(float(x[0]), float(x[0]))
    options: dict[str, Any] = {"confidence_level": confidence, "n_resamples": resamples, "rng": rng}
    options["batch"] = max(1, BATCH // len(x))
    low, high = stats.bootstrap((x,), np.mean, method="BCa", **options).confidence_interval
    if math.isnan(low) or math.isnan(high):  # the acceleration is undefined where values differ by rounding only
        low, high = stats.bootstrap((x,), np.mean, method="percentile", **options).confidence_interval
    return Interval(float(low), float(high))


def bootstrap_paired_difference(
    a: ArrayLike, b: ArrayLike, *, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 10_000
) -> Interval:
    """Bootstrap interval of the mean of a - b over pairs, such as the scores of two arms on the same seeds.

    Args:
        a: Values of arm a, shape `(n,)`, n >= 2.
        b: Values of arm b in the same order, shape `(n,)`.
        rng: Source of the resamples.
        confidence: Coverage in (0, 1).
        resamples: Number of resamples, >= 1.

    Returns:
        Interval of the mean difference.

    Raises:
        ValueError: As `bootstrap_mean`, or if the arms differ in length.
    """
    x, y = check_values(a, "a", least=2), check_values(b, "b", least=2)
    if len(x) != len(y):
        raise ValueError(f"a and b must be pairs; got {len(x)} and {len(y)} values. Match them by seed.")
    return bootstrap_mean(x - y, rng=rng, confidence=confidence, resamples=resamples)


def block_resamples(
    lengths: Sequence[int], *, rng: np.random.Generator, share: float = 0.1, resamples: int = 10_000
) -> NDArray[np.int64]:
    """Resamples of values that resemble those before them, such as frames of videos, sequence by sequence.

    Each sequence is made anew of blocks of its successive values. Blocks begin anywhere and go on from the end of the
    sequence at its beginning, so that all values are drawn equally often. A block must be long beside the time after
    which values have nothing in common; there must be several in a sequence, too, or quantiles of resamples are too
    near to each other. Values of a block of one are drawn on their own.

    Args:
        lengths: Values of each sequence, one sequence after the other, >= 1.
        rng: Source of the resamples.
        share: Length of a block over that of its sequence, in (0, 1).
        resamples: Number of resamples, >= 1.

    Returns:
        Numbers of the values of each resample, shape `(resamples, sum of lengths)`.

    Raises:
        ValueError: If there is no sequence, or a number is out of range.
    """
    check_shares(share=share)
    _check_resamples(resamples)
    if not len(lengths) or min(lengths) < 1:
        raise ValueError(f"there must be sequences of at least one value; got lengths {list(lengths)}.")
    parts, first = [], 0
    for length in lengths:
        block = max(1, round(share * length))
        starts = rng.integers(length, size=(resamples, math.ceil(length / block), 1))
        drawn = (starts + np.arange(block)).reshape(resamples, -1)[:, :length]
        parts.append(first + drawn % length)
        first += length
    return np.concatenate(parts, 1)


def entropy(
    counts: ArrayLike, *, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 10_000
) -> Estimate:
    """Entropy of how often each mode was chosen: 0 for one mode only, 1 for all equally often.

    The estimate is too low by about (K - 1) / (2 N log K) for N samples of K modes (Miller 1955): compare
    policies at equal N, and only where that is small. The interval covers the central share of the posterior
    Dirichlet(counts + 1/2), widened to hold the estimate; unlike a bootstrap it allows for modes never seen. It
    also holds 1 wherever a chi-square test does not refute equal frequencies, which no posterior would.

    Args:
        counts: Samples of each mode, zeros included, shape `(K,)`, K >= 2, at least one sample.
        rng: Source of the draws.
        confidence: Share of the posterior, in (0, 1).
        resamples: Number of draws, >= 1.

    Returns:
        Entropy -sum q_k log q_k / log K of the frequencies q, with its interval, in [0, 1].

    Raises:
        ValueError: If a count is negative or no whole number, or a parameter is out of range.
    """
    n = check_values(counts, "counts", least=2)
    if (n < 0).any() or (n != np.floor(n)).any() or not n.any():
        raise ValueError(f"counts must be whole numbers >= 0, not all 0; got {n.tolist()}.")
    _check_resampling(confidence, resamples)
    value = float(_normalised_entropy(n / n.sum()))
    drawn = _normalised_entropy(rng.dirichlet(n + 0.5, size=resamples))
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    if stats.chisquare(n).pvalue > 1 - confidence:
        high = 1.0
    return Estimate(value, min(float(low), value), max(float(high), value))


def _normalised_entropy(frequencies: np.ndarray) -> np.ndarray:
    return np.clip(special.entr(frequencies).sum(axis=-1) / math.log(frequencies.shape[-1]), 0.0, 1.0)


def _check_resampling(confidence: float, resamples: int) -> None:
    check_shares(confidence=confidence)
    _check_resamples(resamples)


def _check_resamples(resamples: int) -> None:
    check_counts(resamples=resamples)
    if resamples < 1:
        raise ValueError("resamples must be >= 1; got 0.")
