"""`embodied-gen train` with labelled images: a segmenter learns, comes back, and is fine-tuned with a CRF behind it."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import yaml

from embodied_gen import experiment
from embodied_gen.images import sets
from embodied_gen.images.label_folder import read_part
from embodied_gen.images.labelled import VOID
from embodied_gen.images.segmenter import Segmenter
from embodied_gen.statistics import label_scores
from embodied_gen.training.start import start_from
from tests.images.labelled import SIZE, drawn, save, save_parts
from tests.images.pictures import picture_of

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


@pytest.fixture
def rendered(tmp_path):
    """Writes a config of this project for a small set that is drawn here as a renderer would."""
    recipe = sets.Recipe(SIZE, (0, 4), 0, 10, 3, 5)
    classes = ("disc", "square", "star")
    sets.fill(tmp_path / "set", recipe, picture_of, classes=classes, progress=lambda note: None, fov=0.4)

    def write(name):
        content = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())
        content["data"] |= {"folder": str(tmp_path / "set"), "classes": ["table", *classes], "held_out": 0.2}
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


HEADS = {
    "pixelcnn": {"kind": "pixelcnn", "raster": {"kind": "masked_conv", "width": 4, "depth": 1}, "features": 4},
    "denoising": {"kind": "denoising", "steps": 2},
    "chain_crf": {"kind": "chain_crf"},
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_generative_heads_learn_from_a_config_and_are_scored(head, cli, config, tmp_path):
    content = yaml.safe_load((path := config("camvid_unet")).read_text()) | {"head": head}
    path.write_text(yaml.safe_dump(content))
    save(tmp_path / "pictures", "test", [drawn(seed) for seed in (50, 51)])
    outcome = cli("train", path, *SMALL, "--train.steps", 3, "--out", "run")
    assert outcome.status == 0 and f"head {head['kind']}, net image_unet" in outcome.out, outcome.err
    outcome = cli("evaluate", "run", "--drawn", 2, "--device", "cpu")
    assert outcome.status == 0, outcome.err
    record = json.loads((tmp_path / "run/eval.json").read_text())
    assert record["head"] == head["kind"] and record["images"]["count"] == 2
    assert record["drawn"] == (None if head["kind"] == "chain_crf" else 2)
    assert record["scores"]["classes"].keys() == {"ground", "disc", "bar"}
    assert 0 <= record["scores"]["mean_iou"] <= 1 and 0 <= record["scores"]["boundary"] <= 1
    assert "mean IoU" in outcome.out and ("maps drawn" in outcome.out) == (record["drawn"] is not None)


def test_a_segmenter_of_rendered_sets_is_guided_by_colours_depth_and_normals(cli, rendered, tmp_path):
    outcome = cli("train", rendered("tabletop_segmentation"), *SMALL, "--train.steps", 3, "--out", "unary")
    assert outcome.status == 0 and "8 images" in outcome.out, outcome.err
    assert "Images: 8 to learn from, 2 held out, of 24 x 18" in (tmp_path / "unary/card.md").read_text()
    crf = rendered("tabletop_segmentation_crf")
    outcome = cli("train", crf, *SMALL, "--train.steps", 3, "--train.warmup", 0, "--out", "crf")
    assert outcome.status == 0, outcome.err
    one, other = (experiment.load(tmp_path / name).predictor.state_dict() for name in ("unary", "crf"))
    kernel = other["head.crf.log_widths.1"].exp()
    assert kernel.shape == (1 + 3 + 1 + 3,) and not torch.equal(
        kernel, torch.tensor([8.0, *[20.0] * 3, 0.01, *[0.4] * 3])
    )
    assert not torch.equal(one["head.net.output.bias"], other["head.net.output.bias"])
    for run in ("unary", "crf"):
        assert cli("evaluate", run, "--device", "cpu").status == 0
        record = json.loads((tmp_path / run / "eval.json").read_text())
        assert record["images"]["count"] == 3 and record["scores"]["classes"].keys() == {
            "table",
            "disc",
            "square",
            "star",
        }
    for what in ("crf", crf):
        outcome = cli("info", what)
        assert outcome.status == 0 and "observation  (1, 7)" in outcome.out, outcome.err


def test_a_segmenter_without_held_out_images_learns(cli, rendered, tmp_path):
    few = ("--train.steps", 1, "--data.held-out", 0, "--out", "run")
    assert cli("train", rendered("tabletop_segmentation"), *SMALL, *few).status == 0
    assert "held_out_loss" not in (tmp_path / "run/metrics.jsonl").read_text()


def test_what_cannot_be_scored_is_named(cli, config, rendered, tmp_path):
    assert cli("train", config("camvid_unet"), *SMALL, "--train.steps", 1, "--out", "run").status == 0
    outcome = cli("evaluate", "run")
    assert outcome.status == 2 and "there is no list of images" in outcome.err and "test.txt" in outcome.err
    outcome = cli("evaluate", "run", "--data.classes", "ground", "bar", "disc")
    assert (
        outcome.status == 2 and "the run has the classes ground, disc, bar; data.classes are ground, bar" in outcome.err
    )
    outcome = cli("evaluate", "run", "--threads", 0)
    assert outcome.status == 2 and "--threads must be at least 1; got 0" in outcome.err
    missing = cli("train", rendered("tabletop_segmentation"), *SMALL, "--data.folder", "none", "--out", "other")
    assert missing.status == 2 and "there is no whole set of images in none. Collect it" in missing.err


def test_a_crf_whose_leaf_the_images_do_not_have_is_named(cli, config):
    path = config("camvid_unet")
    head = {"kind": "crf", "guide": {"kind": "leaf", "name": "depth", "widths": [0.01]}}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"head": head}))
    outcome = cli("train", path, *SMALL, "--train.steps", 1, "--out", "run")
    assert outcome.status == 2 and "the leaf 'depth' of a mapping context; got leaves ['image']" in outcome.err


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
