r"""Point estimates: plain regression and two-step regression (MIP), the baselines of every comparison.

Both give one estimate x_hat(c), and around it a normal of fixed deviation s in each entry, fitted to its residuals:
p(x | c) = N(x; x_hat(c), s^2). Draws are x_hat + temperature s z; temperature 0 is the estimate itself.

Regression minimises error(x_hat(c), x). The minimal iterative policy refines once: with t* in (0, 1),

    min  error(f(0, 0, c), x) + error(f(t* x + (1 - t*) z, t*, c), x),    z ~ N(0, 1)
    x_hat(c) = f(t* f(0, 0, c), t*, c).

The network is the same as a denoising head's: `net(x_t, t, c)`, with x_t = 0 and t = 0 where there is nothing yet.

Under a guide the estimate is steered within its deviation, to the maximum of N(x; x_hat, s^2) exp(-scale cost).

Source: Pan et al. 2025, "Much Ado About Noising" (arXiv:2512.01809).
"""

import abc
import math
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, aligned, size
from embodied_gen.events.base import Event
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.reads_once import ReadsOnce
from embodied_gen.heads.stages import error_of, estimate, estimates
from embodied_gen.heads.steering import steer


class PointHead(ReadsOnce, abc.ABC):
    """A normal of fixed deviation around one estimate; implements `HasLogProb`."""

    def __init__(self, event: Event, net: nn.Module, temperature: float):
        super().__init__(event)
        if not temperature >= 0:
            raise ValueError(f"temperature must be at least 0; got {temperature}.")
        self.net = net
        self.temperature = temperature
        self.log_deviation = nn.Parameter(torch.full(event.own, math.log(0.3)))

    @abc.abstractmethod
    def estimate(self, c: Context) -> Tensor:
        """The estimate x_hat(c), model units, shape `(B, *E)`."""

    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """Log N(x; x_hat(c), s^2), exact, nat with respect to model units, shape `(B,)`."""
        self.event.check(x)
        return -self._surprise(x - self.estimate(c)).flatten(1).sum(1)

    def _surprise(self, residual: Tensor) -> Tensor:
        """-log N(residual; 0, s^2) of each entry."""
        standard = residual * (-self.log_deviation).exp()
        return standard.square() / 2 + self.log_deviation + math.log(2 * math.pi) / 2

    def _fit_deviation(self, x_hat: Tensor, x: Tensor, valid: Tensor | None) -> Tensor:
        """Zero for each example, with the gradient that fits s to the residuals of the valid parts."""
        surprise = self._surprise(self.event.residual(x_hat.detach(), x))
        if valid is not None:
            surprise = surprise * aligned(valid, surprise)
        fit = surprise.flatten(1).mean(1)
        return fit - fit.detach()

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        x = self.estimate(c).repeat_interleave(rows // size(c), 0)
        deviation = self.log_deviation.exp()
        if self.temperature > 0:
            noise = draws.normal(x.shape, generator=generator, like=x)
            x = x + self.temperature * deviation * noise
        return x if guide is None else steer(x, deviation.square(), guide)


@final
class RegressionHead(PointHead):
    """Least squares: the mean of p(x | c), which no mode of it need be near.

    Args:
        event: What is predicted.
        net: `net(x_t, t, c)`, called with zeros and t = 0.
        temperature: Deviations of a draw from the estimate; 0 draws the estimate.
    """

    def __init__(self, event: Event, net: nn.Module, *, temperature: float = 0.0):
        super().__init__(event, net, temperature)

    def estimate(self, c: Context) -> Tensor:
        """f(0, 0, c)."""
        return estimate(self.net, self._like().new_zeros(size(c), *self.event.shape), 0.0, c)

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """The event's error of the estimate, shape `(B,)`; of a network with stages the mean over them."""
        self.event.check(x)
        nothing = torch.zeros_like(x)
        stages = estimates(self.net, nothing, nothing.new_zeros(len(x)), c)
        return error_of(self.event, stages, x, valid) + self._fit_deviation(stages[-1], x, valid)


@final
class TwoStepHead(PointHead):
    """The minimal iterative policy: a regression and one supervised refinement of it.

    Args:
        event: What is predicted.
        net: `net(x_t, t, c)`.
        refine_at: t* in (0, 1), how clean the input of the refinement is in training.
        temperature: Deviations of a draw from the estimate; 0 draws the estimate.
    """

    def __init__(self, event: Event, net: nn.Module, *, refine_at: float = 0.9, temperature: float = 0.0):
        super().__init__(event, net, temperature)
        if not 0 < refine_at < 1:
            raise ValueError(f"refine_at must lie strictly between 0 and 1; got {refine_at}.")
        self.refine_at = refine_at

    def estimate(self, c: Context) -> Tensor:
        """f(t* f(0, 0, c), t*, c)."""
        return estimate(self.net, self.refine_at * self._first(c), self.refine_at, c)

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """Sum of the errors of both steps, shape `(B,)`; the refinement starts from noised data.

        Padding is learned as it is, `valid` or not: the first estimate of every part is an input of the second.
        """
        self.event.check(x)
        noise = draws.normal(x.shape, generator=generator, like=x)
        rough = self._first(c)
        refined = estimate(self.net, self.refine_at * x + (1 - self.refine_at) * noise, self.refine_at, c)
        error = self.event.error(rough, x) + self.event.error(refined, x)
        with torch.no_grad():
            x_hat = estimate(self.net, self.refine_at * rough, self.refine_at, c)
        return error + self._fit_deviation(x_hat, x, None)

    def _first(self, c: Context) -> Tensor:
        return estimate(self.net, self._like().new_zeros(size(c), *self.event.shape), 0.0, c)
