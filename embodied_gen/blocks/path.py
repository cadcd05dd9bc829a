"""What blocks of heads over paths share: networks over maps, charges, lengths."""

from typing import Annotated, Literal

from pydantic import Field

from embodied_gen.config import Block
from embodied_gen.events import Event, GridPath
from embodied_gen.heads import charges, lengths
from embodied_gen.nets import CellMLP, ConvMap, LinearMap, MapNet


class LinearMapBlock(Block):
    """One weight for each layer."""

    kind: Literal["linear"] = "linear"

    def build(self, layers: int, channels_out: int) -> MapNet:
        """The network."""
        return LinearMap(channels_in=layers, channels_out=channels_out)


class CellMLPBlock(Block):
    """The same MLP for every cell."""

    kind: Literal["cells"] = "cells"
    width: int = Field(32, ge=1, description="Hidden features.")
    depth: int = Field(2, ge=1, description="Hidden layers.")

    def build(self, layers: int, channels_out: int) -> MapNet:
        """The network."""
        return CellMLP(channels_in=layers, channels_out=channels_out, width=self.width, depth=self.depth)


class ConvMapBlock(Block):
    """Convolutions, which see the neighbourhood of a cell."""

    kind: Literal["convolutions"] = "convolutions"
    width: int = Field(16, ge=1, description="Features of a cell.")
    depth: int = Field(2, ge=1, description="Residual blocks.")
    kernel: int = Field(3, ge=1, description="Cells under a convolution, odd.")

    def build(self, layers: int, channels_out: int) -> MapNet:
        """The network."""
        return ConvMap(
            channels_in=layers, channels_out=channels_out, width=self.width, depth=self.depth, kernel=self.kernel
        )


MapNetBlock = Annotated[LinearMapBlock | CellMLPBlock | ConvMapBlock, Field(discriminator="kind")]


class AtMostBlock(Block):
    """Paths that reach the goal within the event's moves."""

    kind: Literal["at_most"] = "at_most"

    def build(self) -> lengths.Whole:
        """The length."""
        return lengths.AtMost()


class UntilGoalBlock(Block):
    """Paths that reach the goal, of all lengths."""

    kind: Literal["until_goal"] = "until_goal"
    limit: int = Field(10_000, ge=1, description="Steps after which the iteration is given up.")

    def build(self) -> lengths.Whole:
        """The length."""
        return lengths.UntilGoal(limit=self.limit)


class ExactlyBlock(Block):
    """Paths of a given number of moves."""

    kind: Literal["exactly"] = "exactly"

    def build(self) -> lengths.Whole:
        """The length."""
        return lengths.Exactly()


class FadingBlock(Block):
    """Paths of a policy with a discount; moves may slip."""

    kind: Literal["fading"] = "fading"
    discount: float = Field(0.9, gt=0, lt=1, description="Of one step.")

    def build(self) -> lengths.Length:
        """The length."""
        return lengths.Fading(self.discount)


WholeBlock = Annotated[AtMostBlock | UntilGoalBlock | ExactlyBlock, Field(discriminator="kind")]
LengthBlock = Annotated[AtMostBlock | UntilGoalBlock | ExactlyBlock | FadingBlock, Field(discriminator="kind")]

Charging = Literal["length", "cell", "move"]
_CHARGES: dict[Charging, type[charges.Charge]] = {
    "length": charges.ByLength,
    "cell": charges.ByCell,
    "move": charges.ByMove,
}


def charge_of(name: Charging) -> charges.Charge:
    """The charge of a name."""
    return _CHARGES[name]()


def path_event(event: Event, kind: str) -> GridPath:
    """The event of a head over paths.

    Raises:
        ValueError: If it is another.
    """
    if not isinstance(event, GridPath):
        raise ValueError(
            f"head.kind {kind} predicts paths over a map; got {type(event).__name__}. Choose another head."
        )
    return event
