"""What the statistics return, and what they refuse."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float


def check_counts(**counts: int) -> None:
    """Refuses counts that are negative or no whole numbers.

    Args:
        counts: Counts by the name of their argument.

    Raises:
        ValueError: Naming the first that is none.
    """
    for name, count in counts.items():
        if not isinstance(count, int | np.integer) or count < 0:
            raise ValueError(f"{name} must be a whole number >= 0; got {count!r}.")


def check_shares(**shares: float) -> None:
    """Refuses confidences, levels and powers outside (0, 1).

    Args:
        shares: Shares by the name of their argument.

    Raises:
        ValueError: Naming the first that is none.
    """
    for name, share in shares.items():
        if not 0 < share < 1:
            raise ValueError(f"{name} must lie strictly between 0 and 1; got {share}.")


def check_values(values: ArrayLike, name: str, least: int = 1) -> np.ndarray:
    """Turns values into an array and refuses those that are not finite or too few.

    Args:
        values: Numbers, shape `(n,)`.
        name: Name of the argument.
        least: Smallest n allowed.

    Returns:
        The values as float64, shape `(n,)`.

    Raises:
        ValueError: If the shape is another, n is below `least`, or a value is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < least:
        raise ValueError(f"{name} must be one-dimensional with at least {least} entries; got {array.shape}.")
    check_finite(array, name)
    return array


def check_finite(array: np.ndarray, name: str) -> None:
    """Raises `ValueError` unless all entries are finite; `name` is that of the argument."""
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; {np.count_nonzero(~np.isfinite(array))} entries are not.")
