"""Intervals and tests for success rates, scores and diversity of evaluated policies.

k successes in n trials estimate a rate p; arms are called a and b; z is the normal quantile of the confidence.

    Wilson          (k + z²/2 ± z sqrt(k (n - k) / n + z²/4)) / (n + z²)
    Newcombe        d - sqrt((p_a - l_a)² + (u_b - p_b)²),  d + sqrt((u_a - p_a)² + (p_b - l_b)²)
    McNemar         only the pairs that differ say which arm is better: only_a ~ Binomial(only_a + only_b, 1/2)
    Holm            the i-th smallest of m p-values, times m - i + 1, made monotone

with (l, u) the Wilson interval of an arm and d = p_a - p_b. Same seeds in both arms make pairs, and pairs are
analysed as such: the paired functions are valid there and sharper, the others are neither.

Sources: Wilson 1927; Clopper & Pearson 1934; Newcombe 1998, Statistics in Medicine 17:873-890 (independent) and
17:2635-2650 (paired), method 10 of both; Holm 1979; Efron 1987 (BCa); Connor 1987, Biometrics 43:207-211.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

BATCH = 4_000_000  # numbers that the bootstrap holds at once


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A value with its confidence interval."""

    value: float
    low: float
    high: float


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a success rate; its coverage is close to `confidence` on average.

    Args:
        successes: Successes k.
        trials: Trials n; with 0 nothing is known and the interval is [0, 1].
        confidence: Coverage in (0, 1).

    Returns:
        Interval within [0, 1].

    Raises:
        ValueError: Unless 0 <= successes <= trials and the confidence lies in (0, 1).
    """
    return _proportion(successes, trials, confidence, "wilson")


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Exact interval of a success rate; its coverage is at least `confidence` at every rate.

    Args:
        successes: Successes k.
        trials: Trials n; with 0 nothing is known and the interval is [0, 1].
        confidence: Coverage in (0, 1).

    Returns:
        Interval within [0, 1].

    Raises:
        ValueError: Unless 0 <= successes <= trials and the confidence lies in (0, 1).
    """
    return _proportion(successes, trials, confidence, "exact")


def newcombe(
    successes_a: int, trials_a: int, successes_b: int, trials_b: int, confidence: float = 0.95
) -> Interval:
    """Interval of the difference p_a - p_b of two independent success rates (Newcombe 1998, method 10).

    Args:
        successes_a: Successes of arm a.
        trials_a: Trials of arm a; if an arm has none, the interval is [-1, 1].
        successes_b: Successes of arm b.
        trials_b: Trials of arm b.
        confidence: Coverage in (0, 1).

    Returns:
        Interval within [-1, 1].

    Raises:
        ValueError: Unless 0 <= successes <= trials in both arms and the confidence lies in (0, 1).
    """
    a, b = wilson(successes_a, trials_a, confidence), wilson(successes_b, trials_b, confidence)
    if not trials_a or not trials_b:
        return Interval(-1.0, 1.0)
    return _square_and_add(successes_a / trials_a, a, successes_b / trials_b, b, correlation=0.0)


def newcombe_paired(
    both: int, only_a: int, only_b: int, neither: int, confidence: float = 0.95
) -> Interval:
    """Interval of the difference p_a - p_b of two success rates on the same trials (Newcombe 1998, method 10).

    The correlation of the arms is the phi coefficient of the table, with the continuity correction n/2 where it
    is positive.

    Args:
        both: Trials in which both arms succeeded.
        only_a: Trials in which only arm a succeeded.
        only_b: Trials in which only arm b succeeded.
        neither: Trials in which no arm succeeded; with no trials at all the interval is [-1, 1].
        confidence: Coverage in (0, 1).

    Returns:
        Interval within [-1, 1].

    Raises:
        ValueError: If a count is negative or no whole number, or the confidence is outside (0, 1).
    """
    _check_counts(both=both, only_a=only_a, only_b=only_b, neither=neither)
    trials = both + only_a + only_b + neither
    a, b = wilson(both + only_a, trials, confidence), wilson(both + only_b, trials, confidence)
    if not trials:
        return Interval(-1.0, 1.0)
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    excess = both * neither - only_a * only_b
    corrected = excess if excess < 0 else max(excess - trials / 2, 0.0)
    correlation = corrected / math.sqrt(margins) if margins else 0.0
    return _square_and_add((both + only_a) / trials, a, (both + only_b) / trials, b, correlation=correlation)


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided p-value of the hypothesis that two arms on the same trials are equally good.

    Args:
        only_a: Trials in which only arm a succeeded.
        only_b: Trials in which only arm b succeeded.

    Returns:
        The p-value; 1 if no trial tells the arms apart.

    Raises:
        ValueError: If a count is negative or no whole number.
    """
    _check_counts(only_a=only_a, only_b=only_b)
    differing = only_a + only_b
    return float(stats.binomtest(only_a, differing, 0.5).pvalue) if differing else 1.0


def holm(p_values: ArrayLike) -> np.ndarray:
    """Adjusts the p-values of m comparisons, so that those below alpha hold together at level alpha.

    Args:
        p_values: The p-values, shape `(m,)`.

    Returns:
        Adjusted p-values in the same order, shape `(m,)`.

    Raises:
        ValueError: If there are none, or one is no probability.
    """
    p = _check_values(p_values, "p_values")
    if (p < 0).any() or (p > 1).any():
        raise ValueError(f"p_values must lie in [0, 1]; got {p.tolist()}.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted
