"""Drawing a sequence position by position, for every head that does.

What was drawn at one position is an input of the next. A decoder reads, at position s, how the value before it was
told, the condition under which that was drawn, and the condition c_s of the position itself.
"""

from collections.abc import Callable
from typing import Protocol, final

import torch
from torch import Tensor


class Decodes(Protocol):
    """A network that reads a sequence in order; those of `nets` are, and their base class says what each part does."""

    length: int
    channels_in: int
    channels_out: int
    context: int

    def __call__(self, x: Tensor, c: Tensor) -> Tensor:
        """All positions at once, `(M, S, D_in)` and `(M, S, C)` to `(M, S, D_out)`."""

    def start(self, rows: int, like: Tensor) -> Tensor:
        """The state before the first position."""

    def step(self, x: Tensor, c: Tensor, position: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """One position."""


@final
class Uncached:
    """A decoder that keeps no state but what it was told, and reads all of it again at every step.

    It gives what the decoder itself gives, and says what its state saves.

    Args:
        decoder: Any.
    """

    def __init__(self, decoder: Decodes):
        self.decoder = decoder
        self.length, self.context = decoder.length, decoder.context
        self.channels_in, self.channels_out = decoder.channels_in, decoder.channels_out

    def __call__(self, x: Tensor, c: Tensor) -> Tensor:
        """That of the decoder."""
        return self.decoder(x, c)

    def start(self, rows: int, like: Tensor) -> Tensor:
        """Nothing told yet, `(1, rows, length, D_in + C)`."""
        return like.new_zeros(1, rows, self.length, self.channels_in + self.context)

    def step(self, x: Tensor, c: Tensor, position: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """Reads all positions up to this one."""
        state[0, :, position] = torch.cat([x, c], -1)
        told = state[0, :, : position + 1]
        return self(told[..., : self.channels_in], told[..., self.channels_in :])[:, -1], state


Draw = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""From outputs `(M, D_out)` and a position to values `(M, V)` and how they are told, `(M, I)`."""


def check_decoder(decoder: Decodes, *, length: int, told: int, width: int) -> None:
    """Refuses a decoder of other sizes than its head needs.

    Args:
        decoder: The network.
        length: Positions of a sequence.
        told: Numbers by which a drawn value is told.
        width: Outputs for each position.

    Raises:
        ValueError: Naming the sizes.
    """
    expected = (told + decoder.context, width)
    if decoder.length < length or (decoder.channels_in, decoder.channels_out) != expected:
        raise ValueError(
            f"the decoder must have length at least {length}, channels_in {expected[0]} ({told} of a value and its "
            f"context of {decoder.context}) and channels_out {width}; got {decoder.length}, {decoder.channels_in} and "
            f"{decoder.channels_out}."
        )


def read(decoder: Decodes, told: Tensor, conditions: Tensor) -> Tensor:
    """The outputs where the values are known, `(M, S, I)` and `(M, S, C)` to `(M, S, D_out)`."""
    return decoder(shifted(torch.cat([told, conditions], -1)), conditions)


def unroll(decoder: Decodes, conditions: Tensor, draw: Draw) -> Tensor:
    """Draws the values of all positions one after the other, under conditions `(M, S, C)`; shape `(M, S, V)`."""
    rows, length, _ = conditions.shape
    state = decoder.start(rows, conditions)
    x = conditions.new_zeros(rows, decoder.channels_in)
    values = []
    for position in range(length):
        output, state = decoder.step(x, conditions[:, position], position, state)
        value, told = draw(output.to(conditions.dtype), position)
        x = torch.cat([told, conditions[:, position]], -1)
        values.append(value)
    return torch.stack(values, 1)


def shifted(x: Tensor) -> Tensor:
    """The same, one position later, zeros first, `(M, S, ...)`: what each position is told was drawn before it."""
    return torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)
