"""A config becomes a detector, images become examples, a run comes back as it was saved, and mistakes are named."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml
from pictures_of_boxes import drawn, rendered, taken

from embodied_gen import config as config_module
from embodied_gen import draws
from embodied_gen.boxes import corners
from embodied_gen.demos.boxed_images import BoxedImages
from embodied_gen.detection import Detection, adjust, build, detections, load, read, score
from embodied_gen.detection.data import RenderedBlock
from embodied_gen.detection.experiment import Images, save_config
from embodied_gen.events import extent_of
from embodied_gen.images import sets
from embodied_gen.training import checkpoint, files

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("boxes_*.yaml"))
CLASSES = ("rectangle", "disc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A set of pictures. Not to be written to."""
    return rendered(tmp_path_factory.mktemp("images") / "set")


def small(path, folder):
    """A config with the smallest network of its kind."""
    content = yaml.safe_load(path.read_text())
    content["data"] |= {"folder": str(folder), "held_out": 0.2}
    content["pyramid"] = {"width": 8, "stages": [8, 8]}
    content["detector"] |= {"depth": 1} | ({} if content["detector"]["kind"] == "dense" else {"boxes": 6, "heads": 2})
    content["train"] |= {"steps": 4, "batch": 4, "warmup": 1, "checkpoint_every": 2, "precision": "fp32"}
    return content


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("classes", [1, 3, 4])
def test_every_config_builds_a_detector_with_a_loss_and_detections(path, classes, tmp_path):
    detection = read(path)
    images = Images((3, 60, 80), 4, tuple(f"class {i}" for i in range(classes)))
    predictor = build(detection, images).eval()
    seen, values = drawn(2, size=(60, 80), most=4)
    values[..., 4] %= classes
    loss = predictor.loss(seen, values, generator=draws.generator(0), valid=torch.ones(2, 1, dtype=torch.bool))
    assert loss.shape == (2,) and loss.isfinite().all()
    rows = predictor.predict(seen, generator=draws.generator(0))
    assert rows.shape == (2, predictor.head.event.shape[0], 6) and rows.isfinite().all()
    again = build(detection, images).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in predictor.state_dict().items())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_an_image_may_have_more_objects_than_a_detector_was_asked_for_boxes(path):
    predictor = build(read(path), Images((3, 64, 80), 130, CLASSES))
    assert predictor.head.event.objects == 130 and predictor.head.event.shape[0] >= 130


