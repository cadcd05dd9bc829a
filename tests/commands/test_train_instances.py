"""`embodied-gen train` with images: a config becomes a segmenter of objects, and comes back as one."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from images.pictures import SIZE, picture_of

from embodied_gen import draws, experiment
from embodied_gen.images import sets

CROWDED = 3  # seed of a picture with six things, where there may be so many
CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = {
    "control": {"kind": "instances", "size": [16, 16]},
    "net": {"kind": "glimpse", "features": 4, "memory": 8, "cells": 4},
    "train": {"steps": 3, "batch": 4, "precision": "fp32"},
}


@pytest.fixture
def write(tmp_path):
    """Writes a config with some of its blocks replaced."""

    def write(name, **blocks):
        content = yaml.safe_load((CONFIGS / f"{name}_instances.yaml").read_text())
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(content | SMALL | blocks))
        return path

    return write


@pytest.fixture
def leaves(write):
    return lambda **block: write("leaves", data={"kind": "leaves", "train": 40, "test": 4} | block)


def test_a_segmenter_is_trained_and_comes_back(cli, leaves, tmp_path):
    outcome = cli("train", leaves(), "--out", "run", "--device", "cpu")
    assert outcome.status == 0, outcome.err
    assert "head recurrent_attention" in outcome.out and "38 images" in outcome.out
    run = experiment.load(tmp_path / "run")
    data, control = run.experiment.data, run.experiment.control
    test = data.examples("test", control.size)
    assert len(test) == 4
    labels = run.predictor.predict(test.images, generator=draws.generator(0))
    assert labels.shape == (4, 16, 16) and labels.max() <= 6
    card = (tmp_path / "run/card.md").read_text()
    assert "drawn leaves, 0 to 6 in an image" in card and "the objects of an image of 16 x 16 pixels" in card
    for verb, what in (("info", "run"), ("info", CONFIGS / "leaves_instances.yaml"), ("evaluate", "run")):
        outcome = cli(verb, what)
        assert (outcome.status == 0) == (verb == "info"), outcome.err
    assert "which no environment is asked for" in outcome.err and "Traceback" not in outcome.err


def test_it_can_be_stopped_and_resumed_to_the_same_weights(cli, leaves, tmp_path):
    few = (leaves(), "--train.checkpoint-every", 1, "--device", "cpu")
    assert cli("train", *few, "--out", "whole").status == 0
    assert cli("train", *few, "--out", "again", "--resume").status == 0
    assert cli("train", *few, "--out", "again", "--resume").status == 0
    one, other = (experiment.load(tmp_path / name).predictor.state_dict() for name in ("whole", "again"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_it_learns_from_a_set_of_images(cli, write, tmp_path):
    recipe = sets.Recipe(SIZE, (0, 4), 0, 12, 4, 6)
    sets.fill(tmp_path / "set", recipe, picture_of, classes=("a", "b", "c"), progress=lambda note: None)
    size = {"kind": "instances", "size": [24, 16]}
    path = write("tabletop", data={"kind": "image_set", "folder": "set"}, control=size)
    outcome = cli("train", path, "--out", "run", "--device", "cpu")
    assert outcome.status == 2 and "images of 24 x 18 pixels can be made smaller" in outcome.err
    assert cli("train", write("tabletop", data={"kind": "image_set", "folder": "none"})).status == 2


def test_more_objects_than_steps_are_named(cli, leaves):
    outcome = cli("train", leaves(leaves=[3, 12]), "--event.objects", 2, "--device", "cpu")
    assert outcome.status == 2
    assert "event.objects is 2, and an image of the data has an object of number" in outcome.err


def test_more_objects_than_steps_are_named_in_images_that_are_held_out(cli, write, tmp_path):
    def take(seed, part):
        return picture_of(CROWDED, 1, most=6) if seed == 9 else picture_of(seed, part, most=1)

    sets.fill(
        tmp_path / "set",
        sets.Recipe(SIZE, (0, 6), 0, 10, 1, 10),
        take,
        classes=("a", "b", "c"),
        progress=lambda note: None,
    )
    most = len(picture_of(CROWDED, 1, most=6).labels)
    control = {"kind": "instances", "size": list(SIZE)}
    path = write("tabletop", data={"kind": "image_set", "folder": "set", "held_out": 0.1}, control=control)
    outcome = cli("train", path, "--event.objects", 2, "--device", "cpu")
    assert outcome.status == 2 and "Traceback" not in outcome.err
    assert f"event.objects is 2, and an image of the data has an object of number {most}. Set" in outcome.err


@pytest.mark.parametrize("numbers", [[0, 300], [4, 2], [-1, 3]])
def test_more_leaves_than_a_byte_numbers_are_named_before_any_is_drawn(cli, leaves, numbers):
    outcome = cli("train", leaves(leaves=numbers), "--device", "cpu")
    assert outcome.status == 2 and "Traceback" not in outcome.err
    assert "data.leaves must be a smallest and a largest number from 0 to 255, which a byte numbers" in outcome.err
    assert f"got {numbers}" in outcome.err


@pytest.mark.parametrize(
    ("blocks", "sentence"),
    [
        ({"control": {"kind": "policy"}}, "images (leaves, image_set) with control.kind instances and no env"),
        ({"env": {"id": "embodied/Avoid-v0"}}, "got data.kind leaves, control.kind instances and an env"),
        ({"head": {"kind": "polygon"}}, "predicts polygons; got InstanceMap"),
        ({"net": {"kind": "mlp"}}, "the event has shape (16, 16, 7)"),
        ({"event": {"kind": "trajectory"}}, "and event.kind instances go together; got instances and trajectory"),
    ],
)
def test_blocks_that_do_not_fit_are_named(cli, write, blocks, sentence):
    data = {"kind": "leaves", "train": 4, "test": 1}
    outcome = cli("train", write("leaves", data=data, **blocks), "--device", "cpu")
    assert outcome.status == 2 and sentence in outcome.err and "Traceback" not in outcome.err


def test_images_that_do_not_fit_a_segmenter_are_named(cli, leaves, tmp_path):
    assert cli("train", leaves(), "--out", "run", "--device", "cpu").status == 0
    predictor = experiment.load(tmp_path / "run").predictor
    for images, sentence in (
        (torch.zeros(1, 16, 16, 3), "images must be bytes from 0 to 255, torch.uint8; got torch.float32"),
        (torch.zeros(1, 16, 16, 4, dtype=torch.uint8), r"shape \(B, 16, 16, 3\), channels last; got \(1, 16, 16, 4\)"),
        (torch.from_numpy(np.zeros((16, 16, 3), np.uint8)), r"got \(16, 16, 3\)"),
    ):
        with pytest.raises(ValueError, match=sentence):
            predictor.predict(images, generator=draws.generator(0))
