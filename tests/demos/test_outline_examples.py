"""Examples of outlines: in the boxes around them, turned and mirrored, and what is left out is counted."""

import math

import numpy as np
import pytest
import shapely
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shapely.affinity import rotate, scale, translate

from embodied_gen.demos.outlines import AS_IT_IS, BOUNDS, OutlineExamples, in_metres, observed, read, turned
from embodied_gen.events import Polygon
from embodied_gen.outlines import outlines_of

VERTICES, LEVELS = 8, 64
LANE = shapely.Polygon([(0, 0), (30, 0), (44, 6), (43, 9), (29, 3.5), (0, 3.5)])
ROOM = LANE.buffer(0).union(shapely.box(10, -9, 14, 1))
RING = shapely.box(0, 0, 9, 9).difference(shapely.box(3, 3, 6, 6))


def event(vertices=VERTICES, levels=LEVELS):
    return Polygon(vertices, *BOUNDS, levels=levels)


def examples(*outlines, ways=AS_IT_IS, of=None):
    return OutlineExamples({"lane": list(outlines)}, of or event(), ways=ways, source="outlines.wkt")


def whole(found):
    return found.batch(torch.arange(len(found)))


def sides_of(found):
    return found.observations()[:, :2].exp()


@given(st.integers(0, 10_000))
@example(86)  # so thin that the grid refuses it
@settings(max_examples=20)
def test_an_outline_comes_back_in_its_box_to_a_level(seed):
    generator = np.random.default_rng(seed)
    angles = np.sort(generator.uniform(0, 2 * np.pi, 7))
    stretch = generator.uniform(0.5, 200, 2)
    corners = np.stack([np.cos(angles), np.sin(angles)], 1) * generator.uniform(0.5, 1, (7, 1)) * stretch
    outline = shapely.Polygon(corners + generator.uniform(-1e5, 1e5, 2))
    if not outline.is_valid:
        return
    low, high = np.split(np.array(outline.bounds), 2)
    there = shapely.transform(outline, lambda corners: (corners - (low + high) / 2) / (high - low))
    try:
        polygon, found = event(), examples(outline)
    except ValueError as refusal:
        # Corners move by up to half a level along each axis: only what is that thin can come to touch itself.
        assert "1 that cross or touch themselves on 64 x 64" in str(refusal)
        assert shapely.minimum_clearance(there) <= math.sqrt(2) / LEVELS
        return
    x = polygon.encode(whole(found).value)
    (back,) = outlines_of(in_metres(polygon.decode(x).unsqueeze(1), sides_of(found))[:, 0])
    shares = shapely.transform(back, lambda corners: corners / (high - low))
    # Half a level for the corners that are left out, and half a level along each axis for the others.
    assert there.hausdorff_distance(shares) <= (0.5 + math.sqrt(0.5)) / LEVELS + 1e-4


def test_neither_place_nor_size_changes_the_shape_and_the_size_is_told_by_its_logarithm():
    found = examples(LANE, translate(LANE, 3e5, -7e4), scale(LANE, 2, 3))
    batch = whole(found)
    assert batch.observations.shape == (3, 1, 3) and batch.value.shape == (3, VERTICES, 3) and batch.valid.all()
    torch.testing.assert_close(batch.value[1:], batch.value[:1].expand(2, -1, -1), atol=1e-5, rtol=0)
    seen = found.observations()
    torch.testing.assert_close(seen[0], torch.tensor([44.0, 9.0]).log().new_tensor([math.log(44), math.log(9), 1.0]))
    torch.testing.assert_close(seen[2] - seen[0], torch.tensor([math.log(2), math.log(3), 0.0]))


def test_outlines_are_turned_and_mirrored_each_in_the_box_around_it_then():
    ways = turned(5)
    assert ways.shape == (10, 2, 2) and np.allclose(ways[0], np.eye(2))
    assert np.allclose(ways @ ways.transpose(0, 2, 1), np.eye(2))
    assert np.allclose(np.linalg.det(ways), [1] * 5 + [-1] * 5)
    found = examples(LANE, ROOM, ways=ways, of=event(vertices=12))
    assert len(found) == 20 and found.outlines == 2
    sides, value = sides_of(found), whole(found).value
    for number, outline in enumerate((LANE, ROOM)):
        for turn in range(5):
            at = 10 * number + turn
            x0, y0, x1, y1 = rotate(outline, 72 * turn, origin=(0, 0)).bounds
            assert sides[at].tolist() == pytest.approx([x1 - x0, y1 - y0], rel=1e-5)
            (drawn,) = outlines_of(in_metres(value[at].expand(1, 1, -1, -1), sides[at : at + 1])[0])
            assert drawn.area == pytest.approx(outline.area, rel=0.03)
            torch.testing.assert_close(sides[at + 5], torch.tensor(_sides(ways[turn + 5], outline)))
    there = value[value[..., 2] > 0.5]
    assert there[:, :2].abs().max() <= 0.5 + 1e-6


