"""Every mistake in a guide file is named with its place, and the file is left as it is."""

import pytest
from guide_files import ENTRIES, file_of

from planners import (
    read_guide,
)


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
        "keep_out_region, speed_limit, acceleration_limit, curvature_limit, reach_point, double_integrator, unicycle, "
        "bicycle, attribute_range, fixed, no_collision, keep_distance, on_road, boxes_apart, boxes_within"
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


@pytest.mark.parametrize("content", [{}, {"constraints": []}, {"constraints": [], "costs": [], "buffer": 1}])
def test_a_file_that_wants_nothing_is_refused(tmp_path, content):
    assert mistakes(tmp_path, content) == ["config: a guide needs at least one constraint or cost; got none."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("constraints: [1, 2", "is not YAML"),
        ("- 1", "must hold a mapping with the keys constraints, walls, costs, buffer, scale; got list"),
        ("", "must hold a mapping with the keys constraints, walls, costs, buffer, scale; got nothing"),
    ],
)
def test_a_file_that_is_no_guide_is_named(tmp_path, text, message):
    path = file_of(tmp_path, text)
    with pytest.raises(ValueError, match=f"{path} {message}"):
        read_guide(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no guide file .*nowhere.yaml"):
        read_guide(tmp_path / "nowhere.yaml")


def test_a_file_says_what_contradicts_itself(tmp_path):
    disc = {"kind": "keep_out_disc", "centre": [0.5, 0.5], "radius": 0.5}
    file = read_guide(file_of(tmp_path, {"constraints": [disc, ENTRIES[3]]}))
    (sentence,) = file.contradictions(0.1)
    assert sentence == (
        "infeasible: [within 0.2 m of (0.5, 0.5) at step 2] and [keep out of the disc at (0.5, 0.5) of radius 0.5 m] "
        "cannot hold together: all that the first allows is forbidden by the second."
    )
    assert read_guide(file_of(tmp_path, {"constraints": ENTRIES[:3]})).contradictions(0.1) == []


CROSSED = [[0, 0], [1, 1], [1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"kind": "keep_in_box", "low": [1, 1], "high": [0, 0]},
            ": low must be below high in both axes, all finite; got [1.0, 1.0] and [0.0, 0.0].",
        ),
        (
            {"kind": "keep_out_region", "points": CROSSED},
            ": a region must not cross itself: Self-intersection[0.5 0.5]",
        ),
        ({"kind": "on_road", "points": CROSSED}, ": a region must not cross itself: Self-intersection[0.5"),
        (
            {"kind": "acceleration_limit", "limit": float("inf")},
            ".limit: Input should be a finite number; got inf",
        ),
        ({"kind": "curvature_limit", "limit": float("nan")}, ".limit: Input should be a finite number; got nan"),
        ({"kind": "keep_in_region", "points": []}, ": a polygon needs at least three corners; got 0."),
        ({"kind": "speed_limit", "limit": 130}, ".limit: must lie in [0, 100] m/s; got 130"),
        (
            {"kind": "keep_out_disc", "centre": [0, 2e6], "radius": 1},
            ".centre.1: must lie in [-1e+06, 1e+06] m; got 2000000.0",
        ),
        ({"kind": "keep_out_disc", "centre": [0, 0], "radius": 0}, ".radius: Input should be greater than 0; got 0"),
        (
            {"kind": "attribute_range", "attribute": "heading", "low": -90, "high": 90},
            ": heading must lie in [-6.28319, 6.28319] radians; got -90",
        ),
        (
            {"kind": "attribute_range", "attribute": "speed", "low": 0, "high": 200},
            ": speed must lie in [-100, 100] m/s; got 200",
        ),
        (
            {"kind": "attribute_range", "attribute": "speed", "low": 3, "high": 2},
            ": low must be below high, both finite; got 3.0 and 2.0.",
        ),
        (
            {"kind": "fixed", "values": {"heading": 45}, "tolerance": 0.1},
            ": heading must lie in [-6.28319, 6.28319] radians; got 45",
        ),
        ({"kind": "bicycle", "tolerance": 1, "steering": 30}, ": wheelbase must be positive and steering lie between"),
        (
            {"kind": "speed_limit", "limit": 1, "channels": [2, 2]},
            ".channels: channels must name two different channels; got [2, 2]",
        ),
        (
            {"kind": "speed_limit", "limit": 1, "channels": [-1, 2]},
            ".channels.0: Input should be greater than or equal to 0; got -1",
        ),
        ({"kind": "keep_distance"}, ": gap and headway must be at least 0 and one of them positive"),
        ({"kind": "no_collision", "agents": "al"}, ".agents: agents must be the word all or a list of numbers from 0;"),
        ({"kind": "no_collision", "agents": [0, 0]}, ".agents: agents must name different agents by numbers from 0"),
        ({"kind": "no_collision", "steps": [4, 2]}, ".steps: a span must not end before it starts; got steps 4 to 2."),
        ({"kind": "no_collision", "step": [4, 2]}, ".step: unknown key; did you mean 'steps'?"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_place_in_the_file(tmp_path, entry, message):
    (line,) = mistakes(tmp_path, {"constraints": [ENTRIES[0], entry]})
    assert line.startswith(f"constraints.1{message}"), line


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "progress", "direction": [0, 0]}, ": direction must be finite and not zero; got [0.0, 0.0]."),
        ({"kind": "smoothness", "unit": 0}, ".unit: Input should be greater than 0; got 0"),
        ({"kind": "target_speed", "speed": 5, "unti": 2}, ".unti: unknown key; did you mean 'unit'?"),
        ({"kind": "headway", "gap": 1, "ahead": "nobody"}, ".ahead: agents must be the word all or a list of numbers"),
    ],
)
def test_what_makes_no_sense_as_a_cost_is_told_with_its_place_too(tmp_path, entry, message):
    (line,) = mistakes(tmp_path, {"costs": [{"kind": "smoothness", "unit": 2, "order": 3}, entry]})
    assert line.startswith(f"costs.1{message}"), line


@pytest.mark.parametrize(
    ("where", "entry", "message"),
    [
        (
            "constraints",
            {"kind": "unicycle", "tolerance": 0.1},
            "unicycle, reads the channels 0 to 3; the plans have 2",
        ),
        ("constraints", {"kind": "double_integrator", "tolerance": 0.1}, "reads the channels 0 to 3; the plans have 2"),
        ("constraints", {"kind": "bicycle", "tolerance": 0.1}, "bicycle, reads the channels 0 to 3; the plans have 2"),
        (
            "constraints",
            {"kind": "attribute_range", "attribute": "speed", "low": 0, "high": 1},
            "attribute_range, is about agents of a scene; the run draws paths",
        ),
        ("constraints", {"kind": "fixed", "values": {"x": 0}, "tolerance": 1}, "fixed, is about agents of a scene"),
        ("constraints", {"kind": "no_collision"}, "no_collision, is about agents of a scene"),
        ("constraints", {**ENTRIES[0], "agents": "all"}, "keep_out_disc, is about agents of a scene"),
        ("costs", {"kind": "headway", "gap": 1}, "headway, is about agents of a scene"),
        ("costs", {"kind": "smoothness", "agents": [0]}, "smoothness, is about agents of a scene"),
    ],
)
def test_what_is_not_about_the_plans_of_a_run_is_refused_before_any_is_drawn(tmp_path, where, entry, message):
    file = read_guide(file_of(tmp_path, {where: [entry]}))
    with pytest.raises(ValueError, match=f"{where}.0 of the guide, .*{message}|{where}.0 of the guide, {message}"):
        file.require_channels(2)
