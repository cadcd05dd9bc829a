"""What is written is read back as tensors, and what does not fit is refused by name."""

import hashlib
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import SIZE, picture_of

from embodied_gen.images.shards import DEPTH_UNIT, joined, packed, read_shard, write_shard


def read(path, n, size=SIZE, classes=3, first=0):
    return read_shard(path, size=size, classes=classes, seeds=range(first, first + n))


@settings(max_examples=25)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5), st.integers(0, 40))
def test_what_is_read_are_the_pictures(tmp_path_factory, seeds, most):
    pictures = [picture_of(seed, most=max(most, 1), size=(96, 18)) for seed in seeds]
    path = tmp_path_factory.mktemp("shard") / "part.npz"
    write_shard(path, packed(pictures, range(len(seeds))))
    images = joined([read(path, len(seeds), size=(96, 18))])
    assert len(images) == len(seeds)
    assert images.boxes.shape[1] == max(len(picture.labels) for picture in pictures)
    for index, picture in enumerate(pictures):
        count = len(picture.labels)
        assert torch.equal(images.images[index], torch.from_numpy(picture.rgb))
        assert int(images.counts[index]) == count and int(images.dropped[index]) == picture.dropped
        assert torch.equal(images.boxes[index, :count], torch.from_numpy(picture.boxes))
        assert images.labels[index, :count].tolist() == picture.labels.tolist()
        assert not images.boxes[index, count:].any() and (images.labels[index, count:] == -1).all()
        masks = picture.instances == np.arange(1, count + 1)[:, None, None]
        assert torch.equal(images.masks(index), torch.from_numpy(masks))
        depth = images.depth[index].double() * DEPTH_UNIT
        np.testing.assert_allclose(depth, np.minimum(picture.depth, 3.2767), atol=DEPTH_UNIT / 2 + 1e-7)


def test_shards_are_joined_in_order_and_padded_alike(tmp_path):
    parts = []
    for index, seeds in enumerate(([1, 2], [3], [4, 5, 6])):
        write_shard(tmp_path / f"{index}.npz", packed([picture_of(seed) for seed in seeds], range(len(seeds))))
        parts.append(read(tmp_path / f"{index}.npz", len(seeds)))
    images = joined(parts)
    assert torch.equal(images.images, torch.stack([torch.from_numpy(picture_of(seed).rgb) for seed in range(1, 7)]))
    assert images.counts.tolist() == [len(picture_of(seed).labels) for seed in range(1, 7)]


def test_images_without_things_are_read():
    images = joined([packed([picture_of(seed, most=1) for seed in range(9)], range(9))])
    assert 0 in images.counts and images.boxes.shape == (9, 1, 4)
    blank = [picture_of(seed, most=1) for seed in range(9) if not len(picture_of(seed, most=1).labels)]
    assert joined([packed(blank, range(len(blank)))]).boxes.shape == (len(blank), 0, 4)


def test_the_same_pictures_make_the_same_bytes(tmp_path):
    digests = set()
    for name in ("a", "b"):
        write_shard(tmp_path / name, packed([picture_of(1), picture_of(2)], range(2)))
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_more_things_than_a_byte_numbers_are_named():
    picture = picture_of(1)
    picture.labels = np.zeros(256, dtype=int)
    with pytest.raises(ValueError, match="has 255 things at most, which a byte numbers; got 256"):
        packed([picture_of(2), picture], range(2))


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "train-0000.npz"
    write_shard(path, packed([picture_of(seed) for seed in (1, 2, 3)], range(3)))
    return path


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_shard_is_refused_in_one_sentence(shard, share):
    whole = shard.read_bytes()
    shard.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        ValueError, match=f"{shard} is truncated or not a shard of images .*Delete the file and collect"
    ):
        read(shard, 3)


@pytest.mark.parametrize("damage", ["text", "pickle", "npy", "objects", "others", "flipped"])
def test_a_foreign_shard_is_refused_and_nothing_is_unpickled(shard, damage):
    content = shard.read_bytes()
    match damage:
        case "text":
            shard.write_bytes(b"foreign bytes")
        case "pickle":
            shard.write_bytes(pickle.dumps({"images": 1}))
        case "npy":
            with shard.open("wb") as file:
                np.save(file, np.zeros(3))
        case "objects":
            with shard.open("wb") as file:
                np.savez(file, images=np.array([{}, "x"], dtype=object))
        case "others":
            with shard.open("wb") as file:
                np.savez(file, images=np.zeros(3))
        case "flipped":
            half = len(content) // 2
            shard.write_bytes(content[:half] + bytes(255 - b for b in content[half : half + 64]) + content[half + 64 :])
    with pytest.raises(ValueError, match=f"{shard} is truncated or not a shard of images"):
        read(shard, 3)


def test_a_shard_of_another_set_is_refused_by_what_does_not_fit(shard):
    for changes, message in (
        ({"n": 2}, r"images must be uint8 \(2, 18, 24, 3\); got uint8 \(3, 18, 24, 3\)"),
        ({"n": 3, "size": (18, 24)}, r"images must be uint8 \(3, 24, 18, 3\)"),
        ({"n": 3, "first": 5}, "its seeds must be 5 to 7"),
        ({"n": 3, "classes": 1}, "labels must lie between 0 and 0"),
    ):
        with pytest.raises(ValueError, match=f"{shard} does not fit the set it lies in: {message}"):
            read(shard, **changes)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("boxes", lambda boxes: boxes[:, [2, 1, 0, 3]], "boxes must have an area and lie in 24 x 18 pixels"),
        ("boxes", lambda boxes: boxes + 10, "boxes must have an area and lie in 24 x 18 pixels"),
        ("boxes", lambda boxes: boxes * np.nan, "boxes must have an area and lie in 24 x 18 pixels"),
        ("labels", lambda labels: labels - 1, "labels must lie between 0 and 2"),
        ("counts", lambda counts: counts + 1, "counts must add up to"),
        ("instances", lambda instances: instances * 0, "instances must be numbered as counts say"),
        ("depth", lambda depth: depth.astype(np.float32), "depth must be int16"),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(shard, name, change, message):
    pictures = [picture_of(seed) for seed in (1, 2, 3)]
    arrays = packed(pictures, range(3))
    assert arrays["counts"].all() and not arrays["labels"].all()
    write_shard(shard, arrays | {name: change(arrays[name])})
    with pytest.raises(ValueError, match=message):
        read(shard, 3)


def test_a_missing_shard_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone.npz"):
        read(tmp_path / "gone.npz", 3)
