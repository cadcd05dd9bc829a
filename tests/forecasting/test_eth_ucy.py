"""ETH and UCY: counts and published numbers, where EMBODIED_DATA names a folder that has the files."""

import os
import shutil
from pathlib import Path

import pytest

from embodied_gen.forecasting import eth_ucy
from embodied_gen.forecasting.baselines import ConstantVelocity, Line, TurnedVelocity
from embodied_gen.forecasting.scores import evaluate
from embodied_gen.forecasting.windows import ALONE_TOO, SCHOELLER, SOCIAL_GAN, windows_of

FOLDER = Path(os.environ.get("EMBODIED_DATA", "nowhere")) / "eth_ucy"
needs_data = pytest.mark.skipif(not FOLDER.is_dir(), reason="EMBODIED_DATA names no folder with ETH and UCY")
SCENES = eth_ucy.SCENES

# rows, frames, pedestrians, longest gap
RECORDINGS = {
    "biwi_eth": (5492, 876, 360, 600),
    "biwi_hotel": (6543, 1168, 389, 1110),
    "crowds_zara01": (5153, 872, 148, 170),
    "crowds_zara02": (9722, 1052, 204, 0),
    "crowds_zara03": (5005, 754, 137, 0),
    "students001": (21813, 444, 415, 0),
    "students003": (17953, 541, 434, 0),
    "uni_examples": (2747, 734, 118, 40),
}
# windows and tracks
COUNTS = {
    SOCIAL_GAN: [(70, 181), (301, 1053), (947, 24334), (602, 2253), (921, 5833)],
    ALONE_TOO: [(253, 364), (445, 1197), (947, 24334), (705, 2356), (998, 5910)],
}
# ADE and FDE to two decimals, as computed by others on the same files
ERRORS = [
    (ConstantVelocity(), SOCIAL_GAN, [(1.00, 2.23), (0.32, 0.62), (0.52, 1.17), (0.43, 0.96), (0.33, 0.73)]),
    (ConstantVelocity(), ALONE_TOO, [(1.08, 2.28), (0.32, 0.61), (0.52, 1.17), (0.43, 0.95), (0.32, 0.72)]),
    (ConstantVelocity(), SCHOELLER, [(0.58, 1.16), (0.28, 0.51), (0.47, 1.03), (0.35, 0.76), (0.31, 0.69)]),
    (Line(), SOCIAL_GAN, [(1.02, 2.18), (0.26, 0.47), (0.74, 1.43), (0.61, 1.19), (0.46, 0.90)]),
]
HALF = 0.005 + 1e-4  # half of the last digit


@pytest.fixture(scope="module")
def tests_of():
    return {scene: eth_ucy.read_test(FOLDER, scene) for scene in SCENES}


@needs_data
@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_are_those_described(name):
    tracks = eth_ucy.read_part(FOLDER, "all_data", name)
    rows, frames, pedestrians, gap = RECORDINGS[name]
    assert (tracks.rows, len(tracks.frames), len(tracks.pedestrians)) == (rows, frames, pedestrians)
    assert max((found.length for found in tracks.gaps), default=0) == gap and tracks.step == 10


@needs_data
@pytest.mark.parametrize("protocol", COUNTS, ids=lambda p: p.name)
def test_windows_are_counted_as_in_public_code(protocol, tests_of):
    for scene, expected in zip(SCENES, COUNTS[protocol], strict=True):
        windows = windows_of(tests_of[scene], protocol)
        assert (len(windows), len(windows.tracks)) == expected, scene
        assert not windows.straddles.any()  # nobody is there on both sides of a gap


@needs_data
@pytest.mark.parametrize(("forecaster", "protocol", "expected"), ERRORS)
def test_errors_are_those_of_the_table(forecaster, protocol, expected, tests_of):
    for scene, (ade, fde) in zip(SCENES, expected, strict=True):
        scores = evaluate(forecaster, windows_of(tests_of[scene], protocol), n=1)
        assert (scores.ade, scores.fde) == (pytest.approx(ade, abs=HALF), pytest.approx(fde, abs=HALF)), scene


