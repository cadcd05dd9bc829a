"""Benchmarks at a small scale: they run to the end, go on where they were, and tables say what is in the record."""

import importlib
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from embodied_gen.crf.permutohedral import Lattice
from embodied_gen.images import sets
from tests.images.labelled import SIZE, drawn, save, save_parts
from tests.images.pictures import picture_of

ROOT = Path(__file__).parents[1]
WIDE = (32, 24)


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    """Imports a script and runs it in an empty folder with some flags."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.chdir(tmp_path)

    def of(name):
        script = importlib.import_module(name)

        def run(*flags):
            monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, flags)])
            script.main()
            return json.loads((tmp_path / f"benchmarks/results/{name}.json").read_text())

        return script, run

    return of


def configs(folder, changes):
    """Configs of this project with some of their blocks changed, in a folder of their own."""
    folder.mkdir()
    for name, change in changes.items():
        content = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())
        for block, values in change.items():
            content[block] = {**content[block], **values} if isinstance(values, dict) else values
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture
def instances(benchmark, monkeypatch, tmp_path):
    script, run = benchmark("instances")
    small = {
        "control": {"size": [16, 16]},
        "net": {"features": 4, "memory": 8, "cells": 4},
        "train": {"steps": 2, "batch": 4},
    }
    changes = {
        "leaves_instances": small | {"data": {"train": 20, "test": 10}},
        "tabletop_instances": small | {"control": {"size": list(WIDE)}},
    }
    monkeypatch.setattr(script, "CONFIGS", configs(tmp_path / "configs", changes))
    take, recipe = partial(picture_of, size=WIDE), sets.Recipe(WIDE, (0, 4), 0, 10, 9, 5)
    sets.fill(tmp_path / "set", recipe, take, classes=("a", "b", "c"), progress=lambda note: None)
    return run


def test_objects_of_images_are_scored_timed_and_drawn_once(instances, tmp_path, monkeypatch):
    record = instances("--folder", tmp_path / "set", "--seeds", 2)
    assert [(row["set"], row["seed"]) for row in record["rows"]] == [
        ("leaves", 0),
        ("leaves", 1),
        ("tabletop", 0),
        ("tabletop", 1),
    ]
    assert all(row["images_per_second"].keys() == {"batch_1", "batch_8"} for row in record["rows"])
    assert len(record["rows"][0]["likely"]["sbd"]) == 10 and len(record["rows"][2]["drawn"]["sbd"]) == 9
    picture = (tmp_path / "docs/images/instances.png").read_bytes()
    assert instances("--folder", tmp_path / "set", "--seeds", 2) == record  # nothing is measured again
    assert (tmp_path / "docs/images/instances.png").read_bytes() == picture
    (tmp_path / "set").rename(tmp_path / "moved")
    assert instances("--folder", tmp_path / "moved", "--seeds", 2)["rows"] == record["rows"]
    table = importlib.import_module("instances_table").table(record)
    assert table.count("most likely") == table.count("one draw") == 2
    assert "medians of 10 calls" in table and importlib.import_module("image_speed").REPEATS == 10


def test_rendered_images_that_are_missing_are_named_with_the_command_before_any_work(instances, tmp_path):
    command = "embodied-gen collect configs/tabletop_images.yaml --data.folder"
    for flags, folder in (((), "data/embodied/tabletop/images-v0"), (("--folder", "nowhere"), "nowhere")):
        with pytest.raises(
            FileNotFoundError, match=rf"no whole set of images in {folder}\. Collect it \({command} {folder}"
        ):
            instances(*flags)
    assert not (tmp_path / "runs").exists()


def test_scenes_are_asked_what_is_missing_and_out_of_place(benchmark, monkeypatch, tmp_path):
    script, run = benchmark("scene_context")
    folder = save_parts(tmp_path / "pictures", train=20)
    save(folder, "test", [drawn(200 + seed) for seed in range(6)])
    monkeypatch.setattr(script, "CLASSES", ["ground", "disc", "bar"])
    for name, value in {"VOID": 3, "EVERY": 2, "SIZE": SIZE}.items():
        monkeypatch.setattr(script, name, value)
    record = run(folder, "--seeds", 2, "--steps", 3)
    assert [row["model"] for row in record["rows"]] == ["shares", "hopfield", "rbm", "belief"]
    assert all(len(row[key]) == 2 for row in record["rows"] for key in ("half_seen", "out_of_place", "missing"))
    assert run(folder, "--seeds", 2, "--steps", 3)["rows"] == record["rows"]
    table = importlib.import_module("scene_context_table").table(record)
    assert table.count("\n| ") == 4 and f"{record['units']} units" in table


def test_shares_expect_what_is_often_there(benchmark):
    script, _ = benchmark("scene_context")
    train = torch.tensor([[1.0, -1.0, 1.0]] * 9 + [[-1.0, -1.0, 1.0]]).unsqueeze(1)
    shares = script._by_shares(train)
    torch.testing.assert_close(shares.predict(train[:1], train[:1] > 0)[0, 0], torch.tensor([10 / 12, 1 / 12, 11 / 12]))
    assert shares.surprise(torch.tensor([[[1.0, 1.0, 1.0]]])).argmax() == 1  # out of place
    assert shares.surprise(torch.tensor([[[1.0, -1.0, -1.0]]])).argmax() == 2  # missing


def test_segmentation_is_measured_by_arm_with_what_a_crf_adds(benchmark, monkeypatch, tmp_path):
    script, run = benchmark("camvid")
    folder = save_parts(tmp_path / "pictures", train=4)
    save(folder, "test", [drawn(200 + seed) for seed in range(4)])
    small = {
        "data": {"classes": ["ground", "disc", "bar"], "void": 3, "variants": 2},
        "control": {"size": list(SIZE)},
        "net": {"width": 8, "multipliers": [1, 2], "groups": 4},
        "train": {"steps": 2, "batch": 4, "warmup": 0},
    }
    monkeypatch.setattr(script, "CONFIGS", configs(tmp_path / "configs", {"camvid_unet": small, "camvid_crf": small}))
    search = importlib.import_module("camvid_search")
    monkeypatch.setattr(search, "GRID", search.GRID[:2])
    record = run(folder, "--seeds", 1)
    assert [row["arm"] for row in record["rows"]] == ["unary", "further", "searched", "learned"]
    assert record["videos"] == [4] and record["machine"]["torch_threads"] == 1
    means = {row["arm"]: row["mean_iou"]["mean"] for row in record["summary"]}
    beyond = record["beyond_steps"]["mean_iou"]
    assert beyond["difference"] == pytest.approx(means["learned"] - means["further"])
    table = importlib.import_module("camvid_table").table(record)
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1 and len(lines) == 2 + 4 + 1
    assert "| CRF-RNN less no CRF, trained on |" in table and "training [s]" in table
    for arm in ("further", "searched"):  # rows of a record whose answers are gone are made anew
        (tmp_path / f"runs/camvid/{arm}-0.safetensors").unlink()
    again = run(folder, "--seeds", 1)
    assert [row["scores"] for row in again["rows"]] == [row["scores"] for row in record["rows"]]
    assert again["summary"] == record["summary"] and again["rows"][::3] == record["rows"][::3]


def test_frames_belong_to_the_video_that_their_names_begin_with(benchmark):
    benchmark("camvid")
    names = ["0001TP_008550", "0001TP_008580", "Seq05VD_f00000", "Seq05VD_f00030", "Seq05VD_f00060"]
    assert importlib.import_module("camvid_summary").videos(names) == [2, 3]


def test_intervals_are_wider_where_frames_resemble_those_before_them(benchmark):
    benchmark("camvid")
    summary = importlib.import_module("camvid_summary")
    rng = np.random.default_rng(0)
    slow = np.repeat(rng.uniform(size=20), 10)  # of which ten successive frames are alike

    def width(boundary):
        answer = summary.Answer(np.tile(np.eye(2, dtype=int), (200, 1, 1)), boundary)
        low, high = summary.summary({"arm": [answer]}, [80, 120])[0]["boundary"]["interval"]
        return high - low

    assert width(slow) > 2 * width(rng.permutation(slow))


def test_a_paired_difference_is_surer_than_its_arms(benchmark):
    benchmark("camvid")
    summary = importlib.import_module("camvid_summary")
    rng = np.random.default_rng(0)
    ours = rng.integers(1, 50, size=(40, 3, 3)) * rng.integers(1, 20, size=(40, 1, 1))
    ours = ours + 40 * np.eye(3, dtype=int)
    theirs = ours.copy()
    theirs[:, 0, 1] += 2  # a little worse in every image
    one, other = ([summary.Answer(counts, rng.uniform(size=40))] for counts in (ours, theirs))
    found = summary.difference(one, other, [15, 25])["mean_iou"]
    assert found["difference"] > 0 and found["difference_interval"][0] > 0
    assert summary.difference(one, one, [15, 25])["boundary"] == {"difference": 0.0, "difference_interval": [0.0, 0.0]}
    rows = summary.summary({"theirs": other, "ours": one}, [15, 25])
    assert rows[1]["mean_iou"]["difference"] == pytest.approx(found["difference"])
    assert rows[1]["mean_iou"]["difference_interval"] == pytest.approx(found["difference_interval"])
    assert torch.tensor(rows[0]["mean_iou"]["interval"]).diff() > torch.tensor(found["difference_interval"]).diff()


def test_dense_crfs_are_timed_with_the_lattice_of_positions_kept_and_made_anew(benchmark, monkeypatch):
    pytest.importorskip("pydensecrf.densecrf")
    script, run = benchmark("dense_crf")
    for name, value in {"SIZES": ((16, 12),), "LABELS": (2,), "STEPS": (2,), "SMALL": (12, 8)}.items():
        monkeypatch.setattr(script, name, value)
    made = []
    of = Lattice.of
    monkeypatch.setattr(Lattice, "of", lambda features: made.append(features.shape[2]) or of(features))
    script.lattice_filter._of_positions.cache_clear()
    record = run("--repeats", 2, "--threads", 1)
    row = record["speed"][0]
    assert row["largest_difference"] < 1e-4 and {f"{name}_ms" for name in script.OTHER_WAYS} <= row.keys()
    # Three rounds in which two ways make it anew, once before them, and once for the small image.
    assert made.count(2) == 3 * 2 + 1 + 1
    before = json.loads((ROOT / "benchmarks/results/dense_crf.json").read_text())
    table = importlib.import_module("dense_crf_table").table
    assert "| ratio (median, range) |" in table(before)
    lines = [line for line in table(record | {"training_step": before["training_step"]}).splitlines() if "|" in line]
    assert "| size not seen before | one thread | both |" in lines[0]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1 and len(lines) == 3
