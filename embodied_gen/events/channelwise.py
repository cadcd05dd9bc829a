"""Events whose channels are each scaled on their own.

x = (y - centre) / half,    centre = (high + low) / 2,    half = (high - low) / 2
"""

import abc
from collections.abc import Callable

import torch
from torch import Tensor

from embodied_gen.events.base import Event


class Channelwise(Event, abc.ABC):
    """An event with one affine map for each channel, which is its last axis."""

    def scale(self, y: Tensor) -> Tensor:
        """(y - centre) / half; shape `(..., *E)`."""
        return (y - self.centre) / self.half_width

    def unscale(self, x: Tensor) -> Tensor:
        """X * half + centre; shape `(..., *E)`."""
        return self.unscaling()(x)

    def unscaling(self) -> Callable[[Tensor], Tensor]:
        """One affine map."""
        centre, half = self.centre, self.half_width
        return lambda x: torch.addcmul(centre, x, half)
