"""Label maps: one of K classes in each of H x W cells; with two classes an occupancy grid.

In physical units y a map is K channels, the probability of each class in each cell; a finished map is one-hot. So a
guide may count cells, or weigh probabilities with slopes where a head's estimate has them. In model units

    x = 2 y - 1,

-1 and 1 for a finished map. The error of an estimate is the Brier score of its probabilities, averaged over cells,

    error(x_hat, x) = sum_{cells valid} sum_k (y_hat_k - y_k)^2 / (number of valid cells),

which is least in expectation where y_hat are the true probabilities, as those of a cross-entropy are, and is defined
for estimates that are no probabilities, too.

Source: Brier 1950 for the score.
"""

from typing import final

from torch import Tensor

from embodied_gen.events.one_hot import OneHotMap


@final
class LabelMap(OneHotMap):
    """An event of shape `(H, W, K)`; its value is a tensor of labels 0 .. K - 1, int64, shape `(H, W)`.

    Args:
        height, width: Cells H and W, >= 1.
        classes: K, >= 2.

    Raises:
        ValueError: If a size is out of range.
    """

    def __init__(self, height: int, width: int, classes: int):
        if height < 1 or width < 1 or classes < 2:
            raise ValueError(
                f"a label map needs at least one cell and two classes; got {height} x {width} cells and {classes}."
            )
        super().__init__(height, width, classes)

    @property
    def classes(self) -> int:
        """K."""
        return self.shape[-1]

    def error(self, x_hat: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Brier score averaged over valid cells; `valid` has shape `(B, H, W)`."""
        score = (self.unscale(x_hat) - self.unscale(x)).square().sum(-1).flatten(1)
        if valid is None:
            return score.mean(-1)
        weight = valid.flatten(1).to(score.dtype)
        return (score * weight).sum(-1) / weight.sum(-1).clamp(min=1)
