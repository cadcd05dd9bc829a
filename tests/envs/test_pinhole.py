import math

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from envs.pinhole import Pinhole

SEEDS = st.integers(0, 10_000)


def camera_of(seed, size=(40, 30)):
    generator = np.random.default_rng(seed)
    axes = Rotation.random(random_state=seed).as_matrix()
    return Pinhole(generator.normal(size=3), axes, generator.uniform(0.3, 1.5), size)


@given(SEEDS)
def test_points_of_pixels_are_projected_to_those_pixels(seed):
    camera, generator = camera_of(seed), np.random.default_rng(seed)
    pixels, depth = generator.uniform(0, 40, (50, 2)), generator.uniform(0.1, 9, 50)
    points = camera.points(pixels, depth)
    np.testing.assert_allclose(camera.project(points), pixels, atol=1e-8)
    np.testing.assert_allclose((points - camera.position) @ camera.axes[:, 2], depth)


@given(SEEDS)
def test_the_middle_of_a_picture_is_the_optical_axis_and_its_upper_edge_half_the_field_of_view_away(seed):
    camera = camera_of(seed)
    ahead = camera.points(np.array([20.0, 15.0]), np.array(2.0)) - camera.position
    np.testing.assert_allclose(ahead, 2 * camera.axes[:, 2], atol=1e-12)
    upper = camera.seen(np.array([20.0, 0.0]), np.array(1.0))
    np.testing.assert_allclose(upper, [0, -math.tan(camera.fov / 2), 1], atol=1e-12)


@given(SEEDS)
def test_normals_of_a_plane_are_its_normal_at_every_pixel(seed):
    camera, generator = camera_of(seed), np.random.default_rng(seed)
    normal = np.append(generator.uniform(-0.5, 0.5, 2), -1)
    normal /= np.linalg.norm(normal)
    rays = camera.seen(camera.middles(), np.ones((30, 40)))
    depth = -2 / (rays @ normal)  # of the plane n . x = -2
    assume((depth > 0).all())
    np.testing.assert_allclose(camera.normals(depth), np.broadcast_to(normal, (30, 40, 3)), atol=1e-5)


def test_normals_do_not_blend_both_sides_of_a_step():
    camera = Pinhole(np.zeros(3), np.eye(3), 1.0, (40, 30))
    depth = np.where(np.arange(40) < 20, 1.0, 3.0) * np.ones((30, 1))
    np.testing.assert_allclose(camera.normals(depth), np.broadcast_to([0.0, 0.0, -1.0], (30, 40, 3)), atol=1e-6)
