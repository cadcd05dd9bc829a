"""Annotated photographs become examples, and what is wrong with them is named by its line."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from embodied_gen.boxes import corners
from embodied_gen.detection.data import PhotosBlock
from embodied_gen.images.photos import read_photos

HEADER = "image,class,xmin,ymin,xmax,ymax\n"
LINES = "a,cup,10,20,30,50\nb,bowl,0,0,40,30\na,bowl,0,0,80,60\n"
FOLDER = Path(os.environ.get("EMBODIED_DATA", "nowhere")) / "bccd-blood-cells"


def folder_of(path, lines=LINES, header=HEADER, names="a\nb\nc\n"):
    """A folder with the pictures a (80 x 60), b (40 x 30) and c, which has no object."""
    (path / "images").mkdir(parents=True)
    for name, size, ending in (("a", (80, 60), "png"), ("b", (40, 30), "jpg"), ("c", (32, 32), "png")):
        Image.new("RGB", size, (200, 100, 50)).save(path / "images" / f"{name}.{ending}")
    (path / "boxes.csv").write_text(header + lines)
    (path / "train.txt").write_text(names)
    return path


def test_pictures_of_any_size_become_examples_of_one(tmp_path):
    examples, classes = read_photos(folder_of(tmp_path / "set"), "train", (40, 20))
    assert classes == ("bowl", "cup") and examples.size == (3, 20, 40) and examples.images == 3
    images = examples.batch(torch.arange(3)).observations
    assert ((images.float() - torch.tensor([200.0, 100, 50]).view(3, 1, 1)).abs() < 3).all()
    values = examples.values()
    assert values[..., 5].sum(1).tolist() == [2, 1, 0] and values[0, :, 4].tolist() == [1, 0]
    expected = torch.tensor([[10 / 80, 20 / 60, 30 / 80, 50 / 60], [0, 0, 1, 1]])
    torch.testing.assert_close(corners(values[0, :, :4]), expected)


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(0, 1000))
def test_a_pixel_is_the_mean_of_what_it_covers(times, seed):
    whole = np.random.default_rng(seed).integers(256, size=(16 * times, 20 * times, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as name:
        folder = folder_of(Path(name) / "set", "a,cup,0,0,1,1\n", names="a\n")
        Image.fromarray(whole).save(folder / "images" / "a.png")
        seen = read_photos(folder, "train", (20, 16))[0].batch(torch.tensor([0])).observations[0]
    mean = whole.reshape(16, times, 20, times, 3).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(seen.numpy() - mean).max() <= 1


BAD = [
    (
        {"lines": LINES + "a,cup,10,20,10,50\n"},
        r"boxes.csv, line 5: a box must have an area .*Drop objects",
    ),
    ({"lines": "b,cup,10,20,50,25\n"}, r"line 2: .* lie in its picture of 40 x 30 pixels; got \[10.0, 20.0, 50.0"),
    ({"lines": "a,cup,nan,20,30,50\n"}, r"line 2: a box must have an area"),
    ({"lines": LINES + "b,cup,-5,1,2,9\n", "names": "a\n"}, r"line 5: a box must have an area .*got \[-5.0, 1.0, 2.0"),
    (
        {"lines": LINES + "a.png,cup,1,2,3,4\n"},
        r"boxes.csv, line 5: there is no picture of the image a.png .*no ending",
    ),
    ({"lines": "a,cup,10,20,30\n"}, r"line 2: expected image,class,xmin,ymin,xmax,ymax; got a,cup,10,20,30\."),
    ({"lines": "a,cup,x,20,30,50\n"}, "line 2: expected image,class"),
    ({"lines": ""}, "boxes.csv has no boxes, so no classes"),
    ({"header": "name,class,xmin,ymin,xmax,ymax\n"}, "boxes.csv, line 1: the columns must be image,class,xmin"),
    ({"names": ""}, "train.txt must name at least one image and none twice"),
    ({"names": "a\na\n"}, "none twice, one a line; got 2 names"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_what_is_wrong_is_named_by_its_line(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_photos(folder_of(tmp_path / "set", **change), "train", (40, 20))


def test_files_that_are_missing_or_no_pictures_are_named(tmp_path):
    folder = folder_of(tmp_path / "set", names="a\nd\n")
    with pytest.raises(FileNotFoundError, match=r"there is no picture .*images/d with one of the endings \.jpg"):
        read_photos(folder, "train", (40, 20))
    with pytest.raises(FileNotFoundError, match=r"there is no list .*val.txt. Parts of this folder: train\."):
        read_photos(folder, "val", (40, 20))
    picture = folder / "images" / "a.png"
    picture.write_bytes(picture.read_bytes()[:60])
    with pytest.raises(ValueError, match=r"a.png is truncated or no image .*Restore it from a copy"):
        read_photos(folder, "train", (40, 20))
    (folder / "boxes.csv").unlink()
    with pytest.raises(FileNotFoundError, match="photographs need a table of boxes, image,class"):
        read_photos(folder, "train", (40, 20))


@pytest.mark.parametrize("mode", ["RGBA", "P", "L"])
def test_pictures_with_other_channels_are_refused_by_name(mode, tmp_path):
    folder = folder_of(tmp_path / "set")
    path = folder / "images" / "a.png"
    Image.open(path).convert(mode).save(path)
    with pytest.raises(ValueError, match=rf"a.png must have three channels of 8 bits \(RGB\); got the mode {mode}\."):
        read_photos(folder, "train", (40, 20))


def test_grey_of_sixteen_bits_is_no_white_picture_but_refused(tmp_path):
    folder = folder_of(tmp_path / "set")
    Image.fromarray(np.full((60, 80), 30000, np.uint16)).save(folder / "images" / "a.png")
    with pytest.raises(ValueError, match=r"a.png must have three channels of 8 bits \(RGB\); got the mode I;16\."):
        read_photos(folder, "train", (40, 20))


@pytest.mark.skipif(not FOLDER.is_dir(), reason="EMBODIED_DATA names no folder with the BCCD photographs")
def test_the_bccd_photographs_are_counted():
    block = PhotosBlock(folder=str(FOLDER), size=(64, 48), train="val", mirrors=("x", "y"))
    (train, classes), (test, _) = block.training(), block.testing()
    assert classes == ("Platelets", "RBC", "WBC") and (len(train), len(test)) == (4 * 87, 72)
    lines = [line.split(",") for line in (FOLDER / "boxes.csv").read_text().splitlines()[1:]]
    names = (FOLDER / "test.txt").read_text().split()
    for number, name in enumerate(classes):
        counted = sum(line[0] in names and line[1] == name for line in lines)
        values = test.values()
        assert ((values[..., 4] == number) & (values[..., 5] > 0)).sum() == counted
