"""Windows: 20 frames of all pedestrians that a protocol counts, 8 observed and 12 to predict.

The window of frame s holds the pedestrians who are there from frame s on for at least `shortest` frames in a row, and
is kept if there are at least `agents` of them. Every frame begins a window. Published numbers follow three protocols:

    Social-GAN      shortest 20, agents 2: whole tracks of people in company
    alone too       shortest 20, agents 1
    Schöller's      shortest 10, agents 1: futures may end early, and errors are means over the steps that there are

Neighbouring windows share 19 frames, so their errors are not independent. Who is in a window depends on who stays: a
forecaster is told by the protocol itself that nobody whom it sees leaves soon, and does not see those who will.

A frame is followed by the next frame that the file has: a window may straddle a gap, during which the pedestrians went
on for longer than a period. Such windows are marked; `contiguous` drops them. Whatever is dropped is counted.

Sources: Gupta et al. 2018 (arXiv:1803.10892) and its released evaluation; Schöller et al. 2020 (arXiv:1903.07933).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, final

import torch
from torch import Tensor

from embodied_gen.forecasting.tracks import Gap, Tracks

OBSERVED = 8
"""Frames that a forecaster sees, 3.2 s."""
PREDICTED = 12
"""Frames that it predicts, 4.8 s."""
FRAMES = OBSERVED + PREDICTED


@final
@dataclass(frozen=True)
class Protocol:
    """Which pedestrians and windows count.

    Args:
        name: In tables.
        agents: Pedestrians of a window at least, >= 1.
        shortest: Frames of a pedestrian at least, from 9 to 20.

    Raises:
        ValueError: If a number is out of range.
    """

    name: str
    agents: int
    shortest: int

    def __post_init__(self) -> None:
        if self.agents < 1 or not OBSERVED < self.shortest <= FRAMES:
            raise ValueError(
                f"a protocol needs agents of at least 1 and shortest in {OBSERVED + 1}..{FRAMES}; "
                f"got {self.agents} and {self.shortest}."
            )


SOCIAL_GAN = Protocol("Social-GAN", 2, FRAMES)
ALONE_TOO = Protocol("alone too", 1, FRAMES)
SCHOELLER = Protocol("Schöller", 1, 10)
PROTOCOLS = (SOCIAL_GAN, ALONE_TOO, SCHOELLER)


class Dropped(NamedTuple):
    """What a protocol leaves out. Tracks are pairs of a window and a pedestrian who is there at any of its frames."""

    partial_tracks: int = 0  # not there for as many frames as wanted
    empty_windows: int = 0  # nobody is there for as long
    small_windows: int = 0  # fewer pedestrians than wanted
    small_tracks: int = 0  # in those
    gap_windows: int = 0  # straddle a gap
    gap_tracks: int = 0  # in those

    def plus(self, other: "Dropped") -> "Dropped":
        """Counts added up."""
        return Dropped(*(a + b for a, b in zip(self, other, strict=True)))

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"dropped {self.partial_tracks} tracks that are too short, {self.empty_windows} windows without any, "
            f"{self.small_windows} windows ({self.small_tracks} tracks) with too few, "
            f"{self.gap_windows} windows ({self.gap_tracks} tracks) across gaps"
        )


class Part(NamedTuple):
    """Windows with equally many pedestrians, as tensors."""

    numbers: Tensor  # (B,), of the windows
    tracks: Tensor  # (B, A, 20, 2) [m]; zero where absent
    valid: Tensor  # (B, A, 20), bool


@final
@dataclass(frozen=True)
class CrowdWindows:
    """Windows of some recordings under a protocol; tracks of one window follow each other.

    Attributes:
        tracks: [m], float64, shape `(N, 20, 2)`; zero where absent.
        valid: Whether the pedestrian is there, a run from the first frame on, bool, shape `(N, 20)`.
        starts: First track of each window, and N at the end, int64, shape `(W + 1,)`.
        straddles: Whether a window goes across a gap, bool, shape `(W,)`.
        places: Recording and first frame of each window, int64, shape `(W, 2)`.
        sources: Names of the recordings.
        gaps: Where frames are missing in each recording.
        dropped: What was left out.
    """

    tracks: Tensor
    valid: Tensor
    starts: Tensor
    straddles: Tensor
    places: Tensor
    sources: tuple[str, ...]
    gaps: tuple[tuple[Gap, ...], ...]
    dropped: Dropped

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.straddles)

    @property
    def agents(self) -> Tensor:
        """Pedestrians of each window, int64, shape `(W,)`."""
        return self.starts.diff()

    def contiguous(self) -> "CrowdWindows":
        """The windows that do not straddle a gap; the others count as dropped.

        Raises:
            ValueError: If there are none.
        """
        kept, agents = ~self.straddles, self.agents
        if not kept.any():
            raise ValueError(
                f"{', '.join(self.sources)}: all {len(self)} windows go across gaps, where frames are missing. Give a "
                f"recording of {FRAMES} frames or more without a gap."
            )
        rows = kept.repeat_interleave(agents)
        dropped = Dropped(gap_windows=int(self.straddles.sum()), gap_tracks=int((~rows).sum()))
        return replace(
            self,
            tracks=self.tracks[rows],
            valid=self.valid[rows],
            starts=_starts(agents[kept]),
            straddles=self.straddles[kept],
            places=self.places[kept],
            dropped=self.dropped.plus(dropped),
        )

    def parts(self, size: int) -> Iterator[Part]:
        """All windows, those with equally many pedestrians together, at most `size` tracks or one window at a time."""
        agents = self.agents
        for count in agents.unique().tolist():
            for index in (agents == count).nonzero().squeeze(1).split(max(1, size // count)):
                rows = self.starts[index].unsqueeze(1) + torch.arange(count)
                yield Part(index, self.tracks[rows], self.valid[rows])


def windows_of(recordings: Sequence[Tracks], protocol: Protocol) -> CrowdWindows:
    """The windows of recordings.

    Raises:
        ValueError: If there are none.
    """
    found = [_windows(tracks, protocol) for tracks in recordings]
    sources = tuple(tracks.source for tracks in recordings)
    dropped = Dropped()
    for part in found:
        dropped = dropped.plus(part.dropped)
    if not any(map(len, found)):
        raise ValueError(
            f"{', '.join(sources) or 'no recording'}: there is no window with {protocol.agents} pedestrians over "
            f"{protocol.shortest} frames in a row ({dropped}). Give a longer recording or another protocol."
        )
    places = [
        torch.stack([torch.full_like(part.places[:, 1], number), part.places[:, 1]], 1)
        for number, part in enumerate(found)
    ]
    return CrowdWindows(
        torch.cat([part.tracks for part in found]),
        torch.cat([part.valid for part in found]),
        _starts(torch.cat([part.agents for part in found])),
        torch.cat([part.straddles for part in found]),
        torch.cat(places),
        sources,
        tuple(tuple(tracks.gaps) for tracks in recordings),
        dropped,
    )


def _windows(tracks: Tracks, protocol: Protocol) -> CrowdWindows:
    """Those of one recording, perhaps none."""
    starts = max(len(tracks.frames) - protocol.shortest + 1, 0)
    lengths = _runs(tracks.present)[:, :starts].clamp(max=FRAMES)
    counted = lengths >= protocol.shortest
    agents = counted.sum(0)
    kept = agents >= protocol.agents
    start, row = (counted & kept).T.nonzero().unbind(1)
    valid = torch.arange(FRAMES) < lengths[row, start].unsqueeze(1)
    at = (start.unsqueeze(1) + torch.arange(FRAMES)).clamp(max=len(tracks.frames) - 1)
    small = (agents > 0) & ~kept
    dropped = Dropped(
        partial_tracks=int(_somewhere(tracks.present, starts).sum() - counted.sum()),
        empty_windows=int((agents == 0).sum()),
        small_windows=int(small.sum()),
        small_tracks=int(agents[small].sum()),
    )
    return CrowdWindows(
        tracks.positions[row.unsqueeze(1), at] * valid.unsqueeze(-1),
        valid,
        _starts(agents[kept]),
        _straddling(tracks, (lengths * counted).amax(0))[kept] if starts else kept,
        torch.stack([torch.zeros(int(kept.sum()), dtype=torch.int64), tracks.frames[:starts][kept]], 1),
        (tracks.source,),
        (tuple(tracks.gaps),),
        dropped,
    )


def _runs(present: Tensor) -> Tensor:
    """For how many frames from each on every pedestrian is there without a break, `(P, F)`."""
    frames = torch.arange(present.shape[1])
    absent = torch.where(present, present.shape[1], frames)
    return absent.flip(1).cummin(1).values.flip(1) - frames


def _somewhere(present: Tensor, starts: int) -> Tensor:
    """Whether a pedestrian is there at any of the frames of each window, `(P, starts)`."""
    seen = torch.cat([torch.zeros(len(present), 1, dtype=torch.int64), present.cumsum(1)], 1)
    first = torch.arange(starts)
    return seen[:, (first + FRAMES).clamp(max=present.shape[1])] > seen[:, first]


def _straddling(tracks: Tracks, longest: Tensor) -> Tensor:
    """Whether frames are missing between the first and the last of each window, `(starts,)`."""
    breaks = torch.cat([torch.zeros(1, dtype=torch.int64), (tracks.frames.diff() != tracks.step).cumsum(0)])
    first = torch.arange(len(longest))
    return breaks[first + (longest - 1).clamp(min=0)] > breaks[first]


def _starts(counts: Tensor) -> Tensor:
    return torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
