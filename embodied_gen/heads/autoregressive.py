r"""Autoregressive head: the numbers of an event one after the other, each given those before it.

    p(x | c) = prod_s p(v_{o_s} | v_{o_0}, ..., v_{o_{s-1}}, c)

An event is cut into S positions of V numbers each. With `Bins` V is 1: every channel of every step is a position, and
channels within a step are factorised like steps. With `Mixtures` V is the number of channels D: a position is a step,
and its channels are joint through the component that they share. Positions come in the order o (see `orders`).

Two networks: `net(0, 0, c)` maps the context to F features for each position, as any network of any other head does,
and a decoder reads what was drawn so far beside these features. Training reads the true values (teacher forcing), at
once for all positions, a mixture of true values and own draws, or own draws alone (see `teaching`).

Guides are followed by proposals: k finished events are drawn for each sample and one is kept, which tends to the exact
conditional as k grows. Where hardly any draw holds a constraint, the one that is nearest to it is kept.

Sources: Uria et al. 2016, "Neural autoregressive distribution estimation" (arXiv:1605.02226).
"""

import math
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.events.base import Event
from embodied_gen.heads.decoding import Decodes, check_decoder, read, unroll
from embodied_gen.heads.emissions import Emission
from embodied_gen.heads.guidance import RowGuide, drawn
from embodied_gen.heads.orders import Given, Order
from embodied_gen.heads.reads_once import ReadsOnce
from embodied_gen.heads.teaching import ClosedLoop, Exercise, TeacherForcing, Teaching


