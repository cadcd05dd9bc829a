"""Rendered scenes that `collect` makes where a config's data are images."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from embodied_gen.blocks.images import ImagesBlock, read
from embodied_gen.commands.console import console, parse, progress
from embodied_gen.images import sets
from envs.tabletop_photographer import Photographer
from envs.tabletop_scene import check_count, scene_of
from envs.tabletop_surroundings import FOV
from envs.tabletop_things import CLASSES
from envs.tabletop_view import View


@dataclass
class Arguments:
    """Renders a config's scenes of a table and writes them as a set of images.

    An interrupted collection goes on where it was. What the config says of the data can be given here too, as in
    --data.train 200 --data.folder data/small.
    """

    config: tyro.conf.Positional[str]
    """Config file, such as configs/tabletop_images.yaml."""
    data: ImagesBlock
    if_missing: tyro.conf.FlagCreatePairsOff[bool] = False
    """Do nothing where the set exists, instead of refusing."""


def collect(path: str, arguments: list[str]) -> None:
    """Makes the set of the config at `path`."""
    loaded = read(Path(path))
    parsed = parse(Arguments, "collect", arguments, config=path, data=loaded.data)
    folder, recipe = Path(parsed.data.folder), parsed.data.recipe()
    if parsed.if_missing and sets.exists(folder):
        console.print(f"images exist in {folder}", soft_wrap=True)
        return
    check_count(recipe.things)
    sets.check_new(folder, recipe, classes=CLASSES)
    photographer = Photographer(recipe.size)

    def take(seed: int, part: int) -> View:
        return photographer.take(scene_of((seed, part), recipe.things))

    total = recipe.train + recipe.test
    with progress("collect", total) as advance:
        said = sets.fill(folder, recipe, take, classes=CLASSES, progress=advance, fov=FOV)
    photographer.close()
    things = sum(sum(counts.values()) for counts in said["things"].values())
    size = sum(file.stat().st_size for file in folder.iterdir())
    console.print(
        f"{total} images of {recipe.size[0]} x {recipe.size[1]} with {things} things ({sum(said['dropped'].values())} "
        f"too little visible to count) in {folder}, {size / 1e6:.1f} MB",
        soft_wrap=True,
    )
