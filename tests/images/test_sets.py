"""Sets are finished once, go on where they were, and say what they hold."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pictures import SIZE, picture_of

from embodied_gen.images import sets
from embodied_gen.images.sets import Recipe

CLASSES = ("disc", "square", "star")
RECIPE = Recipe(size=SIZE, things=(0, 4), seed=3, train=5, test=3, shard=2)


def fill(folder, recipe=RECIPE, take=picture_of, classes=CLASSES):
    notes = []
    return sets.fill(folder, recipe, take, classes=classes, progress=notes.append), notes


@given(st.integers(0, 99), st.integers(1, 40), st.integers(1, 40), st.integers(1, 12))
def test_shards_hold_every_seed_of_a_part_once_in_order(seed, train, test, shard):
    recipe = Recipe((8, 8), (0, 1), seed, train, test, shard)
    for part, count in (("train", train), ("test", test)):
        shards = recipe.shards(part)
        assert [s for _, seeds in shards for s in seeds] == list(range(seed, seed + count))
        assert all(1 <= len(seeds) <= shard for _, seeds in shards)
        assert len({name for name, _ in shards}) == len(shards)


def test_what_is_read_are_the_pictures_of_the_parts_seeds(tmp_path):
    said, notes = fill(tmp_path)
    assert len(notes) == 8 and sets.exists(tmp_path)
    for number, part, count in ((1, "train", 5), (2, "test", 3)):
        images, classes = sets.read(tmp_path, part)
        pictures = [picture_of(3 + index, number) for index in range(count)]
        assert classes == CLASSES and len(images) == count
        assert torch.equal(images.images, torch.from_numpy(np.stack([picture.rgb for picture in pictures])))
        labels = np.concatenate([picture.labels for picture in pictures])
        assert said["things"][part] == dict(zip(CLASSES, np.bincount(labels, minlength=3).tolist(), strict=True))
        assert said["dropped"][part] == sum(picture.dropped for picture in pictures)
    content = json.loads((tmp_path / "images.json").read_text())
    assert content == said and content["versions"]["numpy"] == np.__version__


def test_a_collection_that_was_killed_goes_on_at_its_shard_and_ends_with_the_same_bytes(tmp_path):
    made = []

    def take(seed, part):
        if len(made) == 5:
            made.append(None)
            raise KeyboardInterrupt
        made.append((seed, part))
        return picture_of(seed, part)

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "killed", take=take)
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == [
        "images.json",
        "train-0000.npz",
        "train-0001.npz",
        "train-0002.npz",
    ]
    assert not sets.exists(tmp_path / "killed")
    with pytest.raises(FileNotFoundError, match=r"there is no whole set of images in .*that was interrupted"):
        sets.read(tmp_path / "killed", "train")
    _, notes = fill(tmp_path / "killed", take=take)
    assert notes == ["train, found"] * 5 + ["test"] * 3 and made[6:] == [(3, 2), (4, 2), (5, 2)]
    fill(tmp_path / "whole")
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "killed" / path.name).read_bytes()


def test_a_whole_set_is_never_written_over(tmp_path):
    fill(tmp_path)
    with pytest.raises(FileExistsError, match=r"the images in .* exist already. Use them, delete the folder, or name"):
        fill(tmp_path)


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("recipe", {"recipe": replace(RECIPE, things=(1, 4))}),
        ("classes", {"classes": ("disc", "square", "moon")}),
    ],
)
def test_a_set_that_was_begun_otherwise_is_refused(tmp_path, key, changes):
    def stop(seed, part):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, take=stop)
    with pytest.raises(ValueError, match=f"were begun with other {key} .*delete the folder, or name another"):
        fill(tmp_path, **changes)
    fill(tmp_path)


def test_a_set_that_was_begun_with_other_versions_is_refused(tmp_path, monkeypatch):
    def stop(seed, part):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, take=stop)
    monkeypatch.setattr(sets.provenance, "versions", lambda: {"mujoco": "9.9"})
    with pytest.raises(ValueError, match="were begun with other versions"):
        fill(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "foreign", "recipe", "negative"])
def test_a_damaged_description_is_named(tmp_path, damage):
    fill(tmp_path)
    path = tmp_path / "images.json"
    content = json.loads(path.read_text())
    match damage:
        case "cut":
            path.write_text(path.read_text()[:40])
        case "foreign":
            path.write_text('{"schema": 1}')
        case "recipe":
            path.write_text(json.dumps(content | {"recipe": {"size": 3}}))
        case "negative":
            path.write_text(json.dumps(content | {"recipe": content["recipe"] | {"shard": 0}}))
    with pytest.raises(ValueError, match=r"images\.json(:| is)"):
        sets.read(tmp_path, "train")


def test_a_part_that_is_none_and_a_shard_that_is_gone_are_named(tmp_path):
    fill(tmp_path)
    with pytest.raises(ValueError, match="part must be one of train, test; got 'val'"):
        sets.read(tmp_path, "val")
    (tmp_path / "train-0001.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no file .*train-0001\.npz"):
        sets.read(tmp_path, "train")
    assert len(sets.read(tmp_path, "test")[0]) == 3