@final
class AutoregressiveHead(ReadsOnce):
    """p(x | c) by a product over positions; implements `HasLogProb`.

    Args:
        event: What is predicted, with D channels, a multiple of the emission's.
        net: `net(x_t, t, c)`, called with zeros and t = 0; returns `AutoregressiveHead.width` channels.
        decoder: Reads the sequence: `length` S, `context` F, `channels_in` the emission's `inputs` + F,
            `channels_out` the emission's `width`.
        emission: What a position stands for, and its distribution.
        order: Of the S positions; that of the event where absent.
        teaching: What the decoder reads in training; the truth where absent.
        candidates: Finished events for each draw under a guide.

    Raises:
        ValueError: If sizes do not fit, a number is out of range, or the order is none that the teaching can follow.
    """

    decoder: Decodes

    def __init__(
        self,
        event: Event,
        net: nn.Module,
        decoder: Decodes,
        emission: Emission,
        *,
        order: Order | None = None,
        teaching: Teaching | None = None,
        candidates: int = 64,
    ):
        super().__init__(event)
        if candidates < 1:
            raise ValueError(f"candidates must be at least 1; got {candidates}.")
        positions = self.positions(event, emission)
        check_decoder(decoder, length=positions, told=emission.inputs, width=emission.width)
        self.order = order or Given(positions)
        if self.order.positions != positions:
            raise ValueError(f"the order must be one of {positions} positions; got {self.order.positions}.")
        self.net, self.decoder, self.emission = net, decoder, emission
        self.teaching, self.candidates = teaching or TeacherForcing(), candidates
        _require_time(event, self.order, self.teaching)
        self.places = nn.Parameter(0.1 * torch.randn(positions, decoder.context))

    @staticmethod
    def positions(event: Event, emission: Emission) -> int:
        """S: how many positions an event has.

        Raises:
            ValueError: If a step cannot be cut into positions.
        """
        if event.shape[-1] % emission.channels:
            raise ValueError(
                f"the event's {event.shape[-1]} channels must be a multiple of the emission's; "
                f"got {emission.channels}. Build the emission for this event."
            )
        return math.prod(event.shape) // emission.channels

    @staticmethod
    def width(event: Event, emission: Emission, features: int) -> int:
        """Channels that the network must return for F features of each position."""
        return event.shape[-1] // emission.channels * features

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """-log p(x | c) divided by the event's size, nat, shape `(B,)`, in an order that is drawn for each example.

        Values outside of what the emission covers count as the nearest inside. Padding is learned as it is, `valid`
        or not: positions that come after a padded one read it.
        """
        self.event.check(x)
        order = self.order.draw(len(x), generator=generator, like=x)
        exercise = self._exercise(x, order, _in_order(self._conditions(c), order), generator)
        heard, asked = self.teaching.lesson(exercise)
        loss = -self.emission.log_prob(exercise.outputs(heard), asked).sum(1) / x[0].numel()
        return loss + self.order.lesson(order, loss)

    def _exercise(self, x: Tensor, order: Tensor, conditions: Tensor, generator: draws.Generator) -> Exercise:
        """What is taught of events in some order of their positions."""
        back = order.argsort(1)

        def recovery(own: Tensor) -> Tensor:
            gone = _in_order(own, back).reshape(x.shape)
            return _in_order(self._values(self.event.recovery(x, gone)), order)

        values = _in_order(self.emission.nearest(self._values(x)), order)
        return Exercise(values, conditions, self.decoder, self.emission, recovery, generator)

    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """Log p(x | c) in the settled order, exact, nat with respect to model units, shape `(B,)`."""
        self.event.check(x)
        order = self.order.settled(x)
        values = self._values(x)[:, order]
        output = read(self.decoder, self.emission.embed(values), self._conditions(c)[:, order]).to(values.dtype)
        return self.emission.log_prob(output, values).sum(1)

    def _values(self, x: Tensor) -> Tensor:
        """Events as values of positions, `(B, *E)` to `(B, S, V)`."""
        return x.reshape(len(x), -1, self.emission.channels)

    def _conditions(self, c: Context) -> Tensor:
        """Features of each position, `(B, S, F)`."""
        zeros = self._like().new_zeros(size(c), *self.event.shape)
        output = self.net(zeros, zeros.new_zeros(len(zeros)), c).to(zeros.dtype)
        features = self.decoder.context
        expected = (len(zeros), *self.event.shape[:-1], self.width(self.event, self.emission, features))
        if tuple(output.shape) != expected:
            raise ValueError(
                f"the network of an autoregressive head of {features} features must return shape {expected}; got "
                f"{tuple(output.shape)}. "
                "Build it with channels_out = AutoregressiveHead.width(event, emission, features)."
            )
        return output.reshape(len(zeros), -1, features) + self.places

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        conditions = self._conditions(c).repeat_interleave(rows // size(c), 0)
        return drawn(self._draw, conditions, guide, candidates=self.candidates, generator=generator)

    def _draw(self, conditions: Tensor, generator: draws.Generator) -> Tensor:
        """One event for each row of conditions, shape `(M, *E)`."""

        def draw(output: Tensor, position: int) -> tuple[Tensor, Tensor]:
            value = self.emission.draw(output, generator=generator)
            return value, self.emission.embed(value)

        order = self.order.settled(conditions)
        values = unroll(self.decoder, conditions[:, order], draw)
        return values[:, order.argsort()].reshape(-1, *self.event.shape)


def _require_time(event: Event, order: Order, teaching: Teaching) -> None:
    """Refuses to ask a decoder for the way back from steps that are not drawn yet."""
    of_steps = type(event).recovery is not Event.recovery
    if of_steps and isinstance(teaching, ClosedLoop) and not order.in_time:
        raise ValueError(
            f"ClosedLoop needs steps that are drawn in time, as a {type(event).__name__} is their sum; got the order "
            f"{type(order).__name__}. Set head.order.sequence to given, or head.order.kind to in_turn or in_step."
        )


def _in_order(entries: Tensor, order: Tensor) -> Tensor:
    """Each row's entries `(B, S, ...)` in its own order, `(B, S)`."""
    return entries.take_along_dim(order.unsqueeze(-1), 1)
