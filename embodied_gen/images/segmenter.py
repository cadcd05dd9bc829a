"""Segmenters: from images to the class of each pixel, by a trained predictor of label maps."""

from typing import final

import torch
from torch import Tensor

from embodied_gen.heads import MarginalHead
from embodied_gen.predictor import Predictor


@final
class Segmenter:
    """The most probable class of each pixel, and how probable it is.

    Args:
        predictor: Of label maps from images.
        batch: Images of a call of the network, >= 1.

    Raises:
        ValueError: If the predictor's head has no marginals of cells, or the batch is out of range.
    """

    def __init__(self, predictor: Predictor, *, batch: int = 8):
        if not isinstance(predictor.head, MarginalHead):
            raise ValueError(
                f"a segmenter needs a head with marginals of cells, such as cellwise or crf; got "
                f"{type(predictor.head).__name__}."
            )
        if batch < 1:
            raise ValueError(f"batch must be at least 1; got {batch}.")
        self.predictor, self.head, self.batch = predictor.eval(), predictor.head, batch

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Probabilities of classes, shape `(N, H, W, K)`, of images, uint8 `(N, 3, H, W)`.

        Raises:
            ValueError: If the type or the shape of the images is another than the predictor was built for.
        """
        size = tuple(self.head.event.shape[:2])
        if tuple(images.shape[2:]) != size:
            raise ValueError(f"images must have {size[0]} rows and {size[1]} columns; got {tuple(images.shape[2:])}.")
        return torch.cat([self.head.marginals(self.predictor.encoder(part)) for part in images.split(self.batch)])

    def labels(self, images: Tensor) -> Tensor:
        """Classes, int64, shape `(N, H, W)`, of images, uint8 `(N, 3, H, W)`."""
        return torch.cat([self.probabilities(part).argmax(-1) for part in images.split(self.batch)])
