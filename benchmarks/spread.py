"""Medians and ranges of repeated measurements: times, or ratios of two programs timed in turn (A B A B ...)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def spread(name: str, values: Sequence[float] | NDArray[np.float64]) -> dict[str, float]:
    """What a record holds of all measurements of a name."""
    return {
        f"{name}_median": float(np.median(values)),
        f"{name}_min": float(min(values)),
        f"{name}_max": float(max(values)),
    }


def median_and_range(row: dict[str, Any], name: str, digits: int) -> str:
    """The median with its range, as tables print it."""
    middle, low, high = (f"{row[f'{name}_{which}']:.{digits}f}" for which in ("median", "min", "max"))
    return f"{middle} ({low} to {high})"
