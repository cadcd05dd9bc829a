r"""The dense CRF as a layer: every pixel is a neighbour of every other one. Unrolled, it is CRF-RNN.

What is learned are the weights of kernels for each class, the agreements of classes and, where that is asked for, the
widths of kernels. Gradients go to the logits and to the guide channels, too, so that networks before it are trained
through it.

Sources: Kraehenbuehl and Koltun 2011 (arXiv:1210.5644); Zheng et al. 2015, Conditional Random Fields as Recurrent
Neural Networks (arXiv:1502.03240), whose steps, 5 in training and 10 in use, are the usual ones.
"""

import abc
import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.crf.filters import Normalisation, Symmetric
from embodied_gen.crf.kernels import PHOTOGRAPH, PHOTOGRAPH_WEIGHTS, Kernel, Points, require_guide
from embodied_gen.crf.mean_field import Message, free_energy, mean_field, steps
from embodied_gen.crf.methods import ByDevice, Method, Smooth
from embodied_gen.rounding import unrounded


class Agreement(nn.Module, abc.ABC):
    """How well classes of alike pixels agree."""

    @abc.abstractmethod
    def forward(self, message: Tensor) -> Tensor:
        """Sums over classes, sum_l' a(l, l') m(l'); shape `(..., L)`."""


@final
class Potts(Agreement):
    """Equal classes agree, others do not; nothing is learned."""

    def forward(self, message: Tensor) -> Tensor:
        """The same."""
        return message


@final
class Learned(Agreement):
    """A matrix of any numbers, Potts' before training.

    Args:
        classes: L.
    """

    def __init__(self, classes: int):
        super().__init__()
        self.matrix = nn.Parameter(torch.eye(classes))

    def forward(self, message: Tensor) -> Tensor:
        """Sums over classes."""
        return message @ self.matrix.T.to(message)


@final
class DenseCRF(nn.Module):
    """Logits of marginals from logits of pixels alone and guide channels.

    Args:
        classes: L, >= 2.
        kernels: Widths; those with guide channels agree on their number.
        weights: Of the kernels before training, finite, one each.
        agreement: Of classes; learned if not given.
        normalisation: Of kernels.
        method: Of filtering.
        learn_widths: Whether widths are learned, too; by a `Smooth` method alone.

    Raises:
        ValueError: If numbers do not fit or are out of range, or widths cannot be learned by the method.
    """

    def __init__(
        self,
        classes: int,
        kernels: Sequence[Kernel] = PHOTOGRAPH,
        weights: Sequence[float] = PHOTOGRAPH_WEIGHTS,
        *,
        agreement: Agreement | None = None,
        normalisation: Normalisation | None = None,
        method: Method | None = None,
        learn_widths: bool = False,
    ):
        super().__init__()
        if classes < 2:
            raise ValueError(
                f"a CRF needs at least two classes; got {classes}. Count what is beside the class as another."
            )
        self.classes, self.channels = classes, _channels(kernels, weights)
        self.method = ByDevice() if method is None else method
        if learn_widths and not isinstance(self.method, Smooth):
            raise ValueError(
                f"widths are learned by method Nystroem or Exact; got {type(self.method).__name__}, and the slopes of "
                "a lattice by widths are wrong. Choose one of the two, or leave learn_widths out."
            )
        self.weights = nn.Parameter(torch.tensor([float(weight) for weight in weights])[:, None].repeat(1, classes))
        self.log_widths = nn.ParameterList(
            nn.Parameter(torch.tensor([kernel.position, *kernel.guide]).log(), requires_grad=learn_widths)
            for kernel in kernels
        )
        self.agreement = Learned(classes) if agreement is None else agreement
        self.normalisation = Symmetric() if normalisation is None else normalisation

    def forward(self, logits: Tensor, guide: Tensor, *, iterations: int = 10, damping: float = 0.0) -> Tensor:
        """Logits of marginals, without their constant.

        Args:
            logits: Of pixels alone, float32 or float64, shape `(B, H, W, L)`; B may be zero. Minus infinity for
                impossible classes, which may not be all of a pixel.
            guide: Channels in the units of the kernels' widths, finite, of the same dtype, `(B, C, H, W)` with C >= 0.
            iterations: Steps of mean field, >= 0.
            damping: See `mean_field`.

        Returns:
            Shape `(B, H, W, L)`.

        Raises:
            ValueError: If a shape, dtype or number is wrong.
        """
        with unrounded(logits):  # products in bf16 move places and colours by whole deviations
            message = self.message(logits, guide)
            return mean_field(logits.flatten(1, 2), message, iterations=iterations, damping=damping).view_as(logits)

    @torch.no_grad()
    def energies(self, logits: Tensor, guide: Tensor, *, iterations: int = 10, damping: float = 0.0) -> Tensor:
        """Free energies before the first step and after each, nat, shape `(B, iterations + 1)`; see `forward`.

        They are those of an energy where what weights and agreements make together is symmetric in classes.
        """
        with unrounded(logits):
            message, flat = self.message(logits, guide), logits.flatten(1, 2)
            states = steps(flat, message, iterations=iterations, damping=damping)
            return torch.stack([free_energy(flat, now, message) for now in states], 1)

    def message(self, logits: Tensor, guide: Tensor) -> Message:
        """What the pixels of images tell each other: of marginals `(B, H W, L)`, the same shape."""
        self._check(logits, guide)
        if not logits.numel():
            return torch.clone  # the sums over nothing, as new tensors
        with unrounded(logits):
            widths = [log_width.to(guide).exp() for log_width in self.log_widths]
            total = self.method.normalised([Points.of(guide, width) for width in widths], self.normalisation)
        weights = self.weights.to(logits)

        def heard(q: Tensor) -> Tensor:
            with unrounded(q):
                return total(q, weights, self.agreement)

        return heard

    def _check(self, logits: Tensor, guide: Tensor) -> None:
        if logits.ndim != 4 or logits.shape[3] != self.classes:
            raise ValueError(f"logits must have shape (B, H, W, {self.classes}); got {tuple(logits.shape)}.")
        if not logits.dtype.is_floating_point:
            raise ValueError(f"logits must be floating point; got {logits.dtype}. Give log-probabilities, not labels.")
        require_guide(guide, self.channels, len(logits), logits.shape[1:3])
        if logits.dtype != guide.dtype or logits.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                "logits and guide channels must both be torch.float32, or both torch.float64; got "
                f"{logits.dtype} and {guide.dtype}. Convert both with .float()."
            )
        possible = logits.detach().amax(3).isfinite().flatten(1).all(1)
        if not bool(possible.all()):
            raise ValueError(
                "logits must be numbers below infinity, and of each pixel one above minus infinity; image "
                f"{int(possible.logical_not().nonzero()[0])} has others. Give log-probabilities that are numbers."
            )


def _channels(kernels: Sequence[Kernel], weights: Sequence[float]) -> int:
    """Guide channels of kernels that fit their weights and each other."""
    if not kernels or len(kernels) != len(weights):
        raise ValueError(f"there must be kernels, and a weight for each; got {len(kernels)} and {len(weights)}.")
    if not all(math.isfinite(weight) for weight in weights):
        raise ValueError(f"weights of kernels must be finite; got {list(weights)}. Zero leaves a kernel out.")
    channels = {len(kernel.guide) for kernel in kernels if kernel.guide}
    if len(channels) > 1:
        raise ValueError(f"kernels must have the same number of guide channels; got {sorted(channels)}.")
    return max(channels, default=0)
