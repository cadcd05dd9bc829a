"""Walls are read as they are, or refused by line; the nearest points on them are nearest."""

import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen.forecasting import walls
from embodied_gen.forecasting.walls import nearest_points, pieces_of

RING = shapely.box(0, 0, 6, 4).difference(shapely.box(2, 1, 3, 2))
LINE = shapely.LineString([(-3, 0), (-3, 0.4), (-1, 5)])


def test_pieces_make_up_outlines_holes_and_lines_and_are_short():
    pieces = pieces_of([RING, LINE])
    length = (pieces[:, 1] - pieces[:, 0]).norm(dim=-1)
    assert length.max() <= 1 + 1e-9 and length.min() > 0
    assert length.sum().item() == pytest.approx(RING.length + LINE.length)
    assert shapely.union_all([shapely.LineString(piece.numpy()) for piece in pieces]).hausdorff_distance(
        shapely.union_all([RING.boundary, LINE])
    ) == pytest.approx(0, abs=1e-9)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=6), st.integers(1, 5))
def test_the_nearest_point_is_that_of_shapely_and_others_follow_by_distance(places, count):
    at = torch.tensor(places, dtype=torch.float64)
    found = nearest_points(at, pieces_of([RING, LINE]), count)
    apart = (found - at[:, None]).square().sum(-1)
    outline = shapely.union_all([RING.boundary, LINE])
    assert apart[:, 0].sqrt().tolist() == pytest.approx([outline.distance(shapely.Point(p)) for p in places], abs=1e-9)
    assert (apart.diff(dim=1) >= 0).all()
    assert outline.distance(shapely.points(found.flatten(0, 1).numpy())[0]) < 1e-9


def test_places_of_any_shape_are_answered_together_as_one_by_one():
    at, pieces = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0)), pieces_of([RING])
    assert nearest_points(at, pieces, 2)[1, 2].equal(nearest_points(at[1, 2], pieces, 2))


def test_more_points_than_pieces_are_refused():
    with pytest.raises(ValueError, match="there are 4 pieces of walls, fewer than the 5 points that are asked for"):
        nearest_points(torch.zeros(1, 2), pieces_of([shapely.box(0, 0, 1, 1)]), 5)


def test_a_file_is_read(tmp_path):
    path = tmp_path / "walls.wkt"
    path.write_text(f"{RING.wkt}\n\n{LINE.wkt}\n")
    assert all(shapely.equals(walls.read(path), [RING, LINE]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: there are no walls"),
        (f"{LINE.wkt}\nWALL (0 0)", r"line 2: a wall must be well-known text, such as LINESTRING .*got 'WALL \(0 0\)'"),
        ("POINT (1 2)", "line 1: a wall must be a polygon or a line with a length; got 'POINT"),
        ("LINESTRING (1 2, 1 2)", "line 1: a wall must be a polygon or a line with a length"),
        ("LINESTRING (1 2, inf 2)", "line 1: coordinates must be finite"),
    ],
)
def test_what_is_no_wall_is_refused_by_line(text, message, tmp_path):
    path = tmp_path / "walls.wkt"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path}, {message}"):
        walls.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file of walls .*nowhere.wkt"):
        walls.read(tmp_path / "nowhere.wkt")
