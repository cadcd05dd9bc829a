r"""The linear Gaussian forecaster: the best linear guess from one's own past, and how it errs.

In the frame of the last heading (see `frames`), with o the 7 positions before the present one and y the 12 after it,

    y ~ N(W (1, o), C),      W by least squares,  C the mean of (y - W (1, o)) (y - W (1, o))^T

for each pedestrian on its own, from a stream of its own (`streams`). It knows its density exactly, as frames are turns
and shifts, and it is what a network has to beat: anything that it misses is not linear, or lies in the others.
"""

import math
from typing import Self, final

import torch
from torch import Tensor

from embodied_gen.draws import Generator
from embodied_gen.forecasting.forecaster import Observed
from embodied_gen.forecasting.frames import frames_of
from embodied_gen.forecasting.streams import noise_of
from embodied_gen.forecasting.windows import OBSERVED, PREDICTED, CrowdWindows

FLOOR = 0.001
"""Deviation added to every coordinate, so that a density is finite [m]."""
KNOWN, ASKED = 1 + 2 * (OBSERVED - 1), 2 * PREDICTED


@final
class LinearGaussian:
    """A normal law whose mean is linear in one's own past.

    Args:
        weight: W, transposed, shape `(15, 24)`.
        covariance: C [m^2], positive definite, shape `(24, 24)`.

    Raises:
        ValueError: If a shape is another.
    """

    def __init__(self, weight: Tensor, covariance: Tensor):
        if weight.shape != (KNOWN, ASKED) or covariance.shape != (ASKED, ASKED):
            raise ValueError(
                f"weight and covariance must have shapes {(KNOWN, ASKED)} and {(ASKED, ASKED)}; got "
                f"{tuple(weight.shape)} and {tuple(covariance.shape)}."
            )
        self.weight = weight
        self.factor = torch.linalg.cholesky(covariance)

    @classmethod
    def fit(cls, windows: CrowdWindows) -> Self:
        """The law of the tracks of windows that are whole.

        Raises:
            ValueError: If fewer tracks are whole than twice the numbers that are predicted.
        """
        whole = windows.tracks[windows.valid.all(1)]
        if len(whole) < 2 * ASKED:
            raise ValueError(
                f"{', '.join(windows.sources)}: {len(whole)} tracks are whole, fewer than the {2 * ASKED} of which a "
                "covariance can be taken. Give longer recordings."
            )
        known, future = _known(whole[:, :OBSERVED]), frames_of(whole[:, :OBSERVED]).inwards(whole[:, OBSERVED:])
        weight = torch.linalg.pinv(known) @ future.flatten(1)
        rest = future.flatten(1) - known @ weight
        return cls(weight, rest.T @ rest / len(rest) + FLOOR**2 * torch.eye(ASKED).to(rest))

    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """N futures, independent for each pedestrian, shape `(B, n, A, 12, 2)`."""
        mean = _known(observed.tracks) @ self.weight.to(observed.tracks)
        noise = noise_of(observed, n, ASKED, generator)
        local = (mean.unsqueeze(1) + noise @ self.factor.T.to(mean)).unflatten(-1, (PREDICTED, 2))
        return frames_of(observed.tracks.unsqueeze(1)).outwards(local)

    def log_density(self, observed: Observed, future: Tensor) -> Tensor:
        """Log density of the futures of all who are there [nat, per m], exact, shape `(B,)`."""
        local = frames_of(observed.tracks).inwards(future).flatten(-2)
        rest = local - _known(observed.tracks) @ self.weight.to(local)
        factor = self.factor.to(local)
        white = torch.linalg.solve_triangular(factor, rest.unsqueeze(-1), upper=False).squeeze(-1)
        log = -white.square().sum(-1) / 2 - factor.diagonal().log().sum() - ASKED * math.log(2 * math.pi) / 2
        return (log * observed.present).sum(-1)


def _known(tracks: Tensor) -> Tensor:
    """1 and the earlier positions in the present frame, `(..., 8, 2)` to `(..., 15)`."""
    earlier = frames_of(tracks).inwards(tracks[..., :-1, :]).flatten(-2)
    return torch.cat([torch.ones_like(earlier[..., :1]), earlier], -1)
