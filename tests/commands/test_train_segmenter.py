"""`embodied-gen train` with labelled images: a segmenter learns, comes back, and is fine-tuned with a CRF behind it."""

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import yaml

from embodied_gen import experiment
from embodied_gen.images.label_folder import read_part
from embodied_gen.images.labelled import VOID
from embodied_gen.images.segmenter import Segmenter
from embodied_gen.statistics import label_scores
from embodied_gen.training.start import start_from
from tests.images.labelled import SIZE, save_parts

ROOT = Path(__file__).parents[2]
SMALL = ("--train.batch", 4, "--train.warmup", 2, "--train.average", 0.5, "--device", "cpu")


@pytest.fixture
def config(tmp_path):
    """Writes a config of this project for pictures that are drawn here."""
    folder = save_parts(tmp_path / "pictures", train=8)

    def write(name):
        content = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())
        content["data"] |= {"folder": str(folder), "classes": ["ground", "disc", "bar"], "void": 3, "variants": 8}
        content["control"]["size"] = list(SIZE)
        content["net"] = {"kind": "image_unet", "width": 8, "multipliers": [1, 2], "groups": 4}
        if "start_from" in content:
            content["start_from"] = str(tmp_path / "unary")
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def scores(folder, run):
    found = read_part(folder, "val", classes=3, void=3)
    labels = Segmenter(experiment.load(run).predictor).labels(found.images)
    valid = (found.labels != VOID).numpy()
    return label_scores(labels.numpy(), np.where(valid, found.labels.numpy(), 0), 3, valid=valid)


def test_a_segmenter_learns_comes_back_and_goes_on_with_a_crf(cli, config, tmp_path):
    outcome = cli("train", config("camvid_unet"), *SMALL, "--train.steps", 60, "--out", "unary")
    assert outcome.status == 0, outcome.err
    assert "head cellwise, net image_unet" in outcome.out and "8 images" in outcome.out
    assert scores(tmp_path / "pictures", tmp_path / "unary").mean_iou > 0.6  # a third of that where all is ground
    card = (tmp_path / "unary/card.md").read_text()
    assert "images with 3 classes" in card and "the class of each pixel of an image of 24 x 18" in card
    for verb in ("info", "evaluate", "plan"):
        outcome = cli(verb, "unary")
        assert (outcome.status == 0) == (verb == "info"), outcome.err
    assert "which no environment is asked for" in outcome.err and "Traceback" not in outcome.err
    tuned = ("train", config("camvid_crf"), *SMALL, "--train.steps", 4, "--train.rate", 1e-4, "--out")
    assert cli(*tuned, "tuned").status == 0
    before, after = (scores(tmp_path / "pictures", tmp_path / name).mean_iou for name in ("unary", "tuned"))
    assert after > before - 0.1  # a fresh network would be at a third
    one, other = (experiment.load(tmp_path / name).predictor for name in ("unary", "tuned"))
    start = one.state_dict()
    moved = other.state_dict()
    assert start.keys() < moved.keys() and not torch.equal(start["head.net.output.bias"], moved["head.net.output.bias"])


def test_a_run_is_resumed_to_the_same_weights_only_from_the_same_start(cli, config, tmp_path):
    assert cli("train", config("camvid_unet"), *SMALL, "--train.steps", 2, "--out", "unary").status == 0
    few = ("train", config("camvid_crf"), *SMALL, "--train.steps", 2, "--train.checkpoint-every", 1)
    assert cli(*few, "--out", "whole").status == 0
    assert cli(*few, "--out", "whole", "--resume").status == 0
    assert cli(*few, "--out", "again").status == 0
    one, other = (experiment.load(tmp_path / name).predictor.state_dict() for name in ("whole", "again"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    again = ("train", config("camvid_unet"), *SMALL, "--train.steps", 3, "--out", "other")
    assert cli(*again).status == 0
    (tmp_path / "unary/model.safetensors").write_bytes((tmp_path / "other/model.safetensors").read_bytes())
    refused = cli(*few, "--out", "whole", "--resume")
    assert refused.status == 2 and "was trained with another configuration" in refused.err


def test_a_start_that_does_not_fit_is_named(cli, config, tmp_path):
    assert cli("train", config("camvid_unet"), *SMALL, "--train.steps", 1, "--out", "unary").status == 0
    path = config("camvid_crf")
    refused = cli("train", path, *SMALL, "--net.width", 16, "--out", "wide")
    assert refused.status == 2 and "have no place of their shape, the first head.net." in refused.err
    missing = cli("train", path, *SMALL, "--start-from", "nowhere", "--out", "none")
    assert missing.status == 2 and "there is no file nowhere/model.safetensors" in missing.err
    with pytest.raises(ValueError, match=r"cannot be started from: .* only the head may be extended"):
        start_from(torch.nn.Linear(2, 3), tmp_path / "unary")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event": {"kind": "trajectory"}}, "control.kind segmentation and event.kind label_map go together; got"),
        (
            {"control": {"kind": "forecast"}},
            "images .labelled_images, labelled_set. with control.kind segmentation and no env",
        ),
        ({"env": {"id": "embodied/Avoid-v0"}}, "got data.kind labelled_images, control.kind segmentation and an env"),
    ],
)
def test_blocks_that_do_not_go_together_are_named(change, message, config):
    content = yaml.safe_load(config("camvid_unet").read_text()) | change
    with pytest.raises(ValueError, match=message):
        experiment.parse(content, "unet.yaml")


def test_other_nets_and_heads_are_refused_by_name(config):
    content = yaml.safe_load(config("camvid_unet").read_text())
    sizes = experiment.Sizes(3, 3)
    with pytest.raises(ValueError, match=r"net.kind unet predicts chunks .* or to image_unet for label maps of images"):
        experiment.empty(experiment.parse(content | {"net": {"kind": "unet"}}, "unet.yaml"), sizes)
    policy = tiny.predictor_of(tiny.experiment_of())
    with pytest.raises(ValueError, match=r"a segmenter needs a predictor of label maps; got one of Path\."):
        Segmenter(policy)
    predictor = experiment.empty(experiment.parse(content, "unet.yaml"), sizes)
    for numbers in ({"batch": 0}, {"drawn": 0}):
        with pytest.raises(ValueError, match="batch and drawn must be at least 1; got"):
            Segmenter(predictor, **numbers)


def test_images_of_another_type_or_size_are_refused(config):
    segmenter = Segmenter(experiment.empty(experiment.read(config("camvid_unet")), experiment.Sizes(3, 3)))
    images = torch.zeros(1, 3, SIZE[1], SIZE[0], dtype=torch.uint8)
    assert segmenter.probabilities(images).sum(-1).allclose(torch.ones(1, SIZE[1], SIZE[0]))
    with pytest.raises(ValueError, match=r"images must be bytes from 0 to 255, torch.uint8; got torch.float32"):
        segmenter.labels(images.float())
    with pytest.raises(ValueError, match=r"images must have shape \(B, 3, H, W\); got \(1, 1, 18, 24\)"):
        segmenter.labels(images[:, :1])
    with pytest.raises(ValueError, match=r"images must have 18 rows and 24 columns; got \(17, 24\)"):
        segmenter.labels(images[:, :, 1:])
