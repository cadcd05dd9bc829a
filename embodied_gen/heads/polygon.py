r"""Polygons vertex by vertex, until a stop token.

    p(x | c) = prod_s p(token_s | token_0, ..., token_{s-1}, c),    tokens x_1, y_1, x_2, y_2, ..., stop, stop, ...

A token is one of the Q levels of a coordinate, or stop. What no code of an outline has is given no probability: a stop
before the fourth vertex or in the middle of one, anything but stop after a stop, and a vertex that is not
lexicographically greater than the first. Whether an outline crosses itself, and in which sense it turns, no single
token tells. So some draws are not simple: of several tries the first that is simple is kept. `simple_share` says how
many draws are simple before that; where none of the tries was, the draw that is returned is not, and `Polygon.simple`
says so.

`net(0, 0, c)` maps the context to 2 F features for each vertex, F for each of its tokens, and a decoder reads the
tokens so far beside them, as in `autoregressive`.

Guides are followed by proposals among simple outlines: k finished outlines are drawn for each sample, those that are
not simple are replaced by others of the same sample, and one is kept.

Source: Nash et al. 2020, PolyGen (arXiv:2002.10880).
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen import draws
from embodied_gen.context import Context, size
from embodied_gen.events.polygon import Polygon
from embodied_gen.heads.decoding import Decodes, check_decoder, read, unroll
from embodied_gen.heads.guidance import RowGuide, propose
from embodied_gen.heads.reads_once import ReadsOnce


@final
class PolygonHead(ReadsOnce):
    """p(x | c) by a product over tokens; implements `HasLogProb`.

    Args:
        event: Outlines of up to V vertices on Q levels.
        net: `net(x_t, t, c)`, called with zeros and t = 0; returns 2 F channels.
        decoder: Reads the tokens: `length` 2 V, `context` F, `channels_in` Q + 1 + F, `channels_out` Q + 1.
        tries: Outlines drawn for each sample, of which the first simple one is kept.
        candidates: The same under a guide.

    Raises:
        ValueError: If sizes do not fit or a number is out of range.
    """

    event: Polygon
    decoder: Decodes

    def __init__(self, event: Polygon, net: nn.Module, decoder: Decodes, *, tries: int = 8, candidates: int = 32):
        super().__init__(event)
        if tries < 1 or candidates < 1:
            raise ValueError(f"tries and candidates must be at least 1; got {tries} and {candidates}.")
        check_decoder(decoder, length=2 * event.shape[0], told=event.levels + 1, width=event.levels + 1)
        self.net, self.decoder, self.tries, self.candidates = net, decoder, tries, candidates
        self.places = nn.Parameter(0.1 * torch.randn(2 * event.shape[0], decoder.context))

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """-log p(x | c) divided by the number of tokens 2 V, nat, shape `(B,)`.

        Outlines must be as `Polygon.encode` gives them. Absent vertices are a part of the event, `valid` or not.
        """
        return -self.log_prob(x, c) / (2 * self.event.shape[0])

    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """Log p of the tokens, exact, nat, shape `(B,)`; before outlines that are not simple are drawn anew.

        That raises the probability of each simple outline by the inverse of their share.
        """
        self.event.check(x)
        levels, present = self.event.levels_of(x)
        tokens = levels.masked_fill(~present.unsqueeze(-1), self.event.levels).flatten(1)
        output = read(self.decoder, self._told(tokens, x), self._conditions(c)).to(x.dtype)
        allowed = self._allowed(tokens, torch.arange(tokens.shape[1], device=tokens.device))
        log_prob = output.masked_fill(~allowed, -math.inf).log_softmax(-1)
        return log_prob.gather(-1, tokens.unsqueeze(-1)).flatten(1).sum(1)

    @torch.no_grad()
    def simple_share(self, c: Context, n: int = 64, *, generator: draws.Generator) -> Tensor:
        """The share of n draws for each context that are simple at the first try, shape `(B,)`."""
        conditions = self._conditions(c).repeat_interleave(n, 0)
        return self.event.simple(self._draw(conditions, generator)).view(-1, n).to(conditions.dtype).mean(1)

    def _conditions(self, c: Context) -> Tensor:
        """Features of each token, `(B, 2 V, F)`."""
        zeros = self._like().new_zeros(size(c), *self.event.shape)
        output = self.net(zeros, zeros.new_zeros(len(zeros)), c).to(zeros.dtype)
        expected = (len(zeros), self.event.shape[0], 2 * self.decoder.context)
        if tuple(output.shape) != expected:
            raise ValueError(
                f"the network of a polygon head must return shape {expected}, twice the decoder's context; "
                f"got {tuple(output.shape)}."
            )
        return output.reshape(len(zeros), -1, self.decoder.context) + self.places

    def _told(self, tokens: Tensor, like: Tensor) -> Tensor:
        return functional.one_hot(tokens, self.event.levels + 1).to(like.dtype)

    def _allowed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Which tokens a code may have at some positions, after those before; `(M, P, Q + 1)`.

        Args:
            tokens: Codes, shape `(M, 2 V)`; what lies at or behind a position does not matter to it.
            positions: Of which to tell, shape `(P,)`.
        """
        stop = self.event.levels
        token = torch.arange(stop + 1, device=tokens.device)
        stopped = functional.pad((tokens == stop).cumsum(1), (1, 0))[:, positions] > 0
        first_x, first_y, before = tokens[:, :1], tokens[:, 1:2], tokens[:, positions - 1]
        of_x, later = positions % 2 == 0, positions >= 2
        # Behind the first vertex: a column further right, or the same and higher up, as far as there is a place.
        least_x = first_x + (first_y == stop - 1)
        least = torch.where(of_x, least_x, (before == first_x) * (first_y + 1)) * later
        most = stop - 1 - (positions == 0).long()
        coordinate = (token >= least.unsqueeze(-1)) & (token <= most.unsqueeze(-1))
        may_stop = (of_x & (positions >= 6)).unsqueeze(-1) & (token == stop)
        allowed = torch.where(stopped.unsqueeze(-1), token == stop, coordinate | may_stop)
        # Behind a token that was not allowed there may be none that is: any, as the probability is zero already.
        return allowed | ~allowed.any(-1, keepdim=True)

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        k = self.tries if guide is None else self.candidates
        x = self._draw(self._conditions(c).repeat_interleave(rows // size(c) * k, 0), generator)
        x = x.unflatten(0, (rows, k))
        simple = self.event.simple(x)
        if guide is None:
            return x[torch.arange(rows, device=x.device), simple.to(torch.uint8).argmax(1)]
        others = torch.zeros_like(simple, dtype=x.dtype).masked_fill(~simple, -math.inf).repeat_interleave(k, 0)
        drawn = draws.categorical(others, generator=generator).view(rows, k)
        index = torch.where(simple, torch.arange(k, device=x.device), drawn)
        return propose(x.take_along_dim(index[:, :, None, None], 1), guide, generator=generator)

    def _draw(self, conditions: Tensor, generator: draws.Generator) -> Tensor:
        """One outline for each row of conditions, simple or not, shape `(M, V, 3)`."""
        tokens = torch.zeros(conditions.shape[:2], dtype=torch.long, device=conditions.device)

        def draw(output: Tensor, position: int) -> tuple[Tensor, Tensor]:
            allowed = self._allowed(tokens, torch.tensor([position], device=tokens.device))[:, 0]
            token = draws.categorical(output.masked_fill(~allowed, -math.inf), generator=generator)
            tokens[:, position] = token
            return token, self._told(token, output)

        drawn = unroll(self.decoder, conditions, draw).unflatten(1, (-1, 2))
        present = drawn[..., 0] < self.event.levels
        return self.event.of_levels(drawn, present)
