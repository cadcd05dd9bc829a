"""What environments ask of their arguments before they make anything."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np


def is_whole(value: Any, least: int, most: int) -> bool:
    """Whether a value is a whole number in a range; booleans and floats are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(least <= value <= most)


def check_whole(name: str, value: Any, least: int, most: int) -> None:
    """Raises `ValueError` unless an argument `is_whole`."""
    if not is_whole(value, least, most):
        raise ValueError(f"{name} must be a whole number in {least}..{most}; got {value!r}.")


def check_positive(name: str, value: Any, unit: str) -> None:
    """Raises `ValueError` unless an argument is a positive and finite number; `unit` is named beside it."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a positive and finite number [{unit}]; got {value!r}.")


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raises `ValueError` unless an argument is one of some names."""
    names = list(choices)
    if value not in names:
        raise ValueError(f"{name} must be one of {', '.join(names)}; got {value!r}.")
