"""Blocks of the task: the environment and its demonstrations."""

from typing import Literal, final

from pydantic import Field

from embodied_gen.config import Block
from embodied_gen.demos.collect import Disturbance

Plain = str | int | float | bool


@final
class EnvBlock(Block):
    """The environment."""

    id: str = Field(description="Gymnasium id, such as embodied/Avoid-v0, or module:id.")
    kwargs: dict[str, Plain | tuple[Plain, ...]] = Field({}, description="Arguments of gymnasium.make.")
    keys: tuple[str, ...] = Field((), description="Entries of a Dict observation to keep; all where empty.")


@final
class DisturbanceBlock(Block):
    """What is now and then added to the expert's actions while it is recorded."""

    size: float = Field(gt=0, description="Deviation, in the unit of an action.")
    chance: float = Field(0.1, gt=0, le=1, description="Of one to begin in a step without one.")
    steps: int = Field(1, ge=1, description="That one lasts, in the same direction.")

    def build(self) -> Disturbance:
        """The disturbance."""
        return Disturbance(self.size, self.chance, self.steps)


@final
class DataBlock(Block):
    """Demonstrations."""

    # What names no kind is demonstrations, and they are written so: fingerprints are those of when there was one kind.
    kind: Literal["demonstrations"] = Field("demonstrations", exclude=True)
    dataset: str = Field(description="Minari id, such as embodied/avoid/expert-v0.")
    root: str = Field("data", description="Folder of datasets.")
    episodes: int = Field(100, ge=1, description="Episodes to collect, and to train on.")
    seed: int = Field(0, ge=0, description="Seed of the first collected episode.")
    only_successes: bool = Field(True, description="Drop the expert's failures.")
    disturbance: DisturbanceBlock | None = Field(
        None, exclude_if=lambda value: value is None, description="Of the expert's actions; null for none."
    )
    held_out: float = Field(0.05, ge=0, lt=1, description="Share of episodes held out of training.")

    def disturbs(self) -> Disturbance | None:
        """What disturbs the expert, if anything does."""
        return None if self.disturbance is None else self.disturbance.build()
