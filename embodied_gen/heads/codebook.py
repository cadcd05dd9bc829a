r"""Codebooks: P numbers of K words, as a differentiable stage of a network.

Position p has K words w_pk of D numbers. An encoding e_p is replaced by the nearest word, through which gradients pass
as if nothing had happened (straight-through), and two forces keep both together,

    pull   = -tau log mean_k exp(-|sg e_p - w_pk|^2 / tau),     words towards encodings,
    commit = |e_p - sg w_p|^2,                                  encodings towards their word,

with sg the stopped gradient. As tau falls, pull becomes the squared distance of the nearest word. Above zero it is the
likelihood of a mixture of normals, whose responsibilities also move words that are nobody's nearest, so that fewer of
them die; a moving average, the usual remedy, would change state within a loss.

Sources: van den Oord, Vinyals and Kavukcuoglu 2017 (arXiv:1711.00937); Bengio et al. 2013 (arXiv:1308.3432);
Roy et al. 2018 (arXiv:1805.11063) for soft assignments.
"""

import math
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from embodied_gen.heads.latents import require


class Quantised(NamedTuple):
    """Encodings after the codebook.

    Attributes:
        chosen: The nearest words, int64, shape `(M, P)`.
        words: Their numbers, with the gradient of the encodings, shape `(M, P, D)`.
        pull: Of each row, summed over positions, shape `(M,)`.
        commit: Of each row, summed over positions, shape `(M,)`.
    """

    chosen: Tensor
    words: Tensor
    pull: Tensor
    commit: Tensor


@final
class Codebook(nn.Module):
    """P positions of K words of D numbers.

    Args:
        positions: P, >= 1.
        words: K, >= 2.
        width: D, >= 1.
        softness: tau, > 0, in squared units of an encoding.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, positions: int, words: int, width: int, *, softness: float):
        super().__init__()
        require({"positions": positions, "width": width})
        if words < 2:
            raise ValueError(f"a codebook needs at least 2 words; got {words}.")
        if not softness > 0:
            raise ValueError(f"softness must be positive; got {softness}.")
        self.softness = softness
        self.words = nn.Parameter(torch.empty(positions, words, width).uniform_(-1, 1))

    def look_up(self, index: Tensor) -> Tensor:
        """The numbers of words; int64 `(M, P)` to `(M, P, D)`."""
        return self.words[torch.arange(self.words.shape[0], device=index.device), index]

    def forward(self, encoding: Tensor) -> Quantised:
        """The nearest words of encodings `(M, P, D)`."""
        far = self._distances(encoding.detach())
        index = far.detach().argmin(-1)
        word = self.look_up(index)
        pull = -self.softness * (torch.logsumexp(-far / self.softness, -1) - math.log(far.shape[-1]))
        commit = (encoding - word.detach()).square().sum((1, 2))
        return Quantised(index, encoding + (word - encoding).detach(), pull.sum(1), commit)

    def _distances(self, encoding: Tensor) -> Tensor:
        """Squared, to every word of each position; `(M, P, D)` to `(M, P, K)`."""
        return (encoding.unsqueeze(2) - self.words).square().sum(-1)
