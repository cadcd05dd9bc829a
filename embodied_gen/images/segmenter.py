"""Segmenters: from images to the class of each pixel, by a trained predictor of label maps.

A head with marginals of pixels is asked for them. Of any other head maps are drawn: the probability of a class in a
pixel is the share of the draws that have it there, and the most likely labels are those that most draws have, pixel by
pixel. Every image has random numbers of its own, so that its answer does not depend on how many are looked at together.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from embodied_gen import draws
from embodied_gen.context import size
from embodied_gen.events.labels import LabelMap
from embodied_gen.heads import HasMarginals
from embodied_gen.image_encoder import require_tensor
from embodied_gen.images.labelled import VOID, LabelledImages
from embodied_gen.predictor import Predictor
from embodied_gen.statistics import LabelScores, boundary_f1, calibration_error, confusions, scores_of


@final
class Segmenter:
    """The most probable class of each pixel, and how probable it is.

    Args:
        predictor: Of label maps from images.
        batch: Images of a call of the network, >= 1.
        drawn: Maps drawn of each image where the head has no marginals, >= 1.
        seed: Of the draws.

    Raises:
        ValueError: If the predictor predicts no label maps, or a number is out of range.
    """

    def __init__(self, predictor: Predictor, *, batch: int = 8, drawn: int = 16, seed: int = 0):
        event = predictor.head.event
        if not isinstance(event, LabelMap):
            raise ValueError(f"a segmenter needs a predictor of label maps; got one of {type(event).__name__}.")
        if min(batch, drawn) < 1:
            raise ValueError(f"batch and drawn must be at least 1; got {batch} and {drawn}.")
        self.predictor, self.head, self.event = predictor.eval(), predictor.head, event
        self.batch, self.drawn, self.seed = batch, drawn, seed

    @torch.no_grad()
    def probabilities(self, images: Tensor, *, first: int = 0) -> Tensor:
        """Probabilities of classes, shape `(N, H, W, K)`, of images.

        Args:
            images: As the predictor's encoder takes them: uint8 `(N, 3, H, W)`, or what `surfaces.observed` makes.
            first: Number of the first image, >= 0; random numbers of an image are those of its number.

        Raises:
            ValueError: If the type or the shape of the images is another than the predictor was built for.
        """
        return torch.cat([self._of(part, first + at) for at, part in self._parts(images)])

    @torch.no_grad()
    def labels(self, images: Tensor) -> Tensor:
        """Classes, int64, shape `(N, H, W)`, of images; see `probabilities`."""
        return torch.cat([self._of(part, at).argmax(-1) for at, part in self._parts(images)])

    def _parts(self, images: Tensor) -> list[tuple[int, Tensor]]:
        """Images that are looked at together, and the number of the first of them."""
        require_tensor(images)
        rows, columns = self.event.shape[:2]
        if tuple(images.shape[2:]) != (rows, columns):
            raise ValueError(f"images must have {rows} rows and {columns} columns; got {tuple(images.shape[2:])}.")
        # No images are one part, too, so that there are probabilities and labels of none.
        return [(at, images[at : at + self.batch]) for at in range(0, max(1, len(images)), self.batch)]

    def _of(self, images: Tensor, first: int) -> Tensor:
        c = self.predictor.encoder(images)
        if isinstance(self.head, HasMarginals):
            return self.head.marginals(c)
        streams = [draws.generator(self.seed, first + row, device=images.device) for row in range(size(c))]
        maps = self.event.decode(self.head.sample(c, self.drawn, generator=streams).flatten(0, 1))
        hot = functional.one_hot(maps, self.event.classes).to(self.event.low.dtype)
        return hot.unflatten(0, (size(c), self.drawn)).mean(1)


@final
@dataclass(frozen=True)
class Judged:
    """How well a segmenter labels images, image by image, so that scores of a resample can be made of it.

    Attributes:
        confusions: See `statistics.confusions`, `(N, K, K)`.
        boundary: Boundary F1, `(N,)`, not a number where an image has no boundary.
        calibration_error: Of all images together.
    """

    confusions: NDArray[np.int64]
    boundary: NDArray[np.floating]
    calibration_error: float

    def scores(self) -> LabelScores:
        """Of all images."""
        return scores_of(self.confusions, self.boundary)


def judge(segmenter: Segmenter, labelled: LabelledImages) -> Judged:
    """Labels images on the segmenter's device, and compares them with the truth."""
    device, parts = segmenter.event.low.device, []
    for at in range(0, len(labelled), segmenter.batch):
        seen = labelled.observed(slice(at, at + segmenter.batch)).to(device)
        parts.append(segmenter.probabilities(seen, first=at).cpu())
    p = torch.cat(parts).numpy()
    valid = (labelled.labels != VOID).numpy()
    truth, called, classes = np.where(valid, labelled.labels.numpy(), 0), p.argmax(-1), p.shape[-1]
    return Judged(
        confusions(called, truth, classes, valid=valid),
        boundary_f1(called, truth, classes, valid=valid),
        calibration_error(p, truth, valid=valid),
    )
