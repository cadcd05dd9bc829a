r"""Scenes drawn by a trained model: the present as observed, the future of all agents generated, under a guide.

A model predicts motions of agents in their own present frames (`embodied_gen.events.scene`). A guide on scenes is a
function of `placed(motions, present)`; what it says does not depend on how a model codes scenes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.events.scene import STATE, Scene, motions_of, placed
from embodied_gen.heads import Guide
from embodied_gen.predictor import Predictor
from planners.constraints import Constraint
from planners.guides import smallest_margin


@final
@dataclass(frozen=True)
class Drawn:
    """Scenes, and what holds of them.

    Attributes:
        scenes: Shape `(B, n, A, 1 + T, 7)`, the present first, physical units.
        margin: The smallest margin of each on the exact geometry, `(B, n)`; infinite without constraints.
        feasible: Whether it is not negative, bool, `(B, n)`.
    """

    scenes: Tensor
    margin: Tensor
    feasible: Tensor

    def judged(self, constraints: Sequence[Constraint]) -> "Drawn":
        """The same scenes, judged by other constraints."""
        margin = smallest_margin(constraints, self.scenes)
        return Drawn(self.scenes, margin, margin >= 0)


@final
class SceneModel:
    """A trained predictor as a source of scenes.

    Args:
        predictor: Of motions, trained with `control.kind: scene`.
        history: Observations that it sees, H.
        stride: Control steps between them, and between the steps of a scene.

    Raises:
        ValueError: If the predictor is of something else.
    """

    def __init__(self, predictor: Predictor, *, history: int, stride: int):
        if not isinstance(predictor.head.event, Scene):
            raise ValueError(
                f"a scene model predicts scenes; got a predictor of {type(predictor.head.event).__name__}. "
                "Name a run with control.kind scene."
            )
        self.predictor = predictor.eval()
        self.history, self.stride = history, stride
        self.agents, self.horizon = predictor.head.event.shape[:2]
        self.device = predictor.head.event.low.device

    @property
    def seen(self) -> int:
        """Observations in a row, one a control step, of which the model sees every `stride`-th."""
        return (self.history - 1) * self.stride + 1

    def draw(
        self, observations: Tensor, n: int = 1, *, generator: draws.Generator, guide: Guide | None = None
    ) -> Drawn:
        """N scenes for each context.

        Args:
            observations: The last `seen` of each context, oldest first, shape `(B, seen, O)`.
            n: Scenes of each.
            generator: One, or one for each context.
            guide: On scenes, `(B, N, A, 1 + T, 7)`.

        Returns:
            The scenes.

        Raises:
            ValueError: If there are not as many observations.
        """
        if observations.ndim != 3 or observations.shape[1] != self.seen:
            raise ValueError(
                f"observations must be the last {self.seen} control steps, shape (B, {self.seen}, O); "
                f"got {tuple(observations.shape)}."
            )
        asked = observations[:, :: self.stride].to(self.device)
        present = asked[:, -1, : self.agents * STATE].unflatten(-1, (self.agents, STATE)).unsqueeze(1)
        if guide is None:
            motions = self.predictor.sample(asked, n, generator=generator)
            margin = motions.new_full(motions.shape[:2], torch.inf)
        else:
            head = self.predictor.head
            answer = head.certified(
                self.predictor.encoder(asked), n, generator=generator, guide=on_motions(guide, present)
            )
            motions, margin = head.event.unscale(answer.x), answer.margin
        return Drawn(placed(motions, present), margin, margin >= 0)


def on_motions(guide: Guide, present: Tensor) -> Guide:
    """A guide on scenes as one on motions from a present `(B, 1, A, 7)`."""

    def project(y: Tensor) -> Tensor:
        assert guide.project is not None
        return motions_of(guide.project(placed(y, present)))

    cost, margins, certify = guide.cost, guide.margins, guide.certify
    return Guide(
        cost=None if cost is None else lambda y: cost(placed(y, present)),
        project=None if guide.project is None else project,
        margins=None if margins is None else lambda y: margins(placed(y, present)),
        certify=None if certify is None else lambda y: certify(placed(y, present)),
        scale=guide.scale,
    )
