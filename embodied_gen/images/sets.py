"""Sets of labelled images: a folder with shards for training and for testing, and a JSON that says what they are.

    images.json       recipe, classes, versions, the camera's field of view where it is known, whether the set is whole,
                      and then how many things of each class it has
    train-0000.npz    the first images for training, and so on
    test-0000.npz     those for testing

Image i of a part is a function of its seed, which is (s + i, part), with s the set's first seed: no image of one part
is one of another, whatever the numbers. A killed collection goes on with the shard that it was at.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from embodied_gen import provenance
from embodied_gen.images.shards import Arrays, Images, Labelled, joined, packed, read_shard, write_shard
from embodied_gen.training import files

PARTS = ("train", "test")
"""Names of the parts of a set; a part's number in seeds is 1 + its place here."""

_NAME = "images.json"
_KEYS = ("recipe", "classes", "versions", "whole")
_REMEDY = "Delete the folder and collect again."

Take = Callable[[int, int], Labelled]
"""Makes the image of a seed and a part's number."""


@final
@dataclass(frozen=True)
class Recipe:
    """All that decides which images a set holds.

    Attributes:
        size: Width and height [px].
        things: Smallest and largest number of things of a scene.
        seed: First seed of every part, >= 0.
        train: Images for training, >= 1.
        test: Images for testing, >= 1.
        shard: Images of a file, at most, >= 1.
    """

    size: tuple[int, int]
    things: tuple[int, int]
    seed: int
    train: int
    test: int
    shard: int

    def shards(self, part: str) -> list[tuple[str, range]]:
        """Names and seeds of the files of a part."""
        last = self.seed + (self.train if part == "train" else self.test)
        starts = range(self.seed, last, self.shard)
        return [(f"{part}-{index:04d}.npz", range(at, min(at + self.shard, last))) for index, at in enumerate(starts)]


def exists(folder: Path) -> bool:
    """Whether a whole set is in the folder.

    Raises:
        ValueError: If what says so is damaged.
    """
    return (folder / _NAME).exists() and bool(_said(folder)["whole"])


def check_new(folder: Path, recipe: Recipe, *, classes: Sequence[str]) -> None:
    """Checks that a set can be begun or gone on with, before any work is done for it.

    Raises:
        FileExistsError: If there is a whole set.
        ValueError: If the folder holds a part of another set.
    """
    if exists(folder):
        raise FileExistsError(
            f"the images in {folder} exist already. Use them, delete the folder, or name another data.folder."
        )
    if (folder / _NAME).exists():
        begun, now = _said(folder), _description(recipe, classes)
        for key in ("recipe", "classes", "versions"):
            if begun[key] != now[key]:
                raise ValueError(
                    f"the images in {folder} were begun with other {key} ({begun[key]}, not {now[key]}). Collect them "
                    "as they were begun, delete the folder, or name another data.folder."
                )


def fill(
    folder: Path,
    recipe: Recipe,
    take: Take,
    *,
    classes: Sequence[str],
    progress: Callable[[str], None],
    fov: float | None = None,
) -> dict[str, Any]:
    """Makes the images that a folder does not hold yet, and finishes the set.

    Args:
        folder: Of the set.
        recipe: What it holds.
        take: Makes an image.
        classes: Names of labels.
        progress: Called with a note after each image, those that are there already included.
        fov: Vertical field of view of the camera of all images [rad]; not told where None.

    Returns:
        What `images.json` says: `things`, and `dropped` ones, of each part beside what it was begun with.

    Raises:
        FileExistsError: If there is a whole set.
        ValueError: If the folder holds a part of another set, or a damaged one.
    """
    check_new(folder, recipe, classes=classes)
    said = _description(recipe, classes) | ({} if fov is None else {"fov": fov})
    files.write_json(folder / _NAME, said | {"whole": False})
    things, dropped = {}, {}
    for part in PARTS:
        labels, left_out = np.zeros(len(classes), dtype=np.int64), 0
        for name, seeds in recipe.shards(part):
            if (folder / name).exists():
                arrays = read_shard(folder / name, size=recipe.size, classes=len(classes), seeds=seeds)
                for _ in seeds:
                    progress(f"{part}, found")
            else:
                arrays = _made(seeds, part, take, progress)
                write_shard(folder / name, arrays)
            labels += np.bincount(arrays["labels"], minlength=len(classes))
            left_out += int(arrays["dropped"].sum())
        things[part], dropped[part] = dict(zip(classes, labels.tolist(), strict=True)), left_out
    said |= {"whole": True, "things": things, "dropped": dropped}
    files.write_json(folder / _NAME, said)
    return said


def read(folder: Path, part: str) -> tuple[Images, tuple[str, ...]]:
    """A part of a set and the names of its classes.

    Args:
        folder: Of the set.
        part: "train" or "test".

    Raises:
        FileNotFoundError: If there is no whole set, or a shard is missing.
        ValueError: If there is no such part, or a file is truncated or foreign.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}; got {part!r}.")
    if not exists(folder):
        raise FileNotFoundError(
            f"there is no whole set of images in {folder}. Collect it: embodied-gen collect CONFIG; a collection that "
            "was interrupted goes on."
        )
    said = _said(folder)
    recipe, classes = _recipe(said["recipe"], folder / _NAME), tuple(map(str, said["classes"]))
    shards = recipe.shards(part)
    return joined(
        [read_shard(folder / name, size=recipe.size, classes=len(classes), seeds=seeds) for name, seeds in shards]
    ), classes


def field_of_view(folder: Path) -> float | None:
    """Vertical field of view of the camera of a set [rad]; None where the set does not tell.

    Raises:
        FileNotFoundError: If there is no set.
        ValueError: If what describes it is damaged.
    """
    found = _said(folder).get("fov")
    if found is not None and not (isinstance(found, float) and 0 < found < math.pi):
        raise ValueError(f"{folder / _NAME}: fov must lie between 0 and pi [rad]; got {found!r}. {_REMEDY}")
    return found


def _said(folder: Path) -> dict[str, Any]:
    return files.read_json(folder / _NAME, "description of a set of images", _KEYS, _REMEDY)


def _description(recipe: Recipe, classes: Sequence[str]) -> dict[str, Any]:
    """What a set is begun with, in the types that JSON has."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(recipe).items()}
    versions = provenance.versions()
    return {"schema": files.SCHEMA, "recipe": plain, "classes": list(classes), "versions": versions}


def _made(seeds: range, part: str, take: Take, progress: Callable[[str], None]) -> Arrays:
    views = []
    for seed in seeds:
        views.append(take(seed, 1 + PARTS.index(part)))
        progress(part)
    return packed(views, seeds)


def _recipe(content: Any, path: Path) -> Recipe:
    try:
        (width, height), (fewest, most) = content["size"], content["things"]
        numbers = {name: int(content[name]) for name in ("seed", "train", "test", "shard")}
        recipe = Recipe((int(width), int(height)), (int(fewest), int(most)), **numbers)
        sound = min(*recipe.size, recipe.train, recipe.test, recipe.shard) >= 1
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise ValueError(
            f"{path}: recipe must hold size, things, seed, train, test and shard, all positive but the seed; got "
            f"{content}. {_REMEDY}"
        )
    return recipe
