r"""Gaussian filtering as attention, exact.

With q_i = (f_i, 1, -|f_i|^2 / 2) and k_j = (f_j, -|f_j|^2 / 2, 1) the logit q_i' k_j is -|f_i - f_j|^2 / 2, so that
attention returns D^-1 K v with D = K 1. The masses come out of attention, too: one more key with a constant logit
log s and the values (1, 0) for pixels and (0, 1) for that key return r = D / (D + s) and 1 - r, so D = s r / (1 - r),
and both are summed without a difference. Work is P^2; memory is P where the device's attention is fused.
"""

import math
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from embodied_gen.crf.filters import Filter


@final
class Attention(Filter):
    """K of points, exact.

    Args:
        features: In deviations, shape `(B, P, d)`.
    """

    def __init__(self, features: Tensor):
        centred = features - features.mean(1, keepdim=True)
        half, one = -centred.square().sum(2, keepdim=True) / 2, torch.ones_like(centred[..., :1])
        self.queries, self.keys = torch.cat([centred, one, half], 2), torch.cat([centred, half, one], 2)
        self.mass = self._mass()

    def __call__(self, values: Tensor) -> Tensor:
        """K times values."""
        return self.mass * _attend(self.queries, self.keys, values)

    def _mass(self) -> Tensor:
        """K 1, shape `(B, P, 1)`."""
        images, points, width = self.keys.shape
        like = math.sqrt(points)  # between the least mass, 1, and the largest, P
        constant = torch.zeros(images, 1, width, dtype=self.keys.dtype, device=self.keys.device)
        constant[..., -2] = math.log(like)
        values = torch.eye(2, dtype=constant.dtype, device=constant.device)[None]
        values = torch.cat([values[:, :1].expand(images, points, 2), values[:, 1:].expand(images, 1, 2)], 1)
        shares = _attend(self.queries, torch.cat([self.keys, constant], 1), values)
        return like * shares[..., :1] / shares[..., 1:]


def _attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Softmax attention with scale 1; channels are filled up to a common number, as fused kernels want it."""
    channels = max(queries.shape[2], values.shape[2])
    channels += -channels % 8
    parts = [functional.pad(part, (0, channels - part.shape[2])).unsqueeze(1) for part in (queries, keys, values)]
    attended = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], scale=1.0)
    return attended.squeeze(1)[..., : values.shape[2]]
