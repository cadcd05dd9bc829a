"""Detectors as experiments: a config file as typed data, and the predictor that it describes."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from pydantic import Field

from embodied_gen import __version__, config
from embodied_gen.blocks.detector import DenoisedBoxes, DetectorBlock, PyramidBlock, Scenery
from embodied_gen.demos.boxed_images import BoxedImages
from embodied_gen.detection.data import BoxedBlock
from embodied_gen.events import BoxSet, extent_of
from embodied_gen.image_encoder import ImageEncoder
from embodied_gen.predictor import Predictor
from embodied_gen.training import checkpoint, files
from embodied_gen.training.settings import TrainSettings


@final
class Detection(config.Block):
    """Images, backbone, detector and training."""

    name: str = Field(description="Short name, used for the run's folder.")
    seed: int = Field(0, ge=0, description="Of the weights, the data order and the training draws.")
    data: BoxedBlock
    pyramid: PyramidBlock = PyramidBlock()
    detector: DetectorBlock = DenoisedBoxes()
    train: TrainSettings = TrainSettings()

    def fingerprint(self, data: str, processes: int) -> str:
        """Hash of all that fixes the course of a training run."""
        course = self.model_dump(include={"seed", "data", "pyramid", "detector", "train"})
        text = json.dumps([course, data, processes], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@final
@dataclass(frozen=True)
class Images:
    """What a detector was built for.

    Attributes:
        size: Channels, rows and columns of an image.
        objects: The most objects of one.
        classes: Names.
        extent: Width and height that few objects exceed, shares of the image.
    """

    size: tuple[int, int, int]
    objects: int
    classes: tuple[str, ...]
    extent: tuple[float, float] = (1.0, 1.0)


@final
@dataclass(frozen=True)
class DetectorRun:
    """A trained run.

    Attributes:
        detection: Its config.
        images: What it was built for.
        predictor: With averaged weights; `predict` gives rows (cx, cy, w, h, label, score).
        step: Optimiser steps taken.
    """

    detection: Detection
    images: Images
    predictor: Predictor
    step: int


def read(path: Path) -> Detection:
    """Reads a config file; see `config.read` for what is raised."""
    return config.read(path, Detection, "config")


def images_of(examples: BoxedImages, classes: tuple[str, ...]) -> Images:
    """What some examples ask of a detector."""
    values = examples.values()
    return Images(examples.size, values.shape[1], classes, extent_of(values))


def build(detection: Detection, images: Images) -> Predictor:
    """A new detector, whose answer is one set without duplicates.

    Weights are initialised from the seed; the global random state is left as it was.

    Raises:
        ValueError: If sizes do not fit.
    """
    channels, rows, columns = images.size
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(detection.seed)
        pyramid = detection.pyramid.build(channels)
        scenery = Scenery(len(images.classes), images.objects, pyramid.pixels(rows, columns), images.extent)
        head = detection.detector.build(scenery, detection.pyramid)
    assert isinstance(head.event, BoxSet)
    return Predictor(ImageEncoder(pyramid), head, head.event.merged)


def save_config(folder: Path, detection: Detection, images: Images) -> None:
    """Writes a run's config.json."""
    content = {
        "schema": files.SCHEMA,
        "library": __version__,
        "images": {
            "size": list(images.size),
            "objects": images.objects,
            "classes": list(images.classes),
            "extent": list(images.extent),
        },
        "detection": detection.model_dump(mode="json"),
    }
    files.write_json(folder / "config.json", content)


def is_run(folder: Path) -> bool:
    """Whether a folder holds the run of a detector.

    Raises:
        ValueError: If its config is damaged or newer than this version.
    """
    path = folder / "config.json"
    return path.is_file() and "detection" in files.read_json(path)


def load_config(folder: Path) -> tuple[Detection, Images]:
    """Reads a run's config.json.

    Raises:
        FileNotFoundError: If the folder is not a run.
        ValueError: If the file is damaged, of another kind of run, or newer than this version.
    """
    path, remedy = folder / "config.json", "Name the run of a detector."
    content = files.read_json(path, "config of a detector", ("images", "detection"), remedy)
    return config.parse(content["detection"], Detection, str(path)), _images(content["images"], path)


def load(folder: Path, device: torch.device | str = "cpu") -> DetectorRun:
    """Loads a run. Nothing is unpickled and no code of the run is executed.

    Raises:
        FileNotFoundError: If the folder is not a run, or has no weights yet.
        ValueError: If a file is damaged, foreign, of a newer schema, or does not fit the config.
    """
    detection, images = load_config(folder)
    path = checkpoint.model_path(folder)
    tensors, note = files.read_tensors(path)
    predictor = build(detection, images)
    files.fill(predictor, tensors, path)
    return DetectorRun(detection, images, predictor.to(device).eval(), int(note["step"]))


def check_images(images: Images, examples: BoxedImages, classes: tuple[str, ...]) -> None:
    """Raises `ValueError` unless images have the size and the classes that a detector was built for."""
    if (examples.size, classes) != (images.size, images.classes):
        raise ValueError(
            f"{examples.source} has images of {examples.size} (C, H, W) with the classes {', '.join(classes)}; the "
            f"detector was trained on {images.size} with {', '.join(images.classes)}. Name images like those."
        )


def _images(content: Any, path: Path) -> Images:
    try:
        channels, rows, columns = map(int, content["size"])
        width, height = map(float, content["extent"])
        classes = tuple(map(str, content["classes"]))
        return Images((channels, rows, columns), int(content["objects"]), classes, (width, height))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: images must hold size, objects, classes and extent.") from error
