"""Leaderboards: families by grounds by training seeds, and the record that grows cell by cell."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, final

from pydantic import Field, model_validator

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
    net: NetBlock | None = Field(None, description="In place of the ground's: another kind, or narrower for several.")
    nets: dict[str, NetBlock] = Field({}, description="By the name of a ground, where it is another one there.")
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="For players of a game, who learn without: see train.momentum."
    )
    rate: Annotated[float, Field(gt=0)] | None = Field(
        None, description="For players of a game, whose steps are short: see train.rate."
    )

    def on(self, place: str, ground: Ground) -> Ground:
        """The ground of a name as the family needs it."""
        own = self.model_dump(include={"momentum", "rate"}, exclude_none=True)
        net = self.nets.get(place, self.net or ground.net)
        return ground.model_copy(update={"net": net, "train": ground.train.model_copy(update=own)})


@final
class Leaderboard(Block):
    """What is compared where."""

    families: dict[str, Family] = Field(min_length=1, description="Families by name.")
    grounds: dict[str, GroundBlock] = Field(description="Grounds by name.")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 1, 2), description="Training seeds.")

    @model_validator(mode="after")
    def _check_places(self) -> Self:
        for name, family in self.families.items():
            for place in family.nets:
                if place not in self.grounds:
                    raise ValueError(
                        f"families.{name}.nets names no ground {place!r}; expected one of {', '.join(self.grounds)}"
                    )
        return self

    def cells(self, families: Sequence[str], grounds: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
        """The cells of some families, grounds and seeds, of all where none is named; one ground after another.

        Raises:
            ValueError: If a name is unknown.
        """
        return [
            Cell(family, self.families[family].head, place, self.families[family].on(place, self.grounds[place]), seed)
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
    """The measured cells of a file, each with its origin: on what it was measured.

    Cells of other versions of packages are measured anew. A change of the project's own code is told, and no more: most
    changes change no cell, and which do is not known.

    Args:
        path: JSON; read where it exists, replaced after every cell.
        device: Where cells are measured now.
        jobs: How many at once.

    Raises:
        ValueError: If the file is damaged, or no such record.
    """

    def __init__(self, path: Path, *, device: str = "cpu", jobs: int = 1):
        self.path = path
        self._now = {
            "versions": provenance.versions(),
            "sources": provenance.sources(),
            "machine": provenance.machine(),
            "device": device,
            "jobs": jobs,
        }
        self.content: dict[str, Any] = {
            "schema": files.SCHEMA,
            "what": "families on proving grounds: same data, sizes and steps; one cell a family, ground and seed",
            "origins": [],
            "cells": [],
        }
        if path.is_file():
            self.content = files.read_json(path, "leaderboard", ("cells", "origins"), "Name another file with --out.")

    def has(self, cell: Cell) -> bool:
        """Whether a cell is measured already, with the versions of now.

        Raises:
            ValueError: If it is, but with other settings.
        """
        found = [known for known in self.content["cells"] if _key(known) == _key(cell.key)]
        if found and found[0]["fingerprint"] != cell.fingerprint():
            raise ValueError(
                f"{self.path} holds {cell.family} on {cell.place}, seed {cell.seed}, measured with other settings. "
                "Name another file with --out, or delete this one to measure anew."
            )
        return bool(found) and self._is_of_now(found[0])

    def sort(self, cells: Sequence[Cell]) -> None:
        """Puts the measured cells into a given order, those that are not among them first, and writes the file."""
        places = {_key(cell.key): place for place, cell in enumerate(cells)}
        self.content["cells"].sort(key=lambda one: places.get(_key(one), -1))
        self._write()

    def add(self, found: dict[str, Any]) -> None:
        """Adds a cell in place of one of other versions, and writes the file.

        Raises:
            ValueError: If another cell of its ground was measured on other data.
        """
        kept = [known for known in self.content["cells"] if _key(known) != _key(found)]
        beside = [known for known in kept if known["ground"] == found["ground"] and self._is_of_now(known)]
        # Cells that were refused know no data.
        if len({one["data"] for one in [*beside, found] if "data" in one}) > 1:
            raise ValueError(
                f"{self.path} holds cells of {found['ground']} that were measured on other data. "
                "Name another file with --out, or bring back the data that they were measured on."
            )
        self.content["cells"] = [*kept, found | {"origin": self._origin()}]
        self._write()

    def _is_of_now(self, known: dict[str, Any]) -> bool:
        origin = self.content["origins"][known["origin"]]
        return bool(origin["versions"] == self._now["versions"])

    def _origin(self) -> int:
        """The number of that of now, which becomes one of the file's."""
        if self._now not in self.content["origins"]:
            self.content["origins"].append(self._now)
        return int(self.content["origins"].index(self._now))

    def _write(self) -> None:
        files.write_json(self.path, self.content)


def _key(found: Mapping[str, Any]) -> tuple[str, str, int]:
    return found["ground"], found["family"], found["seed"]
