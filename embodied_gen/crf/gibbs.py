r"""Gibbs sampling of pairwise models of labels, pixel by pixel: the slow truth.

    p(x_i = l | others) ~ exp(a_i(l) + sum_{j != i} k_ij s(l, x_j))

with logits a, couplings k of pixels and scores s of classes, s = w times the agreement of classes. Where k and s are
symmetric this samples exp(sum_i a_i(x_i) + sum_{i<j} k_ij s(x_i, x_j)). Work of a sweep is P^2 L, and cells follow one
another, so it is for small grids, to measure approximations by.

Source: Geman and Geman 1984.
"""

import torch
from torch import Tensor
from torch.nn import functional

from embodied_gen import draws


@torch.no_grad()
def gibbs(
    logits: Tensor, couplings: Tensor, scores: Tensor, labels: Tensor, *, sweeps: int, generator: draws.Generator
) -> tuple[Tensor, Tensor]:
    """Labels after some sweeps, and how probable each class of each pixel was when it was drawn, on average.

    Args:
        logits: a, shape `(B, P, L)`.
        couplings: k, shape `(B, P, P)`; the diagonal does not matter.
        scores: s, shape `(L, L)`.
        labels: Where each row starts, int64, shape `(B, P)`.
        sweeps: >= 1.
        generator: Draws the labels.

    Returns:
        Labels `(B, P)` and probabilities `(B, P, L)`, averaged over sweeps, with less noise than counts.

    Raises:
        ValueError: If sweeps or a label is out of range.
    """
    classes = logits.shape[2]
    if sweeps < 1:
        raise ValueError(f"sweeps must be at least 1; got {sweeps}.")
    if not bool(((labels >= 0) & (labels < classes)).all()):
        raise ValueError(f"labels must be from 0 to {classes - 1}; got {labels.min().item()} to {labels.max().item()}.")
    pairs = couplings - torch.diag_embed(couplings.diagonal(dim1=1, dim2=2))
    state = functional.one_hot(labels, classes).to(logits)
    total = torch.zeros_like(logits)
    for _ in range(sweeps):
        for i in range(logits.shape[1]):  # each pixel is drawn given those before it
            field = logits[:, i] + (pairs[:, i, None] @ state).squeeze(1) @ scores.T
            total[:, i] += field.softmax(1)
            drawn = draws.categorical(field, generator=generator)
            state[:, i] = functional.one_hot(drawn, classes).to(state)
    return state.argmax(2), total / sweeps
