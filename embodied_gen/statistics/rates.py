"""Intervals and tests for success rates.

k successes in n trials estimate a rate p; the arms of a comparison are a and b.

    Wilson     (k + z²/2 ± z sqrt(k (n - k) / n + z²/4)) / (n + z²), z the normal quantile of the confidence
    Newcombe   d - sqrt((p_a - l_a)² + (u_b - p_b)²),  d + sqrt((u_a - p_a)² + (p_b - l_b)²)
    McNemar    only pairs that differ tell the arms apart: only_a ~ Binomial(only_a + only_b, 1/2)
    Holm       the i-th smallest of m p-values, times m - i + 1, made monotone

with (l, u) the Wilson interval of an arm and d = p_a - p_b. Arms that ran on the same seeds make pairs; the
paired functions allow for their correlation.

Sources: Wilson 1927; Clopper & Pearson 1934; McNemar 1947; Holm 1979; Newcombe 1998, Statistics in Medicine
17:873-890 (independent arms) and 17:2635-2650 (paired arms), method 10 of both.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from embodied_gen.statistics.interval import Interval, check_counts, check_shares, check_values


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


def newcombe(successes_a: int, trials_a: int, successes_b: int, trials_b: int, confidence: float = 0.95) -> Interval:
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


def newcombe_paired(both: int, only_a: int, only_b: int, neither: int, confidence: float = 0.95) -> Interval:
    """Interval of the difference p_a - p_b of two success rates on the same trials.

    The correlation of the arms is the phi coefficient of the table; where it is positive, n/2 is subtracted
    from its numerator as a correction for continuity.

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
    check_counts(both=both, only_a=only_a, only_b=only_b, neither=neither)
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
    check_counts(only_a=only_a, only_b=only_b)
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
    p = check_values(p_values, "p_values")
    if (p < 0).any() or (p > 1).any():
        raise ValueError(f"p_values must lie in [0, 1]; got {p.tolist()}.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def _proportion(successes: int, trials: int, confidence: float, method: str) -> Interval:
    check_counts(successes=successes, trials=trials)
    check_shares(confidence=confidence)
    if successes > trials:
        raise ValueError(f"successes must be <= trials; got {successes} of {trials}.")
    if not trials:
        return Interval(0.0, 1.0)
    low, high = stats.binomtest(successes, trials).proportion_ci(confidence, method=method)
    rate = successes / trials  # rounding must not push a bound past the estimate
    return Interval(min(max(float(low), 0.0), rate), max(min(float(high), 1.0), rate))


def _square_and_add(p_a: float, a: Interval, p_b: float, b: Interval, *, correlation: float) -> Interval:
    def length(x: float, y: float) -> float:
        return math.sqrt(max(x * x - 2 * correlation * x * y + y * y, 0.0))

    low = p_a - p_b - length(p_a - a.low, b.high - p_b)
    high = p_a - p_b + length(a.high - p_a, p_b - b.low)
    return Interval(max(low, -1.0), min(high, 1.0))
