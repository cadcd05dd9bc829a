"""Logarithms of sums of exponentials over parts of a tensor, whatever the parts are."""

from collections.abc import Callable

import torch
from torch import Tensor

Linear = Callable[[Tensor], Tensor]


def log_sums(q: Tensor, *, largest: Linear, spread: Linear, collect: Linear) -> Tensor:
    """The logarithm of the sum of exp over each part; minus infinity, with a slope of zero, where all of a part is.

    Args:
        q: Log weights, below infinity.
        largest: The largest of each part.
        spread: Numbers of parts to their members.
        collect: Sums of the members of each part.
    """
    top, kind = largest(q).detach(), torch.finfo(q.dtype)
    total = collect((q - spread(top.clamp(min=kind.min))).exp_())
    return top + total.clamp_(min=kind.tiny).log_()
