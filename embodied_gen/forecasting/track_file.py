"""Track files: a row for each frame and pedestrian, `frame pedestrian x y`, positions in metres.

This is the format in which ETH and UCY are passed on, and in which simulated crowds are written. Frames and pedestrians
are whole numbers, which some files write as 780.0. The most common difference of neighbouring frames is the step of the
file, the smallest of those that are equally common; every difference must be a multiple of it, and one of more than a
step is a gap. A stray frame is so refused, and does not make gaps of all the others.

Files are not trusted: what makes no sense is refused with the file and the line.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from embodied_gen.forecasting.tracks import Tracks, on_grid

LEAST = 8
"""Frames that a file must have: as many as a forecaster observes."""
_MOST = 2.0**53  # where whole numbers are exact no longer


class _Row(NamedTuple):
    line: int
    frame: int
    pedestrian: int
    x: float
    y: float


def read(path: Path) -> Tracks:
    """The tracks of a file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has no rows or fewer than 8 frames; if a row is not four finite numbers below 2^53, frames are
            not regular, or a pedestrian occurs twice in a frame. The error names file and line.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no track file {path}. Name a file of rows, frame, pedestrian, x, y; where a config or a run "
            "names it, by --data.file."
        )
    rows = [
        _row(words, path, number)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if (words := line.split())
    ]
    if not rows:
        raise ValueError(f"{path}, line 1: there are no rows. Give a file of rows: frame, pedestrian, x, y.")
    _check_twice(rows, path)
    step = _step(rows, path)
    return on_grid(
        torch.tensor([row.frame for row in rows]),
        torch.tensor([row.pedestrian for row in rows]),
        torch.tensor([(row.x, row.y) for row in rows], dtype=torch.float64),
        step=step,
        source=str(path),
    )


def write(path: Path, tracks: Tracks) -> None:
    """Writes a track file, ordered by frames, positions to 0.1 mm."""
    columns, rows = tracks.present.T.nonzero().unbind(1)
    at = tracks.positions[rows, columns]
    numbers = torch.stack([tracks.frames[columns].to(at), tracks.pedestrians[rows].to(at)], 1)
    np.savetxt(path, torch.cat([numbers, at], 1).numpy(), fmt=("%d", "%d", "%.4f", "%.4f"), delimiter="\t")


def _row(words: list[str], path: Path, number: int) -> _Row:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != 4:
        raise ValueError(f"{path}, line {number}: a row must be four numbers, frame, pedestrian, x, y; got {words}.")
    if not all(abs(value) < _MOST for value in values):  # which is false of numbers that are none
        raise ValueError(
            f"{path}, line {number}: numbers must be finite and less than 2^53; got {words}. Repair or drop the row."
        )
    frame, pedestrian, x, y = values
    if frame != int(frame) or pedestrian != int(pedestrian):
        raise ValueError(f"{path}, line {number}: frame and pedestrian must be whole numbers; got {words[:2]}.")
    return _Row(number, int(frame), int(pedestrian), x, y)


def _check_twice(rows: list[_Row], path: Path) -> None:
    lines: dict[tuple[int, int], int] = {}
    for row in rows:
        first = lines.setdefault((row.frame, row.pedestrian), row.line)
        if first != row.line:
            raise ValueError(
                f"{path}, line {row.line}: pedestrian {row.pedestrian} is in frame {row.frame} twice, first in line "
                f"{first}. Drop one of the rows."
            )


def _step(rows: list[_Row], path: Path) -> int:
    """The most common difference of frames, which must divide all others."""
    lines = {row.frame: row.line for row in reversed(rows)}
    frames = sorted(lines)
    if len(frames) < LEAST:
        raise ValueError(
            f"{path}, line {rows[-1].line}: the file ends after {len(frames)} frames, fewer than the {LEAST} that a "
            "forecaster observes. Give a longer recording."
        )
    apart = np.diff(frames)
    steps, counts = np.unique(apart, return_counts=True)
    step = int(steps[counts.argmax()])
    for frame, difference in zip(frames[1:], apart.tolist(), strict=True):
        if difference % step:
            raise ValueError(
                f"{path}, line {lines[frame]}: frame {frame} follows {frame - difference}, which is no multiple of the "
                f"step of {step} frames. Resample the recording to a fixed rate."
            )
    return step
