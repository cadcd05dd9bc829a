"""`embodied-gen data`: recordings of pedestrians and road users."""

import os
from pathlib import Path

import numpy as np
import pytest
from road_files import LANES, document, driving, obstacle, state

from embodied_gen.forecasting import track_file
from embodied_gen.forecasting.tracks import PERIOD
from embodied_gen.forecasting.windows import ALONE_TOO, SOCIAL_GAN, windows_of
from envs import commonroad
from envs.track_replay import Recording

FOLDER, ROADS = (Path(os.environ.get("EMBODIED_DATA", "nowhere")) / name for name in ("eth_ucy", "commonroad"))
CONFIG = Path(__file__).parents[2] / "configs" / "crowd_mixture.yaml"


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


def line(count, start, step):
    """Places of somebody who drives straight on at constant speed."""
    return [(start[0] + k * step[0], start[1] + k * step[1]) for k in range(count)]


def write(name, *obstacles, period="0.1"):
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(document(LANES + "".join(obstacles), step=period))


@pytest.mark.parametrize("period", [0.1, 0.04, 0.03, 0.25, 0.4, 1.0])
def test_road_users_drive_as_recorded_whatever_the_period(cli, period):
    count = round(20 / period) + 1  # 20 s
    steps = (3 * period, -4 * period), (-2 * period, 0)  # 5 m/s and 2 m/s
    one, other = line(count, (70, 5), steps[0]), line(count // 2, (30, 0), steps[1])
    write("road.xml", driving(one, first=7), driving(other, first=7, number=4), period=str(period))
    outcome = cli("data", "commonroad", "--from", "road.xml", "--out", "road.txt")
    assert outcome.status == 0, outcome.err
    tracks = track_file.read(Path("road.txt"))
    assert tracks.frames.tolist() == list(range(0, 510, 10))
    times = PERIOD * np.arange(51)
    places = np.array([*one, *other])
    expected = np.array([70, 5]) + times[:, None] * (3, -4) - (places.min(0) + places.max(0)) / 2
    assert tracks.positions[0].numpy() == pytest.approx(expected, abs=1e-4)
    there = int(tracks.present[1].sum())
    assert there == int((len(other) - 1) * period / PERIOD + 1e-9) + 1
    assert tracks.positions[1, :there].diff(dim=0).numpy() == pytest.approx(
        np.array([[-0.8, 0]] * (there - 1)), abs=2e-4
    )


def test_recordings_of_road_users_follow_each_other_with_a_gap_and_numbers_of_their_own(cli):
    write("roads/a.xml", driving(line(90, (0, 0), (1, 0))), driving(line(90, (0, 9), (1, 0)), number=4, kind="bus"))
    write("roads/b.xml", driving(line(100, (500, 0), (0, 1))), driving(line(2, (0, 0), (1, 0)), first=1, number=4))
    write("roads/c.xml", obstacle(state("initialState", 0, 0.0), tag="staticObstacle", kind="unknown"))
    outcome = cli("data", "commonroad", "--from", "roads", "--out", "all.txt")
    assert outcome.status == 0, outcome.err
    assert "a.xml: 2 road users over 23 frames of 0.4 s, from 1 bus, 1 car; left out 0 too short" in outcome.out
    assert "b.xml: 1 road users over 25 frames of 0.4 s, from 2 car; left out 1 too short" in outcome.out
    assert "c.xml: 0 road users over 0 frames of 0.4 s, from none; left out 0 too short, 0 of other" in outcome.out
    assert "1 static" in outcome.out
    assert "48 frames, 3 road users, 1 gap, between frames 220 and 320; median speed 10.00 m/s" in outcome.out
    assert "Social-GAN: 4 windows, 8 tracks, 0 windows across gaps; dropped" in outcome.out
    windows = windows_of([track_file.read(Path("all.txt"))], ALONE_TOO)
    assert len(windows) == 4 + 6 and not windows.straddles.any()
    assert windows.tracks.diff(dim=1).norm(dim=-1).numpy() == pytest.approx(4, abs=1e-3)

    again = cli("data", "commonroad", "--from", "roads/a.xml", "roads/b.xml", "--kinds", "bus", "--out", "bus.txt")
    assert "a.xml: 1 road users over 23 frames of 0.4 s, from 1 bus; left out 0 too short, 1 of other" in again.out
    assert "Social-GAN: bus.txt: there is no window with 2 pedestrians" in again.out
    assert "alone too: 4 windows, 4 tracks" in again.out


def test_a_forecaster_learns_from_road_users(cli):
    for name in "abc":
        write(f"roads/{name}.xml", driving(line(200, (0, 0), (1, 0))), driving(line(200, (0, 9), (0.5, 0)), number=4))
    assert cli("data", "commonroad", "--from", "roads", "--out", "roads.txt").status == 0
    small = ("--train.steps", 2, "--train.batch", 8, "--net.width", 8, "--control.width", 8, "--device", "cpu")
    data = ("--data.file", "roads.txt", "--data.held_out", "0.3", "--control.radius", "30")
    outcome = cli("train", CONFIG, *small, *data, "--out", "run")
    assert outcome.status == 0, outcome.err
    assert "0 windows (0 tracks) across gaps" in outcome.out


@pytest.mark.skipif(not ROADS.is_dir(), reason="EMBODIED_DATA names no folder with CommonRoad files")
def test_real_recordings_of_road_users_become_tracks(cli):
    outcome = cli("data", "commonroad", "--from", str(ROADS), "--out", "roads.txt")
    assert outcome.status == 0 and "62 frames, 63 road users, 3 gaps" in outcome.out
    assert "Social-GAN: 7 windows, 43 tracks, 0 windows across gaps" in outcome.out
    for file in ROADS.glob("*.xml"):
        whole = [track for track in commonroad.read(file).tracks if len(track.states) > 76]  # 19 steps of 0.4 s
        assert bool(whole) == file.stem.startswith("USA_US101")


def test_help_says_what_is_read_and_written(cli):
    outcome = cli("data", "--help")
    for words in ("commonroad", "--kinds", "folders of files *.xml", "data.kind tracks"):
        assert words in " ".join(outcome.out.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--out", "x"), "commonroad needs files to read and a file to write: --from FOLDER_OR_FILES --out FILE."),
        (("--from", "roads"), "commonroad needs files to read and a file to write"),
        (
            ("--from", "nowhere", "--out", "x"),
            "nowhere is missing. Give files of CommonRoad, or folders that hold some.",
        ),
        (("--from", "empty", "--out", "x"), "empty holds no file *.xml. Give files of CommonRoad"),
        (("--from", "roads", "--kinds", "tram", "car", "--out", "x"), "users of kind tram; found are 1 bus, 1 car."),
        (("--from", "roads", "--kinds", "bus", "--out", "x"), "nobody moves over two frames of 0.4 s. roads/a.xml: 0"),
        (("--from", "roads", "--out", "x"), "the recordings have 7 frames of 0.4 s together, fewer than the 8"),
        (("--from", "wrong.xml", "--out", "x"), "wrong.xml, line 1: not a CommonRoad file"),
        (("--from", "quick.xml", "--out", "x"), "quick.xml: timeStepSize must be at least 0.001 s; got 1e-09."),
    ],
)
def test_mistakes_with_road_users_are_explained(cli, arguments, sentence):
    write("roads/a.xml", driving(line(25, (0, 0), (1, 0))), driving(line(3, (0, 9), (1, 0)), number=4, kind="bus"))
    write("quick.xml", driving(line(25, (0, 0), (1, 0))), period="1e-9")
    Path("empty").mkdir()
    Path("wrong.xml").write_text("<osm/>")
    outcome = cli("data", "commonroad", *arguments)
    assert outcome.status == 2 and sentence in outcome.err and not Path("x").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("eth-ucy", "--from", "nowhere"), "biwi_eth.txt is missing. Give the folder"),
        (("moon",), "there are no data 'moon'; expected one of eth-ucy, crowd"),
        (("eth-ucy",), "eth-ucy needs the folder of the files: --from FOLDER."),
        (("eth-ucy", "--from", "one", "two"), "eth-ucy needs the folder of the files: --from FOLDER."),
        (("crowd",), "crowd needs a file to write: --out FILE."),
        (("crowd", "--out", "x", "--people", "0"), "a crowd needs 1 person"),
        (("crowd", "--out", "x", "--minutes", "0.01"), "Raise --people, --half or --minutes"),
    ],
)
def test_mistakes_are_explained(cli, arguments, sentence):
    outcome = cli("data", *arguments)
    assert outcome.status == 2 and sentence in outcome.err
