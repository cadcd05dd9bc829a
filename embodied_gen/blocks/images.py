"""Configs of sets of rendered images, which `collect` makes for those who train on pictures."""

from pathlib import Path
from typing import Any, Literal, final

import yaml
from pydantic import Field

from embodied_gen import config, yaml_file
from embodied_gen.config import Block
from embodied_gen.images.sets import Recipe


@final
class ImagesBlock(Block):
    """Rendered scenes of a table."""

    kind: Literal["images"] = "images"
    folder: str = Field(description="Folder of the set.")
    train: int = Field(5000, ge=1, description="Images to train on.")
    test: int = Field(500, ge=1, description="Images to test on.")
    seed: int = Field(0, ge=0, description="First seed of either part; the parts' images differ all the same.")
    size: tuple[int, int] = Field((160, 120), description="Width and height [px].")
    things: tuple[int, int] = Field((0, 12), description="Smallest and largest number of things in a scene.")
    shard: int = Field(250, ge=1, description="Images of a file; an interrupted collection loses no more than that.")

    def recipe(self) -> Recipe:
        """What the set holds."""
        return Recipe(self.size, self.things, self.seed, self.train, self.test, self.shard)


@final
class ImageConfig(Block):
    """A config file of a set."""

    name: str = Field(description="Short name.")
    data: ImagesBlock


def describes(path: Path) -> bool:
    """Whether a file is a config whose data are images; False where it cannot be read, which its reader will tell."""
    try:
        content: Any = yaml_file.load(path)
        return bool(content["data"]["kind"] == "images")
    except (OSError, yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError):
        return False


def read(path: Path) -> ImageConfig:
    """Reads a config file; see `config.read` for what is raised."""
    return config.read(path, ImageConfig, "config")
