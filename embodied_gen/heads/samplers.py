r"""Samplers: from noise to an event by clean estimates.

A sampler walks a grid of levels from noise to clean. At each level (t, alpha, sigma) it asks for the clean
estimate x_hat = denoise(x_t, level), reads the noise estimate eps_hat = (x_t - alpha x_hat) / sigma, and steps
to the next level (s, alpha_s, sigma_s):

    DDIM        x_s = alpha_s x_hat + sqrt(sigma_s^2 - eta^2 b) eps_hat + eta sqrt(b) z
    ancestral   x_s ~ q(x_s | x_t, x_hat), the DDPM step, with variance b ("beta-tilde") or r ("beta")
    2M          DPM-Solver++ of second order with the previous estimate
    Heun        the trapezoid of x_hat and eps_hat at both ends

where r = sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2 and b = r sigma_s^2 / sigma_t^2. DDIM with eta = 0 moves by
(alpha_s - alpha) x_hat + (sigma_s - sigma) eps_hat: on a rectified schedule this is Euler's x + (s - t) u, and on
Karras' schedule Euler's step of EDM, so one class serves all three names.

Samplers know neither networks nor guides; both are in `denoise`.

Sources: Ho et al. 2020 (arXiv:2006.11239); Song et al. 2021 (arXiv:2010.02502), eq. 12; Lu et al. 2022
(arXiv:2211.01095), algorithm 2; Karras et al. 2022 (arXiv:2206.00364), algorithm 1.
"""

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from torch import Tensor

from embodied_gen.heads.schedules import Level

Denoise = Callable[[Tensor, Level], Tensor]
Noise = Callable[[], Tensor]


class Sampler(abc.ABC):
    """A way from noise to an event."""

    @abc.abstractmethod
    def run(self, x: Tensor, grid: list[Level], denoise: Denoise, noise: Noise) -> Tensor:
        """Walks the grid.

        Args:
            x: Initial noise x_t of the first level, model units, shape `(M, *E)`.
            grid: Levels from noise to the clean level; one call of `denoise` for each but the last, or two.
            denoise: Clean estimate at a level.
            noise: Draws N(0, 1) of the shape of x; not called by deterministic samplers.

        Returns:
            Events, model units, shape `(M, *E)`.
        """


@final
class DDIM(Sampler):
    """Denoising diffusion implicit model; Euler's method where eta is 0.

    Args:
        eta: Share of the ancestral step's noise, in [0, 1].
    """

    def __init__(self, eta: float = 0.0):
        if not 0 <= eta <= 1:
            raise ValueError(f"eta must lie in [0, 1]; got {eta}.")
        self.eta = eta

    def run(self, x: Tensor, grid: list[Level], denoise: Denoise, noise: Noise) -> Tensor:
        """First-order steps."""
        for now, then in pairwise(grid):
            step = transition(now, then, self.eta)
            x = step.of_state * x + step.of_clean * denoise(x, now)
            if step.deviation > 0:
                x = x + step.deviation * noise()
        return x


@final
class Ancestral(Sampler):
    """The DDPM sampler.

    Args:
        width: Where the step's log variance lies between log beta-tilde of the posterior (0) and log beta of
            the forward step (1), Nichol and Dhariwal 2021 (arXiv:2102.09672), eq. 15.
    """

    def __init__(self, width: float = 0.0):
        if not 0 <= width <= 1:
            raise ValueError(f"width must lie in [0, 1]; got {width}.")
        self.width = width

    def run(self, x: Tensor, grid: list[Level], denoise: Denoise, noise: Noise) -> Tensor:
        """Draws from the posterior of each step; the last step gives the clean estimate itself."""
        for now, then in pairwise(grid):
            x_hat = denoise(x, now)
            forward = _forward_variance(now, then)
            from_noise = (now.alpha / then.alpha) * then.sigma**2 / now.sigma**2
            x = from_noise * x + (then.alpha * forward / now.sigma**2) * x_hat
            if then.sigma > 0:
                variance = forward**self.width * _posterior_variance(now, then) ** (1 - self.width)
                x = x + math.sqrt(variance) * noise()
        return x


@final
class DPMSolver(Sampler):
    """DPM-Solver++(2M): second order with one call a step. The last step is of first order."""

    def run(self, x: Tensor, grid: list[Level], denoise: Denoise, noise: Noise) -> Tensor:
        """Linear multistep in log(alpha / sigma)."""
        previous: Tensor | None = None
        width = 0.0
        for now, then in pairwise(grid):
            x_hat = denoise(x, now)
            if then.sigma == 0:
                return then.alpha * x_hat
            new_width = _log_ratio(then) - _log_ratio(now)
            # Pure noise (alpha = 0) has no finite width; the step from there is of first order too.
            second_order = previous is not None and math.isfinite(width)
            estimate = x_hat + (x_hat - previous) * (new_width / (2 * width)) if second_order else x_hat  # type: ignore[operator]
            x = (then.sigma / now.sigma) * x - then.alpha * math.expm1(-new_width) * estimate
            previous, width = x_hat, new_width
        return x


@final
class Heun(Sampler):
    """Second order with two calls a step; the last step, to the clean level, is of first order."""

    def run(self, x: Tensor, grid: list[Level], denoise: Denoise, noise: Noise) -> Tensor:
        """Trapezoid steps."""
        for now, then in pairwise(grid):
            x_hat = denoise(x, now)
            eps_hat = (x - now.alpha * x_hat) / now.sigma
            ahead = then.alpha * x_hat + then.sigma * eps_hat
            if then.sigma == 0:
                return ahead
            next_x_hat = denoise(ahead, then)
            next_eps_hat = (ahead - then.alpha * next_x_hat) / then.sigma
            x = (
                x
                + (then.alpha - now.alpha) / 2 * (x_hat + next_x_hat)
                + (then.sigma - now.sigma) / 2 * (eps_hat + next_eps_hat)
            )
        return x


@final
@dataclass(frozen=True)
class Transition:
    """The step x_s = of_state x_t + of_clean x_hat + deviation z between two levels, as plain numbers."""

    of_state: float
    of_clean: float
    deviation: float


def transition(now: Level, then: Level, eta: float) -> Transition:
    """DDIM's step with a share eta of the ancestral noise; eta = 1 is the ancestral step with its own variance."""
    deviation = eta * math.sqrt(_posterior_variance(now, then))
    of_state = math.sqrt(max(then.sigma**2 - deviation**2, 0.0)) / now.sigma
    return Transition(of_state, then.alpha - of_state * now.alpha, deviation)


def _forward_variance(now: Level, then: Level) -> float:
    return max(now.sigma**2 - (now.alpha / then.alpha * then.sigma) ** 2, 0.0)


def _posterior_variance(now: Level, then: Level) -> float:
    return _forward_variance(now, then) * then.sigma**2 / now.sigma**2


def _log_ratio(level: Level) -> float:
    return math.log(level.alpha / level.sigma) if level.alpha > 0 else -math.inf
