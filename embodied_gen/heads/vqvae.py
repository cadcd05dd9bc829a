r"""Vector-quantised autoencoder with an autoregressive prior over its codes, conditional on c.

    x -> e (P encodings) -> k (P indices) -> decode(k, c),      p(k | c) = prod_p p(k_p | k_1 .. k_{p-1}, c),
    p(x | c) = sum_k p(k | c) N(x; decode(k, c), s^2),
    loss     = -log N(x; decode(k(x), c), s^2) - log p(sg k(x) | c) + pull + commitment commit,

over the event's size. Both parts are trained together, with the gradient stopped between them, as indices carry none:
the prior learns the codes as they come to be. The codebook learns by `pull`, part of the loss, see `codebook`.

The prior is a network of the common signature: its input is the lifted prefix k_1 .. k_{p-1}, its time the position
p / P, and so the same MLP, U-Net or transformer serves, with all positions of all examples in one call in training and
P calls for a draw.

`log_prob` is the one term of the sum that the encoder chooses, which is a lower bound for each x, without noise.
Guides are followed by proposals: codes are discrete and no chain moves through them.

Sources: van den Oord, Vinyals and Kavukcuoglu 2017 (arXiv:1711.00937); Lee et al. 2024, VQ-BeT (arXiv:2403.03181).
"""

from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from embodied_gen import context, draws
from embodied_gen.context import Context, size
from embodied_gen.events.base import Event
from embodied_gen.heads.base import Head
from embodied_gen.heads.codebook import Codebook
from embodied_gen.heads.guidance import RowGuide, drawn
from embodied_gen.heads.latents import Lift, Read, only, require, through
from embodied_gen.heads.variational import Likelihood


@final
class VQVAEHead(Head):
    """p(x | c) by discrete codes; implements `HasBound`.

    Args:
        event: What is predicted.
        net: `net(x_t, t, c)` of the decoder, called with lifted words and t = 0; keeps the shape of an event.
        encoder: Another such network, called with events.
        prior: Another, called with lifted prefixes of codes and t = p / P.
        positions: Codes P of an event, >= 1.
        words: Words K of a position, >= 2.
        width: Numbers D of a word, >= 1.
        commitment: Weight of the force of words on encodings, > 0.
        softness: tau of the codebook, > 0.
        smallest: Lower bound of the decoder's deviations, model units.
        temperature: Deviations of a draw from the decoder's mean; 1 draws from p(x | c), 0 the mean.
        candidates: Proposals for each draw under a guide, >= 1.

    Raises:
        ValueError: If a number is out of range.
    """

    lower_bound: Literal[True] = True

    def __init__(
        self,
        event: Event,
        net: nn.Module,
        encoder: nn.Module,
        prior: nn.Module,
        *,
        positions: int = 4,
        words: int = 16,
        width: int = 4,
        commitment: float = 1.0,
        softness: float = 0.05,
        smallest: float = 0.01,
        temperature: float = 1.0,
        candidates: int = 64,
    ):
        super().__init__(event)
        require({"candidates": candidates})
        if not commitment > 0:
            raise ValueError(f"commitment must be positive; got {commitment}. Without it encodings run away.")
        if not temperature >= 0:
            raise ValueError(f"temperature must be at least 0; got {temperature}.")
        self.positions, self.words, self.width = positions, words, width
        self.commitment, self.temperature, self.candidates = commitment, temperature, candidates
        self.net, self.encoder, self.prior = net, encoder, prior
        self.codebook = Codebook(positions, words, width, softness=softness)
        self.likelihood = Likelihood(event, smallest)
        self.lift, self.read = Lift(positions * width, event), Read(event, positions * width)
        self.read.invert(self.lift, positions * width)
        self.lift_prefix, self.read_prior = Lift(positions * words, event), Read(event, positions * words)

    def loss(self, x: Tensor, c: Context, *, generator: draws.Generator, valid: Tensor | None = None) -> Tensor:
        """Surprise of the event by its code and of the code, and the forces of the codebook; nat, shape `(B,)`."""
        self.event.check(x)
        found = self.codebook(self._encode(x, c, valid))
        surprise = -self.likelihood(self._decode(found.words, c), x, valid) - self.log_prior(found.chosen, c)
        return (surprise + found.pull + self.commitment * found.commit) / x[0].numel()

    def log_prob(self, x: Tensor, c: Context) -> Tensor:
        """Log p(x, k(x) | c) at the encoder's code, a lower bound of log p(x | c), nat, shape `(B,)`."""
        self.event.check(x)
        index = self.encode(x, c)
        return self.likelihood(self.decode(index, c), x) + self.log_prior(index, c)

    def encode(self, x: Tensor, c: Context) -> Tensor:
        """The code of an event; `(B, *E)` to int64 `(B, P)`."""
        index: Tensor = self.codebook(self._encode(x, c, None)).chosen
        return index

    def decode(self, index: Tensor, c: Context) -> Tensor:
        """The mean of the events of a code; int64 `(M, P)` to `(M, *E)`."""
        return self._decode(self.codebook.look_up(index), c)

    def log_prior(self, index: Tensor, c: Context) -> Tensor:
        """Log p(k | c) of codes, nat; int64 `(M, P)` to `(M,)`."""
        p = self.positions
        known = torch.ones(p, p, device=index.device).tril(-1).to(self._like().dtype)
        prefix = functional.one_hot(index, self.words).to(known.dtype).unsqueeze(1) * known.unsqueeze(-1)
        t = (torch.arange(p, device=index.device) / p).to(known.dtype).repeat(len(index))
        logits = self._logits(prefix.flatten(0, 1), t, context.repeat(c, p)).unflatten(0, (-1, p))
        own = logits[:, torch.arange(p), torch.arange(p)].log_softmax(-1)
        return own.gather(-1, index.unsqueeze(-1)).flatten(1).sum(1)

    def _logits(self, prefix: Tensor, t: Tensor | float, c: Context) -> Tensor:
        """Of every position, `(M, P, K)`, for prefixes of the same shape, one-hot where known and zero elsewhere."""
        h = through(self.prior, self.lift_prefix(prefix.flatten(1)), t, c)
        return self.read_prior(h).unflatten(1, (self.positions, self.words))

    def _encode(self, x: Tensor, c: Context, valid: Tensor | None) -> Tensor:
        return self.read(through(self.encoder, only(x, valid), 0.0, c)).unflatten(1, (self.positions, self.width))

    def _decode(self, words: Tensor, c: Context) -> Tensor:
        return through(self.net, self.lift(words.flatten(1)), 0.0, c)

    def _sample(self, c: Context, rows: int, generator: draws.Generator, guide: RowGuide | None) -> Tensor:
        return drawn(self._draw, c, guide, candidates=self.candidates, generator=generator)

    def _draw(self, c: Context, generator: draws.Generator) -> Tensor:
        """One event for each row of the contexts."""
        mean = self.decode(self._draw_codes(c, generator), c)
        noise = draws.normal(mean.shape, generator=generator, like=mean)
        return mean + self.temperature * self.likelihood.deviation() * noise

    def _draw_codes(self, c: Context, generator: draws.Generator) -> Tensor:
        """One code for each row of the contexts, position by position; int64 `(M, P)`."""
        prefix = self._like().new_zeros(size(c), self.positions, self.words)
        for p in range(self.positions):
            logits = self._logits(prefix, p / self.positions, c)[:, p]
            chosen = functional.one_hot(draws.categorical(logits, generator=generator), self.words)
            prefix = torch.cat([prefix[:, :p], chosen.unsqueeze(1).to(prefix), prefix[:, p + 1 :]], 1)
        return prefix.argmax(-1)
