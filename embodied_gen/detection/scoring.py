"""Scores of detectors on images with boxes.

Every image has its own stream of random numbers, a function of (seed, number of the image), so that what is found in it
does not depend on the images that it is looked at together with, but for rounding.
"""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.demos.boxed_images import BoxedImages
from embodied_gen.events import BoxSet
from embodied_gen.heads import DenoisingHead, Guide
from embodied_gen.predictor import Predictor
from embodied_gen.statistics import detection_scores, score_calibration
from embodied_gen.statistics.detections import LIKELY

BATCH = 8
"""Images that are looked at together."""
MOST = 100
"""Detections of a class in an image that count, unless it has more things."""


@final
@dataclass(frozen=True)
class Scored:
    """Scores of a detector on some images; None where there is no object to find, or nothing was found.

    Attributes:
        ap: Average precision over IoUs from 0.50 to 0.95.
        ap50: At an IoU of 0.50.
        ap75: At an IoU of 0.75.
        recall: Share of the objects of a class that are found at an IoU of 0.50, the mean over classes.
        calibration: Expected error of scores from 0.1 on as the probability of a match at an IoU of 0.50.
        classes: AP of each class by its name.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    recall: float | None
    calibration: float | None
    classes: dict[str, float | None]


def adjust(predictor: Predictor, *, boxes: int | None = None, steps: int | None = None) -> None:
    """Sets how many boxes a trained detector draws, and in how many steps; as they are where None.

    Raises:
        ValueError: If it does not draw boxes from noise, or a number is out of range.
    """
    if boxes is None and steps is None:
        return
    head = predictor.head
    if not isinstance(head, DenoisingHead) or not isinstance(head.event, BoxSet):
        raise ValueError(
            "boxes and steps can be set for a detector that draws boxes from noise (detector.kind denoising); the "
            f"head of this one is a {type(head).__name__}. Leave them out."
        )
    if boxes is not None:
        head.event.count = boxes
    if steps is not None:
        head.steps = steps


@torch.no_grad()
def detections(
    predictor: Predictor,
    examples: BoxedImages,
    *,
    seed: int = 0,
    batch: int = BATCH,
    guide: Guide | None = None,
    images: Tensor | None = None,
) -> Tensor:
    """What a detector finds in each image, on the CPU.

    Args:
        predictor: In the mode of evaluation, on the device of the examples.
        examples: The images.
        seed: Of the draws.
        batch: Images that are looked at together, >= 1.
        guide: Of sets of boxes.
        images: Numbers of the images, int64, shape `(I,)`; all where None.

    Returns:
        Rows (cx, cy, w, h, label, score) in shares of the image, the likeliest first, shape `(I, N, 6)`.
    """
    found = []
    for index in (torch.arange(examples.images) if images is None else images).split(batch):
        streams = [draws.generator(seed, int(image), device=examples.device) for image in index]
        seen = examples.batch(index.to(examples.device)).observations
        found.append(predictor.predict(seen, generator=streams, guide=guide).cpu())
    return torch.cat(found)


def score(rows: Tensor, examples: BoxedImages, classes: tuple[str, ...]) -> Scored:
    """Scores of the detections `(I, N, 6)` in I images.

    Of a class in an image 100 detections count, as COCO has it, or as many as an image has things where that is more.
    """
    truth, ours = examples.values().numpy(), rows.numpy()
    most = max(MOST, int((truth[..., 5] > 0).sum(1).max()))
    found = detection_scores(ours, truth, len(classes), most=most)
    precision, recall = found.precision.mean(0), found.recall[0]  # not a number for classes without objects
    known, some = ~np.isnan(recall), bool((ours[..., 5] >= LIKELY).any())
    return Scored(
        _known(found.ap),
        _known(found.ap50),
        _known(found.ap75),
        float(recall[known].mean()) if known.any() else None,
        score_calibration(ours, truth, len(classes), most=most) if some else None,
        {name: _known(float(value)) for name, value in zip(classes, precision, strict=True)},
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
