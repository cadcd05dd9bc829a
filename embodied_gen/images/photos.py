"""Annotated photographs: a folder with pictures, one table of boxes and lists of names.

    images/NAME.jpg or .png     pictures, of any size, with three channels of 8 bits
    boxes.csv                   a line for each object: image,class,xmin,ymin,xmax,ymax, in pixels of its picture
    train.txt, test.txt, ...    names of the images of a part, one a line

Pictures are made one size, each pixel the mean of what it covers, and boxes are shares of a picture's sides, so that
those of pictures of different sizes can be learned together. Classes are numbered in the order of their names, over
the whole table. An image without a line has no object. Files are not trusted: what does not fit is refused by its line,
in lines of images of other parts, too.
"""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from embodied_gen.demos.boxed_images import BoxedImages, values_of
from embodied_gen.images import picture_files

_COLUMNS = ("image", "class", "xmin", "ymin", "xmax", "ymax")
_ENDINGS = (".jpg", ".jpeg", ".png")


class _Box(NamedTuple):
    """An object of the table."""

    line: int
    label: str
    corners: tuple[float, float, float, float]  # x0, y0, x1, y1 [px]


def read_photos(folder: Path, part: str, size: tuple[int, int]) -> tuple[BoxedImages, tuple[str, ...]]:
    """The images of a part, on the CPU, and the names of the classes.

    Args:
        folder: With `images`, `boxes.csv` and `PART.txt`.
        part: Name of a list.
        size: Width and height to make of all pictures [px].

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a line of the table or a picture is wrong; names it.
        ImportError: If the extra viz, which reads pictures, is not installed.
    """
    table = folder / "boxes.csv"
    objects = _objects(table)
    _check_named(table, objects)
    classes = tuple(sorted({box.label for boxes in objects.values() for box in boxes}))
    names = _names(folder / f"{part}.txt")
    most = max((len(objects.get(name, [])) for name in names), default=0)
    images = torch.empty(len(names), 3, size[1], size[0], dtype=torch.uint8)
    values = torch.zeros(len(names), most, 6)
    for row, name in enumerate(names):
        images[row], own = _picture(folder / "images", name, size)
        boxes = objects.get(name, [])
        _check(table, boxes, own)
        values[row, : len(boxes)] = _values(boxes, classes, own)
    return BoxedImages(images, values, source=f"{table}, {part}"), classes


def _objects(table: Path) -> Mapping[str, list[_Box]]:
    """The objects of each image of a table."""
    if not table.is_file():
        raise FileNotFoundError(f"there is no file {table}: photographs need a table of boxes, {','.join(_COLUMNS)}.")
    found: dict[str, list[_Box]] = {}
    with table.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if tuple(next(lines, ())) != _COLUMNS:
            raise ValueError(f"{table}, line 1: the columns must be {','.join(_COLUMNS)}. Write them in this order.")
        for number, line in enumerate(lines, 2):
            image, box = _object(table, number, line)
            found.setdefault(image, []).append(box)
    if not found:
        raise ValueError(f"{table} has no boxes, so no classes. Add a line for each object.")
    return found


def _object(table: Path, number: int, line: list[str]) -> tuple[str, _Box]:
    try:
        image, label, *numbers = line
        x0, y0, x1, y1 = map(float, numbers)
    except ValueError as error:
        raise ValueError(f"{table}, line {number}: expected {','.join(_COLUMNS)}; got {','.join(line)}.") from error
    if not (0 <= x0 < x1 < math.inf and 0 <= y0 < y1 < math.inf):
        raise ValueError(_no_box(table, number, [x0, y0, x1, y1], ""))
    return image, _Box(number, label, (x0, y0, x1, y1))


def _check_named(table: Path, objects: Mapping[str, list[_Box]]) -> None:
    """Raises `ValueError` for the first line whose image has no picture."""
    folder = table.parent / "images"
    there = {file.stem for file in folder.iterdir() if file.suffix in _ENDINGS} if folder.is_dir() else set()
    for image, boxes in objects.items():
        if image not in there:
            raise ValueError(
                f"{table}, line {boxes[0].line}: there is no picture of the image {image} in {folder}. Names have no "
                f"ending there; drop the lines of pictures that are gone."
            )


def _names(path: Path) -> list[str]:
    """Names of the images of a part."""
    if not path.is_file():
        lists = ", ".join(sorted(file.stem for file in path.parent.glob("*.txt"))) or "none"
        raise FileNotFoundError(f"there is no list {path}. Parts of this folder: {lists}.")
    names = path.read_text().split()
    if len(names) == 0 or len(set(names)) != len(names):
        raise ValueError(f"{path} must name at least one image and none twice, one a line; got {len(names)} names.")
    return names


def _picture(folder: Path, name: str, size: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
    """A picture of a size, uint8 `(3, H, W)`, and its own width and height."""
    paths = [path for ending in _ENDINGS if (path := folder / f"{name}{ending}").is_file()]
    if not paths:
        raise FileNotFoundError(f"there is no picture {folder / name} with one of the endings {', '.join(_ENDINGS)}.")
    picture = picture_files.colours(paths[0])
    made = picture.resize(size, picture_files.resampling().BOX)
    return torch.from_numpy(np.array(made)).permute(2, 0, 1), picture.size


def _check(table: Path, boxes: list[_Box], size: tuple[int, int]) -> None:
    """Raises `ValueError` for the first box beyond its picture."""
    for box in boxes:
        if not (box.corners[2] <= size[0] and box.corners[3] <= size[1]):
            raise ValueError(_no_box(table, box.line, list(box.corners), f" of {size[0]} x {size[1]} pixels"))


def _no_box(table: Path, line: int, corners: list[float], picture: str) -> str:
    return (
        f"{table}, line {line}: a box must have an area and lie in its picture{picture}; got {corners}. "
        "Drop objects without area, and cut boxes off at the rim."
    )


def _values(boxes: list[_Box], classes: tuple[str, ...], size: tuple[int, int]) -> Tensor:
    """Rows (cx, cy, w, h, label, score) in shares of the picture."""
    corners = torch.tensor([box.corners for box in boxes]).reshape(1, -1, 4)
    labels = torch.tensor([[classes.index(box.label) for box in boxes]], dtype=torch.long)
    return values_of(corners, labels, torch.tensor([len(boxes)]), rows=size[1], columns=size[0])[0]
