"""Blocks of control: what is predicted, from what, and how it is executed."""

from typing import Annotated, Literal, Self, final

import torch
from pydantic import Field, model_validator
from torch import Tensor

from embodied_gen.blocks.forecast import CrowdControl, CrowdSetControl, ForecastControl
from embodied_gen.blocks.instances import InstancesControl
from embodied_gen.blocks.outlines import OutlinesControl
from embodied_gen.blocks.places import PlacesBlock
from embodied_gen.blocks.segmentation import SegmentationControl
from embodied_gen.blocks.ways import AheadControl, Channels, WholeWayControl
from embodied_gen.config import Block
from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Examples
from embodied_gen.demos.scenes import Scenes
from embodied_gen.demos.segments import Segments
from embodied_gen.demos.transitions import Transitions
from embodied_gen.demos.windows import Windows
from embodied_gen.encoder import MapEncoder, SceneEncoder, StateEncoder
from embodied_gen.events.scene import MOTION
from embodied_gen.image_encoder import PictureEncoder, PixelEncoder, SurfaceEncoder
from embodied_gen.nets import NeighbourAttention
from embodied_gen.place_encoder import PlaceEncoder

Encoder = (
    StateEncoder
    | SceneEncoder
    | NeighbourAttention
    | MapEncoder
    | PictureEncoder
    | SurfaceEncoder
    | PixelEncoder
    | PlaceEncoder
)
EXECUTION = ("tracker", "course", "candidates", "replan", "tolerance")  # of a planner: what training does not depend on


@final
class PolicyControl(Block):
    """Action chunks from observations, executed as they are."""

    kind: Literal["policy"] = "policy"
    history: int = Field(2, ge=1, description="Observations the policy sees (n_obs_steps).")
    horizon: int = Field(16, ge=1, description="Actions it predicts.")
    actions: int = Field(8, ge=1, description="Actions it executes of each prediction (n_action_steps).")
    ensemble: float | None = Field(None, description="Temporal ensembling's m; None for none.")
    places: PlacesBlock | None = Field(
        None, exclude_if=lambda value: value is None, description="Compared to each other; null for none."
    )

    def examples(self, episodes: Episodes, device: torch.device | str = "cpu") -> Examples:
        """What the policy learns from."""
        return Windows(episodes, history=self.history, horizon=self.horizon, device=device)

    def sizes(self, observation: int, action: int) -> tuple[int, int]:
        """Numbers in one observation and in one step of the value, of those of the environment."""
        return observation, action

    def shape(self, channels: int) -> tuple[int, ...]:
        """Axes of the value."""
        return self.horizon, channels

    def encoder(self, mean: Tensor, deviation: Tensor) -> Encoder:
        """What reads the observations, from their statistics."""
        if self.places is not None:
            return self.places.encoder(self.history, mean, deviation)
        return StateEncoder(self.history, mean, deviation)

    def check(self, episodes: Episodes) -> None:
        """Raises `ValueError` if every episode is shorter than the horizon: all windows would be padded."""
        episodes.check_horizon(self.horizon)

    def describe(self) -> str:
        """In words."""
        return (
            f"chunks of {self.horizon} actions of which {self.actions} are executed, from {self.history} observations"
        )


@final
class TrackerBlock(Block):
    """A proportional-derivative controller that follows plans, a = p (x' - x) + d (v' - v)."""

    position: Channels = Field(description="Channels of the plan that are positions.")
    velocity: Channels = Field(description="Channels of the plan that are velocities, as many.")
    p: float = Field(description="Gain on positions.")
    d: float = Field(description="Gain on velocities.")


@final
class CourseBlock(Block):
    """How a body keeps to a plan, so that what is certified is what will happen."""

    position: Channels = Field(description="Channels of the plan that are positions.")
    velocity: Channels = Field(description="Channels of the plan that are velocities, as many.")
    acceleration: float = Field(gt=0, description="Largest along each axis.")
    time: float = Field(gt=0, description="In which an error of position falls e-fold [s].")


