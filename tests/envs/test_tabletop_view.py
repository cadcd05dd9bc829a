import hashlib
import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from envs.tabletop_photographer import Photographer
from envs.tabletop_scene import scene_of
from envs.tabletop_view import LEAST, boxes_of, seen


@given(arrays(np.int64, (9, 11), elements=st.integers(0, 6)))
def test_things_of_enough_pixels_are_seen_and_their_boxes_are_tight(identities):
    instances, things = seen(identities, 6)
    assert things.tolist() == [k for k in range(6) if (identities == k + 1).sum() >= LEAST]
    boxes = boxes_of(instances, len(things))
    for number, (thing, box) in enumerate(zip(things, boxes, strict=True), 1):
        assert np.array_equal(instances == number, identities == thing + 1)
        rows, columns = np.nonzero(instances == number)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert (instances[~np.isin(identities, things + 1)] == 0).all()


def rays(scene, camera, pixels):
    """Depth, geom and normal in the camera's frame that a ray through each pixel coordinate meets."""
    depth, geoms, normals = np.zeros(len(pixels)), np.zeros(len(pixels), int), np.zeros((len(pixels), 3))
    found, normal = np.zeros((1, 1), np.int32), np.zeros((3, 1))
    for index, way in enumerate(camera.points(pixels, np.ones(len(pixels))) - camera.position):
        start, way = camera.position[:, None], way[:, None]
        depth[index] = mujoco.mj_ray(scene.model, scene.data, start, way, None, True, -1, found, normal)
        geoms[index], normals[index] = found[0, 0], normal[:, 0] @ camera.axes
    return depth, geoms, normals


@pytest.fixture(scope="module")
def crowded(photographer):
    scene = scene_of(11, (10, 10))
    return scene, photographer.take(scene)


def interior(scene, camera, pixels):
    """Whether the rays one pixel around each pixel meet the same geom."""
    steps = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    geoms = np.stack([rays(scene, camera, pixels + step)[1] for step in steps])
    return (geoms == geoms[0]).all(axis=0)


def test_depth_instances_and_normals_are_those_that_rays_meet(crowded):
    scene, view = crowded
    places = np.random.default_rng(0).integers([1, 1], [159, 119], (600, 2))
    things = np.argwhere(view.instances[1:-1, 1:-1] > 0)[::7, ::-1] + 1
    places = np.concatenate([places, things])
    pixels = places + 0.5
    inside = interior(scene, view.camera, pixels)
    assert inside.mean() > 0.7
    depth, geoms, normals = (found[inside] for found in rays(scene, view.camera, pixels))
    columns, rows = places[inside].T
    # Curved surfaces are drawn as polygons, which cut up to half a millimetre off; more where they are seen aslant.
    off = np.abs(view.depth[rows, columns] - depth)
    assert off.max() < 0.004 and np.quantile(off, 0.95) < 0.001 and np.median(off) < 1e-4
    body = scene.model.geom_bodyid[geoms]
    number = np.zeros(scene.model.nbody, int)
    number[view.things + 1] = np.arange(1, len(view.things) + 1)
    assert np.array_equal(view.instances[rows, columns], number[body])
    cosine = (view.normals[rows, columns] * normals).sum(axis=1)
    assert np.median(cosine) > 0.999 and np.quantile(cosine, 0.05) > 0.9


def test_normals_are_unit_and_face_the_camera(crowded):
    _, view = crowded
    points = view.camera.seen(view.camera.middles(), view.depth)
    np.testing.assert_allclose(np.linalg.norm(view.normals, axis=-1), 1, atol=1e-5)
    assert ((view.normals * points).sum(axis=-1) <= 1e-6).all()


def test_a_view_says_what_is_in_its_scene(crowded):
    scene, view = crowded
    assert view.rgb.shape == (120, 160, 3) and view.depth.shape == view.instances.shape == (120, 160)
    assert view.labels.tolist() == scene.labels[view.things].tolist()
    np.testing.assert_array_equal(view.poses, scene.poses[view.things])
    assert len(view.things) + view.dropped == 10 and view.instances.max() == len(view.things)
    assert (view.masks.sum(axis=(1, 2)) >= LEAST).all()
    np.testing.assert_array_equal(view.boxes, boxes_of(view.instances, len(view.things)))


