"""Predictors: encoder, head and reduction in one; what is trained, saved and deployed.

A policy, a planner, a forecaster and a segmenter are constructions of it: observations and values in physical
units on the outside, contexts and events in model units on the inside.
"""

import dataclasses
from typing import final

import torch
from torch import Tensor, nn

from embodied_gen import reduce
from embodied_gen.draws import Generator
from embodied_gen.heads.base import Certified, HasChains, Head
from embodied_gen.heads.guidance import Guide


@final
class Predictor(nn.Module):
    """p(value | observations) in physical units.

    Args:
        encoder: Maps observations to the head's context.
        head: Models the event.
        reduction: Makes one answer of several samples.
    """

    def __init__(self, encoder: nn.Module, head: Head, reduction: reduce.Reduce = reduce.first):
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.reduction = reduction

    def forward(self, observations: Tensor, value: Tensor, valid: Tensor | None, generator: Generator) -> Tensor:
        """The loss of each example, `(B,)`; the entry that distributed training wraps. See `loss`."""
        return self.head.loss(
            self.head.event.encode(value), self.encoder(observations), generator=generator, valid=valid
        )

    def loss(self, observations: Tensor, value: Tensor, *, generator: Generator, valid: Tensor | None = None) -> Tensor:
        """One loss for each example.

        Args:
            observations: As the encoder takes them, first axis B.
            value: Physical units, as the event encodes it.
            generator: See `Head.loss`.
            valid: Which parts of the values are data; all where None.

        Returns:
            Losses, shape `(B,)`.
        """
        return self(observations, value, valid, generator)

    @torch.no_grad()
    def advance(self, observations: Tensor, *, generator: torch.Generator) -> None:
        """What a head carries from one step of training to the next: to be called between steps; see `HasChains`."""
        if isinstance(self.head, HasChains):
            self.head.advance(self.encoder(observations), generator=generator)

    def sample(self, observations: Tensor, n: int = 1, *, generator: Generator, guide: Guide | None = None) -> Tensor:
        """N draws for each observation, physical units, shape `(B, n, *E)`; see `Head.sample`."""
        x = self.head.sample(self.encoder(observations), n, generator=generator, guide=guide)
        return self.head.event.unscale(x)

    def certified(self, observations: Tensor, n: int = 1, *, generator: Generator, guide: Guide) -> Certified:
        """As `sample`, and what holds of each draw; x in physical units. See `Head.certified`."""
        answer = self.head.certified(self.encoder(observations), n, generator=generator, guide=guide)
        return dataclasses.replace(answer, x=self.head.event.unscale(answer.x))

    def predict(self, observations: Tensor, n: int = 1, *, generator: Generator, guide: Guide | None = None) -> Tensor:
        """One answer for each observation: n draws, reduced, decoded."""
        x = self.head.sample(self.encoder(observations), n, generator=generator, guide=guide)
        return self.head.event.decode(self.reduction(x))
