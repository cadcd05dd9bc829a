"""`embodied-gen collect` renders sets of images, where a config's data are images."""

import os
from pathlib import Path

import mujoco
import pytest
import torch

from embodied_gen.commands.offscreen import prefer_egl
from embodied_gen.images import sets
from envs.tabletop_surroundings import FOV
from envs.tabletop_things import CLASSES

CONFIG = Path(__file__).parents[2] / "configs" / "tabletop_images.yaml"
SMALL = ("--data.train", 5, "--data.test", 2, "--data.shard", 2, "--data.things", 0, 4)


@pytest.fixture
def rendering():
    from envs.tabletop_photographer import Photographer

    try:
        Photographer((16, 16)).close()
    except OSError as error:
        pytest.skip(str(error))


def test_the_set_is_read_and_its_parts_differ(cli, tmp_path, rendering):
    outcome = cli("collect", CONFIG, "--data.folder", "set", *SMALL)
    assert outcome.status == 0, outcome.err
    train, classes = sets.read(tmp_path / "set", "train")
    test, _ = sets.read(tmp_path / "set", "test")
    assert classes == CLASSES and train.images.shape == (5, 120, 160, 3) and len(test) == 2
    assert sets.field_of_view(tmp_path / "set") == FOV
    assert all(not torch.equal(one, other) for one in train.images for other in test.images)
    things = int(train.counts.sum() + test.counts.sum())
    assert f"7 images of 160 x 120 with {things} things" in outcome.out and "MB" in outcome.out
    before = {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()}
    again = cli("collect", CONFIG, "--data.folder", "other", *SMALL)
    assert again.status == 0 and {p.name: p.read_bytes() for p in (tmp_path / "other").iterdir()} == before


def test_an_existing_set_is_refused_before_any_work_and_left_as_it_is(cli, tmp_path, rendering):
    assert cli("collect", CONFIG, "--data.folder", "set", *SMALL).status == 0
    outcome = cli("collect", CONFIG, "--data.folder", "set", *SMALL)
    assert (outcome.status, outcome.out) == (2, "") and "the images in set exist already" in outcome.err
    outcome = cli("collect", CONFIG, "--data.folder", "set", *SMALL, "--if-missing")
    assert outcome.status == 0 and "images exist in set" in outcome.out


def test_where_nothing_can_be_rendered_the_remedy_is_one_sentence(cli, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise ImportError("Cannot initialize a EGL device display.")

    monkeypatch.setattr(mujoco, "Renderer", refuse)
    outcome = cli("collect", CONFIG, "--data.folder", "set", *SMALL)
    assert outcome.status == 2 and outcome.err.count("\n") == 1
    assert "Set MUJOCO_GL=egl before Python starts, and install libegl1" in outcome.err
    assert not (tmp_path / "set").exists()


def test_impossible_numbers_and_keys_are_refused_before_any_work(cli, tmp_path):
    for flags, message in (
        (("--data.things", 4, 2), "things must be a smallest and a largest number between 0 and 40"),
        (("--data.size", 8, 8), "size must be a width and a height from 16 to 1280 and 960; got (8, 8)"),
        (("--data.train", 0), "Input should be greater than or equal to 1"),
    ):
        outcome = cli("collect", CONFIG, "--data.folder", "set", *flags)
        assert outcome.status == 2 and message in outcome.err
    config = tmp_path / "wrong.yaml"
    config.write_text("name: x\ndata: {kind: images, foldr: set}\n")
    outcome = cli("collect", config)
    assert outcome.status == 2 and "data.foldr: unknown key; did you mean 'folder'?" in outcome.err
    assert not (tmp_path / "set").exists()


def test_training_on_a_config_of_images_alone_says_what_is_expected(cli):
    outcome = cli("train", CONFIG, "--out", "run")
    assert outcome.status == 2
    assert "data: Input tag 'images' found" in outcome.err and "expected tags: 'demonstrations'" in outcome.err


def test_egl_is_preferred_only_where_there_is_neither_a_screen_nor_a_choice(monkeypatch):
    for variables, found, expected in (
        ({}, "libEGL.so.1", "egl"),
        ({}, None, None),
        ({"DISPLAY": ":0"}, "libEGL.so.1", None),
        ({"MUJOCO_GL": "osmesa"}, "libEGL.so.1", "osmesa"),
    ):
        for name in ("DISPLAY", "MUJOCO_GL"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.platform", "linux")
        monkeypatch.setattr("embodied_gen.commands.offscreen.find_library", lambda _, found=found: found)
        prefer_egl()
        assert os.environ.get("MUJOCO_GL") == expected
