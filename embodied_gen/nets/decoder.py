"""The signature of networks that read a sequence in order: what heads draw one position after the other with.

A decoder maps S positions, each with an input x_s of D_in numbers and a condition c_s of C numbers, to S outputs,

    u_s = f(x_0, ..., x_s, c_0, ..., c_s),

of which none sees a later position. What is drawn at position s is an input of position s + 1: the head shifts. Tokens
are given one-hot, which makes the first layer their embedding; one flat context is given to all positions alike.

The whole sequence is read at once (`forward`, for training), or position by position with a state (`start`, `step`,
for drawing), with the same result.
"""

import abc

from torch import Tensor, nn

from embodied_gen.nets.base import require_positive


class Decoder(nn.Module, abc.ABC):
    """A network over sequences in which no position sees a later one.

    Args:
        length: Most positions S of a sequence, >= 1.
        channels_in: Numbers D_in of an input, >= 1.
        channels_out: Numbers D_out of an output, >= 1.
        context: Numbers C of the condition of a position, >= 0; with 0 it has shape `(M, S, 0)`.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(self, *, length: int, channels_in: int, channels_out: int, context: int) -> None:
        super().__init__()
        require_positive(length=length, channels_in=channels_in, channels_out=channels_out)
        if context < 0:
            raise ValueError(f"context must be >= 0 (0: no context); got {context}.")
        self.length = length
        self.channels_in = channels_in
        self.channels_out = channels_out
        self.context = context

    @abc.abstractmethod
    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Reads a sequence at once.

        Args:
            x: Inputs, shape `(M, S, D_in)` with S at most `length`.
            c: Conditions, shape `(M, S, C)`.

        Returns:
            Outputs, shape `(M, S, D_out)`.

        Raises:
            ValueError: If a shape is not the one above.
        """

    @abc.abstractmethod
    def start(self, rows: int, like: Tensor) -> Tensor:
        """The state before the first position of `rows` sequences, with the dtype and device of `like`.

        Its second axis is that of the rows, whatever the others are: `state[:, index]` picks sequences.
        """

    @abc.abstractmethod
    def step(self, x: Tensor, c: Tensor, position: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """Reads one position; `state` belongs to the decoder from then on, and may be written into.

        Args:
            x: Input of the position, shape `(M, D_in)`.
            c: Condition of the position, shape `(M, C)`.
            position: s, from 0 to `length` - 1.
            state: After the position before.

        Returns:
            The output, shape `(M, D_out)`, and the state after it.
        """

    def check(self, x: Tensor, c: Tensor) -> None:
        """Refuses sequences of another shape than the decoder was built for.

        Raises:
            ValueError: If a shape does not fit.
        """
        if x.ndim != 3 or x.shape[2] != self.channels_in or not 1 <= x.shape[1] <= self.length:
            expected = f"(M, S, {self.channels_in}) with S from 1 to {self.length}"
            raise ValueError(f"x must have shape {expected}; got {tuple(x.shape)}. Build the decoder for this length.")
        if c.shape != (*x.shape[:2], self.context):
            expected = f"({x.shape[0]}, {x.shape[1]}, {self.context})"
            raise ValueError(f"c must have shape {expected}; got {tuple(c.shape)}. Give each position its condition.")
