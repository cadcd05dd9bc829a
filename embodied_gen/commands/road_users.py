"""Road users of CommonRoad recordings as tracks that forecasters learn from.

With p the period of a recording, p / 0.4 s = a / b in lowest terms. Its states are numbered a apart, so that 0.4 s are
b numbers, and read every b, on straight lines between them (`Tracks.resampled`). The middle of the places of each
recording is the origin: maps lie far from theirs, where single precision is coarse.
"""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from embodied_gen.forecasting.tracks import PERIOD, Tracks, on_grid
from envs import commonroad
from envs.scenarios import Track

_FINEST = 0.001  # period of a recording [s]
_DENOMINATOR = 10**6  # of periods as fractions of seconds


def recordings_of(files: Sequence[Path], kinds: Sequence[str]) -> tuple[list[Tracks], list[str]]:
    """The moving road users of CommonRoad files every 0.4 s, and a line on each file that says what is left out of it.

    Args:
        files: Of CommonRoad.
        kinds: Types of road users that are kept, such as car and pedestrian; all where none is named.

    Raises:
        ValueError: If a file makes no sense, no file has a kind, or nobody is seen over two frames of 0.4 s.
    """
    recorded = [(file, read.period, read.tracks) for file, read in ((file, commonroad.read(file)) for file in files)]
    moving = Counter(track.kind for _, _, tracks in recorded for track in tracks if not track.static)
    strangers = sorted(set(kinds) - set(moving))
    if strangers:
        raise ValueError(
            f"no recording has road users of kind {', '.join(strangers)}; found are {_counts(moving) or 'none'}. Name "
            "some of these in --kinds."
        )
    found, lines = [], []
    for file, period, everybody in recorded:
        kept = [track for track in everybody if not track.static and (not kinds or track.kind in kinds)]
        tracks = _tracks(kept, period, file) if kept else None
        if tracks is not None:
            found.append(tracks)
        lines.append(_said(file, everybody, Counter(track.kind for track in kept), tracks))
    if not found:
        raise ValueError(f"nobody moves over two frames of {PERIOD} s. {' '.join(lines)}")
    return found, lines


def _tracks(kept: Sequence[Track], period: float, file: Path) -> Tracks | None:
    """Tracks every 0.4 s; None of fewer than two frames."""
    if period < _FINEST:
        raise ValueError(f"{file}: timeStepSize must be at least {_FINEST} s; got {period:g}.")
    exact, wanted = (Fraction(seconds).limit_denominator(_DENOMINATOR) for seconds in (period, PERIOD))
    step, every = (exact / wanted).as_integer_ratio()
    times = np.concatenate([track.first + np.arange(len(track.states)) for track in kept])
    agents = np.repeat(np.arange(len(kept)), [len(track.states) for track in kept])
    places = np.concatenate([track.states[:, :2] for track in kept])
    middle = (places.min(0) + places.max(0)) / 2
    rows = (torch.from_numpy(values) for values in (step * times, agents, places - middle))
    tracks = on_grid(*rows, step=step, source=str(file)).resampled(every)
    return tracks if len(tracks.frames) > 1 else None


def _said(file: Path, everybody: Sequence[Track], kinds: Counter[str], tracks: Tracks | None) -> str:
    static = sum(track.static for track in everybody)
    seen, frames = (len(tracks.pedestrians), len(tracks.frames)) if tracks is not None else (0, 0)
    return (
        f"{file}: {seen} road users over {frames} frames of {PERIOD} s, from {_counts(kinds) or 'none'}; left out "
        f"{kinds.total() - seen} too short, {len(everybody) - static - kinds.total()} of other kinds, {static} "
        "static"
    )


def _counts(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
