"""Scenes of several agents, and constraints on paths applied to their agents.

A scene y has shape `(B, N, A, T, 7)`: A agents at T steps, each with

    x, y [m],  heading [rad],  speed [m/s],  length, width [m],  valid,

where valid is 1 where an agent is there and 0 where it is absent; what is no number counts as there. The absent offend
against nothing and nothing offends against them: their margins are `ABSENT`, and no gradient flows to them.

A constraint on a place holds for an agent from its first step to its last; across a gap in between the agent is taken
to move straight. Of other constraints (rates, points at a step) those parts count that read no absent step.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor

from planners.constraints import Constraint, Place
from planners.spans import During

X, Y, HEADING, SPEED, LENGTH, WIDTH, VALID = range(7)
CHANNELS = {"x": X, "y": Y, "heading": HEADING, "speed": SPEED, "length": LENGTH, "width": WIDTH, "valid": VALID}
ABSENT = 1e3  # the margin of what is not there, in any unit


def present(y: Tensor) -> Tensor:
    """Whether each agent is there at each step, bool: `(..., 7)` to `(...)`."""
    return ~(y[..., VALID] < 0.5)


def require_scene(y: Tensor, name: str) -> None:
    """Raises `ValueError` if y is not a scene."""
    if y.ndim != 5 or y.shape[-1] != len(CHANNELS):
        raise ValueError(f"{name}: a scene has shape (B, N, A, T, {len(CHANNELS)}); got {tuple(y.shape)}.")


def agents_of(y: Tensor, agents: Sequence[int] | None, name: str) -> list[int]:
    """Numbers of the agents that are meant, all of them where None.

    Raises:
        ValueError: If y is not a scene, or has no such agent.
    """
    require_scene(y, name)
    count = y.shape[2]
    for agent in agents or ():
        if not 0 <= agent < count:
            raise ValueError(f"{name}: there is no agent {agent}; the scene has {count} agents, 0 to {count - 1}.")
    return list(range(count)) if agents is None else list(agents)


def checked_agents(agents: Sequence[int] | None) -> tuple[int, ...] | None:
    """The agents as a tuple, None for all.

    Raises:
        ValueError: If none is named, one twice, or one by a negative number.
    """
    if agents is None:
        return None
    if not agents or len(set(agents)) != len(agents) or min(agents) < 0:
        raise ValueError(f"agents must name different agents by numbers from 0; got {list(agents)}.")
    return tuple(agents)


@functools.lru_cache(256)
def indices(pairs: tuple[tuple[int, int], ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """The first and the second of pairs, int64 on a device; kept, as a sampler that copies them would wait."""
    first, second = torch.tensor(pairs, dtype=torch.int64, device=device).view(-1, 2).unbind(-1)
    return first, second


def naming(agents: Sequence[int] | None) -> str:
    """The agents in words, for names of constraints."""
    return "all agents" if agents is None else f"agents {', '.join(map(str, agents))}"


@final
class OfAgents(Constraint):
    """A constraint on paths, applied to one, some or all agents of a scene.

    Args:
        constraint: On paths of the seven channels of an agent.
        agents: Numbers of the agents; None for all.

    Raises:
        ValueError: If the agents are not different ones; if a scene has no such agent.
    """

    def __init__(self, constraint: Constraint, agents: Sequence[int] | None = None):
        if isinstance(constraint, During):
            raise ValueError("a span of steps goes around the agents: During(OfAgents(constraint), first, last).")
        self.constraint, self.agents = constraint, checked_agents(agents)
        self.name = f"{constraint.name}, {naming(self.agents)}"
        self.projects = constraint.projects

    def margins(self, y: Tensor) -> Tensor:
        """Margins of the constraint for every agent, `(B, N, A' P)`."""
        counted = _somewhere if isinstance(self.constraint, Place) else None
        return fold(self.constraint.margins, y, agents_of(y, self.agents, self.name), ABSENT, counted).flatten(2)

    def margin(self, y: Tensor) -> Tensor:
        """The smallest margin over the agents, certified where the constraint is on a place, `(B, N)`."""
        if not isinstance(self.constraint, Place):
            return self.margins(y).amin(-1)
        exact = self.constraint.margin
        agents = agents_of(y, self.agents, self.name)
        return fold(lambda p: exact(p).unsqueeze(-1), y, agents, ABSENT, _somewhere).flatten(2).amin(-1)

    def project(self, y: Tensor) -> Tensor:
        """Every agent projected where it is there."""
        agents = agents_of(y, self.agents, self.name)
        chosen = y[:, :, agents]
        projected = self.constraint.project(chosen.flatten(1, 2)).view_as(chosen)
        whole = y.clone()
        whole[:, :, agents] = torch.where(present(chosen).unsqueeze(-1), projected, chosen)
        return whole

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        """Those of the constraint."""
        return self.constraint.shapes()


Counted = Callable[[Tensor, Tensor], Tensor]


def fold(
    parts: Callable[[Tensor], Tensor], y: Tensor, agents: Sequence[int], absent: float, counted: Counted | None = None
) -> Tensor:
    """What a function of paths says of every agent.

    Args:
        parts: Of paths `(B, M, T, 7)` to `(B, M, P)`.
        y: A scene.
        agents: Numbers of the agents A'.
        absent: Value of the parts that do not count.
        counted: Of paths and of where they are there, `(B, M, T)`: which parts count, bool, broadcasting to
            `(B, M, P)`. By default those that read no absent step.

    Returns:
        Shape `(B, N, A', P)`.
    """
    paths = y[:, :, list(agents)].flatten(1, 2)
    here = present(paths)
    values = parts(_held(paths, here))
    mask = _all_read(parts, here, paths) if counted is None else counted(paths, here)
    return torch.where(mask, values, absent).unflatten(1, (y.shape[1], len(agents)))


def _somewhere(_: Tensor, here: Tensor) -> Tensor:
    return here.any(-1, keepdim=True)


def _all_read(parts: Callable[[Tensor], Tensor], here: Tensor, like: Tensor) -> Tensor:
    """Which parts read no absent step: what is no number shows wherever it is read."""
    probe = torch.where(here.unsqueeze(-1), torch.zeros_like(like), torch.nan)
    return ~parts(probe).isnan()


def _held(paths: Tensor, here: Tensor) -> Tensor:
    """Paths that stay where they last were, or first are, at absent steps; zeros where they never are."""
    steps = torch.arange(here.shape[-1], device=here.device)
    last = torch.where(here, steps, -1).cummax(-1).values
    first = here.to(torch.int8).argmax(-1, keepdim=True)
    index = torch.where(last < 0, first, last).unsqueeze(-1).expand_as(paths)
    return torch.where(here.any(-1)[..., None, None], paths.gather(-2, index), 0.0)
