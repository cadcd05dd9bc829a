"""Blocks of the task: the environment and its demonstrations."""

from typing import Literal, final

from pydantic import Field

from embodied_gen.config import Block

Plain = str | int | float | bool


@final
class EnvBlock(Block):
    """The environment."""

    id: str = Field(description="Gymnasium id, such as embodied/Avoid-v0, or module:id.")
    kwargs: dict[str, Plain | tuple[Plain, ...]] = Field({}, description="Arguments of gymnasium.make.")
    keys: tuple[str, ...] = Field((), description="Entries of a Dict observation to keep; all where empty.")


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
    held_out: float = Field(0.05, ge=0, lt=1, description="Share of episodes held out of training.")
