"""`embodied-gen data`: recordings of pedestrians."""

import os
from pathlib import Path

import numpy as np
import pytest

from embodied_gen.forecasting import track_file
from embodied_gen.forecasting.windows import SOCIAL_GAN, windows_of
from envs.track_replay import Recording

FOLDER = Path(os.environ.get("EMBODIED_DATA", "nowhere")) / "eth_ucy"


def test_a_crowd_is_written_in_the_format_that_is_read(cli):
    outcome = cli("data", "crowd", "--out", "crowd.txt", "--minutes", "0.5", "--people", "6")
    assert outcome.status == 0 and "no gaps" in outcome.out and "dropped" in outcome.out
    tracks = track_file.read(Path("crowd.txt"))
    assert tracks.rows == 6 * 75 and len(windows_of([tracks], SOCIAL_GAN)) > 0
    assert 0.5 < float(tracks.speeds().median()) < 2
    recording = Recording("crowd.txt")
    assert recording.crowd <= 6 and len(recording) == 4 * 74


def test_a_crowd_is_a_function_of_its_seed(cli):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert cli("data", "crowd", "--out", name, "--minutes", "0.2", "--seed", str(seed)).status == 0
    a, b, c = (np.loadtxt(name) for name in "abc")
    assert np.array_equal(a, b) and not np.array_equal(a, c)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="EMBODIED_DATA names no folder with ETH and UCY")
def test_eth_and_ucy_are_checked_and_counted(cli):
    outcome = cli("data", "eth-ucy", "--from", str(FOLDER))
    assert outcome.status == 0 and "24 files" in outcome.out
    assert "eth, Social-GAN: 70 windows, 181 tracks" in outcome.out
    assert "biwi_eth: 5492 rows, 876 frames, 360 pedestrians" in outcome.out and "2.45 m/s" in outcome.out
    corrected = cli("data", "eth-ucy", "--from", str(FOLDER), "--correct-rate", "--drop-gaps")
    assert "1.47 m/s" in corrected.out and "eth, Social-GAN: 563 windows" in corrected.out


def test_a_crowd_walks_around_the_walls_of_a_map(cli, tmp_path):
    (tmp_path / "walls.wkt").write_text("POLYGON ((-1 -1, 1 -1, 1 1, -1 1, -1 -1))")
    made = ("data", "crowd", "--out", "crowd.txt", "--minutes", "1", "--people", "12")
    assert cli(*made, "--map", "walls.wkt").status == 0
    tracks = track_file.read(tmp_path / "crowd.txt")
    within = (tracks.positions.abs() < 1).all(-1) & tracks.present
    assert not within.any() and tracks.rows > 1000
    missing = cli(*made, "--map", "nowhere.wkt")
    assert missing.status == 2 and "there is no file of walls nowhere.wkt" in missing.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("eth-ucy", "--from", "nowhere"), "biwi_eth.txt is missing. Give the folder"),
        (("moon",), "there are no data 'moon'; expected one of eth-ucy, crowd"),
        (("eth-ucy",), "eth-ucy needs the folder of the files: --from FOLDER."),
        (("crowd",), "crowd needs a file to write: --out FILE."),
        (("crowd", "--out", "x", "--people", "0"), "a crowd needs 1 person"),
        (("crowd", "--out", "x", "--minutes", "0.01"), "Raise --people, --half or --minutes"),
    ],
)
def test_mistakes_are_explained(cli, arguments, sentence):
    outcome = cli("data", *arguments)
    assert outcome.status == 2 and sentence in outcome.err
