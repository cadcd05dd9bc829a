"""Softmax over the last axis, and sums of its logarithms by shares."""

from torch import Tensor

from embodied_gen.rounding import product

_LONG = 16  # from which on torch's own is quicker on a CPU; below it takes up to five times as long


def softmax(logits: Tensor) -> Tensor:
    """Shares that sum to one over the last axis; differentiable, and of the shape of the logits."""
    if logits.shape[-1] >= _LONG or logits.device.type != "cpu":
        return logits.softmax(-1)
    e = (logits - logits.detach().amax(-1, keepdim=True)).exp()
    return e / product(e, e.new_ones(e.shape[-1], 1))


def weighted(share: Tensor, amount: Tensor) -> Tensor:
    """The product, with 0 log 0 = 0: nothing of what is infinite is nothing. Shapes broadcast; differentiable."""
    return share * amount.masked_fill((share == 0) & amount.isinf(), 0)
