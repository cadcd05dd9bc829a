"""What every environment asks of an action before it simulates anything."""

from typing import Any

import numpy as np


def check_action(action: Any, numbers: int, unit: str) -> None:
    """Raises `ValueError` unless an action is so many finite numbers; `unit` ends the sentence: "in [-1, 1]"."""
    if not _finite(action, (numbers,)):
        raise ValueError(f"An action must be {numbers} finite numbers {unit}; got {action!r}.")


def check_actions(actions: Any, rows: int, numbers: int, unit: str) -> None:
    """Raises `ValueError` unless there are so many finite numbers for each of some environments."""
    if not _finite(actions, (rows, numbers)):
        raise ValueError(
            f"Actions of {rows} environments must be {numbers} finite numbers {unit} for each, shape "
            f"({rows}, {numbers}); got {actions!r}."
        )


def _finite(numbers: Any, shape: tuple[int, ...]) -> bool:
    return np.shape(numbers) == shape and bool(np.isfinite(numbers).all())
