"""Forecasters: what maps observed tracks to draws of their futures.

A forecaster sees the last 8 positions of every pedestrian of a scene, 0.4 s apart, and draws n joint futures of 12
positions. It may see nothing else: what is given to it is cut out before it is asked.
"""

from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

from torch import Tensor

from embodied_gen.draws import Generator
from embodied_gen.forecasting.windows import OBSERVED


@final
@dataclass(frozen=True)
class Observed:
    """B scenes as a forecaster sees them.

    Attributes:
        tracks: Positions, oldest first [m], shape `(B, A, 8, 2)`; finite, also of those who are not there.
        present: Who is there, bool, shape `(B, A)`; the others fill up and are not to be seen.
        walls: Ends of straight walls [m], shape `(B, K, 2, 2)`, see `walls.pieces_of`; None where none are known.

    Raises:
        ValueError: If a shape is another or a position is not finite.
    """

    tracks: Tensor
    present: Tensor
    walls: Tensor | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.tracks.shape)
        if len(shape) != 4 or shape[2:] != (OBSERVED, 2) or 0 in shape:
            raise ValueError(
                f"tracks must have shape (B, A, {OBSERVED}, 2), with a scene and a pedestrian at least; got {shape}."
            )
        if tuple(self.present.shape) != shape[:2]:
            raise ValueError(f"present must have shape {shape[:2]}; got {tuple(self.present.shape)}.")
        if self.walls is not None and (
            self.walls.ndim != 4 or (self.walls.shape[0], *self.walls.shape[2:]) != (shape[0], 2, 2)
        ):
            raise ValueError(f"walls must have shape ({shape[0]}, K, 2, 2); got {tuple(self.walls.shape)}.")
        if not bool(self.tracks.isfinite().all()):
            scene, agent, step, _ = (~self.tracks.isfinite()).nonzero()[0].tolist()
            raise ValueError(
                f"tracks must be finite; pedestrian {agent} of scene {scene} is not at step {step}. "
                "Mark who is not there in present and fill in zeros."
            )

    @property
    def last(self) -> Tensor:
        """Where everybody is [m], shape `(B, A, 2)`."""
        return self.tracks[:, :, -1]

    @property
    def step(self) -> Tensor:
        """The last observed step [m], shape `(B, A, 2)`."""
        return self.tracks[:, :, -1] - self.tracks[:, :, -2]


class Forecaster(Protocol):
    """Draws futures of observed scenes."""

    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """N joint futures of every scene.

        Args:
            observed: B scenes.
            n: Draws of each, >= 1; a forecaster without chance gives n equal ones.
            generator: One, or one for each scene; then the draws of a scene do not depend on the others.

        Returns:
            Positions [m], shape `(B, n, A, 12, 2)`, finite; those of pedestrians who are not there mean nothing.
        """
        ...


@runtime_checkable
class HasDensity(Protocol):
    """Forecasters whose density is known."""

    def log_density(self, observed: Observed, future: Tensor) -> Tensor:
        """Log of the joint density of the futures `(B, A, 12, 2)` of all who are there [nat, per m], shape `(B,)`."""
        ...
