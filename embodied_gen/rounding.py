"""Where products must not be rounded, whatever the precision of training.

Under autocast to bf16 every matrix product is rounded to 8 bits, one in 256. Networks are learned with it as well as
without. What a law says with those numbers is not: densities no longer add up to one, ratios of energies are off by
more than the energies differ, and distances by more than the smallest of them.
"""

from contextlib import AbstractContextManager

import torch
from torch import Tensor


def unrounded(like: Tensor) -> AbstractContextManager:
    """A context in which products on the device of a tensor have the precision of their factors."""
    return torch.autocast(like.device.type, enabled=False)


def product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product a @ b, of tensors of one type, in their precision."""
    with unrounded(a):
        return a @ b
