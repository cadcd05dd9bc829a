"""People of a recording, as they walked; they react to nobody.

A recording is a text file of rows `frame pedestrian x y` in metres (`track_rows`), whose neighbouring frames are 0.4 s
apart. Between frames everybody walks on straight lines. The middle of the places of the recording is the origin.
"""

from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from envs import track_rows
from envs.social_force import Array

BETWEEN = 4
"""Steps of 0.1 s between two frames."""


@final
class Recording:
    """Who was where, every 0.1 s.

    Args:
        path: Text file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If its rows make no sense; see `track_rows.read`. The error names file and line.

    Attributes:
        positions: [m], shape `(P, T, 2)`.
        present: Bool, shape `(P, T)`.
        half: Half widths of the places along both axes [m], shape `(2,)`.
    """

    def __init__(self, path: str | Path) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"a recording must be a text file of rows `frame pedestrian x y` [m]; there is no file {path}. "
                "Name one, or make people up: embodied-gen data crowd --out FILE."
            )
        column, pedestrians, places = track_rows.read(path)
        people, row = np.unique(pedestrians, return_inverse=True)
        low, high = places.min(0), places.max(0)
        coarse = np.full((len(people), int(column.max()) + 1, 2), np.nan)
        coarse[row, column] = places - (low + high) / 2
        share = (np.arange(BETWEEN) / BETWEEN)[:, None]
        fine = coarse[:, :-1, None] * (1 - share) + coarse[:, 1:, None] * share  # nan where either is absent
        fine = fine.reshape(len(people), -1, 2)
        self.present: NDArray[np.bool_] = np.asarray(np.isfinite(fine).all(-1))
        self.positions = np.nan_to_num(fine)
        self.half = (high - low) / 2

    @property
    def crowd(self) -> int:
        """The largest number of people at once."""
        return int(self.present.sum(0).max())

    def __len__(self) -> int:
        """The number of steps."""
        return self.present.shape[1]


@final
class Replay:
    """People of a recording from some step on, each in one slot from entering to leaving.

    Args:
        recording: Who was where.
        first: Step to begin with.
        slots: P, at least as many as are there at once.

    Attributes:
        positions: [m], shape `(P, 2)`; zero where nobody is.
        numbers: Who is who, shape `(P,)`; 0 for nobody.
        present: Whether somebody is in a slot, shape `(P,)`.
        ended: Whether the recording has no further step.
    """

    def __init__(self, recording: Recording, first: int, slots: int) -> None:
        self._recording, self._at = recording, first
        self.numbers = np.zeros(slots, dtype=np.int64)
        self.present: NDArray[np.bool_] = self.numbers > 0
        self._read()

    def step(self, guest: Array | None = None) -> None:
        """One step further; the guest is not noticed. After the last step nobody is there."""
        self._at += 1
        self._read()

    @property
    def ended(self) -> bool:
        """See the class."""
        return self._at + 1 >= len(self._recording)

    def _read(self) -> None:
        ended = self._at >= len(self._recording)
        here = np.zeros(0, dtype=np.int64) if ended else np.flatnonzero(self._recording.present[:, self._at]) + 1
        self.numbers[~np.isin(self.numbers, here)] = 0
        new = here[~np.isin(here, self.numbers)]
        self.numbers[np.flatnonzero(self.numbers == 0)[: len(new)]] = new
        self.present = self.numbers > 0
        self.positions: Array = np.zeros((len(self.numbers), 2))
        if not ended:
            self.positions[self.present] = self._recording.positions[self.numbers[self.present] - 1, self._at]
