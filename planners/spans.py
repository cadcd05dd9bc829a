"""A constraint at a time, or from a time to a time: of a path or of a scene.

Both have their steps in the axis before the last, so one slice serves paths `(B, N, T, D)` and scenes
`(B, N, A, T, 7)`.
"""

from typing import Any, final

import torch
from torch import Tensor

from planners.constraints import Constraint


@final
class During(Constraint):
    """A constraint on a span of steps alone; what comes before and after is free.

    Args:
        constraint: On paths or scenes; it sees a path that starts at `first` and ends at `last`.
        first: First step of the span, from the end where negative.
        last: Last step of the span, included, from the end where negative.

    Raises:
        ValueError: If the span ends before it starts; if a path does not have its steps.
    """

    def __init__(self, constraint: Constraint, first: int, last: int):
        require_order(first, last)
        self.constraint, self.first, self.last = constraint, first, last
        self.name = f"{constraint.name}, steps {first} to {last}"
        self.projects = constraint.projects

    def margins(self, y: Tensor) -> Tensor:
        """Margins of the constraint on the span, `(B, N, P)`."""
        return self.constraint.margins(y[..., self._span(y), :])

    def margin(self, y: Tensor) -> Tensor:
        """The certified margin of the constraint on the span, `(B, N)`."""
        return self.constraint.margin(y[..., self._span(y), :])

    def project(self, y: Tensor) -> Tensor:
        """The span projected, the rest as it is."""
        span = self._span(y)
        parts = [y[..., : span.start, :], self.constraint.project(y[..., span, :]), y[..., span.stop :, :]]
        return torch.cat(parts, dim=-2)

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        """Those of the constraint."""
        return self.constraint.shapes()

    def _span(self, y: Tensor) -> slice:
        return span_of(self.first, self.last, y, self.name)


def require_order(first: int, last: int) -> None:
    """Raises `ValueError` if a span ends before it starts, whatever the length of a path."""
    if (first < 0) == (last < 0) and first > last:
        raise ValueError(f"a span must not end before it starts; got steps {first} to {last}.")


def span_of(first: int, last: int, y: Tensor, name: str) -> slice:
    """The steps from first to last, included, each from the end where negative.

    Raises:
        ValueError: If y does not have them.
    """
    steps = y.shape[-2]
    start, stop = (number + steps if number < 0 else number for number in (first, last))
    if not 0 <= start <= stop < steps:
        raise ValueError(f"{name}: the span must lie in a path of {steps} steps, 0 to {steps - 1}.")
    return slice(start, stop + 1)
