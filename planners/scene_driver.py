r"""Driving by generated scenes: one agent among others follows its part of a scene.

Every few steps n scenes of all agents are drawn from what was seen, under a guide. In them others give way to the
driven agent, agent 0, as much as it to them, which is more than can be asked of others. So n more scenes are drawn
freely, and what agent 0 does in a guided scene is set among what the others do in each free one: the share in which it
collides is its risk. Of the scenes that satisfy the constraints the first of the lowest risk is followed; where none
satisfies them, this is counted, the agent brakes on what is left of its last way, and scenes are drawn anew soon.
Without a guide the first draw is followed as it is.

`Steering` turns what is wanted into the pedal and the wheel of a kinematic bicycle with wheelbase l, whose middle
slips: it moves in the direction h + beta on a circle of curvature 2 sin(beta) / l. Aiming from its course at a point
at distance d in direction theta from its heading (pure pursuit, Coulter 1992), 2 sin(theta - beta) / d =
2 sin(beta) / l,

    beta = theta l / (d + l),      delta = atan(2 tan(beta)).
"""

from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from embodied_gen.control import Chunk, Memory, filled
from embodied_gen.events.scene import STATE
from embodied_gen.heads import Guide
from planners.braking import braked
from planners.collisions import NoCollision
from planners.execution import Execution
from planners.replanning import Follower, joined
from planners.scene_model import Drawn, SceneModel

AIM = 5  # control steps
Guides = Callable[[Tensor], Guide | None]  # from the last observations (B, O)


@final
class Steering(Execution):
    """Pedal and wheel of a kinematic bicycle from the speed that is wanted next and a point to aim at.

    Args:
        period: Control period [s].
        acceleration: Of a full pedal [m/s^2].
        braking: Of a full negative pedal [m/s^2].
        steering: Angle of a full wheel [rad].
        wheelbase: As a share of the length.
    """

    def __init__(
        self,
        *,
        period: float = 0.1,
        acceleration: float = 6.0,
        braking: float = 8.0,
        steering: float = 0.6,
        wheelbase: float = 0.6,
    ):
        self.period, self.acceleration, self.braking = period, acceleration, braking
        self.steering, self.wheelbase = steering, wheelbase

    @property
    def size(self) -> int:
        """Pedal and wheel."""
        return 2

    def act(self, states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The actions in [-1, 1], for states `(S, 7)` and states with a point to aim at `(S, 9)`; see `aimed`."""
        rate = (wanted[:, 3] - states[:, 3]) / self.period
        pedal = np.where(rate >= 0, rate / self.acceleration, rate / self.braking)
        away = wanted[:, STATE:] - states[:, :2]
        distance = np.linalg.norm(away, axis=1)
        direction = np.arctan2(away[:, 1], away[:, 0]) - states[:, 2]
        theta = np.arctan2(np.sin(direction), np.cos(direction)) * np.minimum(distance, 1.0)  # nearby it is noise
        base = self.wheelbase * states[:, 4]
        slip = np.clip(theta, -1.5, 1.5) * base / (distance + base)
        wheel = np.arctan(2 * np.tan(slip)) / self.steering
        return np.clip(np.stack([pedal, wheel], 1), -1, 1).astype(np.float32)


def aimed(states: np.ndarray) -> np.ndarray:
    """States of control steps `(L, 7)` with the position `AIM` steps later as a point to aim at, `(L, 9)`."""
    later = np.minimum(np.arange(len(states)) + AIM, len(states) - 1)
    return np.concatenate([states, states[later, :2]], 1)


@final
class SceneDriver(Follower):
    """Drives agent 0 by scenes of a model; see the module.

    Args:
        model: Draws scenes.
        execution: Follows states with points to aim at; see `aimed`.
        guides: The guide for what is seen; None draws freely.
        candidates: Scenes drawn for each plan.
        replan: Control steps after which scenes are drawn anew.
        period: Of a control step [s].
        braking: Where no scene satisfies the constraints [m/s^2].
        block: Episodes planned together, filled up; None for as many as there are.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        model: SceneModel,
        execution: Execution,
        guides: Guides = lambda _: None,
        *,
        candidates: int = 8,
        replan: int = 5,
        period: float = 0.1,
        braking: float = 6.0,
        block: int | None = None,
    ):
        if candidates < 1 or replan < 1 or not period > 0 or not braking > 0:
            raise ValueError(
                "candidates and replan must be at least 1, period and braking positive; "
                f"got {candidates}, {replan}, {period} and {braking}."
            )
        super().__init__(execution, state=range(STATE), replan=replan, block=block, device=model.device)
        self.model, self.guides, self.candidates = model, guides, candidates
        self.period, self.braking = period, braking

    def remember(self, seed: int, observation: np.ndarray) -> Memory:
        """The memory of a new episode, with what the model sees."""
        return Memory(seed, observation, self.model.seen, self._device)

    def _plan_anew(self, memories: Sequence[Memory]) -> int:
        generators, _ = self._filled(memories, self.block)
        seen = filled(np.stack([memory.observations for memory in memories]), self.block)
        observations = torch.from_numpy(seen).to(self._device)
        guide = self.guides(observations[:, -1])
        drawn = self.model.draw(observations, self.candidates, generator=generators, guide=guide)
        chosen = torch.zeros(len(seen), dtype=torch.long)
        if guide is not None:
            free = self.model.draw(observations, self.candidates, generator=generators)
            chosen = _rank(drawn, risk(drawn.scenes, free.scenes)).argmax(1).cpu()
        rows = torch.arange(len(seen))
        ways = drawn.scenes[rows, chosen, 0].cpu().numpy()
        good = drawn.feasible[rows, chosen].tolist()
        for memory, way, feasible in zip(memories, ways, good, strict=False):
            states = joined(way, self.model.stride) if feasible else self._braked(memory)
            memory.chunks = [Chunk(memory.step, aimed(states), feasible)]
        return len(memories) - sum(good[: len(memories)])

    def _braked(self, memory: Memory) -> np.ndarray:
        """States in which the agent brakes on what is left of its last way, or straight on."""
        here = memory.observations[-1, self.state]
        left = np.zeros((0, STATE), here.dtype)
        if memory.chunks:
            made, states, _ = memory.chunks[0]
            left = states[memory.step - made :, :STATE]
        return braked(here, left, self.braking, period=self.period, steps=self.model.horizon * self.model.stride)


def risk(scenes: Tensor, others: Tensor) -> Tensor:
    """Share of futures of the others in which agent 0 collides.

    Args:
        scenes: What agent 0 does, shape `(B, n, A, 1 + T, 7)`.
        others: What the others do, shape `(B, m, A, 1 + T, 7)`.

    Returns:
        Shares, shape `(B, n)`.
    """
    n, m = scenes.shape[1], others.shape[1]
    own = scenes[:, :, None, :1].expand(-1, -1, m, -1, -1, -1)
    rest = others[:, None, :, 1:].expand(-1, n, -1, -1, -1, -1)
    together = torch.cat([own, rest], 3).flatten(1, 2)
    margin = NoCollision(agents=[0]).margins(together).amin(-1)
    return (margin < 0).float().view(-1, n, m).mean(-1)


def _rank(drawn: Drawn, risks: Tensor) -> Tensor:
    """Feasible scenes by their risk, then by their order; others by what they miss; `(B, n)`."""
    order = torch.linspace(0, 1e-3, risks.shape[1], device=risks.device)
    return torch.where(drawn.feasible, -risks - order, drawn.margin.clamp(-1e3, 0) - 2.0)
