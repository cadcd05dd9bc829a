"""`embodied-gen evaluate` with the run of a forecaster: every protocol, scored as the library scores it."""

import dataclasses
import json
import os
from pathlib import Path

import pytest
import yaml
from crowds import crowd, recording

from embodied_gen import experiment
from embodied_gen.experiment import Sizes
from embodied_gen.forecasting import eth_ucy, track_file
from embodied_gen.forecasting.answers import Remembered
from embodied_gen.forecasting.baselines import ConstantVelocity
from embodied_gen.forecasting.joint import JointForecaster
from embodied_gen.forecasting.learned import AgentForecaster, DenseForecaster
from embodied_gen.forecasting.representatives import Representatives
from embodied_gen.forecasting.scores import evaluate
from embodied_gen.forecasting.table import markdown, row_of
from embodied_gen.forecasting.windows import ALONE_TOO, PROTOCOLS, windows_of
from embodied_gen.training import checkpoint

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("EMBODIED_DATA", "nowhere")) / "eth_ucy"
MIXTURE, REGRESSION = {"kind": "mixture", "components": 3}, {"kind": "regression"}
FEW = ("--draws", 3, "--device", "cpu")


def untrained_run(folder, data, head=MIXTURE):
    """The run of a small forecaster that was never trained."""
    content = yaml.safe_load((ROOT / "configs/crowd_mixture.yaml").read_text())
    content |= {"name": "small", "data": data, "head": head, "net": {"kind": "mlp", "width": 8, "depth": 1}}
    content["control"] |= {"width": 8, "neighbours": 2}
    config = experiment.parse(content, "small")
    examples = config.control.examples(windows_of([crowd(3, 30)], ALONE_TOO), config.data)
    predictor = experiment.build(config, examples).eval()
    experiment.save_config(folder, config, Sizes(*config.control.sizes(0, 0)))
    checkpoint.save_model(folder, 1, predictor)
    return folder


@pytest.fixture
def walk(tmp_path):
    """A track file, in whose last half somebody leaves early."""
    path = tmp_path / "walk.txt"
    track_file.write(path, recording([(0, 60), (0, 60), (10, 50), (20, 48)], seed=3))
    return path


@pytest.fixture
def run(tmp_path, walk):
    return untrained_run(tmp_path / "run", {"kind": "tracks", "file": str(walk), "held_out": 0.5})


def record_of(folder):
    return json.loads((folder / "eval.json").read_text())


def test_every_protocol_is_scored_as_the_library_scores_it_by_hand(cli, run, tmp_path):
    outcome = cli("evaluate", run, *FEW, "--seed", 4)
    assert outcome.status == 0, outcome.err
    loaded, record = experiment.load(run), record_of(run)
    dense = DenseForecaster(loaded.predictor, neighbours=2)
    expected = []
    for protocol in PROTOCOLS:
        windows, many = windows_of(loaded.experiment.data.judged()["walk"], protocol), Remembered(dense)
        for name, forecaster, n in (
            ("constant velocity", ConstantVelocity(), 1),
            ("small, draws", dense, 3),
            ("small, representatives", Representatives(many), 3),
            ("small, joint draws", JointForecaster(many), 3),
        ):
            scores = dataclasses.asdict(evaluate(forecaster, windows, n=n, seed=4))
            expected.append({"scene": "walk", "protocol": protocol.name, "forecaster": name} | scores)
    assert record["rows"] == expected
    assert markdown([row_of(row) for row in expected]) in outcome.out and "walk, alone too: " in outcome.out
    assert f"written: {run / 'eval.json'}" in outcome.out
    assert (record["schema"], record["run"], record["head"], record["step"]) == (1, "small", "mixture", 1)
    assert cli("report", run).status == 0
    assert all(f">{name}</td>" in (tmp_path / "report.html").read_text() for name in ("small, draws", "Schöller"))
    assert record["seed"] == 4 and record["data"] == loaded.experiment.data.model_dump(mode="json")
    assert "torch" in record["versions"] and "cores" in record["machine"]


