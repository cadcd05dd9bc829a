"""Rows of recordings in environments: the same are read and refused as by those who learn from them."""

import re

import numpy as np
import pytest
from crowds import recording

from embodied_gen.forecasting import track_file
from envs import track_rows
from envs.track_replay import BETWEEN, Recording

WALK = "".join(f"{10 * frame} 1 {frame} 0\n" for frame in range(40))


def test_both_readers_see_the_same(tmp_path):
    tracks = recording([(0, 12), (3, 9), (5, 14)], frames=[*range(0, 60, 10), *range(100, 180, 10)])
    track_file.write(tmp_path / "walk.txt", tracks)
    read, rows = track_file.read(tmp_path / "walk.txt"), track_rows.read(tmp_path / "walk.txt")
    column, row = (
        np.searchsorted(known.numpy(), found)
        for known, found in ((read.frames, 10 * rows.steps), (read.pedestrians, rows.pedestrians))
    )
    assert read.rows == len(rows.steps) and read.present[row, column].all()
    assert np.array_equal(read.positions[row, column], rows.positions)


def test_a_gap_lasts_as_long_as_it_did(tmp_path):
    path = tmp_path / "gap.txt"
    path.write_text(WALK + "470 2 1 1\n480 2 1 1\n")
    whole = Recording(path)
    assert len(whole) == 48 * BETWEEN
    assert whole.present.any(0).nonzero()[0].tolist() == [*range(39 * BETWEEN), *range(47 * BETWEEN, 48 * BETWEEN)]


@pytest.mark.parametrize("read", [track_file.read, Recording], ids=["track file", "recording"])
@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("", 1, "there are no rows|two frames or more; got 0"),
        (WALK + "400 1 2\n", 41, "must be four"),
        (WALK + "400 1 a 2\n", 41, "must be four numbers"),
        ("\n" + WALK + "400 1 nan 2\n", 42, "finite"),
        (WALK + "400 1 2 inf\n", 41, "finite"),
        (WALK + "1e300 1 2 3\n", 41, r"less than 2\^53"),
        (WALK + "400 1e300 2 3\n", 41, r"less than 2\^53"),
        (WALK + "400.5 1 2 3\n", 41, "frame and pedestrian must be whole numbers"),
        (WALK + "400 0.5 2 3\n", 41, "frame and pedestrian must be whole numbers"),
        (WALK + "200 1 2 3\n", 41, "pedestrian 1 is in .*frame 200.*first in line 21"),
        (WALK + "205 1 2 3\n", 41, "frame 205 follows 200, which is no multiple of the step of 10 frames"),
        (WALK + "201 1 2 3\n", 41, "frame 201 follows 200, which is no multiple of the step of 10 frames"),
        (WALK + "205 2 2 3\n200 2 2 3\n", 41, "frame 205 follows 200, which is no multiple of the step of 10 frames"),
    ],
)
def test_both_refuse_the_same_by_file_and_line(read, text, line, sentence, tmp_path):
    path = tmp_path / "wrong.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}, line {line}: .*({sentence})"):
        read(path)


def test_a_recording_of_one_frame_and_one_without_end_are_refused(tmp_path):
    path = tmp_path / "wrong.txt"
    path.write_text("0 1 2 3\n0 2 3 4\n")
    with pytest.raises(ValueError, match=r"wrong\.txt, line 2: a recording must have two frames or more; got 1\. Give"):
        Recording(path)
    path.write_text(WALK + "1000000000000 2 0 0\n")
    with pytest.raises(ValueError, match=r"line 41: frame 1000000000000 is more than 100000 steps of 10 frames after"):
        Recording(path)
