"""`embodied-gen train` with recordings of pedestrians: a config becomes a forecaster, and comes back as one."""

import os
from pathlib import Path

import pytest
import torch
import yaml
from crowds import crowd, observed, recording

from embodied_gen import draws, experiment
from embodied_gen.blocks import EthUcyBlock, TracksBlock
from embodied_gen.forecasting import eth_ucy, track_file
from embodied_gen.forecasting.learned import AgentForecaster
from embodied_gen.forecasting.windows import ALONE_TOO, windows_of
from embodied_gen.training import checkpoint

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("EMBODIED_DATA", "nowhere")) / "eth_ucy"
SMALL = ("--train.steps", 3, "--train.batch", 16, "--net.width", 8, "--control.width", 8, "--device", "cpu")


@pytest.fixture
def recorded(monkeypatch):
    """Files of ETH and UCY, made up, as their sums cannot be."""
    split = eth_ucy.Split([crowd(4, 40)], [crowd(3, 25, seed=1)], [recording([(0, 22), (0, 25)], seed=2)])
    monkeypatch.setattr(eth_ucy, "read_split", lambda folder, scene: split)


@pytest.fixture
def config(tmp_path):
    content = yaml.safe_load((ROOT / "configs/eth_ucy_mixture.yaml").read_text())
    path = tmp_path / "mixture.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_forecaster_is_trained_and_comes_back(cli, config, recorded, tmp_path):
    outcome = cli("train", config, *SMALL, "--out", "run")
    assert outcome.status == 0, outcome.err
    assert "head mixture" in outcome.out and "windows" in outcome.out
    run = experiment.load(tmp_path / "run")
    forecaster = AgentForecaster(run.predictor, neighbours=run.experiment.control.neighbours)
    seen = observed()
    assert forecaster.forecast(seen, 2, generator=draws.generator(0)).shape == (3, 2, 4, 12, 2)
    card = (tmp_path / "run/card.md").read_text()
    assert "`zara1` of ETH and UCY" in card and "12 positions of a pedestrian from 8 of its own" in card
    for verb in ("info", "plan"):
        outcome = cli(verb, "run")
        assert (outcome.status == 0) == (verb == "info"), outcome.err
    assert "eth-ucy-mixture predicts 12 positions of a pedestrian" in outcome.err
    assert "which no environment is asked for" in outcome.err and "Traceback" not in outcome.err


def test_it_can_be_stopped_and_resumed_to_the_same_weights(cli, config, recorded, tmp_path):
    few = (*SMALL, "--train.checkpoint-every", 1)
    assert cli("train", config, *few, "--out", "whole").status == 0
    assert cli("train", config, *few, "--out", "again", "--resume").status == 0
    assert cli("train", config, *few, "--out", "again", "--resume").status == 0
    one, other = (experiment.load(tmp_path / name).predictor.state_dict() for name in ("whole", "again"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    refused = cli("train", config, *few, "--data.scene", "univ", "--out", "again", "--resume")
    assert refused.status == 2 and "was trained with another configuration" in refused.err
    assert checkpoint.model_path(tmp_path / "again").is_file()


def test_the_encoder_learns_with_the_head(cli, config, recorded, tmp_path):
    assert cli("train", config, *SMALL, "--out", "run").status == 0
    run = experiment.load(tmp_path / "run")
    data = run.experiment.data
    fresh = experiment.build(run.experiment, run.experiment.control.examples(data.windows()[0], data))
    pairs = zip(fresh.encoder.parameters(), run.predictor.encoder.parameters(), strict=True)
    assert not any(torch.equal(a, b) for a, b in pairs)


def test_a_missing_folder_is_named(cli, config):
    outcome = cli("train", config, "--data.folder", "nowhere", "--device", "cpu")
    assert outcome.status == 2
    assert "nowhere/train" in outcome.err and "Give the folder that holds all_data, train and val" in outcome.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"control": {"kind": "policy"}},
            "eth_ucy, tracks. go with control.kind forecast, crowd or crowd_set and no env, "
            "images.*demonstrations with.*got",
        ),
        ({"control": {"kind": "crowd"}}, "control.kind crowd needs event.kind scene; got walk"),
        ({"control": {"kind": "crowd_set"}}, "control.kind crowd_set needs event.kind set; got walk"),
        ({"env": {"id": "embodied/Avoid-v0"}}, "got data.kind eth_ucy, control.kind forecast and an env"),
        ({"data": {"kind": "eth_ucy", "scene": "mars"}}, "data.scene: .*'zara2'; got 'mars'"),
        ({"data": {"dataset": "embodied/avoid/expert-v0"}}, "env: Field required"),
    ],
)
def test_blocks_that_do_not_go_together_are_named(change, message, config):
    content = yaml.safe_load(config.read_text()) | change
    with pytest.raises(ValueError, match=message):
        experiment.parse(content, "forecast.yaml")


