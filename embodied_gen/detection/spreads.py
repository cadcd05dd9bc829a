r"""What the draws of a detector say of where things are, and how far that can be believed.

A thing counts where it is detected: by a likely box of its class with an IoU above a half. Over several draws the boxes
of that detection (`boxes.followed`) are samples of the four numbers of the thing's box, cx, cy, w and h. Draws that
have no such box say nothing of them, and are left out. Where the samples are what the image leaves open, the central
interval of level l holds a share l of the numbers; its width says how much is left open.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.boxes import corners, followed, iou
from embodied_gen.demos.boxed_images import BoxedImages
from embodied_gen.detection.residuals import LEAST, Residuals
from embodied_gen.events import BoxSet
from embodied_gen.heads import DenoisingHead, Guide
from embodied_gen.heads.samplers import DDIM
from embodied_gen.predictor import Predictor
from embodied_gen.statistics import central_intervals, coverage

LEVELS = (0.5, 0.8, 0.9)
"""Of the central intervals."""
DRAWS, STEPS, IMAGES = 20, 4, 100
"""Draws of an image, of which intervals of all levels have their ends among them; steps of a draw; images."""
_LIKELY, _FOUND = 0.05, 0.5  # score and IoU of what counts as detected


class Samples(NamedTuple):
    """Boxes of T things in n draws.

    Attributes:
        boxes: (cx, cy, w, h), shares of the image, shape `(T, n, 4)`.
        there: Whether a draw has one, bool, shape `(T, n)`.
        truth: True boxes, shape `(T, 4)`.
    """

    boxes: Tensor
    there: Tensor
    truth: Tensor

    def some(self, index: Tensor) -> "Samples":
        """Those of some things."""
        return Samples(self.boxes[index], self.there[index], self.truth[index])


@final
@dataclass(frozen=True)
class Held:
    """How often the intervals of samples hold the truth.

    Attributes:
        coverage: The share of the numbers of things that lie in the interval of each level.
        width: Mean width of the intervals of each level, shares of the side of the thing along the same axis.
    """

    coverage: tuple[float, ...]
    width: tuple[float, ...]


@final
@dataclass(frozen=True)
class Spread:
    """How draws spread, and how often that holds the truth.

    Attributes:
        levels: Of central intervals.
        drawn: By the boxes as they are drawn.
        learned: By those that residuals of the other half of the images give; None where there are too few.
        things: How many are counted.
        share: Mean share of draws that have a box of a thing that is counted.
    """

    levels: tuple[float, ...]
    drawn: Held
    learned: Held | None
    things: int
    share: float


def draws_boxes(predictor: Predictor) -> bool:
    """Whether a detector draws boxes from noise, so that its draws differ."""
    return isinstance(predictor.head, DenoisingHead) and isinstance(predictor.head.event, BoxSet)


def drawing(predictor: Predictor, *, steps: int = STEPS) -> Predictor:
    """A copy whose samples are draws, and not the likeliest sets.

    Raises:
        ValueError: If the detector does not draw boxes from noise, or steps is out of range.
    """
    if not draws_boxes(predictor):
        raise ValueError(
            "draws are those of a detector that draws boxes from noise (detector.kind denoising); the head of this one "
            f"is a {type(predictor.head).__name__}. Name another detector."
        )
    made = copy.deepcopy(predictor)
    assert isinstance(made.head, DenoisingHead)
    made.head.sampler, made.head.steps = DDIM(1.0), steps
    return made


def spread(
    predictor: Predictor,
    examples: BoxedImages,
    *,
    count: int = DRAWS,
    steps: int = STEPS,
    images: int = IMAGES,
    seed: int = 0,
    guide: Guide | None = None,
) -> Spread | None:
    """The spread of draws around detections; None where too few things are detected.

    Args:
        predictor: In the mode of evaluation, on the device of the examples.
        examples: Images, of which the first are looked at.
        count: Draws of an image, >= 2.
        steps: Of each draw.
        images: How many are looked at, at most.
        seed: Of the draws; each image has its own stream.
        guide: Of sets of boxes.

    Raises:
        ValueError: As `drawing`, or if count is below 2.
    """
    found = _sampled(predictor, examples, count, steps, images, seed, guide)
    half = torch.cat([torch.full((len(own.truth),), place % 2) for place, own in enumerate(found)])
    return summarised(_together(found), half, seed=seed)


def residuals(
    predictor: Predictor,
    examples: BoxedImages,
    *,
    count: int = DRAWS,
    steps: int = STEPS,
    images: int = IMAGES,
    seed: int = 0,
) -> Residuals:
    """How far true boxes lie from the draws of a detector, learned from images that it has not learned from.

    Args:
        predictor: As for `spread`, and so are the others.
        examples: Images, of which the first are looked at; neither those of the training nor those of a test.
        count: Draws of an image, about as many as are drawn in use.
        steps: Of each draw, as many as in use.
        images: How many are looked at, at most.
        seed: Of the draws.

    Raises:
        ValueError: As `spread`, or if too few things are detected.
    """
    return Residuals.learned(*_together(_sampled(predictor, examples, count, steps, images, seed, None)))


@torch.no_grad()
def _sampled(
    predictor: Predictor,
    examples: BoxedImages,
    count: int,
    steps: int,
    images: int,
    seed: int,
    guide: Guide | None,
) -> list[Samples]:
    """Samples of each image, on the CPU."""
    if count < 2:
        raise ValueError(f"the spread of draws needs at least 2 of them; got {count}.")
    own, truth, found = drawing(predictor, steps=steps), examples.values(), []
    for image in range(min(images, examples.images)):
        seen = examples.batch(torch.tensor([image], device=examples.device)).observations
        streams = [draws.generator(seed, image, part, device=examples.device) for part in (0, 1)]
        rows = predictor.predict(seen, generator=streams[0], guide=guide)
        sets = own.sample(seen, count, generator=streams[1], guide=guide)
        found.append(samples_of(rows.cpu(), sets.cpu(), truth[image : image + 1].to(rows.dtype)))
    return found


def _together(found: Sequence[Samples]) -> Samples:
    return Samples(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def samples_of(rows: Tensor, sets: Tensor, truth: Tensor) -> Samples:
    """The boxes of things in draws.

    Args:
        rows: Detections (cx, cy, w, h, label, score) of I images, shape `(I, M, 6)`.
        sets: Draws of them, physical units, shape `(I, n, N, 4 + K)`.
        truth: Rows of things, shape `(I, G, 6)`.

    Returns:
        Samples of the things that are detected.
    """
    if truth.shape[1] == 0:
        nothing = rows.new_zeros(0, sets.shape[1], 4)
        return Samples(nothing, nothing[..., 0].bool(), nothing[:, 0])
    overlap = iou(corners(truth[..., :4]).unsqueeze(2), corners(rows[..., :4]).unsqueeze(1))  # (I, G, M)
    right = (truth[..., 4].unsqueeze(2) == rows[..., 4].unsqueeze(1)) & (rows[..., 5] >= _LIKELY).unsqueeze(1)
    best, place = torch.where(right, overlap, -1.0).max(2)
    detected = rows[..., :4].gather(1, place.unsqueeze(-1).expand(-1, -1, 4))
    boxes, there = followed(sets, detected, truth[..., 4].long(), likely=_LIKELY)
    some = (best > _FOUND) & (truth[..., 5] > 0.5)
    return Samples(boxes[some], there[some], truth[..., :4][some])


def summarised(samples: Samples, half: Tensor, *, seed: int = 0) -> Spread | None:
    """The spread of samples; None where no thing has two.

    Args:
        samples: Of T things.
        half: Which of two halves of the images a thing is seen in, 0 or 1, shape `(T,)`.
        seed: Of the boxes that residuals give.
    """
    known = samples.there.sum(1) >= 2
    if not bool(known.any()):
        return None
    samples, half = samples.some(known), half[known]
    halves = [samples.some(half == place) for place in (0, 1)]
    learned = None
    if min(len(own.truth) for own in halves) >= LEAST:
        first, second = halves
        learned = _held(_together([_redrawn(first, second, seed), _redrawn(second, first, seed)]))
    share = samples.there.double().mean().item()
    return Spread(LEVELS, _held(samples), learned, len(samples.truth), share)


def _redrawn(learned_from: Samples, seen: Samples, seed: int) -> Samples:
    """The samples of some things by the residuals of others."""
    law = Residuals.learned(*learned_from)
    boxes = law.drawn(seen.boxes, seen.there, generator=draws.generator(seed))
    return Samples(boxes, torch.ones_like(seen.there), seen.truth)


def _held(found: Samples) -> Held:
    samples = found.boxes.transpose(1, 2).double().numpy()  # (T, 4, n)
    known = np.broadcast_to(found.there.unsqueeze(1).numpy(), samples.shape)
    true = found.truth.double().numpy()
    low, high = central_intervals(samples, LEVELS, there=known)
    width = (high - low) / np.tile(true[:, 2:], 2)
    held = coverage(samples, true, LEVELS, there=known)
    return Held(tuple(held.tolist()), tuple(width.mean((1, 2)).tolist()))
