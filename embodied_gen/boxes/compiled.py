"""Suppression by torchvision's operator, where that is installed and works.

A torchvision that does not fit the torch beside it fails when it is imported, or has operators that do not exist on
some device. It is then left alone, with a warning, and `suppression` goes on by itself. What is kept is the same, but
for rounding of overlaps just at the threshold.

RoIAlign is ours everywhere (`nets.roi_align`): torchvision's takes four times as long on a CPU, reads zeros beyond the
image, and has no slope in the boxes. Within the image both agree, which the tests compare.
"""

import functools
import importlib
import importlib.util
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

Operator = Callable[[Tensor, Tensor, float], Tensor]


def greedy(boxes: Tensor, labels: Tensor, free: Tensor, threshold: float) -> Tensor | None:
    """Which boxes in the order of falling scores are kept, image by image.

    Args:
        boxes: Corners, shape `(B, P, 4)`.
        labels: Classes, int64, shape `(B, P)`.
        free: Which boxes take part, bool, shape `(B, P)`.
        threshold: IoU above which a box is a duplicate.

    Returns:
        Bool, shape `(B, P)`; None where the operator is not installed or does not work, or there is no box.
    """
    operator = working(boxes.device.type)
    if operator is None or boxes.numel() == 0:
        return None
    # Boxes of different classes are moved apart, in double precision, so that one call suppresses within all classes.
    own = boxes.detach().double()
    apart = own + (4 * own.nan_to_num().abs().amax().clamp(min=1) * labels).unsqueeze(-1)
    falling = torch.arange(boxes.shape[1], 0, -1, dtype=torch.float64, device=boxes.device)
    kept = torch.zeros_like(free)
    for image, some in enumerate(free):
        index = some.nonzero()[:, 0]
        kept[image, index[operator(apart[image, index], falling[index], threshold)]] = True
    return kept


@functools.cache
def working(device: str) -> Operator | None:
    """The operator if it works on a kind of device; warns where it is installed and does not."""
    if importlib.util.find_spec("torchvision") is None:
        return None
    try:
        operator: Operator = importlib.import_module("torchvision.ops").nms
        twice = torch.tensor([[0.0, 0.0, 1.0, 1.0]], device=device, dtype=torch.float64).repeat(2, 1)
        if operator(twice, torch.tensor([1.0, 2.0], device=device, dtype=torch.float64), 0.5).tolist() != [1]:
            raise RuntimeError("of two equal boxes it does not keep the likelier one alone")
    except Exception as error:  # whatever a foreign package that does not fit raises
        warnings.warn(
            f"torchvision is installed and its suppression does not work on {device} ({error}); ours is used. "
            "Install the torchvision that belongs to this torch.",
            stacklevel=2,
        )
        return None
    return operator
