r"""Matchings: which estimate is trained towards which object.

From costs of each of N estimates for each of G objects a matching gives every estimate one object or none.

    one to one    the assignment of least total cost: every object has one estimate
    dynamic k     object g has its k_g cheapest estimates, k_g = max(1, floor(sum of its five largest IoUs)), so that
                  objects that many estimates find train many; an estimate that several objects want goes to the one
                  that it is cheapest for, and an object that is left with none gets its cheapest free estimate

Dynamic k prefers estimates that are centred in the object, by a large cost of the others, and those that are centred in
any object at all, by a larger one: it draws estimates to where objects are. One to one goes by the costs alone.

Its last rule is applied in a few rounds, each for all objects at once: where several want the same free estimate the
cheapest has it, and the others try again. An object that is still without after the last round waits for the next
training step. All of dynamic k are operations on whole tensors that never wait for a device.

Sources: Ge et al. 2021 (SimOTA in YOLOX, arXiv:2107.08430); Chen et al. 2023 (DiffusionDet, arXiv:2211.09788); Carion
et al. 2020 (arXiv:2005.12872) for one to one.
"""

import abc
import math
from typing import final

import torch
from torch import Tensor

from embodied_gen.assignment import assign

TOP = 5  # IoUs whose sum is the number of estimates of an object
ROUNDS = 3  # in which objects without an estimate look for a free one
_OUTSIDE, _NOWHERE = 100.0, 1e4  # costs of an estimate that is not centred in the object, or in none


class Matching(abc.ABC):
    """Which estimate belongs to which object."""

    @abc.abstractmethod
    def match(self, cost: Tensor, overlap: Tensor, inside: Tensor, there: Tensor) -> Tensor:
        """The object of each estimate.

        Args:
            cost: Of each estimate for each object, shape `(B, N, G)`; what is no number costs infinitely.
            overlap: Their IoU, the same shape.
            inside: Whether the estimate is centred in the object, bool, the same shape.
            there: Which objects there are, bool, shape `(B, G)`.

        Returns:
            Indices of objects, int64, shape `(B, N)`; -1 for none.
        """


@final
class Hungarian(Matching):
    """One to one; computed on the processor, image by image. There must be as many estimates as objects, or more."""

    def match(self, cost: Tensor, overlap: Tensor, inside: Tensor, there: Tensor) -> Tensor:
        """The assignment of least total cost.

        Raises:
            ValueError: If there are fewer estimates than objects.
        """
        if cost.shape[1] < cost.shape[2]:
            raise ValueError(
                f"one-to-one matching needs as many estimates as objects; got {cost.shape[1]} and {cost.shape[2]}. "
                "Take more slots, or fewer objects."
            )
        large = 1e9  # costs no less than all others together, and still a number
        cost = cost.nan_to_num(large, large, -large).where(there.unsqueeze(1), 0.0)
        estimate = assign(cost)
        objects = torch.where(there, torch.arange(there.shape[1], device=cost.device), -1)
        return objects.new_full(cost.shape[:2], -1).scatter(1, estimate, objects)


@final
class DynamicK(Matching):
    """Several estimates for an object, as many as find it."""

    def match(self, cost: Tensor, overlap: Tensor, inside: Tensor, there: Tensor) -> Tensor:
        """See the module."""
        nowhere = ~(inside & there.unsqueeze(1)).any(2, keepdim=True)
        cost = cost + _OUTSIDE * ~inside + _NOWHERE * nowhere
        cost = cost.nan_to_num(math.inf, math.inf, -math.inf).where(there.unsqueeze(1), math.inf)
        top = min(TOP, cost.shape[1])
        wanted = overlap.topk(top, 1).values.sum(1).long().clamp(min=1)
        cheapest = cost.topk(top, 1, largest=False).indices
        within = torch.arange(top, device=cost.device).view(1, -1, 1) < wanted.unsqueeze(1)
        claimed = torch.zeros_like(cost, dtype=torch.bool).scatter(1, cheapest, within)
        owner = _settled(cost, claimed)
        for _ in range(ROUNDS):
            has = _counted(owner, there.shape[1]) > 0
            free = torch.where((owner < 0).unsqueeze(2), cost, math.inf)
            choice = torch.zeros_like(claimed).scatter(1, free.argmin(1, keepdim=True), ~has.unsqueeze(1))
            owner = torch.where(owner < 0, _settled(free, choice), owner)
        return owner


def _settled(cost: Tensor, claimed: Tensor) -> Tensor:
    """The cheapest of the objects that claim an estimate at a finite cost, -1 where none does; `(B, N)`."""
    price, owner = torch.where(claimed, cost, math.inf).min(2)
    return torch.where(price < math.inf, owner, -1)


def _counted(owner: Tensor, objects: int) -> Tensor:
    """How many estimates each object has, `(B, G)`."""
    counts = torch.zeros(len(owner), objects + 1, dtype=torch.long, device=owner.device)
    return counts.scatter_add(1, owner + 1, torch.ones_like(owner))[:, 1:]
