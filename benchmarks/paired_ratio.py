"""Ratios of two programs that are timed in turn (A B A B ...): the median over pairs, and their range."""

from collections.abc import Iterable
from typing import Any

import numpy as np


def paired_ratio(over_pairs: Iterable[float]) -> dict[str, float]:
    """What a record holds of the ratios of all pairs."""
    ratios = list(over_pairs)
    return {"ratio_median": float(np.median(ratios)), "ratio_min": float(min(ratios)), "ratio_max": float(max(ratios))}


def median_and_range(row: dict[str, Any], digits: int) -> str:
    """The median with its range, as tables print it."""
    middle, low, high = (f"{row[name]:.{digits}f}" for name in ("ratio_median", "ratio_min", "ratio_max"))
    return f"{middle} ({low} to {high})"
