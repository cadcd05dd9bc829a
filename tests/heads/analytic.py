"""Data whose denoiser is known in closed form, and a network that predicts exactly what it should.

With x a mixture of normals of weights w_k, means m_k and deviations s_k, and x_t = alpha x + sigma eps,

    p(k | x_t)    ~  w_k N(x_t; alpha m_k, alpha^2 s_k^2 + sigma^2)
    E[x | x_t, k] =  m_k + alpha s_k^2 (x_t - alpha m_k) / (alpha^2 s_k^2 + sigma^2).
"""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from embodied_gen.events import Trajectory
from embodied_gen.heads.parametrisation import Clean, Noise, Parametrisation, V, Velocity
from embodied_gen.heads.schedules import Coefficients, Cosine, Karras, Linear, Rectified, Schedule

# One line for each kind of schedule; the linear one has larger betas for its fewer levels.
SCHEDULES = {
    "linear": lambda: Linear(200, 5e-4, 0.1),
    "cosine": lambda: Cosine(100),
    "rectified": lambda: Rectified(),
    "karras": lambda: Karras(),
}
PARAMETRISATIONS = {
    "noise": lambda: Noise(),
    "clean": lambda: Clean(),
    "v": lambda: V(),
    "edm": lambda: V(0.5),
    "velocity": lambda: Velocity(),
}
# What a head accepts: noise cannot be read as an event where a rectified path has no signal.
PAIRS = [pair for pair in product(SCHEDULES, PARAMETRISATIONS) if pair != ("rectified", "noise")]


@dataclass(frozen=True)
class Normals:
    """A mixture of normals: weights `(K,)`, means `(K, D)`, deviations `(K,)` in every direction."""

    weight: Tensor
    mean: Tensor
    deviation: Tensor

    def draw(self, rows: int, generator: torch.Generator) -> Tensor:
        """Independent draws, shape `(rows, D)`."""
        k = torch.multinomial(self.weight, rows, replacement=True, generator=generator)
        noise = torch.randn(rows, self.mean.shape[1], generator=generator, dtype=self.mean.dtype)
        return self.mean[k] + self.deviation[k, None] * noise

    def denoise(self, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """E[x | x_t] at one level or at one level for each row `(M, 1)`; shapes `(M, D)`."""
        alpha, sigma = (torch.as_tensor(number, dtype=x_t.dtype).view(-1, 1) for number in (alpha, sigma))
        variance = alpha**2 * self.deviation**2 + sigma**2
        away = x_t[:, None] - alpha[..., None] * self.mean
        share = (self.weight.log() - away.square().sum(2) / (2 * variance) - x_t.shape[1] * variance.log() / 2).softmax(
            1
        )
        of_component = self.mean + (alpha * self.deviation**2 / variance)[..., None] * away
        return (share[..., None] * of_component).sum(1)


def normal(mean: float = 0.3, deviation: float = 0.4, channels: int = 1) -> Normals:
    return Normals(
        torch.ones(1, dtype=torch.float64),
        torch.full((1, channels), mean, dtype=torch.float64),
        torch.tensor([deviation], dtype=torch.float64),
    )


def two_modes(first: float = 0.5) -> Normals:
    """Two narrow modes in the plane, on no axis of symmetry of a schedule."""
    return Normals(
        torch.tensor([first, 1 - first], dtype=torch.float64),
        torch.tensor([[0.8, 0.3], [-0.7, -0.2]], dtype=torch.float64),
        torch.tensor([0.15, 0.25], dtype=torch.float64),
    )


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
    raise AssertionError(parametrisation)


class Exact(nn.Module):
    """The network of a denoising head that predicts E[target | x_t] for a known distribution of one step."""

    def __init__(self, data: Normals, schedule: Schedule, parametrisation: Parametrisation):
        super().__init__()
        self.data, self.schedule, self.parametrisation = data, schedule, parametrisation

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        at = Coefficients(*(entry.view(-1, 1) for entry in self.schedule.coefficients(t)))
        x_t = x.flatten(1) / self.schedule.input_scale(at.alpha, at.sigma)
        x_hat = self.data.denoise(x_t, at.alpha, at.sigma)
        # Targets are linear in (x, eps), so that their mean given x_t is the target of the means.
        return target(self.parametrisation, at, x_hat, (x_t - at.alpha * x_hat) / at.sigma).view_as(x)


def unit_event(channels: int) -> Trajectory:
    """A trajectory of one step whose model units are its physical units."""
    return Trajectory(1, [-1.0] * channels, [1.0] * channels)


class Constant(nn.Module):
    """A network that knows nothing but a table: one learned output, whatever its inputs."""

    def __init__(self, *shape: int):
        super().__init__()
        self.output = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        return self.output.expand(len(x), *self.output.shape)
