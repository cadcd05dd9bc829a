"""Folders of labelled images: what is written comes back, reduced as it should be; what does not fit is refused."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from embodied_gen.images.label_folder import read_part
from embodied_gen.images.labelled import VOID
from tests.images.labelled import SIZE, drawn, save, save_parts

REAL = Path(os.environ.get("EMBODIED_DATA", "nowhere")) / "camvid-segnet11"


def read(folder, part="train", **options):
    return read_part(folder, part, **{"classes": 3, "void": 3} | options)


def test_what_is_written_comes_back(tmp_path):
    pairs = [drawn(seed) for seed in range(3)]
    save(tmp_path, "train", pairs)
    found = read(tmp_path)
    assert len(found) == 3 and found.images.dtype == found.labels.dtype == torch.uint8
    for i, (colours, labels) in enumerate(pairs):
        assert np.array_equal(found.images[i].permute(1, 2, 0), colours)
        assert np.array_equal(found.labels[i], labels)
    assert (found.labels == VOID).any()


def test_colours_are_reduced_to_means_and_labels_to_one_of_theirs(tmp_path):
    colours, labels = drawn(0)
    save(tmp_path, "train", [(colours, labels)])
    width, height = SIZE
    found = read(tmp_path, size=(width // 3, height // 3))
    cells = colours.reshape(height // 3, 3, width // 3, 3, 3).mean((1, 3))
    assert np.abs(found.images[0].permute(1, 2, 0).numpy() - cells).max() <= 1  # rounded once a direction
    patches = labels.reshape(height // 3, 3, width // 3, 3)
    assert (found.labels[0].numpy()[:, None, :, None] == patches).any((1, 3)).all()


def test_a_palette_of_labels_is_read_as_its_numbers(tmp_path):
    save(tmp_path, "train", [drawn(0)])
    path = tmp_path / "labels/train/train_0.png"
    numbers = np.asarray(Image.open(path))
    coloured = Image.fromarray(numbers, mode="P")
    coloured.putpalette(list(range(255, -1, -1)) * 3)
    before = read(tmp_path).labels
    coloured.save(path)
    assert torch.equal(read(tmp_path).labels, before)


def spoil(change):
    """A folder in which `change` was done to the first image and label."""

    def make(folder):
        save_parts(folder)
        change(folder / "images/train/train_0.png", folder / "labels/train/train_0.png")
        return folder

    return make


def converted(mode):
    return lambda path: Image.open(path).convert(mode).save(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, _: converted("L")(i), r"train_0.png must have three channels of 8 bits \(RGB\); got the mode L"),
        (lambda i, _: converted("RGBA")(i), r"must have three channels of 8 bits \(RGB\); got the mode RGBA"),
        (
            lambda _, t: Image.fromarray(np.zeros((18, 24), np.uint16)).save(t),
            r"train_0.png must have one channel of 8 bits \(L or P\); got the mode I",
        ),
        (lambda _, t: converted("RGB")(t), r"must have one channel of 8 bits \(L or P\); got the mode RGB"),
        (lambda _, t: Image.open(t).resize((9, 9)).save(t), "must have one size; got 24 x 18 and 9 x 9 pixels"),
        (
            lambda _, t: Image.open(t).point(lambda v: 7 if v == 1 else v).save(t),
            "must have labels from 0 to 2, or 3 where there is none; got 7. Set data.classes and data.void",
        ),
        (lambda i, _: i.write_bytes(i.read_bytes()[:60]), "train_0.png is truncated or no image"),
        (lambda i, _: i.write_text("words"), "train_0.png is truncated or no image"),
        (
            lambda i, t: [Image.open(p).resize((9, 9)).save(p) for p in (i, t)],
            "images must have one size; got 9 x 9, 24 x 18. Set a size to reduce all to",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(spoil(change)(tmp_path))


def test_void_must_be_named_and_no_class(tmp_path):
    with pytest.raises(ValueError, match="void none of their labels; got 3 classes and void 2"):
        read(tmp_path, void=2)
    with pytest.raises(ValueError, match="must have labels from 0 to 2; got 3"):
        read(save_parts(tmp_path), void=None)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no list of images .*test.txt. Give the folder that holds test.txt"):
        read(save_parts(tmp_path), "test")
    (tmp_path / "labels/train/train_1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"there must be one file .*labels/train/train_1.\*; got 0"):
        read(tmp_path)
    (tmp_path / "train.txt").write_text("../train/train_0\n")
    with pytest.raises(FileNotFoundError, match="there must be one file"):
        read(tmp_path)
    (tmp_path / "train.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"train.txt names no image"):
        read(tmp_path)


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    save_parts(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(
        ImportError, match=r"image files need Pillow. Install the extra: pip install 'embodied-gen\[viz\]'"
    ):
        read(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="EMBODIED_DATA names no folder with CamVid")
def test_camvid_has_the_sizes_and_shares_that_it_is_known_by():
    found = read_part(REAL, "val", classes=11, void=11, size=(96, 72))
    assert found.images.shape == (101, 3, 72, 96)
    shares = torch.bincount(found.labels.flatten().long(), minlength=256).double() / found.labels.numel()
    assert shares[11:VOID].sum() == 0 and 0 < shares[VOID] < 0.1 and 0.2 < shares[3] < 0.45
