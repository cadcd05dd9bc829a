"""Blocks of control: what is predicted, from what, and how it is executed."""

from typing import Annotated, Literal, final

import torch
from pydantic import Field

from embodied_gen.config import Block
from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Examples
from embodied_gen.demos.segments import Segments
from embodied_gen.demos.transitions import Transitions
from embodied_gen.demos.windows import Windows

Channels = tuple[Annotated[int, Field(ge=0)], ...]


@final
class PolicyControl(Block):
    """Action chunks from observations, executed as they are."""

    kind: Literal["policy"] = "policy"
    history: int = Field(2, ge=1, description="Observations the policy sees (n_obs_steps).")
    horizon: int = Field(16, ge=1, description="Actions it predicts.")
    actions: int = Field(8, ge=1, description="Actions it executes of each prediction (n_action_steps).")
    ensemble: float | None = Field(None, description="Temporal ensembling's m; None for none.")

    def examples(self, episodes: Episodes, device: torch.device | str = "cpu") -> Examples:
        """What the policy learns from."""
        return Windows(episodes, history=self.history, horizon=self.horizon, device=device)

    def sizes(self, observation: int, action: int) -> tuple[int, int]:
        """Numbers in one observation and in one step of the value, of those of the environment."""
        return observation, action

    def check(self, episodes: Episodes) -> None:
        """Raises `ValueError` if every episode is shorter than the horizon: all windows would be padded."""
        episodes.check_horizon(self.horizon)

    def describe(self) -> str:
        """In words."""
        return (
            f"chunks of {self.horizon} actions of which {self.actions} are executed, from {self.history} observations"
        )


@final
class PlannerControl(Block):
    """Ways from a state to a goal, of several durations, executed by inverse dynamics or a tracker."""

    kind: Literal["planner"] = "planner"
    state: Channels = Field(description="Channels of the observation that are planned.")
    goal: Channels = Field(description="Channels of the observation that hold the goal.")
    reaches: Channels = Field(description="Which of the state's channels the goal is about.")
    horizon: int = Field(32, ge=2, description="Way-points of a plan.")
    strides: int = Field(8, ge=1, description="Longest stride between way-points, in control steps.")

    @property
    def history(self) -> int:
        """One question at a time."""
        return 1

    def examples(self, episodes: Episodes, device: torch.device | str = "cpu") -> Examples:
        """What the planner learns from.

        Raises:
            ValueError: If a channel does not exist or no episode holds a segment.
        """
        if len(self.goal) != len(self.reaches):
            raise ValueError(
                f"control.goal and control.reaches must name as many channels; got {len(self.goal)} and "
                f"{len(self.reaches)}."
            )
        return Segments(
            episodes,
            state=self.state,
            reaches=self.reaches,
            horizon=self.horizon,
            strides=self.strides,
            device=device,
        )

    def sizes(self, observation: int, action: int) -> tuple[int, int]:
        """A question (start, goal and duration), and a way-point."""
        return len(self.state) + len(self.goal) + 1, len(self.state)

    def check(self, episodes: Episodes) -> None:
        """Raises `ValueError` if no episode holds a segment."""
        episodes.check_horizon(self.horizon)

    def describe(self) -> str:
        """In words."""
        return f"plans of {self.horizon} way-points, up to {self.strides} control steps apart, from a state to a goal"


@final
class InverseControl(Block):
    """The action between two neighbouring states."""

    kind: Literal["inverse"] = "inverse"
    state: Channels = Field(description="Channels of the observation that are the state.")

    @property
    def history(self) -> int:
        """Both states."""
        return 2

    @property
    def horizon(self) -> int:
        """One action."""
        return 1

    def examples(self, episodes: Episodes, device: torch.device | str = "cpu") -> Examples:
        """What inverse dynamics learn from.

        Raises:
            ValueError: If a channel does not exist or every episode has a single step.
        """
        return Transitions(episodes, state=self.state, device=device)

    def sizes(self, observation: int, action: int) -> tuple[int, int]:
        """A state, and an action."""
        return len(self.state), action

    def check(self, episodes: Episodes) -> None:
        """Raises `ValueError` if every episode has a single step."""
        episodes.check_horizon(2)

    def describe(self) -> str:
        """In words."""
        return "the action between two neighbouring states"


ControlBlock = Annotated[PolicyControl | PlannerControl | InverseControl, Field(discriminator="kind")]
