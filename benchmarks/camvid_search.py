"""The search of a dense CRF for a trained network: every point of a grid of weights and widths, judged on val."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from embodied_gen.commands.console import progress
from embodied_gen.crf import DenseCRF, Kernel, Potts
from embodied_gen.heads import CellwiseHead, CRFHead, Leaf
from embodied_gen.images.labelled import VOID, LabelledImages
from embodied_gen.images.segmenter import Segmenter
from embodied_gen.predictor import Predictor
from embodied_gen.statistics import confusions, scores_of

ITERATIONS = 10
COLOURS = 3


@dataclass(frozen=True)
class Point:
    """Widths and weights of the two kernels of a CRF.

    Attributes:
        smooth: Width of the smoothness kernel, over the width of the image.
        near: Width of positions in the appearance kernel, over the width of the image.
        alike: Its width of colours, of 255.
        smooth_weight: Weight of the first.
        alike_weight: Weight of the second.
    """

    smooth: float
    near: float
    alike: float
    smooth_weight: float
    alike_weight: float


GRID = tuple(
    Point(*numbers)
    for numbers in product((0.008,), (1 / 32, 1 / 12, 1 / 5), (5.0, 10.0, 20.0), (0.3, 1.0, 3.0), (1.0, 3.0, 10.0))
)


def best(segmenter: Segmenter, val: LabelledImages) -> tuple[Point, list[dict[str, Any]]]:
    """The point of the grid with the best mean IoU, and the scores of all."""
    device = segmenter.head.event.low.device
    parts = [images.to(device) for images in val.images.split(segmenter.batch)]
    logits = [segmenter.probabilities(part).clamp(min=1e-9).log() for part in parts]
    valid = (val.labels != VOID).numpy()
    truth, rows = np.where(valid, val.labels.numpy(), 0), []
    with progress("search", len(GRID)) as advance:
        for point in GRID:
            crf = crf_of(point, logits[0].shape[3], val.images.shape[3]).to(device)
            called = torch.cat([_labels(crf, *pair) for pair in zip(logits, parts, strict=True)]).numpy()
            number = confusions(called, truth, crf.classes, valid=valid)
            score = scores_of(number, np.full(len(number), np.nan)).mean_iou
            rows.append({"point": list(vars(point).values()), "mean_iou": score})
            advance(f"mean IoU {max(row['mean_iou'] for row in rows):.4f}")
    return GRID[int(np.argmax([row["mean_iou"] for row in rows]))], rows


def with_crf(predictor: Predictor, point: Point) -> Predictor:
    """A predictor with a CRF behind its network, which is not trained."""
    head = predictor.head
    assert isinstance(head, CellwiseHead)
    crf = crf_of(point, head.event.classes, head.event.shape[1]).to(head.event.low.device)
    return Predictor(predictor.encoder, CRFHead(head.event, head.net, crf, Leaf("image"), iterations=ITERATIONS)).eval()


def crf_of(point: Point, classes: int, width: int) -> DenseCRF:
    """The CRF of a point for images of a width [px]."""
    kernels = [Kernel(point.smooth * width), Kernel(point.near * width, (point.alike,) * COLOURS)]
    return DenseCRF(classes, kernels, [point.smooth_weight, point.alike_weight], agreement=Potts())


@torch.no_grad()
def _labels(crf: DenseCRF, logits: Tensor, images: Tensor) -> Tensor:
    return crf(logits, images.to(logits.dtype), iterations=ITERATIONS).argmax(-1).cpu()