def surface(scene):
    """Points on the surface of thing 0 whose hull is that of the thing, up to 0.1 mm."""
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    turns = np.linspace(-np.pi / 2, np.pi / 2, 61)
    ball = np.concatenate([np.c_[np.cos(t) * circle, np.full(120, np.sin(t))] for t in turns])
    points = []
    for geom in np.flatnonzero(scene.model.geom_bodyid == 1):
        size = scene.model.geom_size[geom]
        match scene.model.geom_type[geom]:
            case mujoco.mjtGeom.mjGEOM_BOX:
                local = size * np.stack(np.meshgrid(*[[-1, 1]] * 3), axis=-1).reshape(-1, 3)
            case mujoco.mjtGeom.mjGEOM_SPHERE:
                local = size[0] * ball
            case mujoco.mjtGeom.mjGEOM_CYLINDER:
                local = np.concatenate([np.c_[size[0] * circle, np.full(120, end * size[1])] for end in (-1, 1)])
            case mujoco.mjtGeom.mjGEOM_CAPSULE:
                local = np.concatenate([size[0] * ball + [0, 0, end * size[1]] for end in (-1, 1)])
        points.append(scene.data.geom_xpos[geom] + local @ scene.data.geom_xmat[geom].reshape(3, 3).T)
    return np.concatenate(points)


def test_the_box_of_a_thing_alone_is_that_of_its_projection(photographer):
    labels = set()
    for seed in range(12):
        scene = scene_of(seed, (1, 1))
        view = photographer.take(scene)
        pixels = view.camera.project(surface(scene))
        bounds = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
        if (bounds[:2] < 0).any() or (bounds[2:] > [160, 120]).any():
            continue
        # A pixel belongs to the thing where the thing covers its middle: half a pixel on either side, and polygons.
        assert view.boxes[0] == pytest.approx(bounds, abs=0.8)
        labels.add(int(scene.labels[0]))
    assert len(labels) >= 4


def bits(view):
    parts = (view.rgb, view.depth, view.instances, view.boxes, view.labels, view.poses)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def test_the_same_seed_gives_the_same_bytes_in_any_order_renderer_and_process(photographer):
    first = bits(photographer.take(scene_of(5, (3, 6))))
    assert bits(photographer.take(scene_of(6, (3, 6)))) != first
    assert bits(photographer.take(scene_of(5, (3, 6)))) == first
    other = Photographer((160, 120))
    assert bits(other.take(scene_of(5, (3, 6)))) == first
    other.close()
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_tabletop_view import *;"
        "kept = Photographer((160, 120)); closed = Photographer((32, 32)); closed.close();"
        "print(bits(kept.take(scene_of(5, (3, 6)))))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, first, ""), "and nothing is said at exit"


@settings(max_examples=4)
@given(st.integers(16, 300), st.integers(16, 300))
def test_any_size_can_be_taken_and_a_larger_picture_shows_the_same(photographer, width, height):
    made = Photographer((width, height))
    scene = scene_of(2, (1, 1))
    view, usual = made.take(scene), photographer.take(scene)
    made.close()
    assert view.rgb.shape == (height, width, 3)
    if len(view.boxes) and 0 < view.boxes[0, 0] and view.boxes[0, 2] < width:
        middle = (view.boxes[0, :2] + view.boxes[0, 2:]) / 2 - [width / 2, height / 2]
        expected = (usual.boxes[0, :2] + usual.boxes[0, 2:]) / 2 - [80, 60]
        np.testing.assert_allclose(middle / height, expected / 120, atol=1.5 / height + 1.5 / 120)


def test_a_table_without_things_is_a_view_without_boxes(photographer):
    view = photographer.take(scene_of(0, (0, 0)))
    assert view.boxes.shape == (0, 4) and view.masks.shape == (0, 120, 160) and view.dropped == 0
    assert not view.instances.any() and view.rgb.any() and (view.depth > 0.3).all()


@pytest.mark.parametrize("size", [(8, 100), (100, 5000), (100,), 100, (64.5, 48), "12"])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(ValueError, match="size must be a width and a height from 16 to 1280 and 960; got"):
        Photographer(size)


def test_where_nothing_can_be_rendered_the_remedy_is_named(monkeypatch):
    def refuse(*_, **__):
        raise AttributeError("'NoneType' object has no attribute 'eglQueryString'")

    monkeypatch.setattr(mujoco, "Renderer", refuse)
    with pytest.raises(OSError, match=r"could not be started \(AttributeError: .*Set MUJOCO_GL=egl .* libegl1"):
        Photographer((160, 120))


def test_a_closed_photographer_says_so(photographer):
    made = Photographer((32, 32))
    made.close()
    made.close()
    with pytest.raises(RuntimeError, match="this photographer was closed; make another one"):
        made.take(scene_of(0, (0, 0)))
