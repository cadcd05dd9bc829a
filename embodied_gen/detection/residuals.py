r"""What the draws of a detector leave open: where true boxes lie, given the boxes that were drawn.

Draws of one box spread where the detector is in doubt, and too little: errors that they all make alike, such as those
of a network that has learned from few images, no draw shows. These are learned from images that the detector has not:
with the logarithm of sizes in z = (cx, cy, log w, log h), m and s its mean and deviation over draws and lengths of
middles in sides of the mean box, a true box z* misses the mean by

    r_k = z*_k - m_k,       r_k / (a_k + b_k s_k) of one law for all boxes,

with a, b > 0 those of the likeliest normal law. That law is then not taken for normal: boxes are drawn around the mean
by residuals of the images learned from, all four numbers of one of them together,

    z_k = m_k + (a_k + b_k s_k) r'_k / (a'_k + b'_k s'_k),

so that intervals of new draws hold as many of the true boxes as they say, whatever the tails, as far as the images are
of one kind; and are as wide for each box as its own draws are apart.

Sources: Papadopoulos et al. 2002 (inductive confidence machines: residuals over an estimate of their size); Efron 1979
(drawing residuals anew).
"""

from dataclasses import dataclass
from typing import Self, final

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

from embodied_gen import draws

LEAST = 20
"""Boxes that residuals are learned from, at least."""
_THINNEST = 1e-4  # side of a box, share of the image, whose logarithm is taken


@final
@dataclass(frozen=True)
class Residuals:
    """The law of what true boxes miss the means of draws by.

    Attributes:
        base: a, shape `(4,)`.
        slope: b, shape `(4,)`.
        standard: Residuals over their scale, of the R boxes that were learned from, shape `(R, 4)`.
    """

    base: Tensor
    slope: Tensor
    standard: Tensor

    @classmethod
    def learned(cls, boxes: Tensor, there: Tensor, truth: Tensor) -> Self:
        """The law of the boxes that at least two draws have.

        Args:
            boxes: (cx, cy, w, h) in n draws, shares of the image, shape `(T, n, 4)`.
            there: Which draws have the box, bool, shape `(T, n)`.
            truth: True boxes, shape `(T, 4)`.

        Raises:
            ValueError: If shapes do not fit, or there are too few boxes to learn from.
        """
        _check(boxes, there)
        if truth.shape != (len(boxes), 4):
            raise ValueError(f"truth must have shape ({len(boxes)}, 4), as many as boxes; got {tuple(truth.shape)}.")
        some = there.sum(1) >= 2
        if int(some.sum()) < LEAST:
            raise ValueError(
                f"residuals are learned from at least {LEAST} boxes that two draws have; got {int(some.sum())}. "
                "Take more images."
            )
        mean, deviation = _moments(boxes[some], there[some])
        missed = (_code(truth[some].to(mean)) - mean) / _lengths(mean)
        base, slope = torch.tensor(
            [_likeliest(*pair) for pair in zip(missed.T.numpy(), deviation.T.numpy(), strict=True)], dtype=mean.dtype
        ).T
        return cls(base, slope, missed / (base + slope * deviation))

    def drawn(self, boxes: Tensor, there: Tensor, *, generator: draws.Generator) -> Tensor:
        """Boxes that are as far apart as true ones may be.

        Args:
            boxes: As in `learned`; at any device and precision.
            there: Likewise; of a box that no draw has the mean is that of what stands in its place.
            generator: Of the residuals that are drawn.

        Returns:
            As many boxes as there are, of the shape, device and precision of `boxes`.

        Raises:
            ValueError: If shapes do not fit.
        """
        _check(boxes, there)
        mean, deviation = _moments(boxes, there)
        scale = self.base + self.slope * deviation
        u = draws.uniform(boxes.shape[:2], generator=generator, like=boxes).to(mean)
        residual = self.standard[(u * len(self.standard)).long().clamp(max=len(self.standard) - 1)]
        code = mean.unsqueeze(1) + (_lengths(mean) * scale).unsqueeze(1) * residual
        return torch.cat([code[..., :2], code[..., 2:].exp()], -1).to(boxes)


def _check(boxes: Tensor, there: Tensor) -> None:
    if boxes.ndim != 3 or boxes.shape[2] != 4 or there.shape != boxes.shape[:2]:
        raise ValueError(
            "boxes must have shape (T, n, 4) and there (T, n), of n draws of T boxes; got "
            f"{tuple(boxes.shape)} and {tuple(there.shape)}."
        )


def _code(boxes: Tensor) -> Tensor:
    """(cx, cy, log w, log h)."""
    return torch.cat([boxes[..., :2], boxes[..., 2:].clamp(min=_THINNEST).log()], -1)


def _lengths(mean: Tensor) -> Tensor:
    """What numbers of a code are measured in: middles in sides of the box, logarithms as they are; `(T, 4)`."""
    return torch.cat([mean[:, 2:].exp(), torch.ones_like(mean[:, 2:])], -1)


def _moments(boxes: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Means of codes over the draws that have the box, and deviations in the lengths of the mean; each `(T, 4)`.

    On the processor in double precision: a few numbers for each box.
    """
    known = torch.where(there.any(1, keepdim=True), there, True).cpu().double().unsqueeze(-1)
    code, count = _code(boxes.cpu().double()), known.sum(1)
    mean = (code * known).sum(1) / count
    squares = ((code - mean.unsqueeze(1)).square() * known).sum(1) / (count - 1).clamp(min=1)
    return mean, squares.sqrt() / _lengths(mean)


def _likeliest(missed: np.ndarray, deviation: np.ndarray) -> tuple[float, float]:
    """Numbers a and b of the normal law of residuals, by their logarithms."""

    def surprise(logarithms: np.ndarray) -> float:
        scale = np.exp(logarithms[0]) + np.exp(logarithms[1]) * deviation
        return float((np.log(scale) + (missed / scale) ** 2 / 2).mean())

    start = np.log(max(float(np.sqrt((missed**2).mean())), _THINNEST))
    bounds = [(np.log(_THINNEST), 2.0), (-8.0, 5.0)]  # a spread that says nothing has a slope of about zero
    found = optimize.minimize(surprise, [start, 0.0], bounds=bounds)
    base, slope = np.exp(found.x)
    return float(base), float(slope)