@final
class PlannerControl(Block):
    """Ways from a state to a goal, of several durations, executed by inverse dynamics or a tracker."""

    kind: Literal["planner"] = "planner"
    state: Channels = Field(description="Channels of the observation that are planned.")
    goal: Channels = Field(description="Channels of the observation that hold the goal.")
    reaches: Channels = Field(description="Which of the state's channels the goal is about.")
    horizon: int = Field(32, ge=2, description="Way-points of a plan.")
    strides: int = Field(8, ge=1, description="Longest stride between way-points, in control steps.")
    tracker: TrackerBlock | None = Field(None, description="Follows plans; None where inverse dynamics do.")
    course: CourseBlock | None = Field(None, description="How plans are kept to; None where nothing is known.")
    candidates: int = Field(6, ge=1, description="Ways drawn of each duration.")
    replan: int = Field(20, ge=1, description="Control steps after which a plan is made anew.")
    tolerance: float = Field(0.25, gt=0, description="Distance from the goal at which a way may end, in its unit.")

    @model_validator(mode="after")
    def _check_channels(self) -> Self:
        for name, block in (("tracker", self.tracker), ("course", self.course)):
            if block is None:
                continue
            named = (*block.position, *block.velocity)
            if len(block.position) != len(block.velocity) or not named or max(named) >= len(self.state):
                raise ValueError(
                    f"control.{name} must name as many positions as velocities among the {len(self.state)} channels "
                    f"of the plan; got {list(block.position)} and {list(block.velocity)}"
                )
        return self

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

    def shape(self, channels: int) -> tuple[int, ...]:
        """Axes of the value."""
        return self.horizon, channels

    def encoder(self, mean: Tensor, deviation: Tensor) -> Encoder:
        """What reads the observations, from their statistics."""
        return StateEncoder(self.history, mean, deviation)

    def check(self, episodes: Episodes) -> None:
        """Raises `ValueError` if no episode holds a segment."""
        episodes.check_horizon(self.horizon)

    def check_observation(self, size: int) -> None:
        """Raises `ValueError` if an observation of so many numbers lacks a channel of the state or of the goal."""
        most = max(*self.state, *self.goal)
        if most >= size:
            raise ValueError(
                f"the planner reads channel {most} of the observation, which has {size} here. "
                "Name the environment that it was trained for."
            )

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

    def shape(self, channels: int) -> tuple[int, ...]:
        """Axes of the value."""
        return self.horizon, channels

    def encoder(self, mean: Tensor, deviation: Tensor) -> Encoder:
        """What reads the observations, from their statistics."""
        return StateEncoder(self.history, mean, deviation)

    def check(self, episodes: Episodes) -> None:
        """Raises `ValueError` if every episode has a single step."""
        episodes.check_horizon(2)

    def describe(self) -> str:
        """In words."""
        return "the action between two neighbouring states"


@final
class SceneControl(Block):
    """How all agents of a scene move on from what they did, on the ways that lie ahead of them."""

    kind: Literal["scene"] = "scene"
    agents: int = Field(8, ge=1, description="Agents in an observation.")
    history: int = Field(5, ge=1, description="Observations the model sees, a stride apart.")
    horizon: int = Field(20, ge=1, description="Steps it predicts.")
    stride: int = Field(2, ge=1, description="Control steps of each of them.")

    def examples(self, episodes: Episodes, device: torch.device | str = "cpu") -> Examples:
        """What the scene model learns from.

        Raises:
            ValueError: If observations do not hold so many agents, or no episode is long enough.
        """
        return Scenes(
            episodes,
            agents=self.agents,
            history=self.history,
            horizon=self.horizon,
            stride=self.stride,
            device=device,
        )

    def sizes(self, observation: int, action: int) -> tuple[int, int]:
        """Numbers in one observation, and in one step of an agent's motion."""
        return observation, MOTION

    def shape(self, channels: int) -> tuple[int, ...]:
        """Axes of the value."""
        return self.agents, self.horizon, channels

    def encoder(self, mean: Tensor, deviation: Tensor) -> Encoder:
        """What reads the observations; only their number counts."""
        return SceneEncoder(self.history, self.agents, len(mean))

    def check(self, episodes: Episodes) -> None:
        """Raises `ValueError` if every episode is shorter than a scene."""
        episodes.check_horizon(self.horizon * self.stride + 1)

    def describe(self) -> str:
        """In words."""
        return f"motions of {self.agents} agents over {self.horizon} steps, {self.stride} control steps apart"


ControlBlock = Annotated[
    PolicyControl
    | PlannerControl
    | InverseControl
    | SceneControl
    | ForecastControl
    | CrowdControl
    | CrowdSetControl
    | SegmentationControl
    | InstancesControl
    | OutlinesControl
    | WholeWayControl
    | AheadControl,
    Field(discriminator="kind"),
]
