"""Leaderboards: families by grounds by training seeds, and the record that grows cell by cell."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, final

from pydantic import Field

from embodied_gen import provenance
from embodied_gen.blocks import HeadBlock, NetBlock
from embodied_gen.config import Block
from embodied_gen.grounds.cell import Cell
from embodied_gen.grounds.ground import Ground
from embodied_gen.grounds.plane import BitsGround, PlaneGround
from embodied_gen.grounds.task import TaskGround
from embodied_gen.training import files

GroundBlock = Annotated[PlaneGround | BitsGround | TaskGround, Field(discriminator="kind")]


@final
class Family(Block):
    """A head, and what it cannot do without. All else is the ground's."""

    head: HeadBlock
    net: NetBlock | None = Field(None, description="For a head that needs a kind of network of its own.")
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="For players of a game, who learn without: see train.momentum."
    )
    rate: Annotated[float, Field(gt=0)] | None = Field(
        None, description="For players of a game, whose steps are short: see train.rate."
    )

    def on(self, ground: Ground) -> Ground:
        """The ground as the family needs it."""
        own = self.model_dump(include={"momentum", "rate"}, exclude_none=True)
        return ground.model_copy(update={"net": self.net or ground.net, "train": ground.train.model_copy(update=own)})


@final
class Leaderboard(Block):
    """What is compared where."""

    families: dict[str, Family] = Field(min_length=1, description="Families by name.")
    grounds: dict[str, GroundBlock] = Field(description="Grounds by name.")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 1, 2), description="Training seeds.")

    def cells(self, families: Sequence[str], grounds: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
        """The cells of some families, grounds and seeds, of all where none is named; one ground after another.

        Raises:
            ValueError: If a name is unknown.
        """
        return [
            Cell(family, self.families[family].head, place, self.families[family].on(self.grounds[place]), seed)
            for place in _chosen(grounds, self.grounds, "ground")
            for seed in seeds or self.seeds
            for family in _chosen(families, self.families, "family")
        ]


def _chosen(names: Sequence[str], known: Mapping[str, object], what: str) -> list[str]:
    for name in names:
        if name not in known:
            raise ValueError(f"there is no {what} {name!r}; expected one of {', '.join(known)}.")
    return list(names or known)


@final
class Record:
    """The measured cells of a file.

    Args:
        path: JSON; read where it exists, replaced after every cell.

    Raises:
        ValueError: If the file is damaged, or no such record.
    """

    def __init__(self, path: Path):
        self.path = path
        self.content: dict[str, Any] = {
            "schema": files.SCHEMA,
            "what": "families on proving grounds: same data, network and steps; one cell a family, ground and seed",
            "cells": [],
        }
        if path.is_file():
            self.content = files.read_json(path, "leaderboard", ("cells",), "Name another file with --out.")

    def has(self, cell: Cell) -> bool:
        """Whether a cell is measured already.

        Raises:
            ValueError: If it is, but with other settings.
        """
        found = [known for known in self.content["cells"] if cell.key.items() <= known.items()]
        if found and found[0]["fingerprint"] != cell.fingerprint():
            raise ValueError(
                f"{self.path} holds {cell.family} on {cell.place}, seed {cell.seed}, measured with other settings. "
                "Name another file with --out, or delete this one to measure anew."
            )
        return bool(found)

    def sort(self, cells: Sequence[Cell]) -> None:
        """Puts the measured cells into a given order, those that are not among them first, and writes the file."""
        places = {tuple(cell.key.values()): place for place, cell in enumerate(cells)}
        self.content["cells"].sort(key=lambda one: places.get((one["ground"], one["family"], one["seed"]), -1))
        files.write_json(self.path, self.content)

    def add(self, found: dict[str, Any]) -> None:
        """Adds a cell and writes the file."""
        self.content["cells"].append(found)
        self.content |= {"versions": provenance.versions(), "machine": provenance.machine()}
        files.write_json(self.path, self.content)
