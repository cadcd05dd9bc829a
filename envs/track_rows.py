"""Rows of a recording: a text file of rows `frame pedestrian x y`, frames and pedestrians whole numbers, x and y in m.

The most common difference of neighbouring frames is the step of the file, the smallest of those that are equally
common; every difference must be a multiple of it. Files are not trusted: what makes no sense is refused with the file
and the line.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LONGEST = 100_000
"""Steps from the first frame to the last at most, 11 h."""
_MOST = 2.0**53  # where whole numbers are exact no longer


class Rows(NamedTuple):
    """R rows in the order of the file."""

    steps: NDArray[np.int64]  # (R,), since the first frame
    pedestrians: NDArray[np.float64]  # (R,), their numbers
    positions: NDArray[np.float64]  # (R, 2) [m]


def read(path: str | Path) -> Rows:
    """The rows of a file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has fewer than two frames or is longer than 100 000 steps; if a row is not four finite numbers
            below 2^53, frames are not regular, or a pedestrian is in a frame twice. The error names file and line.
    """
    text = enumerate(Path(path).read_text(errors="replace").splitlines(), 1)
    found = {number: _row(words, f"{path}, line {number}") for number, line in text if (words := line.split())}
    rows, lines = np.array([*found.values()]).reshape(-1, 4), [*found]
    _check_twice(rows, path, lines)
    steps = _steps(rows[:, 0], path, lines)
    return Rows(steps, rows[:, 1], rows[:, 2:])


def _row(words: list[str], where: str) -> list[float]:
    try:
        row = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"{where}: a row must be four numbers, frame, pedestrian, x, y; got {words}.") from None
    if len(row) != 4 or not all(abs(value) < _MOST for value in row):  # which is false of numbers that are none
        raise ValueError(
            f"{where}: a row must be four finite numbers less than 2^53, frame, pedestrian, x, y; got {words}. "
            "Repair or drop the row."
        )
    if row[0] % 1 or row[1] % 1:
        raise ValueError(f"{where}: frame and pedestrian must be whole numbers; got {words[:2]}.")
    return row


def _check_twice(rows: NDArray[np.float64], path: str | Path, lines: list[int]) -> None:
    _, first, same = np.unique(rows[:, :2], axis=0, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[same.ravel()] != np.arange(len(rows)))
    if len(again):
        row = int(again[0])
        frame, pedestrian = rows[row, :2]
        raise ValueError(
            f"{path}, line {lines[row]}: pedestrian {pedestrian:.0f} is in a frame twice, frame {frame:.0f}, first in "
            f"line {lines[int(first[same.ravel()[row]])]}. Drop one of the rows."
        )


def _steps(numbers: NDArray[np.float64], path: str | Path, lines: list[int]) -> NDArray[np.int64]:
    """Steps of every row since the first frame, of its frame number."""
    frames, first = np.unique(numbers, return_index=True)
    if len(frames) < 2:
        raise ValueError(
            f"{path}, line {lines[-1] if lines else 1}: a recording must have two frames or more; got {len(frames)}. "
            "Give a longer one."
        )
    apart, counts = np.unique(np.diff(frames), return_counts=True)
    step = apart[counts.argmax()]
    strays = np.flatnonzero(np.diff(frames) % step)
    if len(strays):
        before, frame = frames[strays[0]], frames[strays[0] + 1]
        raise ValueError(
            f"{path}, line {lines[first[strays[0] + 1]]}: frame {frame:.0f} follows {before:.0f}, which is no multiple "
            f"of the step of {step:.0f} frames. Resample the recording to a fixed rate."
        )
    if frames[-1] - frames[0] > LONGEST * step:
        raise ValueError(
            f"{path}, line {lines[first[-1]]}: frame {frames[-1]:.0f} is more than {LONGEST} steps of {step:.0f} "
            f"frames after the first, {frames[0]:.0f}. Cut the recording, or mend the number."
        )
    return np.asarray((numbers - frames[0]) // step, dtype=np.int64)
