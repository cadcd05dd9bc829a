"""Track files: what is read is what was written, and mistakes are named by file and line."""

import pytest
import torch
from crowds import recording

from embodied_gen.forecasting import track_file
from embodied_gen.forecasting.tracks import in_a_row
from embodied_gen.forecasting.windows import PROTOCOLS, windows_of

ROW = "{}\t{}.0\t1.5\t-2\n"


def test_what_is_written_is_read(tmp_path):
    tracks = recording([(0, 12), (3, 9), (5, 12)])
    track_file.write(tmp_path / "crowd.txt", tracks)
    again = track_file.read(tmp_path / "crowd.txt")
    for name in ("present", "frames", "pedestrians"):
        assert getattr(again, name).equal(getattr(tracks, name)), name
    assert again.step == tracks.step and again.rows == tracks.rows
    torch.testing.assert_close(again.positions, tracks.positions, atol=5e-5, rtol=0)


def test_rows_may_come_in_any_order(tmp_path):
    tracks = recording([(0, 12), (3, 9)])
    track_file.write(tmp_path / "a.txt", tracks)
    lines = (tmp_path / "a.txt").read_text().splitlines()
    (tmp_path / "b.txt").write_text("\n".join(reversed(lines)))
    a, b = (track_file.read(tmp_path / name) for name in ("a.txt", "b.txt"))
    assert a.positions.equal(b.positions) and a.frames.equal(b.frames)


FINE, LONG = ("".join(ROW.format(10 * frame, 1) for frame in range(count)) for count in (9, 40))


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("", 1, "there are no rows"),
        ("\n \n", 1, "there are no rows"),
        (FINE + "90 1 2\n", 10, "must be four numbers"),
        (FINE + "90 1 a b\n", 10, "must be four numbers"),
        (FINE + "90 1 nan 2\n", 10, "must be finite"),
        (FINE + "90 1 2 -inf\n", 10, "must be finite"),
        (FINE + "90.5 1 2 3\n", 10, "must be whole numbers"),
        (FINE + "90 1.5 2 3\n", 10, "must be whole numbers"),
        (FINE + "80 1 2 3\n", 10, "pedestrian 1 is in frame 80 twice, first in line 9"),
        (FINE + "95 1 2 3\n", 10, "frame 95 follows 80, which is no multiple of the step of 10 frames"),
        (FINE[: -len(ROW.format(80, 1)) * 2], 7, "ends after 7 frames, fewer than the 8"),
        (FINE + "1e300 1 2 3\n", 10, r"must be finite and less than 2\^53; got \['1e300', '1', '2', '3'\]"),
        (FINE + "90 -1e17 2 3\n", 10, r"must be finite and less than 2\^53"),
        (FINE + "90 1 2 1e200\n", 10, r"must be finite and less than 2\^53"),
        (LONG + "205 1 2 3\n", 41, "frame 205 follows 200, which is no multiple of the step of 10 frames"),
        (LONG + "201 1 2 3\n", 41, "frame 201 follows 200, which is no multiple of the step of 10 frames"),
        (LONG + "205 1 2 3\n206 1 2 3\n", 41, "frame 205 follows 200, which is no multiple of the step of 10 frames"),
    ],
)
def test_mistakes_are_named_by_line(tmp_path, text, line, sentence):
    path = tmp_path / "wrong.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"wrong\.txt, line {line}: .*({sentence})"):
        track_file.read(path)


@pytest.mark.parametrize(("frames", "step"), [([0, 10, 20, 40, 50, 80, 90, 100], 10), ([*range(0, 80, 10), 1000], 10)])
def test_the_step_is_the_most_common_difference(tmp_path, frames, step):
    path = tmp_path / "walk.txt"
    path.write_text("".join(ROW.format(frame, 1) for frame in frames))
    assert track_file.read(path).step == step


def test_of_differences_that_are_equally_common_the_smallest_is_the_step(tmp_path):
    path = tmp_path / "walk.txt"
    path.write_text("".join(ROW.format(frame, 1) for frame in [0, 10, 30, 40, 60, 70, 90, 100, 120]))
    assert track_file.read(path).step == 10


def test_gaps_are_no_mistake_but_seen(tmp_path):
    path = tmp_path / "gaps.txt"
    path.write_text(FINE + ROW.format(120, 1) + ROW.format(130, 2))
    tracks = track_file.read(path)
    assert tracks.gaps == [(80, 40)] and tracks.step == 10


def test_a_recording_read_more_often_lies_on_the_same_lines():
    tracks = recording([(0, 12), (2, 9)])
    finer = tracks.resampled(5)
    torch.testing.assert_close(finer.positions[:, ::2], tracks.positions)
    assert finer.present[:, ::2].equal(tracks.present)
    middle = (tracks.positions[0, 1:] + tracks.positions[0, :-1]) / 2
    torch.testing.assert_close(finer.positions[0, 1::2], middle)
    assert tracks.resampled(10).positions.equal(tracks.positions)


def test_a_recording_at_its_true_rate_is_slower_by_the_ratio_of_rates():
    tracks = recording([(0, 200)])
    straight = tracks.positions.clone()
    straight[0] = torch.arange(200.0).unsqueeze(1) * torch.tensor([0.3, 0.4])
    slower = type(tracks)(
        straight, *(getattr(tracks, n) for n in ("present", "frames", "pedestrians", "step", "source"))
    )
    torch.testing.assert_close(slower.resampled(6).speeds().mean(), slower.speeds().mean() * 0.6)


def test_who_is_seen_at_the_first_frame_alone_is_read():
    tracks = recording([(0, 1), (0, 12)]).resampled(5)
    assert tracks.present[0].tolist() == [True] + 22 * [False]
    assert recording([(0, 1)]).resampled(4).frames.tolist() == [0]


def test_recordings_in_a_row_keep_their_windows_and_never_meet(tmp_path):
    parts = [recording([(0, 25), (3, 24)]), recording([(0, 22), (0, 9)], step=4, seed=1), recording([(0, 5)], seed=2)]
    whole = in_a_row(parts, step=10, between=7, source="all")
    assert whole.gaps == [(240, 70), (520, 70)] and whole.pedestrians.tolist() == [1, 2, 3, 4, 5]
    assert (whole.rows, whole.source) == (sum(part.rows for part in parts), "all")
    for protocol in PROTOCOLS:
        joined, apart = windows_of([whole], protocol), windows_of(parts, protocol)
        assert joined.tracks.equal(apart.tracks) and joined.starts.equal(apart.starts) and not joined.straddles.any()
    track_file.write(tmp_path / "all.txt", whole)
    assert track_file.read(tmp_path / "all.txt").gaps == whole.gaps
    for recordings, between in (([], 2), (parts, 1)):
        with pytest.raises(ValueError, match="must be one or more, at least 2 steps apart; got"):
            in_a_row(recordings, step=10, between=between, source="all")


def test_nothing_is_read_across_a_gap():
    tracks = recording([(0, 12)], frames=[0, 10, 20, 30, 40, 50, 80, 90, 100, 110, 120, 130])
    finer = tracks.resampled(5)
    assert finer.frames.tolist() == [*range(0, 51, 5), *range(80, 131, 5)]
    with pytest.raises(ValueError, match="step must be at least 1"):
        tracks.resampled(0)
