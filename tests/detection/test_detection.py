"""A config becomes a detector, a file becomes examples, a run comes back as it was saved, and mistakes are named."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from pictures_of_boxes import drawn

from embodied_gen import draws
from embodied_gen.boxes import corners
from embodied_gen.detection import build, images_of, load, read, read_images, write_images
from embodied_gen.detection.experiment import Images
from embodied_gen.training import checkpoint, files

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("boxes_*.yaml"))
CLASSES = ("rectangle", "disc")


def in_pixels(count=12, seed=0):
    """Images, corners in pixels, labels and counts, objects first."""
    images, values = drawn(count, seed=seed)
    order = (1 - values[..., 5]).argsort(dim=1, stable=True)
    values = values.gather(1, order.unsqueeze(-1).expand_as(values))
    boxes = corners(values[..., :4]) * torch.tensor([80.0, 64.0, 80.0, 64.0])
    return images, boxes, values[..., 4].long(), values[..., 5].sum(1).long()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "images.safetensors"
    write_images(path, *in_pixels(), classes=CLASSES)
    return path


def small(path, file):
    """A config with the smallest network of its kind."""
    content = yaml.safe_load(path.read_text())
    content["data"] |= {"file": str(file), "held_out": 0.2}
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


def test_an_image_may_have_more_objects_than_a_detector_was_asked_for_boxes(file):
    detection = read(CONFIGS[0])
    for path in CONFIGS:
        detection = read(path)
        predictor = build(detection, Images((3, 64, 80), 130, CLASSES))
        assert predictor.head.event.objects == 130 and predictor.head.event.shape[0] >= 130


def test_what_is_written_is_read(file):
    examples, classes = read_images(file, mirrors=("x",))
    images, boxes, labels, counts = in_pixels()
    assert classes == CLASSES and len(examples) == 24
    batch = examples.batch(torch.arange(12))
    assert torch.equal(batch.observations, images)
    assert torch.equal(batch.value[..., 5].sum(1).long(), counts)
    there = batch.value[..., 5] > 0
    assert torch.equal(batch.value[..., 4][there].long(), labels[there])
    again = corners(batch.value[..., :4]) * torch.tensor([80.0, 64.0, 80.0, 64.0])
    torch.testing.assert_close(again[there], boxes[there], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_command_trains_a_detector_that_comes_back_as_it_was_and_goes_on(path, file, cli, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(small(path, file)))
    first = cli("train", config, "--device", "cpu", "--out", tmp_path / "run", "--train.steps", 6)
    assert first.status == 0, first.err
    assert "trained boxes-" in first.out and "10 images, 20 with mirrors" in first.out
    run = load(tmp_path / "run")
    assert run.step == 6 and run.images == images_of(*read_images(file)) and run.detection.train.steps == 6
    rows = run.predictor.predict(in_pixels()[0], generator=draws.generator(0))
    assert rows.isfinite().all()
    log = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert any("held_out_loss" in line for line in log)
    refused = cli("train", config, "--device", "cpu", "--out", tmp_path / "run", "--train.steps", 6)
    assert refused.status == 2 and "holds a training run already" in refused.err
    assert "is the run of a detector, which acts in no environment" in cli("evaluate", tmp_path / "run").err
    before = files.read_tensors(checkpoint.model_path(tmp_path / "run"))[0]
    again = cli("train", config, "--device", "cpu", "--out", tmp_path / "run", "--train.steps", 6, "--resume")
    assert again.status == 0, again.err
    after = files.read_tensors(checkpoint.model_path(tmp_path / "run"))[0]
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_wrong_files_and_configs_are_named(file, cli, tmp_path):
    config = tmp_path / "config.yaml"
    content = small(CONFIGS[0], file)
    config.write_text(yaml.safe_dump(content | {"detektor": 1}))
    assert "detektor: unknown key; did you mean 'detector'?" in cli("train", config).err
    config.write_text(yaml.safe_dump(content | {"data": {"file": str(tmp_path / "none.safetensors")}}))
    assert f"there is no file {tmp_path / 'none.safetensors'}" in cli("train", config).err
    file.write_bytes(file.read_bytes()[:1000])
    config.write_text(yaml.safe_dump(content))
    assert "is truncated or not a safetensors file" in cli("train", config).err
    files.write_tensors(file, {"images": torch.zeros(1)}, {})
    with pytest.raises(ValueError, match=r"is no file of images with boxes.*it holds images"):
        read_images(file)
    (tmp_path / "config.json").write_text('{"schema": 1, "experiment": {}}')
    with pytest.raises(ValueError, match="is no config of a detector: it has no images"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, b, n, c: (i.float(), b, n, c), "images must be bytes"),
        (lambda i, b, n, c: (i, b[:, :1], n, c), "must have shapes"),
        (lambda i, b, n, c: (i, b, n, c + 9), "counts must lie between 0 and the 3 rows"),
        (lambda i, b, n, c: (i, b, n + 2, c), "whole numbers from 0 to 1"),
        (lambda i, b, n, c: (i, b[..., [2, 1, 0, 3]], n, c), "positive width and height"),
        (lambda i, b, n, c: (i, b + 60, n, c), "must lie in the image"),
    ],
)
def test_what_does_not_fit_is_not_written(change, message, tmp_path):
    path = tmp_path / "images.safetensors"
    with pytest.raises(ValueError, match=f"{path}: .*{message}"):
        write_images(path, *change(*in_pixels()), classes=CLASSES)
    assert not path.exists()
