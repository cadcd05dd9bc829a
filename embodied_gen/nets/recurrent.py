"""Recurrent decoder: gated recurrent units over the positions of a sequence.

With h_s = GRU(W [x_s, c_s], h_{s-1}) and h_{-1} = 0, the outputs are u_s = O LN(h_s), LN the layer norm without
parameters. What a position knows of those before it is one vector of fixed size: a step costs the same however long the
sequence is. The last layer O starts at zero.

Without the norm, outputs that are far from zero wherever they stand, such as logits of words that hardly ever occur,
drive all units to their bounds within some tens of steps of training, where they hear nothing any more.

Sources: Cho et al. 2014 (arXiv:1406.1078); Ba et al. 2016 (arXiv:1607.06450) for norms of recurrent units.
"""

from typing import final

import torch
from torch import Tensor, nn

from embodied_gen.nets.base import layer_norm, require_positive, zero_
from embodied_gen.nets.decoder import Decoder


@final
class RecurrentDecoder(Decoder):
    """Layers of gated recurrent units.

    Args:
        length: Most positions S of a sequence, >= 1.
        channels_in: Numbers D_in of an input: of tokens, how many there are.
        channels_out: Numbers D_out of an output.
        context: Numbers C of the condition of a position, >= 0.
        width: Features of a layer, >= 1.
        depth: Number of layers, >= 1.

    Raises:
        ValueError: If a size is out of its range.
    """

    def __init__(
        self,
        *,
        length: int,
        channels_in: int,
        channels_out: int,
        context: int,
        width: int = 128,
        depth: int = 1,
    ) -> None:
        super().__init__(length=length, channels_in=channels_in, channels_out=channels_out, context=context)
        require_positive(width=width, depth=depth)
        self.input = nn.Linear(channels_in + context, width)
        self.units = nn.GRU(width, width, depth, batch_first=True)
        self.output = nn.Linear(width, channels_out)
        zero_(self.output)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Reads a sequence at once; shapes `(M, S, D_in)` and `(M, S, C)` to `(M, S, D_out)`."""
        self.check(x, c)
        h, _ = self.units(self.input(torch.cat([x, c], -1)))
        return self.output(layer_norm(h))

    def start(self, rows: int, like: Tensor) -> Tensor:
        """Zeros, shape `(depth, rows, width)`."""
        return like.new_zeros(self.units.num_layers, rows, self.units.hidden_size)

    def step(self, x: Tensor, c: Tensor, position: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """Reads one position; the position itself is not read, as the state holds all that came before."""
        h, state = self.units(self.input(torch.cat([x, c], -1)).unsqueeze(1), state.contiguous())
        return self.output(layer_norm(h))[:, 0], state
