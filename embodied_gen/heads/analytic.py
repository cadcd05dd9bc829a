"""Data whose denoiser is known in closed form, and a network that predicts exactly what it should.

With x a mixture of normals of weights w_k, means m_k and deviations s_k, and x_t = alpha x + sigma eps,

    p(k | x_t)    ~  w_k N(x_t; alpha m_k, alpha^2 s_k^2 + sigma^2)
    E[x | x_t, k] =  m_k + alpha s_k^2 (x_t - alpha m_k) / (alpha^2 s_k^2 + sigma^2).

A head with such a network samples without training, so that samplers and guidance are tested against the truth.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.heads.parametrisation import Clean, Noise, Parametrisation, V, Velocity
from embodied_gen.heads.schedules import Coefficients, Schedule


@final
@dataclass(frozen=True)
class Normals:
    """A mixture of normals with equal deviation in every direction.

    Attributes:
        weight: Shape `(K,)`, adding up to one.
        mean: Shape `(K, D)`.
        deviation: Shape `(K,)`, > 0.
    """

    weight: Tensor
    mean: Tensor
    deviation: Tensor

    def draw(self, rows: int, generator: draws.Generator) -> Tensor:
        """Independent draws, shape `(rows, D)`."""
        k = draws.categorical(self.weight.log().expand(rows, -1), generator=generator)
        noise = draws.normal((rows, self.mean.shape[1]), generator=generator, like=self.mean)
        return self.mean[k] + self.deviation[k, None] * noise

    def denoise(self, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """E[x | x_t] at one level, or at one level for each row `(M, 1)`; shapes `(M, D)`."""
        alpha, sigma = (torch.as_tensor(number, dtype=x_t.dtype).view(-1, 1) for number in (alpha, sigma))
        variance = alpha**2 * self.deviation**2 + sigma**2
        away = x_t[:, None] - alpha[..., None] * self.mean
        log_share = self.weight.log() - away.square().sum(2) / (2 * variance) - x_t.shape[1] * variance.log() / 2
        of_component = self.mean + (alpha * self.deviation**2 / variance)[..., None] * away
        return (log_share.softmax(1)[..., None] * of_component).sum(1)


@final
class Exact(nn.Module):
    """The network of a denoising head that predicts E[target | x_t] for events of one step.

    Args:
        data: Distribution of the event, model units.
        schedule: Of the head.
        parametrisation: Of the head.
    """

    def __init__(self, data: Normals, schedule: Schedule, parametrisation: Parametrisation):
        super().__init__()
        self.data, self.schedule, self.parametrisation = data, schedule, parametrisation

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """What a perfectly trained network returns; shapes as a head calls it."""
        at = Coefficients(*(entry.view(-1, 1) for entry in self.schedule.coefficients(t)))
        x_t = x.flatten(1) / self.schedule.input_scale(at.alpha, at.sigma)
        x_hat = self.data.denoise(x_t, at.alpha, at.sigma)
        # Targets are linear in (x, eps), so that their mean given x_t is the target of the means.
        return target(self.parametrisation, at, x_hat, (x_t - at.alpha * x_hat) / at.sigma).view_as(x)


def target(parametrisation: Parametrisation, at: Coefficients, x: Tensor, eps: Tensor) -> Tensor:
    """What a network predicts of x and eps, from the definitions of the papers; levels broadcast to x."""
    match parametrisation:
        case Noise():
            return eps
        case Clean():
            return x
        case V(data_deviation=d):
            # Karras et al. 2022, eq. 8, with the sign of Salimans and Ho 2022: d = 1 is alpha eps - sigma x.
            return (at.alpha * d**2 * eps - at.sigma * x) / (d * (at.alpha**2 * d**2 + at.sigma**2).sqrt())
        case Velocity():
            return at.alpha_rate * x + at.sigma_rate * eps
    raise TypeError(f"there is no target of {type(parametrisation).__name__}.")
