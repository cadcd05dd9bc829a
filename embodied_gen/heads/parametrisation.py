r"""Parametrisations: how a network's output F is read as the clean estimate.

Every reading is affine,  x_hat = a x_t + b F,  with a and b functions of the noise level, so that samplers and
guides know nothing of it:

    noise     F = eps                     a = 1 / alpha                      b = -sigma / alpha
    clean     F = x                       a = 0                              b = 1
    V         F = v                       a = alpha d^2 / (alpha^2 d^2 + sigma^2)
                                          b = -sigma d / sqrt(alpha^2 d^2 + sigma^2)
    velocity  F = alpha' x + sigma' eps   a = sigma' / w                     b = -sigma / w

with w = alpha sigma' - alpha' sigma and d the standard deviation of the data. V is v-prediction for a
variance-preserving schedule with d = 1 and EDM's preconditioning (up to sign) for alpha = 1.

An error of F is an error of x_hat divided by b^2: the "simple" loss of each parametrisation is the error of the
clean estimate times 1 / b^2. The variational bound has the weight (SNR(s) - SNR(t)) / 2 instead, for every
parametrisation, where SNR = alpha^2 / sigma^2; with continuous times it is an integral over t, so that a mean over
times drawn by another law than the uniform one divides by their density.

Sources: Ho et al. 2020 (arXiv:2006.11239); Salimans and Ho 2022 (arXiv:2202.00512); Karras et al. 2022
(arXiv:2206.00364), table 1; Kingma et al. 2021 (arXiv:2107.00630), eq. 14 and 18.
"""

import abc
from typing import final

import torch
from torch import Tensor

from embodied_gen.heads.schedules import Coefficients, Schedule


class Parametrisation(abc.ABC):
    """How a network's output is read."""

    @abc.abstractmethod
    def affine(self, at: Coefficients) -> tuple[Tensor, Tensor]:
        """The factors (a, b) of x_hat = a x_t + b F, each of the shape of the times."""


@final
class Noise(Parametrisation):
    """The network predicts eps (diffusers: "epsilon")."""

    def affine(self, at: Coefficients) -> tuple[Tensor, Tensor]:
        """(1 / alpha, -sigma / alpha)."""
        return 1 / at.alpha, -at.sigma / at.alpha


@final
class Clean(Parametrisation):
    """The network predicts x (diffusers: "sample")."""

    def affine(self, at: Coefficients) -> tuple[Tensor, Tensor]:
        """(0, 1)."""
        return torch.zeros_like(at.alpha), torch.ones_like(at.alpha)


@final
class V(Parametrisation):
    """The network predicts v (diffusers: "v_prediction"), or is preconditioned as in EDM.

    Args:
        data_deviation: Standard deviation of the data d, model units; 1 for v, the schedule's for EDM.
    """

    def __init__(self, data_deviation: float = 1.0):
        self.data_deviation = data_deviation

    def affine(self, at: Coefficients) -> tuple[Tensor, Tensor]:
        """The factors of EDM's c_skip and c_out."""
        d = self.data_deviation
        total = (at.alpha * d).square() + at.sigma.square()
        return at.alpha * d**2 / total, -at.sigma * d / total.sqrt()


@final
class Velocity(Parametrisation):
    """The network predicts dx_t / dt, the velocity of flow matching."""

    def affine(self, at: Coefficients) -> tuple[Tensor, Tensor]:
        """(sigma', -sigma) / (alpha sigma' - alpha' sigma)."""
        w = at.alpha * at.sigma_rate - at.alpha_rate * at.sigma
        return at.sigma_rate / w, -at.sigma / w


class Weighting(abc.ABC):
    """The weight of the clean estimate's error in a training loss."""

    @abc.abstractmethod
    def weight(self, t: Tensor, schedule: Schedule, parametrisation: Parametrisation) -> Tensor:
        """Weights at times t, of the same shape."""


@final
class Simple(Weighting):
    """The error of what the network predicts: 1 / b^2."""

    def weight(self, t: Tensor, schedule: Schedule, parametrisation: Parametrisation) -> Tensor:
        """1 / b^2 at times t."""
        return parametrisation.affine(schedule.coefficients(t))[1].square().reciprocal()


@final
class VariationalBound(Weighting):
    """The continuous-time bound's weight, -SNR'(t) / 2, over the density of training times.

    The mean loss times the event's size is the bound's integral over the times that are drawn, in nat, whatever their
    law. It is less than that where the cap holds.

    Args:
        largest: Cap of the weight, which has no bound as t tends to 0 on some schedules, nor where times are rare.
    """

    def __init__(self, largest: float = 1e4):
        self.largest = largest

    def weight(self, t: Tensor, schedule: Schedule, parametrisation: Parametrisation) -> Tensor:
        """-SNR'(t) / 2 = alpha (alpha sigma' - alpha' sigma) / sigma^3 over the density of t, capped."""
        at = schedule.coefficients(t)
        w = at.alpha * at.sigma_rate - at.alpha_rate * at.sigma
        return (at.alpha * w / at.sigma**3 / schedule.density(t)).clamp(max=self.largest)
