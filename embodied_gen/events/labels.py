"""Label maps: one of K classes in each of H x W cells; with two classes an occupancy grid.

In physical units y a map is K channels, the probability of each class in each cell; a finished map is one-hot. So a
guide may count cells, or weigh probabilities with slopes where a head's estimate has them. In model units

    x = 2 y - 1,

-1 and 1 for a finished map. The error of an estimate is the Brier score of its probabilities, averaged over cells,

    error(x_hat, x) = sum_{cells valid} sum_k (y_hat_k - y_k)^2 / (number of valid cells),

which is least in expectation where y_hat are the true probabilities, as those of a cross-entropy are, and is defined
for estimates that are no probabilities, too.

A cell without a label has no class, y_k = 0 for all k. It is never drawn: estimates are not compared with it, so that
what is learned of a map is what its other cells say.

Source: Brier 1950 for the score.
"""

from typing import final

import torch
from torch import Tensor

from embodied_gen.events.one_hot import OneHotMap

UNLABELLED = -100
"""Label of a cell that has none, as cross-entropies of torch have it."""


@final
class LabelMap(OneHotMap):
    """An event of shape `(H, W, K)`; its value is a tensor of labels 0 .. K - 1 or `UNLABELLED`, int64, `(H, W)`.

    Args:
        height, width: Cells H and W, >= 1.
        classes: K, >= 2.

    Raises:
        ValueError: If a size is out of range.
    """

    def __init__(self, height: int, width: int, classes: int):
        if height < 1 or width < 1 or classes < 2:
            raise ValueError(
                f"a label map needs at least one cell and two classes; got {height} x {width} cells and {classes}. "
                "Count what is beside the class as another."
            )
        super().__init__(height, width, classes)

    @property
    def classes(self) -> int:
        """K."""
        return self.shape[-1]

    def encode(self, value: Tensor) -> Tensor:
        """Labels, int64, shape `(B, H, W)`, to one-hot maps, model units, `(B, H, W, K)`; -1 where there is no label.

        Raises:
            ValueError: If the shape or a label is wrong.
        """
        value = value if value.dtype.is_floating_point else value.long()
        unlabelled = value == UNLABELLED
        return super().encode(torch.where(unlabelled, 0, value)).masked_fill(unlabelled.unsqueeze(-1), -1.0)

    def labelled(self, x: Tensor) -> Tensor:
        """Which cells have a class, model units `(..., H, W, K)` to bool `(..., H, W)`."""
        return self.unscale(x).sum(-1) > 0.5

    def error(self, x_hat: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Brier score averaged over valid cells with a label; `valid` has shape `(B, H, W)`."""
        score = (self.unscale(x_hat) - self.unscale(x)).square().sum(-1).flatten(1)
        weight = self.labelled(x).flatten(1).to(score.dtype)
        if valid is not None:
            weight = weight * valid.flatten(1).to(score.dtype)
        return (score * weight).sum(-1) / weight.sum(-1).clamp(min=1)

    def residual(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """Differences in cells with a label, whose mean square over all cells is that of the labelled; else none."""
        labelled = self.labelled(x).to(x.dtype)
        share = labelled.mean((1, 2), keepdim=True).clamp(min=1 / labelled[0].numel())
        return (x - x_hat) * (labelled * share.rsqrt()).unsqueeze(-1)

    def _remedy(self) -> str:
        return f" Mark cells without a label by {UNLABELLED}, or build the event with more classes."