def test_densities_are_written_where_they_are_exact_and_of_whole_futures(cli, run, walk, tmp_path):
    matched = {"kind": "denoising", "schedule": {"kind": "rectified"}, "prediction": "velocity", "steps": 2}
    data = {"kind": "tracks", "file": str(walk), "held_out": 0.5}
    bounded = untrained_run(tmp_path / "matched", data, matched | {"sampler": {"kind": "dpm_solver"}})
    for folder in (run, bounded):
        assert cli("evaluate", folder, *FEW, "--protocols", "Social-GAN", "Schöller").status == 0
    known = {(row["protocol"], row["forecaster"]) for row in record_of(run)["rows"] if row["nll"] is not None}
    assert known == {("Social-GAN", "small, draws")}
    assert all(row["nll"] is None for row in record_of(bounded)["rows"])


def test_windows_that_are_left_out_are_counted_and_printed(cli, run):
    outcome = cli("evaluate", run, *FEW)
    (tracks,) = experiment.load(run).experiment.data.judged()["walk"]
    for protocol, counted in zip(PROTOCOLS, record_of(run)["windows"], strict=True):
        windows = windows_of([tracks], protocol)
        sizes = {"scene": "walk", "protocol": protocol.name, "windows": len(windows), "tracks": len(windows.tracks)}
        assert counted == sizes | windows.dropped._asdict()
        assert f"walk, {protocol.name}: {len(windows)} windows, {len(windows.tracks)} tracks; {windows.dropped}" in (
            outcome.out
        )


def test_a_forecaster_without_chance_has_its_answer_beside_the_baseline(cli, walk, tmp_path):
    folder = untrained_run(tmp_path / "least", {"kind": "tracks", "file": str(walk), "held_out": 0.5}, REGRESSION)
    assert cli("evaluate", folder, "--device", "cpu").status == 0
    rows, loaded = record_of(folder)["rows"], experiment.load(folder)
    assert [row["forecaster"] for row in rows] == ["constant velocity", "small, answer"] * 3
    assert {row["draws"] for row in rows} == {1}
    windows = windows_of(loaded.experiment.data.judged()["walk"], ALONE_TOO)
    expected = evaluate(AgentForecaster(loaded.predictor, neighbours=2), windows, n=1)
    assert rows[3]["best_ade"] == expected.best_ade


def test_the_same_seed_gives_the_same_file_and_another_one_other_draws(cli, run, tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert cli("evaluate", run, *FEW, "--seed", seed, "--json", tmp_path / f"{name}.json").status == 0
    one, again, other = ((tmp_path / f"{name}.json").read_bytes() for name in ("one", "again", "other"))
    assert one == again and not (run / "eval.json").exists()
    first, second = (json.loads(content)["rows"] for content in (one, other))
    assert first[0] == second[0] and first[1] != second[1]


@pytest.mark.parametrize(("scene", "names"), [("eth", ["eth", "eth, corrected"]), ("zara1", ["zara1"])])
def test_a_scene_of_eth_and_ucy_is_scored_and_eth_at_its_true_rate_too(scene, names, cli, tmp_path, monkeypatch):
    published = dataclasses.replace(crowd(3, 60, seed=2), source="biwi_eth.txt")
    monkeypatch.setattr(eth_ucy, "read_test", lambda folder, scene: [published])
    folder = untrained_run(tmp_path / "run", {"kind": "eth_ucy", "scene": scene})
    assert cli("evaluate", folder, *FEW, "--protocols", "Social-GAN").status == 0
    rows = record_of(folder)["rows"]
    assert list(dict.fromkeys(row["scene"] for row in rows)) == names
    slow = windows_of([eth_ucy.corrected(published)], PROTOCOLS[0])
    assert [row["windows"] for row in rows[::4]] == [41, len(slow)][: len(names)]


def test_files_may_have_moved(cli, run, walk, tmp_path):
    moved = walk.rename(tmp_path / "moved.txt")
    outcome = cli("evaluate", run, *FEW, "--data.file", moved)
    assert outcome.status == 0, outcome.err
    assert record_of(run)["data"]["file"] == str(moved)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--data.file", "gone.txt"], "there is no track file gone.txt. Name a file of rows, frame, pedestrian, x, y;"),
        (["--protocols", "mine"], "--protocols must be some of 'Social-GAN', 'alone too', 'Schöller'; got 'mine'."),
        (["--protocols"], "--protocols must be some of 'Social-GAN', 'alone too', 'Schöller'; got none."),
        (["--draws", 0], "--draws must be at least 1; got 0."),
        (["--seed", -1], "--seed must be at least 0; got -1."),
        (["--threads", 0], "--threads must be at least 1; got 0."),
        (
            ["--data.held-out", "0.9"],
            "--data.held_out must be 0.5, as in training; got 0.9. A forecaster is judged on what it did not learn",
        ),
    ],
)
def test_what_cannot_be_scored_is_told_and_leaves_the_last_scores(flags, sentence, cli, run):
    (run / "eval.json").write_text("the last scores")
    outcome = cli("evaluate", run, *FEW, *flags)
    assert outcome.status == 2 and "Traceback" not in outcome.err
    assert outcome.err.startswith(f"embodied-gen evaluate: {sentence}"), outcome.err
    assert (run / "eval.json").read_text() == "the last scores"


