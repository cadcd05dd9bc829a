"""Tracks: where the pedestrians of one recording were, on a grid of pedestrians and frames.

Column f of the grid is the f-th frame that has a row. Frames are numbered by the recording; neighbouring columns are
`step` apart, which is one period of 0.4 s, except at a gap, where nobody was seen for a while.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

PERIOD = 0.4
"""Time between neighbouring frames [s]."""
_TOLD = 3  # gaps of a recording


class Gap(NamedTuple):
    """Frames that are missing."""

    after: int  # the last frame before them
    length: int  # difference of the frames around them, more than a step


@final
@dataclass(frozen=True)
class Tracks:
    """A recording.

    Attributes:
        positions: [m], float64, shape `(P, F, 2)`; zero where a pedestrian is absent.
        present: Bool, shape `(P, F)`.
        frames: Numbers of the frames, increasing, int64, shape `(F,)`.
        pedestrians: Numbers of the pedestrians, int64, shape `(P,)`.
        step: Difference of the numbers of neighbouring frames.
        source: Where they come from, for messages.
    """

    positions: Tensor
    present: Tensor
    frames: Tensor
    pedestrians: Tensor
    step: int
    source: str

    @property
    def gaps(self) -> list[Gap]:
        """Where frames are missing."""
        apart = self.frames.diff()
        at = (apart != self.step).nonzero().squeeze(1).tolist()
        return [Gap(int(self.frames[index]), int(apart[index])) for index in at]

    @property
    def rows(self) -> int:
        """Number of positions."""
        return int(self.present.sum())

    def speeds(self) -> Tensor:
        """Speeds between neighbouring frames [m/s], one for each step of each pedestrian, shape `(K,)`."""
        both = self.present[:, 1:] & self.present[:, :-1] & (self.frames.diff() == self.step)
        return (self.positions.diff(dim=1)[both] / PERIOD).norm(dim=-1)

    def part(self, first: int, last: int | None) -> "Tracks":
        """The columns from first up to last, and who is there in them."""
        present = self.present[:, first:last]
        kept = present.any(1)
        return Tracks(
            self.positions[kept, first:last],
            present[kept],
            self.frames[first:last],
            self.pedestrians[kept],
            self.step,
            self.source,
        )

    def resampled(self, step: int) -> "Tracks":
        """The same walks read every `step` frames, by straight lines between the positions that are known.

        A pedestrian is read from the first to the last frame of every stretch without a gap.

        Raises:
            ValueError: If the step is not positive.
        """
        if step < 1:
            raise ValueError(f"step must be at least 1 frame; got {step}.")
        frames = torch.arange(int(self.frames[0]), int(self.frames[-1]) + 1, step)
        after = torch.searchsorted(self.frames, frames)
        before = torch.where(self.frames[after] == frames, after, after - 1)
        share = (frames - self.frames[before]) / (self.frames[after] - self.frames[before]).clamp(min=1)
        unbroken = self.frames[after] - self.frames[before] <= self.step
        present = self.present[:, before] & self.present[:, after] & unbroken
        between = torch.lerp(self.positions[:, before], self.positions[:, after], share.to(self.positions)[:, None])
        seen = present.any(0)
        kept = present.any(1)
        positions = (between * present.unsqueeze(-1))[kept][:, seen]
        return Tracks(positions, present[kept][:, seen], frames[seen], self.pedestrians[kept], step, self.source)


def in_a_row(recordings: Sequence[Tracks], *, step: int, between: int, source: str) -> Tracks:
    """Recordings one after the other as one, whose pedestrians are numbered anew, from 1 on.

    Args:
        recordings: One or more.
        step: Difference of the numbers of neighbouring frames, of the whole.
        between: Steps from the last frame of one to the first of the next, 2 or more, which is a gap.
        source: Of the whole.

    Raises:
        ValueError: If there is no recording or no gap.
    """
    if not recordings or between < 2:
        raise ValueError(
            f"recordings must be one or more, at least 2 steps apart; got {len(recordings)}, {between} steps apart."
        )
    first, known = 0, 1
    rows = []
    for tracks in recordings:
        frames = first + (tracks.frames - tracks.frames[0]) // tracks.step * step
        column, row = tracks.present.T.nonzero().unbind(1)
        rows.append((frames[column], known + row, tracks.positions[row, column]))
        first, known = int(frames[-1]) + between * step, known + len(tracks.present)
    return on_grid(*(torch.cat(parts) for parts in zip(*rows, strict=True)), step=step, source=source)


def told(gaps: Sequence[Gap]) -> str:
    """Gaps in words: how many there are, and the frames around the longest."""
    if not gaps:
        return "no gaps"
    longest = sorted(gaps, key=lambda gap: -gap.length)[:_TOLD]
    around = ", ".join(f"{gap.after} and {gap.after + gap.length}" for gap in sorted(longest))
    which = "the longest between" if len(gaps) > _TOLD else "between"
    return f"{len(gaps)} gap{'s' if len(gaps) > 1 else ''}, {which} frames {around}"


def on_grid(frames: Tensor, pedestrians: Tensor, positions: Tensor, *, step: int, source: str) -> Tracks:
    """Tracks of rows (frame, pedestrian, position) in any order, each pair at most once; shapes `(R,)` and `(R, 2)`."""
    columns, column = frames.unique(return_inverse=True)
    numbers, row = pedestrians.unique(return_inverse=True)
    grid = positions.new_zeros((len(numbers), len(columns), 2))
    present = torch.zeros(grid.shape[:2], dtype=torch.bool)
    grid[row, column], present[row, column] = positions, True
    return Tracks(grid, present, columns, numbers, step, source)
