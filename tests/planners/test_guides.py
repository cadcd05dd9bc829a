"""Constraints and costs become one guide, from code or from a file whose every mistake is named."""

import pytest
import torch
import yaml

from planners import (
    AccelerationLimit,
    CurvatureLimit,
    KeepInBox,
    KeepInRegion,
    KeepOutDisc,
    KeepOutRegion,
    ReachPoint,
    SpeedLimit,
    guide_of,
    polygon_of,
    read_guide,
)

Y = torch.randn(2, 3, 5, 2, generator=torch.Generator().manual_seed(0))
SQUARE = [[-1, -1], [1, -1], [1, 1], [-1, 1]]
ENTRIES = [
    {"kind": "keep_out_disc", "centre": [0.1, 0.0], "radius": 0.5},
    {"kind": "keep_in_box", "low": [-1, -1], "high": [1, 1]},
    {"kind": "speed_limit", "limit": 3.0},
    {"kind": "reach_point", "point": [0.5, 0.5], "tolerance": 0.2, "step": 2},
    {"kind": "acceleration_limit", "limit": 9.0},
    {"kind": "curvature_limit", "limit": 2.0},
    {"kind": "keep_in_region", "points": SQUARE, "holes": [[[0.1, 0.1], [0.2, 0.1], [0.2, 0.2]]]},
    {"kind": "keep_out_region", "points": SQUARE},
]


def test_a_guide_holds_the_margins_of_all_constraints_and_the_sum_of_all_costs():
    disc, box = KeepOutDisc((0, 0), 0.5), KeepInBox((-1, -1), (1, 1))
    guide = guide_of([disc, box], [lambda y: y.sum((-1, -2)), lambda y: y[..., 0, 0]], scale=7.0, buffer=0.1)
    assert guide.margins(Y).equal(torch.cat([disc.margins(Y), box.margins(Y)], -1) - 0.1)
    assert guide.certify(Y).equal(torch.minimum(disc.margin(Y), box.margin(Y)))
    torch.testing.assert_close(guide.cost(Y), Y.sum((-1, -2)) + Y[..., 0, 0])
    assert guide.scale == 7.0 and guide.project is None


def test_a_guide_of_costs_alone_has_no_constraints():
    guide = guide_of([], [lambda y: y.sum((-1, -2))])
    assert guide.margins is None and guide.certify is None


def test_a_guide_wants_something():
    with pytest.raises(ValueError, match="a guide needs at least one constraint or cost; got none"):
        guide_of([])


@pytest.mark.parametrize("scale", [-1.0, float("inf"), float("nan")])
def test_a_guide_has_a_finite_strength(scale):
    with pytest.raises(ValueError, match="scale must be at least 0 and finite"):
        guide_of([], [lambda y: y.sum((-1, -2))], scale=scale)


def file_of(tmp_path, content):
    path = tmp_path / "guide.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_a_file_builds_the_constraints_it_names(tmp_path):
    file = read_guide(file_of(tmp_path, {"constraints": ENTRIES, "buffer": 0.02}))
    guide, constraints = file.build(period=0.1)
    by_hand = [
        KeepOutDisc((0.1, 0.0), 0.5),
        KeepInBox((-1, -1), (1, 1)),
        SpeedLimit(3.0, 0.1),
        ReachPoint((0.5, 0.5), 0.2, step=2),
        AccelerationLimit(9.0, 0.1),
        CurvatureLimit(2.0),
        KeepInRegion(polygon_of(SQUARE, [[(0.1, 0.1), (0.2, 0.1), (0.2, 0.2)]])),
        KeepOutRegion(polygon_of(SQUARE)),
    ]
    for mine, theirs in zip(constraints, by_hand, strict=True):
        assert type(mine) is type(theirs) and mine.name == theirs.name
        assert mine.margins(Y).equal(theirs.margins(Y))
    assert guide.margins(Y).equal(guide_of(by_hand, buffer=0.02).margins(Y))


def test_json_is_yaml_too(tmp_path):
    path = file_of(tmp_path, '{"constraints": [{"kind": "speed_limit", "limit": 1}]}')
    assert read_guide(path).buffer == 0


def mistakes(tmp_path, content):
    path = file_of(tmp_path, content)
    before = path.read_bytes()
    with pytest.raises(ValueError) as caught:
        read_guide(path)
    assert path.read_bytes() == before
    return [line.removeprefix(f"{path}: ") for line in str(caught.value).splitlines()]


def test_an_unknown_kind_lists_the_kinds(tmp_path):
    (line,) = mistakes(tmp_path, {"constraints": [{"kind": "keep_out_disk"}]})
    assert line.startswith("constraints.0: ")
    assert "'keep_out_disk'" in line
    for kind in ("keep_out_disc", "keep_in_box", "speed_limit", "reach_point"):
        assert f"'{kind}'" in line


def test_a_missing_kind_lists_the_kinds(tmp_path):
    assert mistakes(tmp_path, {"constraints": [{"radius": 1}]}) == [
        "constraints.0: kind is missing; expected one of keep_out_disc, keep_in_box, keep_in_region, "
        "keep_out_region, speed_limit, acceleration_limit, curvature_limit, reach_point"
    ]


def test_all_mistakes_are_told_at_once_each_with_its_path(tmp_path):
    wrong = [ENTRIES[0] | {"radius": -1}, {"kind": "keep_out_disc", "centre": [0], "raduis": 1}, ENTRIES[2]]
    lines = mistakes(tmp_path, {"constraints": wrong, "bufer": 3, "buffer": -1})
    assert sorted(line.split(": ")[0] for line in lines) == [
        "bufer",
        "buffer",
        "constraints.0.radius",
        "constraints.1.centre.1",
        "constraints.1.radius",
        "constraints.1.raduis",
    ]
    assert "constraints.0.radius: Input should be greater than 0; got -1" in lines
    assert "constraints.1.raduis: unknown key; did you mean 'radius'?" in lines
    assert "bufer: unknown key; did you mean 'buffer'?" in lines


def test_an_empty_list_is_refused(tmp_path):
    (line,) = mistakes(tmp_path, {"constraints": []})
    assert line.startswith("constraints: List should have at least 1 item")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("constraints: [1, 2", "is not YAML"),
        ("- 1", "must hold a mapping with the keys constraints; got list"),
        ("", "must hold a mapping with the keys constraints; got nothing"),
    ],
)
def test_a_file_that_is_no_guide_is_named(tmp_path, text, message):
    path = file_of(tmp_path, text)
    with pytest.raises(ValueError, match=f"{path} {message}"):
        read_guide(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no guide file .*nowhere.yaml"):
        read_guide(tmp_path / "nowhere.yaml")


def test_a_box_turned_inside_out_is_named(tmp_path):
    content = {"constraints": [{"kind": "keep_in_box", "low": [1, 1], "high": [0, 0]}]}
    with pytest.raises(ValueError, match="low must be below high in both axes"):
        read_guide(file_of(tmp_path, content)).build(0.1)


def test_a_polygon_that_crosses_itself_is_named(tmp_path):
    content = {"constraints": [{"kind": "keep_out_region", "points": [[0, 0], [1, 1], [1, 0], [0, 1]]}]}
    with pytest.raises(ValueError, match=r"a region must not cross itself: Self-intersection"):
        read_guide(file_of(tmp_path, content)).build(0.1)
