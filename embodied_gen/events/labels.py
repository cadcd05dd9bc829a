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
from torch.nn import functional

from embodied_gen.events.base import Event


@final
class LabelMap(Event):
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
        super().__init__((height, width, classes), [0.0] * classes, [1.0] * classes)

    @property
    def classes(self) -> int:
        """K."""
        return self.shape[-1]

    def scale(self, y: Tensor) -> Tensor:
        """Probabilities to model units, 2 y - 1; shape `(..., H, W, K)`."""
        return 2 * y - 1

    def unscale(self, x: Tensor) -> Tensor:
        """Model units to probabilities; shape `(..., H, W, K)`."""
        return (x + 1) / 2

    def encode(self, value: Tensor) -> Tensor:
        """Labels, integers, shape `(B, H, W)`, to one-hot maps in model units, shape `(B, H, W, K)`.

        Raises:
            ValueError: If the shape or a label is wrong.
        """
        if value.ndim != 3 or tuple(value.shape[1:]) != self.shape[:2]:
            raise ValueError(f"labels must have shape (B, {self.shape[0]}, {self.shape[1]}); got {tuple(value.shape)}.")
        if value.dtype.is_floating_point or not bool(((value >= 0) & (value < self.classes)).all()):
            raise ValueError(
                f"labels must be integers from 0 to {self.classes - 1}; got {value.dtype} from {value.min().item()} "
                f"to {value.max().item()}."
            )
        return self.coded(value)

    def coded(self, label: Tensor) -> Tensor:
        """Single cells of given labels in model units; `(...)` to `(..., K)`, with the dtype of the bounds."""
        return self.scale(functional.one_hot(label.long(), self.classes).to(self.low.dtype))

    def decode(self, x: Tensor) -> Tensor:
        """The most probable label of each cell, int64, shape `(B, H, W)`."""
        self.check(x)
        return x.argmax(-1)

    def error(self, x_hat: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Brier score averaged over valid cells; `valid` has shape `(B, H, W)`."""
        score = (self.unscale(x_hat) - self.unscale(x)).square().sum(-1).flatten(1)
        if valid is None:
            return score.mean(-1)
        weight = valid.flatten(1).to(score.dtype)
        return (score * weight).sum(-1) / weight.sum(-1).clamp(min=1)