def _sides(way, outline):
    corners = shapely.get_coordinates(outline) @ way
    return (corners.max(0) - corners.min(0)).astype(np.float32)


def test_a_mirror_image_is_mirrored():
    value = whole(examples(LANE, ways=turned(1))).value
    torch.testing.assert_close(value[1], value[0] * torch.tensor([1.0, -1.0, 1.0]))


def test_corners_that_the_grid_does_not_tell_are_left_out():
    along = [(x, 3.5 + 0.01 * (-1) ** x) for x in range(29, 0, -1)]
    rough = shapely.Polygon([(0, 0), (30, 0), (44, 6), (43, 9), (29, 3.5), *along, (0, 3.5)])
    assert int(whole(examples(rough)).value[..., 2].sum()) == 6
    with pytest.raises(ValueError, match="there is nothing to learn from 1 outlines; left out 1 with more than 8"):
        examples(rough, of=event(levels=4096))


def test_kinds_are_told_apart_and_places_name_them():
    found = OutlineExamples({"lane": [LANE, ROOM], "house": [LANE]}, event(12), ways=turned(2), source="two files")
    assert len(found) == 12 and found.observations()[:, 2:].tolist() == [[1, 0]] * 8 + [[0, 1]] * 4
    assert [found.place(number) for number in (0, 3, 4, 11)] == [(0, 0), (0, 0), (0, 1), (1, 2)]
    seen = observed(torch.tensor([[1.0, math.e]]), torch.tensor([1]), 3)
    torch.testing.assert_close(seen, torch.tensor([[[0.0, 1.0, 0.0, 1.0, 0.0]]]))


def test_what_has_too_many_corners_or_is_not_simple_on_the_grid_is_left_out_and_counted():
    narrow = shapely.Polygon([(0, 0), (100, 0), (100, 100), (99.99, 100), (99.99, 0.01), (0, 0.01)])
    found = examples(LANE, shapely.Point(0, 0).buffer(5), narrow)
    assert found.left_out == "left out 1 with more than 8 corners, 1 that cross or touch themselves on 64 x 64 levels"
    assert len(found) == 1 and found.outlines == 3 and found.place(0) == (0, 0)
    # The event takes all that is left.
    assert event().encode(whole(found).value).shape == (1, VERTICES, 3)


@pytest.mark.parametrize("outlines", [(), (shapely.Point(0, 0).buffer(5),)])
def test_where_nothing_is_left_the_remedy_is_named(outlines):
    with pytest.raises(
        ValueError, match=r"outlines.wkt: there is nothing to learn from .* Give others, or raise event"
    ):
        examples(*outlines)


def write(path, *outlines):
    path.write_text("".join(f"{outline.wkt}\n" for outline in outlines))
    return path


def test_a_file_is_read_without_doubles_and_holes_which_are_counted(tmp_path):
    again = shapely.Polygon([*LANE.exterior.coords[2:-1], *LANE.exterior.coords[:2]])
    moved = translate(again.reverse(), 1e-7, 1e-7)
    found = read(write(tmp_path / "lanes.wkt", LANE, RING, again, ROOM, moved, translate(LANE, 1)))
    assert (found.all, found.doubles, found.holes) == (6, 2, 1)
    expected = [LANE, ROOM, translate(LANE, 1)]
    assert all(one.symmetric_difference(other).area < 1e-4 for one, other in zip(found.found, expected, strict=True))


@pytest.mark.parametrize(("share", "last"), [(0.0, 0), (0.25, 1), (0.6, 2), (0.9, 4)])
def test_the_last_outlines_are_held_out(share, last, tmp_path):
    outlines = read(write(tmp_path / "lanes.wkt", *(translate(LANE, 50 * k) for k in range(4))))
    first, rest = outlines.split(share)
    assert len(rest) == last and first + rest == outlines.found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: there are no outlines"),
        (f"{LANE.wkt}\nLANE", r"line 2: an outline must be well-known text, such as POLYGON \(\(0 0, .*got 'LANE'"),
        ("LINESTRING (0 0, 1 1)", "line 1: an outline must be a polygon that does not cross itself; got 'LINE"),
        ("POLYGON EMPTY", "line 1: an outline must be a polygon that does not cross itself; got 'POLYGON EMPTY"),
        ("POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))", "line 1: an outline must be a polygon that does not cross itself"),
        ("POLYGON ((0 0, inf 2, 2 0, 0 0))", "line 1: coordinates must be finite"),
    ],
)
def test_what_is_no_outline_is_refused_by_line(text, message, tmp_path):
    path = tmp_path / "lanes.wkt"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path}, {message}"):
        read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file of outlines .*nowhere.wkt"):
        read(tmp_path / "nowhere.wkt")
