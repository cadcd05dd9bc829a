"""OMPL's paths stay in the region, whose walls may be as thin as they like; without OMPL an error says so."""

import builtins

import numpy as np
import pytest
import shapely

from planners.ompl_search import OmplSearch

ROOM = shapely.box(-1, -1, 1, 1)
THIN = shapely.difference(ROOM, shapely.box(-1e-6, -1, 1e-6, 0.4))
ENDS = np.array([[-0.5, -0.5], [0.5, -0.5]])


@pytest.fixture
def search():
    pytest.importorskip("ompl", reason="OMPL is not installed")
    return OmplSearch(THIN)


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_path_does_not_hop_across_a_wall_of_micrometres(search, seed):
    path = search.path(*ENDS, seed=seed, iterations=10_000)
    assert shapely.covers(THIN, shapely.linestrings(path))
    np.testing.assert_array_equal(path[[0, -1]], ENDS)


def test_a_seed_is_a_path_and_another_seed_another(search):
    paths = [search.path(*ENDS, seed=seed, iterations=10_000) for seed in (1, 2, 1)]
    np.testing.assert_array_equal(paths[0], paths[2])
    assert not np.array_equal(paths[0], paths[1])


def test_a_smooth_path_turns_less_sharply_stays_inside_and_keeps_its_ends(search):
    corners = np.array([ENDS[0], [-0.3, 0.7], [0.3, 0.7], ENDS[1]])
    smooth = search.smooth(corners)
    assert shapely.covers(THIN, shapely.linestrings(smooth))
    np.testing.assert_array_equal(smooth[[0, -1]], ENDS)
    assert sharpest(smooth) < sharpest(corners) / 2


def sharpest(path):
    """The largest angle between neighbouring segments."""
    steps = np.diff(path, axis=0)
    return np.abs(np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])))).max()


def test_where_no_path_is_found_there_is_none(search):
    assert search.path(*ENDS, seed=1, iterations=1) is None


def test_without_ompl_the_error_names_what_to_install(monkeypatch):
    imported = builtins.__import__

    def without(name, *arguments):
        if name == "ompl":
            raise ImportError(name)
        return imported(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"RRT-Connect needs OMPL: pip install 'embodied-gen\[peers\]'"):
        OmplSearch(ROOM)
