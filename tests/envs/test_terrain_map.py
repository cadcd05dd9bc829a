"""Semantic maps: coordinates, parts, files, features."""

import tempfile
import zipfile

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt, label

from envs.terrain_features import surrounded
from envs.terrain_generator import generated
from envs.terrain_map import CLASSES, LAYERS, TerrainMap, load

seeds = st.integers(0, 2**31)


def plain(shape=(8, 10), names=LAYERS, **changed):
    parts = {"layers": np.zeros((len(names), *shape), np.float32), "elevation": np.zeros(shape, np.float32)}
    return TerrainMap(**{**parts, "names": names, "cell": 0.5, "origin": (3.0, -2.0), **changed})


@given(seeds)
def test_a_seed_gives_one_map_and_another_seed_another(seed):
    one, again, other = generated(seed, size=24), generated(seed, size=24), generated(seed + 1, size=24)
    assert one.layers.tobytes() == again.layers.tobytes() and one.elevation.tobytes() == again.elevation.tobytes()
    assert one.layers.tobytes() != other.layers.tobytes()


@given(seeds)
@example(2449301)  # no road has a cell in every row or column: both leave the map at a side
def test_generated_classes_exclude_each_other_and_a_road_crosses_the_map(seed):
    terrain = generated(seed, size=48)
    classes = terrain.layers[: len(CLASSES)]
    assert ((classes == 0) | (classes == 1)).all() and (classes.sum(axis=0) <= 1).all()
    road = terrain.layer("road") > 0
    parts, count = label(road, np.ones((3, 3)))
    borders = [set(border.tolist()) for border in (parts[0], parts[-1], parts[:, 0], parts[:, -1])]
    assert max(sum(part in border for border in borders) for part in range(1, count + 1)) >= 2
    slope = np.hypot(*np.gradient(terrain.elevation.astype(float), terrain.cell))
    assert terrain.layer("slope") == pytest.approx(slope, abs=1e-4) and 0.05 < slope.max() < 1


@given(seeds, st.integers(-50, 50), st.integers(-50, 50))
def test_cells_and_their_centres_are_inverse(seed, row, column):
    terrain = plain()
    inside = np.random.default_rng(seed).uniform(-0.24, 0.24, 2)
    assert terrain.cells_of(terrain.centres_of(np.array([row, column])) + inside).tolist() == [row, column]
    assert terrain.centres_of(np.array([0, 0])).tolist() == [3.25, -1.75]


def test_parts_keep_coordinates_and_halves_join_to_the_whole():
    terrain = generated(3, size=40)
    part = terrain.part(slice(5, 20), slice(10, None))
    assert part.shape == (15, 30) and np.array_equal(part.layers, terrain.layers[:, 5:20, 10:])
    assert part.centres_of(np.array([0, 0])).tolist() == terrain.centres_of(np.array([5, 10])).tolist()
    west, east = terrain.halves()
    assert np.array_equal(np.concatenate([west.layers, east.layers], axis=2), terrain.layers)
    assert np.array_equal(np.concatenate([west.elevation, east.elevation], axis=1), terrain.elevation)
    assert east.origin[0] == west.origin[0] + west.shape[1] * west.cell
    # One column less on the larger side would not be more equal.
    smaller, larger = sorted((west.known.sum(), east.known.sum()))
    assert larger - smaller <= terrain.known.sum(axis=0).max()


def test_halves_are_cut_where_nothing_is_mapped_and_cropping_leaves_what_is():
    terrain = plain((6, 40))
    terrain.layers[0, 2:4, 3:10] = 1
    terrain.layers[1, 1:5, 20:24] = 1
    terrain.layers[2, 1:5, 34:36] = 1
    west, east = terrain.halves()
    assert west.shape[1] == 15, "the middle of columns 10 to 19: 14 cells in the west and 24 in the east"
    assert west.cropped().shape == (2, 7) and west.cropped().known.all()
    assert west.cropped(1).shape == (4, 9) and west.cropped(99).shape == west.shape
    assert east.halves()[0].cropped().shape == (4, 4)


@given(seeds)
def test_a_file_holds_the_map(seed):

    terrain = surrounded(generated(seed, size=20).part(slice(3, 9), slice(None)))
    with tempfile.TemporaryDirectory() as folder:
        terrain.save(f"{folder}/map.npz")
        again = load(f"{folder}/map.npz")
    assert np.array_equal(again.layers, terrain.layers) and np.array_equal(again.elevation, terrain.elevation)
    assert (again.names, again.cell, again.origin) == (terrain.names, terrain.cell, terrain.origin)


def test_other_files_are_refused(tmp_path):
    texts, pickles, other = tmp_path / "a.npz", tmp_path / "b.npz", tmp_path / "c.npz"
    texts.write_text("no map")
    np.savez(pickles, layers=np.array([{}], dtype=object), names=1, elevation=1, cell=1, origin=1)
    np.savez(
        other, layers=np.zeros((6, 2, 2)), names=np.array(["a"]), elevation=np.zeros((2, 2)), cell=1, origin=[0, 0]
    )
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", "x")
    for name in ("a.npz", "b.npz", "d.npz", "missing.npz"):
        with pytest.raises(ValueError, match=f"{name} is no file of a terrain map: it must be .npz with layers, names"):
            load(tmp_path / name)
    with pytest.raises(ValueError, match=r"c.npz is no terrain map \(the names of 6 layers must begin with"):
        load(other)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"elevation": np.zeros((3, 3), np.float32)}, r"layers \(C, H, W\) and an elevation \(H, W\)"),
        ({"names": LAYERS[::-1]}, "names of 6 layers must begin with"),
        ({"cell": 0.0}, "must be finite; got cell 0.0"),
        ({"layers": np.full((6, 8, 10), 2, np.float32)}, r"layers must lie in \[0, 1\]"),
        ({"layers": np.full((6, 8, 10), np.nan, np.float32)}, r"layers must lie in \[0, 1\]"),
    ],
)
def test_maps_that_make_no_sense_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        plain(**changed)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: generated(0, size=8), "needs 16 cells a side or more of positive size; got 8 of 0.5 m"),
        (lambda: generated(0, cell=-1.0), "of positive size; got 64 of -1.0 m"),
        (lambda: plain().layer("sea"), "a layer must be one of road, .*; got 'sea'"),
        (lambda: plain().part(slice(4, 4), slice(None)), "a part needs cells in steps of 1"),
        (lambda: plain().part(slice(None, None, 2), slice(None)), "a part needs cells in steps of 1"),
        (lambda: plain((4, 1)).halves(), "a map of one column has no halves"),
        (lambda: plain().cropped(), "nothing is mapped here"),
        (lambda: surrounded(plain(), blurs=(0.0,)), "must be positive lengths"),
        (lambda: surrounded(surrounded(plain())), "each layer can be there once"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_features_are_those_of_a_longer_look():
    terrain = generated(1, size=32)
    more = surrounded(terrain, blurs=(1.5,), reaches=(2.0, 4.0))
    assert np.array_equal(more.layers[: len(LAYERS)], terrain.layers) and len(more.names) == len(LAYERS) + 3 * 5
    road = terrain.layer("road") > 0
    away = 0.5 * distance_transform_edt(~road)
    assert more.layer("road near 4 m") == pytest.approx(np.exp(-away / 4), rel=1e-5)
    assert (more.layer("road near 2 m") <= more.layer("road near 4 m")).all()
    blurred = more.layer("road blurred 1.5 m")
    assert blurred[road].mean() > blurred[~road].mean() and blurred.std() < terrain.layer("road").std()
    empty = surrounded(plain())
    assert not empty.layers.any()
