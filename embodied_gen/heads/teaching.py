r"""Teaching: what the decoder of an autoregressive head reads in training, and what it is asked for then.

`TeacherForcing` reads the true values, all positions at once; the loss is the negative log-likelihood.

`ScheduledSampling` mixes own draws into what is read. They are made under teacher forcing in one pass, and each is read
in place of the true value with a probability that grows over training,

    q(done) = share min(done / ramp, 1),    done the part of training that is over,

while what is asked for stays the truth: the head learns to go on from small mistakes. The loss is no likelihood.

`ClosedLoop` draws events as they are drawn in use, each value after own ones, and asks for what leads back from where
they have come to (`Event.recovery`). Of K draws at each position the one that is nearest to that is followed,

    w_s = argmin_k |v_k - r_s|^2,    v_k ~ p(. | w_<s, c),    r = recovery(x, w),    loss = -sum_s log p(r_s | w_<s, c),

so that with a large K the states are likely ones that stay near the demonstrated. With K = 1 they are those of the head
itself, from which the way back may be longer than any step that it knows: training can then diverge. A lesson costs a
draw, and is meant for the end of a training that began with the truth (`start_from` of a config). Where an event is a
sum of steps the way back depends on all earlier ones, so that an order must draw these first (`Order.in_time`).

Sources: Bengio et al. 2015 (arXiv:1506.03099), and Mihaylova and Martins 2019 (arXiv:1906.07651) for one pass, of
scheduled sampling; Ross et al. 2011 (arXiv:1011.0686) for learning on states of one's own; Zhang et al. 2024
(arXiv:2412.05334) for following, of likely continuations, the one that is nearest to the truth.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.heads.decoding import Decodes, read, unroll
from embodied_gen.heads.emissions import Emission


@final
@dataclass(frozen=True)
class Exercise:
    """What is taught by; everything in the order of drawing.

    Attributes:
        values: The truth, `(B, S, V)`.
        conditions: Of each position, `(B, S, F)`.
        decoder, emission: Of the head.
        recovery: From own values `(B, S, V)` to what leads on from them to the truth, of the same shape. What it says
            of a position depends on own values at positions before it in time alone.
        generator: Of all draws.
    """

    values: Tensor
    conditions: Tensor
    decoder: Decodes
    emission: Emission
    recovery: Callable[[Tensor], Tensor]
    generator: draws.Generator

    def outputs(self, heard: Tensor) -> Tensor:
        """What the decoder answers after values, `(B, S, V)` to `(B, S, W)`."""
        return read(self.decoder, self.emission.embed(heard), self.conditions).to(heard.dtype)


class Teaching(nn.Module, abc.ABC):
    """A way to teach a head over sequences."""

    @abc.abstractmethod
    def lesson(self, exercise: Exercise) -> tuple[Tensor, Tensor]:
        """What is read and what is asked for, `(B, S, V)` each, without slope."""


@final
class TeacherForcing(Teaching):
    """The truth, after the truth."""

    def lesson(self, exercise: Exercise) -> tuple[Tensor, Tensor]:
        """The true values twice."""
        return exercise.values, exercise.values


@final
class ScheduledSampling(Teaching):
    """The truth, after a mixture of the truth and own draws.

    Args:
        share: Probability in [0, 1] that a value is an own draw, at last.
        ramp: Part of training in [0, 1] over which it grows from zero to that.

    Raises:
        ValueError: If a number is out of range.
    """

    done: Tensor

    def __init__(self, share: float, *, ramp: float = 0.0):
        super().__init__()
        if not (0 <= share <= 1 and 0 <= ramp <= 1):
            raise ValueError(f"share and ramp must lie in [0, 1]; got {share} and {ramp}.")
        self.share, self.ramp = share, ramp
        self.register_buffer("done", torch.ones(()), persistent=False)

    def progress(self, done: float) -> None:
        """Tells how much of training is over, in [0, 1]; see `training.progress`."""
        self.done.fill_(done)

    @torch.no_grad()
    def lesson(self, exercise: Exercise) -> tuple[Tensor, Tensor]:
        """A mixture, and the truth."""
        truth, generator = exercise.values, exercise.generator
        drawn = exercise.emission.draw(exercise.outputs(truth).flatten(0, 1), generator=generator).view(truth.shape)
        grown = 1.0 if self.ramp == 0 else (self.done / self.ramp).clamp(max=1)
        taken = draws.uniform(truth.shape[:2], generator=generator, like=truth) < self.share * grown
        return torch.where(taken.unsqueeze(-1), drawn, truth), truth


@final
class ClosedLoop(Teaching):
    """The way back to the truth, after own draws.

    Args:
        draws: K at each position, >= 1, of which the one nearest to the way back is followed.

    Raises:
        ValueError: If there is none.
    """

    def __init__(self, draws: int = 8):
        super().__init__()
        if draws < 1:
            raise ValueError(f"draws must be at least 1; got {draws}.")
        self.draws = draws

    @torch.no_grad()
    def lesson(self, exercise: Exercise) -> tuple[Tensor, Tensor]:
        """Own draws, and what leads on from them."""
        emission, own = exercise.emission, exercise.values.clone()

        def follow(output: Tensor, position: int) -> tuple[Tensor, Tensor]:
            several = emission.draw(output.repeat_interleave(self.draws, 0), generator=exercise.generator)
            several = several.unflatten(0, (-1, self.draws))
            wanted = exercise.recovery(own)[:, position]
            nearest = (several - wanted.unsqueeze(1)).square().sum(-1).argmin(1)
            value = several[torch.arange(len(several), device=several.device), nearest]
            own[:, position] = value
            return value, emission.embed(value)

        unroll(exercise.decoder, exercise.conditions, follow)
        return own, emission.nearest(exercise.recovery(own))
