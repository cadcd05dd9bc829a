"""Normals of depth: those of planes, of the table, and of another camera's code; and what is seen of surfaces."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen.image_encoder import SurfaceEncoder
from embodied_gen.images.shards import DEPTH_UNIT, packed
from embodied_gen.images.surfaces import DepthPictures, normals_of, observed
from envs.pinhole import Pinhole

FOV = 0.7
ANGLES = st.floats(-0.8, 0.8)


def rays(size, fov=FOV):
    """Points of pixels at depth 1, shape `(H, W, 3)`."""
    width, height = size
    focal = height / (2 * math.tan(fov / 2))
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    return torch.from_numpy(np.stack([x / focal, y / focal, np.ones_like(x)], -1))


def plane(normal, size, away=0.6):
    """Depth of the plane n . P = -away."""
    return -away / (rays(size) @ normal)


def facing(x, y):
    """A unit normal that looks at the camera."""
    normal = torch.tensor([x, y, -1.0], dtype=torch.float64)
    return normal / normal.norm()


@given(ANGLES, ANGLES, st.integers(2, 9), st.integers(2, 9))
def test_a_plane_has_its_normal_in_every_pixel(x, y, width, height):
    normal = facing(x, y)
    found = normals_of(plane(normal, (width, height)).unsqueeze(0), FOV)
    torch.testing.assert_close(found, normal.view(1, 3, 1, 1).expand(1, 3, height, width))


def test_both_sides_of_an_edge_keep_their_normals():
    left, right = facing(0.3, 0.1), facing(-0.2, 0.4)
    depth = torch.where(torch.arange(12) < 5, plane(left, (12, 8)), plane(right, (12, 8), away=0.9))
    found = normals_of(depth.unsqueeze(0), FOV)[0]
    torch.testing.assert_close(found[..., :5], left.view(3, 1, 1).expand(3, 8, 5))
    torch.testing.assert_close(found[..., 5:], right.view(3, 1, 1).expand(3, 8, 7))


def test_normals_are_those_of_the_camera_of_the_environments_picture_by_picture():
    depth = 0.5 + 0.1 * torch.rand(4, 9, 12, dtype=torch.float64)
    camera = Pinhole(np.zeros(3), np.eye(3), FOV, (12, 9))
    expected = np.stack([camera.normals(each.numpy()) for each in depth])
    found = normals_of(depth, FOV)
    torch.testing.assert_close(found.movedim(1, 3).float(), torch.from_numpy(expected))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4, 9, 12, dtype=torch.float64))


def test_where_depth_has_no_surface_there_is_no_normal():
    assert (normals_of(torch.zeros(1, 3, 4), FOV) == 0).all()


@pytest.fixture
def table():
    """A view of a table without things, and its normal in the camera's frame."""
    from envs.tabletop_photographer import Photographer
    from envs.tabletop_scene import scene_of

    try:
        photographer = Photographer((160, 120))
    except OSError as error:
        pytest.skip(str(error))
    view = photographer.take(scene_of((3, 1), (0, 0)))
    photographer.close()
    return view, torch.from_numpy(view.camera.axes.T @ np.array([0.0, 0.0, 1.0])).float()


def test_the_table_has_its_normal_as_rendered_and_as_stored(table):
    view, normal = table
    stored = torch.from_numpy(packed([view], [0])["depth"])
    for depth, degrees in ((torch.from_numpy(view.depth).unsqueeze(0), 0.1), (DEPTH_UNIT * stored.float(), 2.0)):
        found = normals_of(depth, view.camera.fov)[0]
        off = (found * normal.view(3, 1, 1)).sum(0).clamp(-1, 1).arccos().rad2deg()
        assert off.median() < degrees  # the rim of the tray has others


def test_what_is_seen_are_colours_depth_and_normals_and_comes_back_as_leaves():
    images = torch.randint(256, (2, 3, 9, 12), dtype=torch.uint8)
    pictures = DepthPictures(torch.randint(5000, 6000, (2, 9, 12), dtype=torch.int16), FOV)
    depth = pictures.metres(slice(None))
    torch.testing.assert_close(depth, pictures.depth.float() * DEPTH_UNIT)
    encoder = SurfaceEncoder()
    leaves = encoder(observed(images, depth, FOV))
    assert torch.equal(leaves["image"], images.float()) and torch.equal(leaves["depth"], depth.unsqueeze(1))
    torch.testing.assert_close(leaves["normals"], normals_of(depth, FOV))
    assert (encoder.size, encoder.width) == (7, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: normals_of(torch.ones(1, 3, 4, dtype=torch.int16), FOV), "metres in floating point, .* torch.int16"),
        (lambda: normals_of(torch.ones(3, 4), FOV), r"of shape \(B, H, W\) .*got torch.float32 \(3, 4\)"),
        (lambda: normals_of(torch.ones(1, 1, 4), FOV), "two pixels a side at least"),
        (lambda: normals_of(torch.ones(1, 3, 4), 3.2), r"between 0 and pi \[rad\]; got 3.2"),
        (lambda: observed(torch.zeros(1, 3, 3, 4), torch.ones(1, 3, 4), FOV), r"bytes, .*\(1, 3, 3, 4\).*float32"),
        (
            lambda: observed(torch.zeros(1, 3, 3, 5, dtype=torch.uint8), torch.ones(1, 3, 4), FOV),
            r"shape \(1, 3, 3, 4\), as their depth is; got torch.uint8 \(1, 3, 3, 5\)",
        ),
        (
            lambda: SurfaceEncoder()(torch.zeros(1, 3, 3, 4)),
            r"must be floating point of shape \(B, 7, H, W\); got torch.float32 \(1, 3, 3, 4\)",
        ),
        (lambda: SurfaceEncoder()(torch.zeros(1, 7, 3, 4, dtype=torch.uint8)), "Make them with images.surfaces"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