def test_a_rendered_set_becomes_examples(folder):
    block = RenderedBlock(folder=str(folder), mirrors=("x",))
    (examples, classes), (tested, _) = block.training(), block.testing()
    assert classes == CLASSES and (len(examples), len(tested)) == (24, 4) and examples.size == (3, 64, 80)
    found, _ = sets.read(folder, "train")
    batch = examples.batch(torch.arange(12))
    assert torch.equal(batch.observations.permute(0, 2, 3, 1), found.images)
    there = batch.value[..., 5] > 0
    assert torch.equal(there.sum(1), found.counts) and torch.equal(
        batch.value[..., 4][there].long(), found.labels[there]
    )
    pixels = corners(batch.value[..., :4]) * torch.tensor([80.0, 64.0, 80.0, 64.0])
    torch.testing.assert_close(pixels[there], found.boxes[there], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_detector_is_trained_described_scored_and_goes_on(path, folder, cli, tmp_path):
    config, run = tmp_path / "config.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump(small(path, folder)))
    train = ("train", config, "--device", "cpu", "--out", run, "--train.steps", 6)
    first = cli(*train)
    assert first.status == 0, first.err
    assert "trained boxes-" in first.out and "10 images, 20 with mirrors" in first.out
    kind = path.stem.removeprefix("boxes_")
    card = (run / "card.md").read_text()
    assert "6 steps of 4 images" in card and f"tags: [object-detection, {kind}]" in card and str(folder) in card
    loaded = load(run)
    learned, _ = RenderedBlock(folder=str(folder)).training()
    extent = extent_of(learned.values())
    assert loaded.step == 6 and loaded.images == Images((3, 64, 80), 3, CLASSES, extent)
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert any("held_out_loss" in line for line in log)
    told = cli("info", run)
    assert told.status == 0 and "boxes of rectangle, disc" in told.out and f"detector     {kind}" in told.out
    scored = cli("evaluate", run, "--device", "cpu")
    assert scored.status == 0 and "AP50" in scored.out and f"written: {run / 'eval.json'}" in scored.out
    record = json.loads((run / "eval.json").read_text())
    assert record["images"]["count"] == 4 and set(record["scores"]["classes"]) == set(CLASSES)
    assert ("spread" in record) == (kind == "denoising")
    examples, classes = loaded.detection.data.testing()
    assert record["scores"] == asdict(score(detections(loaded.predictor, examples), examples, classes))
    assert cli("report", run).status == 0
    page = (tmp_path / "report.html").read_text()
    assert f'<td>ap50</td><td class="number">{record["scores"]["ap50"]:.3f}</td>' in page and "pyramid:" in page
    refused = cli(*train)
    assert refused.status == 2 and "holds a training run already" in refused.err
    before = files.read_tensors(checkpoint.model_path(run))[0]
    again = cli(*train, "--resume")
    assert again.status == 0, again.err
    after = files.read_tensors(checkpoint.model_path(run))[0]
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.fixture(scope="module")
def runs(tmp_path_factory, folder):
    """New detectors of each kind as runs. Not to be written to."""
    made = {}
    for path in CONFIGS:
        detection = config_module.parse(small(path, folder), Detection, "small")
        images = Images((3, 64, 80), 3, CLASSES)
        run = tmp_path_factory.mktemp("runs") / path.stem
        run.mkdir()
        save_config(run, detection, images)
        checkpoint.save_model(run, 0, build(detection, images))
        made[detection.detector.kind] = run
    return made


def test_boxes_and_steps_are_free_where_boxes_come_from_noise_alone(runs, cli, tmp_path):
    target = tmp_path / "more.json"
    flags = ("--boxes", 9, "--steps", 2, "--device", "cpu", "--json", target)
    assert cli("evaluate", runs["denoising"], *flags).status == 0
    record = json.loads(target.read_text())
    assert (record["boxes"], record["steps"]) == (9, 2)
    for flag, number, message in (
        ("--draws", 1, "--draws must be 0, or at least 2"),
        ("--draw-steps", 0, "at least 1"),
    ):
        told = cli("evaluate", runs["denoising"], flag, number, "--device", "cpu")
        assert told.status == 2 and message in told.err
    refused = cli("evaluate", runs["queries"], *flags)
    assert refused.status == 2 and "can be set for a detector that draws boxes from noise" in refused.err


def test_all_that_a_detector_refers_to_is_of_the_boxes_asked_for_and_moves_with_it(runs):
    predictor = load(runs["denoising"]).predictor
    adjust(predictor, boxes=9, steps=2)
    predictor.to("meta")
    sampler, event = predictor.head.sampler, predictor.head.event
    referred = (predictor.reduction.__self__, sampler.merged.__self__, sampler.likely.func.__self__)
    assert all(own is event for own in referred)
    assert event.shape == (9, 6) and event.low.device.type == "meta"


def test_the_fields_of_a_detector_reach_its_parts(folder):
    content = small(ROOT / "configs" / "boxes_denoising.yaml", folder)
    content["detector"] |= {"signal": 3.0, "renewal": 0.2, "least": 7.0, "cells": 3, "points": 2}
    head = build(config_module.parse(content, Detection, "small"), Images((3, 64, 80), 3, CLASSES, (0.3, 0.4))).head
    event, stage = head.event, head.net.cascade[0]
    assert (event.signal, head.net.signal, head.clip, event.least) == (3, 3, 3, 7)
    assert (stage.size, stage.points) == (3, 2)
    assert event.high[2:4].tolist() == head.net.extent[2:].tolist() == pytest.approx([0.3, 0.4])
    x = event.scale(torch.tensor([[0.5, 0.5, 0.2, 0.2, score, 0.0] for score in (0.1, 0.3)]))
    assert head.sampler.likely(x).tolist() == [False, True]


def test_what_is_found_in_an_image_does_not_depend_on_the_others(runs):
    run = load(runs["denoising"])
    examples, _ = run.detection.data.testing()
    adjust(run.predictor, steps=2)
    one, all_ = (detections(run.predictor, examples, seed=3, batch=batch) for batch in (1, 4))
    torch.testing.assert_close(one, all_, rtol=1e-3, atol=1e-3)
    assert not torch.equal(one, detections(run.predictor, examples, seed=4, batch=1))


def test_scores_are_those_of_the_truth_and_of_nothing(folder):
    examples, classes = RenderedBlock(folder=str(folder)).testing()
    whole = score(examples.values(), examples, classes)
    assert whole.ap == whole.ap50 == whole.recall == 1 and whole.calibration == 0
    nothing = score(torch.zeros(4, 3, 6), examples, (*classes, "ring"))
    assert nothing.ap == nothing.recall == 0 and nothing.calibration is None and nothing.classes["ring"] is None


def test_a_thousand_things_in_an_image_can_all_be_found():
    place = (torch.stack([torch.arange(1000) % 40, torch.arange(1000) // 40], -1) + 0.5) / torch.tensor([40, 25])
    values = torch.cat([place, torch.full((1000, 2), 0.02), torch.zeros(1000, 1), torch.ones(1000, 1)], -1)[None]
    examples = BoxedImages(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), values)
    assert score(values, examples, ("thing",)).ap == 1
    assert score(values[:, :500], examples, ("thing",)).recall == 0.5


def test_a_guide_about_boxes_is_followed_and_others_are_refused(runs, cli, tmp_path):
    guide, target = tmp_path / "guide.yaml", tmp_path / "told.json"
    flags = ("--device", "cpu", "--guide", guide, "--json", target)
    guide.write_text("costs: [{kind: box_count, count: 2}]\nconstraints: [{kind: boxes_apart, bound: 0.3}]\n")
    told = cli("evaluate", runs["denoising"], *flags)
    assert told.status == 0, told.err
    assert json.loads(target.read_text())["guide"] == str(guide)
    guide.write_text("constraints: [{kind: speed_limit, limit: 1.0}]\n")
    refused = cli("evaluate", runs["denoising"], *flags)
    assert refused.status == 2 and "constraints.0, speed_limit of the guide is not about boxes" in refused.err


def test_images_of_another_size_or_other_classes_are_refused(runs, cli, tmp_path):
    other = tmp_path / "other"
    recipe = sets.Recipe((80, 64), (1, 3), seed=0, train=1, test=1, shard=5)
    sets.fill(other, recipe, taken, classes=("square", "disc"), progress=lambda _: None)
    refused = cli("evaluate", runs["dense"], "--data.folder", other)
    assert refused.status == 2 and "the detector was trained on (3, 64, 80) with rectangle, disc" in refused.err


def test_wrong_data_and_configs_are_named(folder, cli, tmp_path):
    config = tmp_path / "config.yaml"
    content = small(CONFIGS[0], folder)
    config.write_text(yaml.safe_dump(content | {"detektor": 1}))
    assert "detektor: unknown key; did you mean 'detector'?" in cli("train", config).err
    config.write_text(yaml.safe_dump(content | {"data": {"folder": "images"}}))
    assert "data: kind is missing; expected one of rendered, photos" in cli("train", config).err
    config.write_text(yaml.safe_dump(content | {"data": {"kind": "rendered", "folder": str(tmp_path / "none")}}))
    assert f"there is no whole set of images in {tmp_path / 'none'}" in cli("train", config).err
    (tmp_path / "config.json").write_text('{"schema": 1, "experiment": {}}')
    with pytest.raises(ValueError, match="is no config of a detector: it has no images"):
        load(tmp_path)
    assert "detector     denoising; its sizes are those of the images" in cli("info", CONFIGS[0]).out
