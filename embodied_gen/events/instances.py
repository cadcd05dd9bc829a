r"""Instance maps: which of up to N objects each of H x W cells shows, or none; a set of masks that do not overlap.

A value has a label in each cell, 0 where there is no object and j where there is object j, 1 <= j <= N. In physical
units y a map is 1 + N channels, the probability of each label in each cell; in model units x = 2 y - 1. The numbers of
objects mean nothing: an estimate is compared with the map in the best order,

    error(x_hat, x) = min over permutations s of  sum_{cells valid} ((y_hat_0 - y_0)^2
                      + sum_j (y_hat_s(j) - y_j)^2) / (number of valid cells),

which is the Brier score of label maps where objects were numbered alike.

Sources: Brier 1950 for the score; Romera-Paredes and Torr 2016 (arXiv:1511.08250) for sets of masks by assignment.
"""

from typing import final

import torch
from torch import Tensor

from embodied_gen.assignment import assign
from embodied_gen.events.one_hot import OneHotMap
from embodied_gen.rounding import product


@final
class InstanceMap(OneHotMap):
    """An event of shape `(H, W, 1 + N)`; its value is a tensor of labels 0 .. N, int64, shape `(H, W)`.

    Args:
        height, width: Cells H and W, >= 1.
        objects: N, the most objects of a map, >= 1.

    Raises:
        ValueError: If a size is out of range.
    """

    def __init__(self, height: int, width: int, objects: int):
        if height < 1 or width < 1 or objects < 1:
            raise ValueError(
                f"an instance map needs at least one cell and one object; got {height} x {width} cells and {objects}."
            )
        super().__init__(height, width, 1 + objects)

    @property
    def objects(self) -> int:
        """N."""
        return self.shape[-1] - 1

    def masks(self, x: Tensor) -> Tensor:
        """Masks of objects, bool, `(B, H, W, 1 + N)` to `(B, N, H, W)`; empty where there is no such object."""
        self.check(x)
        return self.unscale(x)[..., 1:].movedim(-1, 1) > 0.5

    def counts(self, x: Tensor) -> Tensor:
        """Objects of each map that show in a cell, int64, `(B, H, W, 1 + N)` to `(B,)`."""
        return self.masks(x).flatten(2).any(2).sum(1)

    def error(self, x_hat: Tensor, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Brier score of the best order of objects, averaged over valid cells; `valid` has shape `(B, H, W)`."""
        ours, theirs = (self.unscale(each).flatten(1, 2) for each in (x_hat, x))
        weight = torch.ones_like(ours[..., 0]) if valid is None else valid.flatten(1).to(ours.dtype)
        weight = weight / weight.sum(1, keepdim=True).clamp(min=1)
        with torch.no_grad():
            order = assign(_costs(ours[..., 1:], theirs[..., 1:], weight))
        matched = ours[..., 1:].gather(2, order.unsqueeze(1).expand_as(ours[..., 1:]))
        squares = (torch.cat([ours[..., :1], matched], 2) - theirs).square().sum(2)
        return (weight * squares).sum(1)

    def _remedy(self) -> str:
        return f" The event holds at most {self.objects} objects: set its objects to the most that a map has."


def _costs(ours: Tensor, theirs: Tensor, weight: Tensor) -> Tensor:
    """Weighted squared differences of all pairs of objects, `(B, C, N)` twice and `(B, C)` to `(B, N, N)`."""
    weighted = weight.unsqueeze(2) * ours
    squares = (weighted * ours).sum(1).unsqueeze(2) + (weight.unsqueeze(2) * theirs.square()).sum(1).unsqueeze(1)
    return squares - 2 * product(weighted.mT, theirs)
