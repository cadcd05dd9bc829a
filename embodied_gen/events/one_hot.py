"""Maps of labels as one-hot channels: what all events have in common whose value is one of K labels in every cell.

In physical units y a map is K channels, the probability of each label in each cell; a finished map is one-hot. In model
units x = 2 y - 1, -1 and 1 for a finished map.
"""

import abc

from torch import Tensor
from torch.nn import functional

from embodied_gen.events.base import Event


class OneHotMap(Event, abc.ABC):
    """An event of shape `(H, W, K)`; its value is a tensor of labels 0 .. K - 1, integers, shape `(H, W)`."""

    def __init__(self, height: int, width: int, labels: int):
        super().__init__((height, width, labels), [0.0] * labels, [1.0] * labels)

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
        labels = self.shape[-1]
        whole = value.long()  # a byte is compared with a byte, which 256 labels and more do not fit into
        if value.dtype.is_floating_point or not bool(((whole >= 0) & (whole < labels)).all()):
            raise ValueError(
                f"labels must be integers from 0 to {labels - 1}; got {value.dtype} from {value.min().item()} "
                f"to {value.max().item()}.{self._remedy()}"
            )
        return self.coded(value)

    def coded(self, label: Tensor) -> Tensor:
        """Single cells of given labels in model units; `(...)` to `(..., K)`, with the dtype of the bounds."""
        return self.scale(functional.one_hot(label.long(), self.shape[-1]).to(self.low.dtype))

    def decode(self, x: Tensor) -> Tensor:
        """The most probable label of each cell, int64, shape `(B, H, W)`."""
        self.check(x)
        return x.argmax(-1)

    def _remedy(self) -> str:
        """What is added to the sentence about labels that do not fit."""
        return ""