# Best of 20 draws of turned velocities per agent and per scene, of one other stream
DRAWN = {
    "hotel": ((0.25, 0.46), (0.30, 0.56)),
    "zara1": ((0.30, 0.62), (0.52, 1.03)),
    "zara2": ((0.23, 0.48), (0.35, 0.71)),
}


@needs_data
@pytest.mark.parametrize("scene", DRAWN)
def test_the_same_draws_are_better_per_agent_than_per_scene(scene, tests_of):
    """Means of three streams; what chance leaves is added to half of the last digit."""
    windows = windows_of(tests_of[scene], SOCIAL_GAN)
    found = [evaluate(TurnedVelocity(), windows, n=20, seed=seed) for seed in range(3)]
    agent, together = DRAWN[scene]
    for names, expected, chance in (
        (("best_ade", "best_fde"), agent, 0.004),
        (("scene_ade", "scene_fde"), together, 0.01),
    ):
        means = [sum(getattr(scores, name) for scores in found) / 3 for name in names]
        assert means == pytest.approx(expected, abs=HALF + chance), names


@needs_data
def test_who_goes_straight_on_walks_into_others(tests_of):
    truth, straight = ([0.000, 0.002, 0.028, 0.000, 0.003], [0.033, 0.041, 0.198, 0.054, 0.076])
    for scene, people, ahead in zip(SCENES, truth, straight, strict=True):
        scores = evaluate(ConstantVelocity(), windows_of(tests_of[scene], SOCIAL_GAN), n=1)
        assert (scores.true_collision, scores.collision) == pytest.approx((people, ahead), abs=0.005), scene


@needs_data
def test_people_of_eth_are_of_human_speed_at_the_true_rate(tests_of):
    (eth,) = tests_of["eth"]
    slower = eth_ucy.corrected(eth)
    assert float(eth.speeds().median()) > 2.3
    assert float(slower.speeds().median()) == pytest.approx(0.6 * float(eth.speeds().median()), rel=0.02)
    (hotel,) = tests_of["hotel"]
    assert eth_ucy.corrected(hotel) is hotel


@needs_data
@pytest.mark.parametrize("scene", SCENES)
def test_nobody_learns_from_the_scene_that_is_tested(scene):
    split = eth_ucy.read_split(FOLDER, scene)
    tested = {Path(tracks.source).stem for tracks in split.test}
    for part, name in ((split.train, "train"), (split.val, "val")):
        assert {Path(tracks.source).stem for tracks in part} == {
            f"{recording}_{name}" for recording in eth_ucy.RECORDINGS if recording not in tested
        }
    for train, val in zip(split.train, split.val, strict=True):
        assert train.frames[-1] <= val.frames[0]


@needs_data
def test_a_file_that_is_another_is_refused(tmp_path):
    (tmp_path / "all_data").mkdir()
    path = tmp_path / "all_data" / "biwi_eth.txt"
    shutil.copy(FOLDER / "all_data" / "biwi_eth.txt", path)
    path.write_text(path.read_text() + "20000\t1\t0\t0\n")
    with pytest.raises(ValueError, match=r"biwi_eth\.txt: the SHA-256 sum must be cf8d3fd3.*Take the file anew"):
        eth_ucy.read_test(tmp_path, "eth")


def test_missing_files_and_scenes_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"all_data/biwi_eth\.txt is missing. Give the folder"):
        eth_ucy.read_test(tmp_path, "eth")
    with pytest.raises(ValueError, match="scene must be one of eth, hotel, univ, zara1, zara2; got 'moon'"):
        eth_ucy.read_split(tmp_path, "moon")


def test_every_file_has_a_sum():
    parts = [(part, name) for part in ("all_data", "train", "val") for name in eth_ucy.RECORDINGS]
    names = {f"{part}/{eth_ucy.path_of(Path(), part, name).name}" for part, name in parts}
    assert names == set(eth_ucy.SHA256) and len({*eth_ucy.SHA256.values()}) == 24
    assert all(len(value) == 64 for value in eth_ucy.SHA256.values())
