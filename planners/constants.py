"""Constants: plain numbers that are read as tensors of whatever dtype and device is asked for, and fixed choices."""

from typing import Any, final

import torch
from torch import Tensor


@final
class Constant:
    """Numbers that are kept where they were last used, so that a sampler does not copy them at every step.

    Args:
        numbers: Of any nesting that makes a tensor.
    """

    def __init__(self, numbers: Any):
        self._exact = self._last = torch.as_tensor(numbers, dtype=torch.float64)

    def like(self, y: Tensor) -> Tensor:
        """The numbers in the dtype and on the device of a tensor."""
        if self._last.dtype != y.dtype or self._last.device != y.device:
            self._last = self._exact.to(y)
        return self._last


@final
class Choice:
    """Numbers or truths of a dtype of their own, such as a mask, kept on the device where they were last used.

    Args:
        entries: Of any shape.
    """

    def __init__(self, entries: Tensor):
        self._first = self._last = entries

    def beside(self, y: Tensor) -> Tensor:
        """The entries on the device of a tensor."""
        if self._last.device != y.device:
            self._last = self._first.to(y.device)
        return self._last
