"""Windows by protocol, against a plain loop over frames."""

from itertools import chain

import pytest
import torch
from crowds import recording
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.forecasting.tracks import told
from embodied_gen.forecasting.windows import ALONE_TOO, PROTOCOLS, SCHOELLER, SOCIAL_GAN, Protocol, windows_of


def by_hand(tracks, protocol):
    """Tracks of every window: (first frame, pedestrian, positions)."""
    found, dropped = [], 0
    for start in range(len(tracks.frames) - protocol.shortest + 1):
        held = []
        for row in range(len(tracks.present)):
            length = 0
            while length < 20 and start + length < len(tracks.frames) and tracks.present[row, start + length]:
                length += 1
            if length >= protocol.shortest:
                held.append((int(tracks.frames[start]), row, tracks.positions[row, start : start + length]))
            elif tracks.present[row, start : start + 20].any():
                dropped += 1
        if len(held) >= protocol.agents:
            found.append(held)
    return found, dropped


spans = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 30)).map(lambda s: (s[0], s[0] + s[1])), min_size=1, max_size=6
)


@given(spans, st.sampled_from(PROTOCOLS))
@settings(max_examples=60, deadline=None)
def test_windows_are_those_of_a_plain_loop(spans, protocol):
    tracks = recording(spans)
    expected, partial = by_hand(tracks, protocol)
    if not expected:
        with pytest.raises(ValueError, match=r"made up: there is no window .*too short.*Give a longer recording"):
            windows_of([tracks], protocol)
        return
    windows = windows_of([tracks], protocol)
    assert windows.agents.tolist() == [len(held) for held in expected]
    assert windows.places[:, 1].tolist() == [held[0][0] for held in expected]
    for track, valid, (_, _, positions) in zip(windows.tracks, windows.valid, chain(*expected), strict=True):
        assert track[valid].equal(positions) and not track[~valid].any()
    assert windows.dropped.partial_tracks == partial


def test_every_candidate_is_kept_or_counted():
    tracks = recording([(0, 25), (3, 40), (30, 33)])
    for protocol in PROTOCOLS:
        windows = windows_of([tracks], protocol)
        lost = windows.dropped
        assert len(windows) + lost.empty_windows + lost.small_windows == 40 - protocol.shortest + 1
    everybody = windows_of([tracks], ALONE_TOO)
    company = windows_of([tracks], SOCIAL_GAN)
    assert len(company.tracks) + company.dropped.small_tracks == len(everybody.tracks)


def test_windows_across_gaps_are_marked_and_can_be_dropped():
    frames = [*range(0, 250, 10), *range(300, 550, 10)]
    windows = windows_of([recording([(0, 50), (0, 50)], frames=frames)], SOCIAL_GAN)
    assert len(windows) == 31 and windows.straddles.sum() == 19
    whole = windows.contiguous()
    assert len(whole) == 12 and not whole.straddles.any()
    assert (whole.dropped.gap_windows, whole.dropped.gap_tracks) == (19, 38)
    assert "19 windows (38 tracks) across gaps" in str(whole.dropped)
    kept = windows.tracks[(~windows.straddles).repeat_interleave(2)]
    assert whole.tracks.equal(kept)


def test_windows_that_all_go_across_gaps_are_refused():
    frames = [*range(0, 100, 10), *range(200, 300, 10)]
    windows = windows_of([recording([(0, 20)], frames=frames)], ALONE_TOO)
    with pytest.raises(
        ValueError, match=r"made up: all 1 windows go across gaps.*Give a recording of 20 frames or mor"
    ):
        windows.contiguous()


def test_windows_know_the_gaps_of_their_recordings_and_tell_of_the_longest():
    frames = [0, 10, 20, 50, 60, 80, 90, 100, 140, 150, 200, *range(210, 600, 10)]
    windows = windows_of([recording([(0, len(frames))], frames=frames), recording([(0, 20)])], ALONE_TOO)
    assert windows.gaps == (((20, 30), (60, 20), (100, 40), (150, 50)), ())
    assert told(windows.gaps[0]) == "4 gaps, the longest between frames 20 and 50, 100 and 140, 150 and 200"
    assert told(windows.gaps[0][:1]) == "1 gap, between frames 20 and 50"
    assert told(windows.gaps[1]) == "no gaps"


def test_windows_never_mix_recordings():
    one, two = recording([(0, 22), (0, 22)]), recording([(0, 25), (0, 25)], seed=1)
    both = windows_of([one, two], SOCIAL_GAN)
    assert both.tracks.equal(torch.cat([windows_of([part], SOCIAL_GAN).tracks for part in (one, two)]))
    assert both.places[:, 0].tolist() == [0] * 3 + [1] * 6


def test_parts_are_all_windows_once():
    windows = windows_of([recording([(0, 30), (0, 24), (5, 30), (8, 30)])], ALONE_TOO)
    parts = list(windows.parts(3))
    assert torch.cat([part.numbers for part in parts]).sort().values.equal(torch.arange(len(windows)))
    for part in parts:
        for number, tracks in zip(part.numbers.tolist(), part.tracks, strict=True):
            assert tracks.equal(windows.tracks[windows.starts[number] : windows.starts[number + 1]])


def test_impossible_protocols_are_refused():
    for agents, shortest in ((0, 20), (1, 8), (1, 21)):
        with pytest.raises(ValueError, match=rf"shortest in 9..20; got {agents} and {shortest}"):
            Protocol("wrong", agents, shortest)
    assert SCHOELLER.shortest == 10