def test_the_files_of_a_scene_that_are_gone_are_named(cli, tmp_path):
    folder = untrained_run(tmp_path / "run", {"kind": "eth_ucy", "scene": "hotel", "folder": "nowhere"})
    outcome = cli("evaluate", folder, *FEW)
    assert outcome.status == 2 and "nowhere/all_data/biwi_hotel.txt is missing. Give the folder that" in outcome.err
    refused = cli("evaluate", folder, *FEW, "--data.scene", "eth")
    assert refused.status == 2 and "--data.scene must be hotel, as in training; got eth." in refused.err


def test_a_protocol_without_windows_is_named_and_the_others_can_be_scored(cli, run, tmp_path):
    alone = tmp_path / "alone.txt"
    track_file.write(alone, recording([(0, 60)]))
    outcome = cli("evaluate", run, *FEW, "--data.file", alone)
    assert outcome.status == 2
    assert "alone.txt: there is no window with 2 pedestrians over 20 frames in a row" in outcome.err
    assert cli("evaluate", run, *FEW, "--data.file", alone, "--protocols", "alone too", "Schöller").status == 0
    assert [row["protocol"] for row in record_of(run)["rows"]] == ["alone too"] * 4 + ["Schöller"] * 4


def test_help_has_an_example(cli, run):
    outcome = cli("evaluate", run, "--help")
    assert outcome.status == 0 and "--protocols" in outcome.out and "--data.file" in outcome.out
    assert 'embodied-gen evaluate runs/eth-ucy-mixture --data.folder FOLDER --protocols Social-GAN "alone too"' in (
        outcome.out
    )


def test_scores_of_forecasts_are_no_episodes_to_compare_and_are_reported(cli, run, tmp_path):
    assert cli("evaluate", run, *FEW).status == 0
    sentence = (
        f"{run / 'eval.json'} is no evaluation: it has no env. Name a run's folder, or the eval.json, of a policy or a "
        "planner: detectors and forecasters are scored without episodes.\n"
    )
    outcome = cli("compare", run, run)
    assert (outcome.status, outcome.err) == (2, f"embodied-gen compare: {sentence}")
    assert cli("report", run, "--out", tmp_path / "report.html").status == 0
    assert "Scores on data" in (tmp_path / "report.html").read_text()


@pytest.mark.skipif(not FOLDER.is_dir(), reason="EMBODIED_DATA names no folder with ETH and UCY")
def test_the_scene_zara1_has_its_published_windows_and_errors_of_constant_velocity(cli, tmp_path):
    folder = untrained_run(tmp_path / "run", {"kind": "eth_ucy", "scene": "zara1"}, REGRESSION)
    outcome = cli("evaluate", folder, "--device", "cpu", "--data.folder", FOLDER)
    assert outcome.status == 0, outcome.err
    straight = [row for row in record_of(folder)["rows"] if row["forecaster"] == "constant velocity"]
    assert [(row["windows"], row["tracks"]) for row in straight][:2] == [(602, 2253), (705, 2356)]
    found = [error for row in straight for error in (row["ade"], row["fde"])]
    assert found == pytest.approx([0.43, 0.96, 0.43, 0.95, 0.35, 0.76], abs=0.005 + 1e-4)
