"""Tables that are read on whatever device is asked for."""

from typing import final

import torch
from torch import Tensor


@final
class Placed:
    """A tensor that is kept where it was last used, so that a loop does not copy it at every step.

    Args:
        table: Of any dtype, which it keeps.
    """

    def __init__(self, table: Tensor):
        self._last = table

    def on(self, device: torch.device) -> Tensor:
        """The table on a device."""
        if self._last.device != device:
            self._last = self._last.to(device)
        return self._last
