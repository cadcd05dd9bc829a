"""A raster is the area that it was made from, cell by cell, and the areas of a raster are its cells."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label

from envs.rasters import areas, covered

SHAPE, CELL, ORIGIN = (25, 30), 0.7, (-3.1, 2.2)
seeds = st.integers(0, 2**32 - 1)


def blobs(seed):
    """Polygons with holes, corners and overlaps, partly off the raster."""
    generator = np.random.default_rng(seed)
    corners = generator.uniform(-5, 25, (3, 6, 2))
    area = shapely.union_all([shapely.make_valid(shapely.Polygon(ring)).buffer(0) for ring in corners])
    return area.difference(shapely.Point(generator.uniform(0, 20, 2)).buffer(3))


def centres(shape, cell, origin):
    row, column = np.indices(shape)
    return origin[0] + cell * (column + 0.5), origin[1] + cell * (row + 0.5)


@given(seeds)
def test_the_cells_are_those_whose_centre_shapely_finds_inside(seed):
    area = blobs(seed)
    expected = shapely.contains_xy(area, *centres(SHAPE, CELL, ORIGIN))
    assert np.array_equal(covered(area, SHAPE, cell=CELL, origin=ORIGIN), expected)


@given(seeds)
def test_the_area_is_shapelys_within_a_cell_along_the_outline(seed):
    area = blobs(seed).intersection(shapely.box(0, 0, 20, 20))
    cell = 0.1
    raster = covered(area, (200, 200), cell=cell, origin=(0.0, 0.0))
    assert abs(raster.sum() * cell**2 - area.area) <= cell * area.length + cell**2


@given(seeds)
def test_areas_that_share_a_border_share_no_cell_and_leave_none_out(seed):
    area, line = blobs(seed), np.random.default_rng(seed).integers(0, 40) / 2
    west = area.intersection(shapely.box(-99, -99, line, 99))
    east = area.intersection(shapely.box(line, -99, 99, 99))
    both = [covered(part, (40, 40), cell=0.5, origin=(0.25, 0.0)).astype(int) for part in (west, east)]
    assert (sum(both) <= 1).all() and sum(both).sum() == covered(area, (40, 40), cell=0.5, origin=(0.25, 0)).sum()


@pytest.mark.parametrize("area", [shapely.Polygon(), shapely.box(50, 50, 60, 60), shapely.box(-9, -9, -5, 60)])
def test_what_is_not_there_covers_nothing(area):
    assert not covered(area, SHAPE, cell=CELL, origin=ORIGIN).any()


@given(seeds, st.floats(0.05, 0.95))
def test_the_areas_of_a_raster_cover_its_cells_and_no_others(seed, share):
    mask = np.random.default_rng(seed).random(SHAPE) < share
    found = areas(mask, cell=CELL, origin=ORIGIN)
    assert all(area.geom_type == "Polygon" and area.is_valid for area in found)
    assert sum(area.area for area in found) == pytest.approx(mask.sum() * CELL**2)
    assert np.array_equal(covered(shapely.union_all(found), SHAPE, cell=CELL, origin=ORIGIN), mask)
    # Each is in one piece: cells that touch in a corner alone are two.
    assert len(found) == label(mask)[1]


def test_a_raster_without_cells_has_no_areas():
    assert areas(np.zeros(SHAPE, dtype=bool), cell=CELL, origin=ORIGIN) == []
