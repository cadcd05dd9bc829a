"""Polygons: one code for one outline, and what is simple, against shapely."""

import math

import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.events import Polygon
from embodied_gen.outlines import outlines_of, vertices_of

VERTICES, LEVELS = 7, 64
LOW, HIGH = [-3.0, 1.0], [5.0, 2.0]


def event(levels=LEVELS):
    return Polygon(VERTICES, LOW, HIGH, levels=levels)


def stars(seed, rows=20):
    """Outlines of three to seven vertices around the middle, physical units, with their number of vertices."""
    g, like = draws.generator(seed), torch.zeros(())
    count = 3 + (draws.uniform((rows, 1), generator=g, like=like) * (VERTICES - 2)).long()
    angle = 2 * math.pi * (torch.arange(VERTICES) + 0.5 * draws.uniform((rows, VERTICES), generator=g, like=like))
    radius = 0.4 + 0.5 * draws.uniform((rows, VERTICES), generator=g, like=like)
    angle = angle / count
    x, y = 1 + 4 * radius * angle.cos(), 1.5 + 0.5 * radius * angle.sin()
    present = (torch.arange(VERTICES) < count).float()
    return torch.stack([x, y, torch.ones_like(x)], -1) * present.unsqueeze(-1), count[:, 0]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10)
def test_what_is_simple_is_what_shapely_finds_valid(seed):
    # On a coarse grid touching vertices, edges that lie on others and folds are common.
    polygon, g, like = event(levels=6), draws.generator(seed), torch.zeros(())
    levels = (draws.uniform((200, VERTICES, 2), generator=g, like=like) * 6).long()
    count = 3 + (draws.uniform((200, 1), generator=g, like=like) * (VERTICES - 2)).long()
    present = torch.arange(VERTICES) < count
    told = polygon.simple(polygon.of_levels(levels, present))
    rings = [level[there].tolist() for level, there in zip(levels, present, strict=True)]
    # shapely passes over repeated points, which no outline here may have.
    truth = [
        shapely.Polygon(ring).is_valid and all(p != q for p, q in zip(ring, ring[1:] + ring[:1], strict=True))
        for ring in rings
    ]
    assert told.tolist() == truth


@given(seed=st.integers(0, 10_000), start=st.integers(0, 6))
@settings(max_examples=10)
def test_an_outline_has_one_code_from_any_vertex_and_in_either_sense(seed, start):
    value, count = stars(seed)
    x = event().encode(value)
    index = (torch.arange(VERTICES) + start) % count[:, None]
    turned = torch.where(value[..., 2:] > 0, value.take_along_dim(index.unsqueeze(-1), 1), value)
    back = (count[:, None] - 1 - torch.arange(VERTICES)) % count[:, None]
    reversed_ = torch.where(value[..., 2:] > 0, value.take_along_dim(back.unsqueeze(-1), 1), value)
    assert torch.equal(event().encode(turned), x)
    assert torch.equal(event().encode(reversed_), x)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10)
def test_decoding_gives_back_the_outline_up_to_half_a_level(seed):
    value, count = stars(seed)
    polygon = event()
    y = polygon.decode(polygon.encode(value))
    half_level = (polygon.half_width[:2] / LEVELS).tolist()
    for before, after, vertices in zip(outlines_of(value), outlines_of(y), count.tolist(), strict=True):
        ring = after.exterior.coords[:-1]
        assert len(ring) == vertices and after.exterior.is_ccw and ring[0] == min(ring)
        for x0, y0 in before.exterior.coords[:-1]:
            assert min(max(abs(x - x0) / half_level[0], abs(y - y0) / half_level[1]) for x, y in ring) < 1 + 1e-4
    assert torch.equal(polygon.encode(y), polygon.encode(value))
    torch.testing.assert_close(polygon.unscale(polygon.scale(y)), y)


