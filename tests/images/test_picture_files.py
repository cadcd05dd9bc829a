"""Picture files: what is written comes back, and what would lose something is refused by name."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from embodied_gen.images import picture_files

SHAPE = (6, 8, 3)


def pixels(kind=np.uint8):
    return np.random.default_rng(0).integers(np.iinfo(kind).max + 1, size=SHAPE).astype(kind)


def save_wide(path):
    """Writes a PNG with three channels of 16 bits, which Pillow reads and does not write."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", SHAPE[1], SHAPE[0], 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels(np.uint16))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def test_colours_and_labels_come_back(tmp_path):
    Image.fromarray(pixels()).save(tmp_path / "colours.png")
    assert np.array_equal(picture_files.colours(tmp_path / "colours.png"), pixels())
    numbers = pixels()[..., 0]
    for mode in ("L", "P"):
        image = Image.fromarray(numbers, mode=mode)
        if mode == "P":
            image.putpalette(list(range(255, -1, -1)) * 3)
        image.save(tmp_path / "labels.png")
        assert np.array_equal(picture_files.labels(tmp_path / "labels.png"), numbers)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16", "CMYK"])
def test_colours_that_would_lose_something_are_refused_by_name(mode, tmp_path):
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    grey = Image.fromarray(pixels()[..., 0])
    (Image.fromarray(pixels(np.uint16)[..., 0]) if mode == "I;16" else grey.convert(mode)).save(path)
    with pytest.raises(ValueError, match=rf"{path} must have three channels of 8 bits \(RGB\); got the mode {mode}\."):
        picture_files.colours(path)


def test_channels_of_sixteen_bits_are_refused_though_pillow_reads_their_upper_half(tmp_path):
    path = tmp_path / "picture.png"
    save_wide(path)
    assert Image.open(path).mode == "RGB"
    with pytest.raises(ValueError, match=r"got the mode RGB with 16 bits. Save it again with such channels"):
        picture_files.colours(path)


@pytest.mark.parametrize("bits", [2, 4])
def test_labels_of_fewer_bits_are_numbers_of_a_palette_or_refused_as_pillow_stretches_grey(bits, tmp_path):
    path, numbers = tmp_path / "labels.png", pixels()[..., 0] % 2**bits
    image = Image.fromarray(numbers, mode="P")
    image.putpalette([0, 0, 0] * 2**bits)
    image.save(path, bits=bits)
    assert np.array_equal(picture_files.labels(path), numbers)
    Image.fromarray(numbers).save(path, bits=bits)
    assert Image.open(path).mode == "L"
    with pytest.raises(
        ValueError, match=rf"{path} must have one channel of 8 bits .* fewer bits, .* stretched to 255\."
    ):
        picture_files.labels(path)


@pytest.mark.parametrize("name", ["picture.jpg", "picture.png", "picture.webp"])
def test_pictures_that_are_shown_turned_are_refused(name, tmp_path):
    path, exif = tmp_path / name, Image.Exif()
    for orientation in (0, 1, 2, 6, 8):
        exif[0x112] = orientation
        for read, image in ((picture_files.colours, pixels()), (picture_files.labels, pixels()[..., 0])):
            if read == picture_files.labels and name == "picture.webp":
                continue  # has no grey
            Image.fromarray(image).save(path, exif=exif)
            if orientation < 2:
                assert np.asarray(read(path)).shape == image.shape
                continue
            with pytest.raises(
                ValueError, match=rf"{path} must lie .* EXIF orientation {orientation}\. Save it upright"
            ):
                read(path)
