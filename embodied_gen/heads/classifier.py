r"""Classifier guidance: the textbook method, with a classifier that is trained on noisy events.

A classifier says how probable it is that x_t ends in an event with the label "what the guide wants",

    p(label | x_t, c) = E[l(x) | x_t, c],    l(x) = exp(-scale cost(x)) 1(margins(x) >= 0),

and is fitted by binary cross-entropy with the soft label l(x) at all noise levels. By Bayes the score of the
conditional is that of the head and s grad log p(label | x_t, c), s = 1 for the exact one. Two steps follow from it:

    ancestral      mean  <-  mean + s variance grad log p(label | x_t, c)
    otherwise      x_hat <-  x_hat + s sigma^2 / alpha grad log p(label | x_t, c),  Tweedie's formula for the sum

Diffusion and flow matching take the same, as both read the score off a clean estimate. Unlike other methods here it
needs training for every guide, and knows only what its examples show.

Source: Dhariwal and Nichol 2021 (arXiv:2105.05233), algorithms 1 and 2.
"""

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen import context, draws
from embodied_gen.context import Context
from embodied_gen.events.base import Event
from embodied_gen.heads.comparisons import Stepwise
from embodied_gen.heads.guidance import Guide, RowGuide
from embodied_gen.heads.samplers import Transition
from embodied_gen.heads.schedules import Level, Schedule
from embodied_gen.heads.walk import Walk


@final
class NoisyClassifier(nn.Module):
    """The probability that a noisy event becomes what is wanted.

    Args:
        event: Of the head.
        net: `net(x_t, t, c)` with one channel of output, which is averaged over the other axes; any of `nets`.
        schedule: Of the head.
    """

    def __init__(self, event: Event, net: nn.Module, schedule: Schedule):
        super().__init__()
        self.event, self.net, self.schedule = event, net, schedule

    def forward(self, x_t: Tensor, t: Tensor, c: Context) -> Tensor:
        """The logit of the probability; `(M, *E)`, times `(M,)` and contexts to `(M,)`.

        Raises:
            ValueError: If the network has more than one channel of output.
        """
        at = self.schedule.coefficients(t)
        scale = context.aligned(self.schedule.input_scale(at.alpha, at.sigma), x_t)
        output = self.net(scale * x_t, t, c).to(x_t.dtype)
        if output.shape != (*x_t.shape[:-1], 1):
            raise ValueError(
                f"the network of a classifier must return shape {(*x_t.shape[:-1], 1)}; got {tuple(output.shape)}. "
                "Build it with channels_out=1."
            )
        return output.flatten(1).mean(1)

    def slope(self, x_t: Tensor, t: Tensor, c: Context) -> Tensor:
        """Gradient of log p(label | x_t, c) by x_t, shape `(M, *E)`."""
        with torch.enable_grad():
            x_t = x_t.detach().requires_grad_()
            log_probability = functional.logsigmoid(self(x_t, t, c))
            (gradient,) = torch.autograd.grad(log_probability.sum(), x_t)
        return gradient


def labels(event: Event, x: Tensor, guide: Guide) -> Tensor:
    """How much of each event the guide keeps, l(x) in [0, 1].

    Args:
        event: What is predicted.
        x: Events, model units, shape `(W, *E)`.
        guide: What is wanted; each event is a context of its own to it. Negative costs count as zero.

    Returns:
        Labels, shape `(W,)`.
    """
    rows = RowGuide(guide, event, len(x))
    return (-rows.potential(x)).exp().clamp(max=1) * (rows.margin(x) >= 0)


def fit_classifier(
    classifier: NoisyClassifier,
    x: Tensor,
    c: Context,
    guide: Guide,
    *,
    seed: int = 0,
    steps: int = 1000,
    batch: int = 512,
    rate: float = 2e-3,
    advance: Callable[[int, float], None] | None = None,
) -> None:
    """Trains a classifier on events with noise of all levels, by AdamW with a rate that falls to zero.

    Args:
        classifier: Of the head's event and schedule.
        x: Events, model units, shape `(W, *E)`: demonstrations, or free samples of the head.
        c: Their contexts.
        guide: What is wanted.
        seed: Of examples, levels and noise.
        steps: Of training.
        batch: Examples of a step, drawn with replacement.
        rate: At first.
        advance: Called after every step with its number from 1 and its loss, nat.

    Raises:
        ValueError: If no example, or every example, is what is wanted.
    """
    wanted = labels(classifier.event, x, guide)
    if not bool((wanted > 0).any()) or bool((wanted == 1).all()):
        share = "every" if bool((wanted > 0).any()) else "no"
        raise ValueError(f"a classifier needs examples of both labels; got {len(x)} of which {share} one is wanted.")
    optimizer = torch.optim.AdamW(classifier.net.parameters(), lr=rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(1, steps + 1):
        loss = _loss(classifier, x, c, wanted, batch, draws.generator(seed, step, device=x.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        falling.step()
        if advance is not None:
            advance(step, loss.item())


def _loss(
    classifier: NoisyClassifier, x: Tensor, c: Context, wanted: Tensor, batch: int, generator: torch.Generator
) -> Tensor:
    """Binary cross-entropy of one batch with noise of random levels."""
    chosen = (draws.uniform((batch,), generator=generator, like=x) * len(x)).long()
    t = classifier.schedule.draw(batch, generator=generator, like=x)
    at = classifier.schedule.coefficients(t)
    rows = (-1, *[1] * (x.ndim - 1))
    noise = draws.normal((batch, *x.shape[1:]), generator=generator, like=x)
    x_t = at.alpha.view(rows) * x[chosen] + at.sigma.view(rows) * noise
    logit = classifier(x_t, t, context.apply(lambda leaf: leaf[chosen], c))
    return functional.binary_cross_entropy_with_logits(logit, wanted[chosen])


@final
class ClassifierGuidance(Stepwise):
    """Steps of the head, shifted by the gradient of a classifier that was trained for the guide.

    Args:
        classifier: From `fit_classifier`, of the same event and schedule as the head.
        strength: s; 1 is Bayes' rule, 0 the free sampler.
        eta: Share of the ancestral noise, in [0, 1]; 1 is algorithm 1 of the paper, less is algorithm 2.
    """

    def __init__(self, classifier: NoisyClassifier, strength: float = 1.0, *, eta: float = 1.0):
        super().__init__(strength, eta=eta)
        self.classifier = classifier

    def _step(self, walk: Walk, guide: RowGuide, x: Tensor, now: Level, step: Transition) -> Tensor:
        moved = step.of_state * x + step.of_clean * walk.denoise(x, now)
        shift = self.strength * self._reach(now, step)
        if shift > 0:
            moved = moved + shift * self.classifier.slope(x, x.new_full((len(x),), now.t), walk.c)
        return moved + step.deviation * walk.noise() if step.deviation > 0 else moved

    def _reach(self, now: Level, step: Transition) -> float:
        """By how much a unit of the gradient moves x_s; not at all from pure noise, which tells nothing of its end."""
        if self.eta == 1:
            return step.deviation**2
        return step.of_clean * now.sigma**2 / now.alpha if now.alpha > 0 else 0.0