def test_vertices_of_shapelys_polygons_are_their_rings():
    polygons = [shapely.box(0, 1, 2, 1.5), shapely.Polygon([(0, 1), (1, 1), (0, 2)])]
    value = vertices_of(polygons, VERTICES)
    assert value.shape == (2, VERTICES, 3) and value[..., 2].sum(1).tolist() == [4, 3]
    assert all(a.equals(b) for a, b in zip(outlines_of(value), polygons, strict=True))
    assert outlines_of(torch.zeros(1, VERTICES, 3))[0].is_empty


def test_the_error_counts_presence_everywhere_and_places_where_there_is_a_vertex():
    polygon, value = event(), stars(0)[0]
    x = polygon.encode(value)
    assert (polygon.error(x, x) == 0).all()
    moved = x.clone()
    moved[..., :2] += (x[..., 2:] < 0).float()  # places of absent vertices
    assert (polygon.error(moved, x) == 0).all()
    moved = x.clone()
    moved[:, 0, 0] += 1.5
    torch.testing.assert_close(polygon.error(moved, x), torch.full((20,), 1.5**2 / (3 * VERTICES)))
    later = torch.arange(VERTICES).expand(20, -1) > 0
    assert (polygon.error(moved, x, later) == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vertices": 2}, "vertices must be at least 3, as of a triangle; got 2"),
        ({"levels": 2}, "levels must lie between 3 and 4096; got 2"),
        ({"low": [0.0]}, "points of the plane; got 1 and 2 coordinates"),
    ],
)
def test_impossible_polygons_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Polygon(**({"vertices": 4, "low": LOW, "high": HIGH} | options))


@pytest.mark.parametrize(
    ("place", "told"),
    [((5.25, 1.5), r"\[5.25, 1.5\]"), ((1.0, 0.75), r"\[1.0, 0.75\]"), ((math.nan, 1.5), r"\[nan, 1.5\]")],
)
def test_vertices_beyond_the_bounds_are_named_and_absent_ones_are_not_read(place, told):
    value, count = stars(0)
    number = int(count.argmin())
    value[number, 1, :2] = torch.tensor(place)
    message = rf"from \[-3.0, 1.0\] to \[5.0, 2.0\]; vertex 1 of outline {number} is {told}\. Cut the outline to the"
    with pytest.raises(ValueError, match=message):
        event().encode(value)
    value, _ = stars(0)
    x = event().encode(value)
    value[number, -1, :2] = torch.tensor(place)
    assert torch.equal(event().encode(value), x)


def test_what_is_half_a_level_beyond_the_bounds_is_at_them():
    value = torch.zeros(1, VERTICES, 3)
    value[0, :3] = torch.tensor([[5.0, 1.0, 1.0], [5.0, 2.0, 1.0], [0.0, 1.5, 1.0]])
    x = event().encode(value)
    value[0, :2, 0] += 0.49 * 8.0 / LEVELS
    assert torch.equal(event().encode(value), x)


def test_outlines_without_a_code_are_refused():
    value = stars(0, rows=3)[0]
    bow = torch.tensor([[0.0, 1.0, 1.0], [2.0, 2.0, 1.0], [2.0, 1.0, 1.0], [0.0, 2.0, 1.0]])
    value[1, :4], value[1, 4:] = bow, 0
    with pytest.raises(ValueError, match=r"simple on 64 x 64 levels, .*; 1 of 3 are not"):
        event().encode(value)
    value[:, 1, 2] = 0
    with pytest.raises(ValueError, match="present vertices must come before absent ones"):
        event().encode(value)


def test_polygons_that_are_no_outlines_are_refused():
    square = shapely.box(0, 0, 3, 3)
    with pytest.raises(ValueError, match="no holes and at most 8 vertices; got 1 holes and 4 vertices"):
        vertices_of([square - shapely.box(1, 1, 2, 2)], 8)
    with pytest.raises(ValueError, match="at most 3 vertices; got 0 holes and 4 vertices"):
        vertices_of([square], 3)