def test_data_that_name_no_kind_are_demonstrations():
    content = yaml.safe_load((ROOT / "configs/avoid_flow.yaml").read_text())
    told = {**content, "data": {"kind": "demonstrations", **content["data"]}}
    assert experiment.parse(content, "avoid.yaml") == experiment.parse(told, "avoid.yaml")


@pytest.mark.skipif(not FOLDER.is_dir(), reason="EMBODIED_DATA names no folder with ETH and UCY")
def test_the_files_of_a_scene_make_windows_without_it():
    train, val = EthUcyBlock(scene="zara1", folder=str(FOLDER)).windows()
    assert (len(train), len(train.tracks), len(val), len(val.tracks)) == (2889, 28_577, 671, 5184)
    assert not any("crowds_zara01" in source for source in (*train.sources, *val.sources))


@pytest.mark.skipif(not FOLDER.is_dir(), reason="EMBODIED_DATA names no folder with ETH and UCY")
@pytest.mark.parametrize("scene", eth_ucy.SCENES)
def test_no_window_of_eth_and_ucy_is_lost_across_gaps(scene):
    split = eth_ucy.read_split(FOLDER, scene)
    learned = EthUcyBlock(scene=scene, folder=str(FOLDER)).windows()
    for windows, recordings in zip(learned, (split.train, split.val), strict=True):
        plain = windows_of(recordings, ALONE_TOO)
        assert windows.tracks.equal(plain.tracks) and windows.starts.equal(plain.starts)
        assert (
            windows.valid.equal(plain.valid) and windows.dropped == plain.dropped and windows.dropped.gap_windows == 0
        )


def test_a_track_file_is_cut_by_time_and_its_end_held_out(tmp_path):
    path = tmp_path / "walk.txt"
    track_file.write(path, recording([(0, 100), (0, 100), (30, 60)], seed=3))
    train, val = TracksBlock(file=str(path), held_out=0.4).windows()
    assert len(train) == 60 - 19 and len(val) == 40 - 19
    judged = windows_of(TracksBlock(file=str(path), held_out=0.4).judged()["walk"], ALONE_TOO)
    assert torch.equal(judged.tracks, val.tracks) and torch.equal(judged.places, val.places)
    assert int(train.places[:, 1].max()) + 190 < int(val.places[:, 1].min()) + 10
    with pytest.raises(ValueError, match="there is no window with 1 pedestrians over 20 frames in a row"):
        TracksBlock(file=str(path), held_out=0.1).windows()


GAP = [*range(0, 500, 10), *range(800, 1500, 10)]  # 50 frames, a gap of 310, and 70 frames


def test_nothing_is_learned_across_a_gap(tmp_path):
    path = tmp_path / "walk.txt"
    track_file.write(path, recording([(0, 120), (0, 120)], frames=GAP, seed=3))
    train, val = TracksBlock(file=str(path), held_out=0.5).windows()
    assert (len(train), len(val)) == (31, 41) and not train.straddles.any()
    assert (train.dropped.gap_windows, train.dropped.gap_tracks, val.dropped.gap_windows) == (10, 20, 0)
    assert train.tracks.diff(dim=1).norm(dim=-1).max() < 3  # 12 m a step across the gap
    with pytest.raises(ValueError, match=r"walk\.txt: all 1 windows go across gaps"):
        track_file.write(path, recording([(0, 120)], frames=[*GAP[:10], *(n + 5000 for n in GAP[:110])]))
        TracksBlock(file=str(path), held_out=5 / 6).windows()


def test_training_says_what_was_dropped_of_a_recording_and_why(cli, tmp_path):
    path = tmp_path / "walk.txt"
    track_file.write(path, recording([(0, 120), (0, 120), (3, 9)], frames=GAP, seed=3))
    outcome = cli("train", ROOT / "configs/crowd_mixture.yaml", *SMALL, "--data.file", path, "--data.held_out", "0.5")
    assert outcome.status == 0, outcome.err
    assert "learned from: 31 windows, 62 tracks; dropped 9 tracks that are too short" in outcome.out
    assert "10 windows (20 tracks) across gaps" in outcome.out
    assert f"{path}: 1 gap, between frames 490 and 800" in outcome.out
    assert "the loss is measured on: 41 windows, 82 tracks; dropped 0 tracks that are too short" in outcome.out
    assert outcome.out.count("1 gap") == 1  # of no matter to what the loss is measured on


def test_a_forecaster_learns_from_a_track_file(cli, tmp_path):
    path = tmp_path / "walk.txt"
    track_file.write(path, crowd(3, 60, seed=2))
    config = ROOT / "configs/crowd_mixture.yaml"
    outcome = cli("train", config, *SMALL, "--data.file", path, "--data.held_out", "0.4", "--out", "run")
    assert outcome.status == 0, outcome.err
    assert experiment.load(tmp_path / "run").experiment.data.kind == "tracks"
    missing = cli("train", config, "--data.file", "nowhere.txt", "--device", "cpu")
    assert missing.status == 2 and "there is no track file nowhere.txt. Name a file of rows" in missing.err
