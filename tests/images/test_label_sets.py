"""Rendered sets as images whose pixels have classes: those of things, and the ground."""

import json
import math

import numpy as np
import pytest
import torch
from pictures import SIZE, picture_of

from embodied_gen.images import sets
from embodied_gen.images.examples import middles
from embodied_gen.images.label_sets import read_labels
from embodied_gen.images.shards import DEPTH_UNIT

CLASSES = ("disc", "square", "star")
NAMES = ("ground", *CLASSES)
FOV = 0.5


def save(folder, *, things=(0, 4), fov=FOV):
    recipe = sets.Recipe(SIZE, things, 3, 5, 2, 2)
    take = picture_of if things[1] else lambda seed, part: picture_of(seed, part, most=0)
    sets.fill(folder, recipe, take, classes=CLASSES, progress=lambda note: None, fov=fov)
    return folder


def read(folder, part="train", **options):
    return read_labels(folder, part, **{"classes": NAMES, "size": SIZE} | options)


def test_a_pixel_has_the_class_of_the_thing_that_it_shows_or_is_ground(tmp_path):
    found = read(save(tmp_path))
    assert found.images.shape == (5, 3, 18, 24) and found.images.dtype == found.labels.dtype == torch.uint8
    for index in range(5):
        picture = picture_of(3 + index, 1)
        expected = np.zeros((18, 24), int)
        for place, label in enumerate(picture.labels):
            expected[picture.instances == place + 1] = 1 + label
        assert np.array_equal(found.labels[index], expected)
        assert np.array_equal(found.images[index].permute(1, 2, 0), picture.rgb)
        depth = found.surfaces.metres(slice(index, index + 1))[0].numpy()
        np.testing.assert_allclose(depth, np.minimum(picture.depth, 3.2767), atol=DEPTH_UNIT)
    assert found.surfaces.fov == FOV and len(read(tmp_path, "test")) == 2


def test_labels_and_depth_of_smaller_images_are_those_of_middles(tmp_path):
    whole, small = read(save(tmp_path)), read(tmp_path, size=(8, 6))
    assert small.images.shape == (5, 3, 6, 8)
    assert torch.equal(small.labels, middles(whole.labels, (8, 6)))
    assert torch.equal(small.surfaces.depth, middles(whole.surfaces.depth, (8, 6)))
    means = whole.images.float().view(5, 3, 6, 3, 8, 3).mean((3, 5))
    assert (small.images.float() - means).abs().max() <= 0.5
    with pytest.raises(ValueError, match="images of 24 x 18 pixels can be made smaller by a whole number alone"):
        read(tmp_path, size=(10, 6))


def test_images_without_things_are_all_ground(tmp_path):
    assert (read(save(tmp_path, things=(0, 0))).labels == 0).all()


def test_parts_of_the_images_are_seen_as_the_whole_is(tmp_path):
    found = read(save(tmp_path))
    assert found.observed(slice(0, 2)).shape == (2, 7, 18, 24)
    some = found.some(slice(2, 4))
    assert len(some) == 2 and torch.equal(some.observed(slice(None)), found.observed(torch.tensor([2, 3])))


def test_the_field_of_view_is_what_the_set_tells_or_the_config_where_it_does_not(tmp_path):
    silent = save(tmp_path / "silent", fov=None)
    assert sets.field_of_view(silent) is None and sets.field_of_view(save(tmp_path / "told")) == FOV
    assert read(silent, fov=0.6).surfaces.fov == 0.6
    assert read(tmp_path / "told", fov=FOV * 1.0001).surfaces.fov == FOV
    with pytest.raises(ValueError, match=r"do not tell their camera's field of view, .* Set data.fov to it \[rad\]"):
        read(silent)
    with pytest.raises(ValueError, match=r"field of view of the camera of .*told, 0.5 rad; got 0.6. Leave it out"):
        read(tmp_path / "told", fov=0.6)


@pytest.mark.parametrize("fov", [4.0, "wide", True, -1.0])
def test_a_field_of_view_that_is_none_is_named(tmp_path, fov):
    path = save(tmp_path) / "images.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fov": fov}))
    with pytest.raises(ValueError, match=r"images.json: fov must lie between 0 and pi \[rad\]; got"):
        read(tmp_path)
    assert not isinstance(fov, float) or not 0 < fov < math.pi


@pytest.mark.parametrize("classes", [CLASSES, ("ground", "disc", "star", "square"), NAMES[:3]])
def test_other_classes_are_named(tmp_path, classes):
    with pytest.raises(ValueError, match=r"a name for what is no thing, and then disc, square, star, as in .*; got"):
        read(save(tmp_path), classes=classes)
