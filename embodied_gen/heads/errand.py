"""Errands: what a context asks of a path over a map.

A context is a mapping with the leaves

    layers    features of the map, shape `(B, C, H, W)`
    start     where the path begins [m], shape `(B, 2)`
    goal      where it ends [m], shape `(B, 2)`; some lengths of paths need none
    steps     how many moves it has, integers, shape `(B,)`; as many as the event has where there is no such leaf
    blocked   cells that no path enters, bool, shape `(B, H, W)`; none where there is no such leaf
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from embodied_gen.events.grid_path import GridPath


@final
@dataclass(frozen=True)
class Errand:
    """What is asked, with cells by their numbers.

    Attributes:
        layers: Shape `(B, C, H, W)`.
        start: Shape `(B,)`, int64.
        goal: The same, or None.
        steps: Shape `(B,)`, int64, or None.
        blocked: Shape `(B, H, W)`, bool, or None.
    """

    layers: Tensor
    start: Tensor
    goal: Tensor | None
    steps: Tensor | None
    blocked: Tensor | None

    @classmethod
    def of(cls, c: Mapping[str, Tensor], event: GridPath) -> "Errand":
        """What a context asks.

        Raises:
            ValueError: If a leaf lacks, is of a wrong shape, or has a number that is none.
        """
        lacking = [name for name in ("layers", "start") if name not in c]
        if lacking:
            raise ValueError(f"the context of a path over a map needs the leaf {lacking[0]}; got {sorted(c)}.")
        layers = c["layers"]
        _check_shapes(c, len(layers) if layers.ndim else 0, event.grid.states)
        _require_numbers(layers, event)
        goal = event.located(c["goal"], "goal") if "goal" in c else None
        steps = c["steps"].long() if "steps" in c else None
        if steps is not None and bool(((steps < 0) | (steps > event.moves)).any()):
            raise ValueError(f"steps must lie from 0 to the event's {event.moves} moves; got {steps.tolist()}.")
        blocked = c["blocked"].bool() if "blocked" in c else None
        return cls(layers, event.located(c["start"], "start"), goal, steps, blocked)

    def repeated(self, n: int) -> "Errand":
        """Each n times in a row."""

        def many(leaf: Tensor | None) -> Tensor | None:
            return None if leaf is None else leaf.repeat_interleave(n, 0)

        layers, start = self.layers.repeat_interleave(n, 0), self.start.repeat_interleave(n, 0)
        return Errand(layers, start, many(self.goal), many(self.steps), many(self.blocked))

    def wanted(self, kind: str) -> Tensor:
        """The goals.

        Raises:
            ValueError: If there are none.
        """
        if self.goal is None:
            raise ValueError(f"{kind} needs the leaf goal in the context; got none.")
        return self.goal


def _check_shapes(c: Mapping[str, Tensor], rows: int, cells: tuple[int, ...]) -> None:
    height, width = cells
    expected = {"start": (rows, 2), "goal": (rows, 2), "steps": (rows,), "blocked": (rows, height, width)}
    layers = c["layers"]
    if layers.ndim != 4 or tuple(layers.shape[2:]) != cells:
        raise ValueError(f"layers must have shape (B, C, {height}, {width}); got {tuple(layers.shape)}.")
    for name, shape in expected.items():
        if name in c and tuple(c[name].shape) != shape:
            raise ValueError(f"{name} must have shape {shape}; got {tuple(c[name].shape)}.")


def _require_numbers(layers: Tensor, event: GridPath) -> None:
    wrong = (~layers.isfinite()).nonzero()
    if len(wrong):
        number, layer, row, column = wrong[0].tolist()
        place = event.grid.place(row * event.grid.width + column)
        raise ValueError(
            f"layers must be finite; map {number} has {float(layers[number, layer, row, column])} in layer {layer} at "
            f"{place}. Fill it or mark the cell as blocked."
        )
