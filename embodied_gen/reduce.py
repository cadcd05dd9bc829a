"""Reductions: from samples of an event to one answer.

A reduction maps samples in model units, shape `(B, n, *E)`, to one event each, shape `(B, *E)`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Reduce = Callable[[Tensor], Tensor]


def first(samples: Tensor) -> Tensor:
    """The first sample: a fair draw, which keeps every mode of the demonstrations."""
    return samples[:, 0]


def mean(samples: Tensor) -> Tensor:
    """The average, right where the distribution has one mode and wrong between two."""
    return samples.mean(1)


def medoid(samples: Tensor) -> Tensor:
    """The sample that is nearest to the others in mean squared distance: a typical draw that lies on a mode."""
    flat = samples.flatten(2)
    chosen = torch.cdist(flat, flat).square().sum(-1).argmin(1)
    return samples[torch.arange(len(samples), device=samples.device), chosen]
