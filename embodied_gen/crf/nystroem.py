r"""Gaussian filtering of low rank: Nystroem's method.

    K  ~  C W^-1 C' + diag(r),     C = k(pixels, landmarks),  W = k(landmarks, landmarks)

The landmarks are m means of pixels in feature space: the farthest points of a sample, moved to the means of what is
nearest to them a few times. r >= 0 is what the diagonal lacks, so that a pixel's term with itself is exact, and K is
positive semi-definite. Two dense products a filter: slow on a CPU, and what a GPU is made for. Everything is
differentiable but which pixel belongs to which landmark.

Sources: Williams and Seeger 2001; Zhang, Tsang and Kwok 2008 for means as landmarks; Snelson and Ghahramani 2006 for
the diagonal.
"""

from typing import final

import torch
from torch import Tensor

from embodied_gen.crf.filters import Filter

SAMPLE = 6000  # pixels that landmarks are made of
MEANS = 3  # times that landmarks are moved
JITTER = 1e-5  # of the diagonal of W


@final
class LowRank(Filter):
    """K of points, of rank m but for its diagonal.

    Args:
        features: In deviations, shape `(B, P, d)`.
        landmarks: m, >= 1.
    """

    def __init__(self, features: Tensor, landmarks: int):
        features = features - features.mean(1, keepdim=True)  # distances of small numbers lose fewer digits
        centres = _landmarks(features, min(landmarks, features.shape[1]))
        own = _gaussian(centres.double(), centres.double())  # nearly singular where landmarks are alike
        own = own + JITTER * torch.eye(own.shape[1], dtype=own.dtype, device=own.device)
        factor = torch.linalg.cholesky(own).to(features)
        cross = _gaussian(features, centres)
        self.root = torch.linalg.solve_triangular(factor.mT, cross, upper=True, left=False)
        self.rest = (1 - self.root.square().sum(2, keepdim=True)).clamp(min=0)

    def __call__(self, values: Tensor) -> Tensor:
        """K times values, approximately."""
        return torch.baddbmm(self.rest * values, self.root, self.root.mT @ values)


def _gaussian(a: Tensor, b: Tensor) -> Tensor:
    """The kernel of points `(B, P, d)` and `(B, Q, d)`, shape `(B, P, Q)`."""
    squares = a.square().sum(2, keepdim=True) + b.square().sum(2).unsqueeze(1)
    return (torch.baddbmm(squares, a, b.mT, alpha=-2).clamp(min=0) / -2).exp()


def _landmarks(features: Tensor, count: int) -> Tensor:
    """Means of a sample's parts, differentiable in the features, shape `(B, m, d)`."""
    points = features.shape[1]
    chosen = torch.linspace(0, points - 1, min(points, max(SAMPLE, count)), device=features.device).round().long()
    sample = features[:, chosen]
    with torch.no_grad():
        centres = _farthest(sample, count)
        for _ in range(MEANS):
            share = _shares(sample, centres)
            centres = share @ sample
    return share @ sample


def _farthest(sample: Tensor, count: int) -> Tensor:
    """Points of a sample, each the farthest from those before it; `(B, S, d)` to `(B, m, d)`."""
    rows = torch.arange(len(sample), device=sample.device)
    distance = (sample - sample.mean(1, keepdim=True)).square().sum(2)
    centres = sample.new_empty(len(sample), count, sample.shape[2])
    for k in range(count):  # each depends on those before it
        centres[:, k] = sample[rows, distance.argmax(1)]
        new = (sample - centres[:, k, None]).square().sum(2)
        distance = new if k == 0 else torch.minimum(distance, new)
    return centres


def _shares(sample: Tensor, centres: Tensor) -> Tensor:
    """Weights of the mean of what is nearest to each centre, `(B, m, S)`; a centre of nothing keeps its nearest."""
    # Half of minus the squared distance, but for what is the same for all centres of a sample.
    near = torch.baddbmm(-centres.square().sum(2).unsqueeze(1) / 2, sample, centres.mT)
    member = torch.zeros_like(near).scatter_(2, near.argmax(2, keepdim=True), 1.0)
    nearest = (near - sample.square().sum(2, keepdim=True) / 2).argmax(1, keepdim=True)
    alone = torch.zeros_like(near).scatter_(1, nearest, 1.0)
    member = torch.where(member.sum(1, keepdim=True) > 0, member, alone)
    return (member / member.sum(1, keepdim=True)).mT
