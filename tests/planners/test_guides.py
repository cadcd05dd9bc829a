"""Constraints and costs become one guide, from code or from a file whose every mistake is named."""

import re
from pathlib import Path

import pytest
import scene_cases as cases
import shapely
import torch
from guide_files import ENTRIES, SQUARE, file_of
from hypothesis import assume, example, given
from hypothesis import strategies as st

from embodied_gen.heads import RowGuide, steer
from planners import (
    AccelerationLimit,
    AttributeRange,
    Bicycle,
    CostOfAgents,
    CurvatureLimit,
    DoubleIntegrator,
    During,
    Fixed,
    GuideFile,
    Headway,
    KeepDistance,
    KeepInBox,
    KeepInRegion,
    KeepOutDisc,
    KeepOutRegion,
    LongitudinalAcceleration,
    NoCollision,
    OfAgents,
    OnRoad,
    Progress,
    ReachPoint,
    Smoothness,
    SpeedLimit,
    TargetPoint,
    TargetSpeed,
    Unicycle,
    feasible,
    guide_of,
    polygon_of,
    read_guide,
)
from planners.walls import Walls

PAGE = Path(__file__).parents[2] / "docs" / "guides.md"
Y = torch.randn(2, 3, 5, 2, generator=torch.Generator().manual_seed(0))
GIVEN = torch.tensor([0, 0, 1.0, 3.0, 0, 0, 0])


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


ON_CHANNELS = [
    (entry, make)
    for entry, make in zip(
        ENTRIES,
        [
            lambda channels: KeepOutDisc((0.1, 0.0), 0.5, channels=channels),
            lambda channels: KeepInBox((-1, -1), (1, 1), channels=channels),
            lambda channels: SpeedLimit(3.0, 0.1, channels=channels),
            lambda channels: ReachPoint((0.5, 0.5), 0.2, step=2, channels=channels),
            lambda channels: AccelerationLimit(9.0, 0.1, channels=channels),
            lambda channels: CurvatureLimit(2.0, channels=channels),
            lambda channels: KeepInRegion(polygon_of(SQUARE, ENTRIES[6]["holes"]), channels=channels),
            lambda channels: KeepOutRegion(polygon_of(SQUARE), channels=channels),
        ],
        strict=True,
    )
]


@pytest.mark.parametrize(("entry", "make"), ON_CHANNELS, ids=[entry["kind"] for entry, _ in ON_CHANNELS])
def test_an_entry_is_about_the_channels_that_it_names(tmp_path, entry, make):
    y = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(2))
    file = read_guide(file_of(tmp_path, {"constraints": [{**entry, "channels": [3, 1]}]}))
    (constraint,) = file.build(period=0.1)[1]
    assert constraint.margins(y).equal(make((3, 1)).margins(y))
    assert not constraint.margins(y).equal(make((0, 1)).margins(y))
    file.require_channels(4)
    with pytest.raises(
        ValueError, match=r"constraints.0 of the guide is about the channels \[3, 1\]; the plans have 3"
    ):
        file.require_channels(3)


def test_a_limit_on_the_speed_of_a_velocity_bounds_the_acceleration(tmp_path):
    entry = {"kind": "speed_limit", "limit": 2.0, "channels": [2, 3]}
    (limit,) = read_guide(file_of(tmp_path, {"constraints": [entry]})).build(period=0.1)[1]
    t = 0.1 * torch.arange(5.0)
    for acceleration, holds in ((1.9, True), (2.1, False)):
        y = torch.stack([acceleration / 2 * t**2, 0 * t, acceleration * t, 0 * t], -1)[None, None]
        assert (limit.margin(y) >= 0).item() == holds
    assert limit.name == "speed of (2, 3) at most 2"


FREE = shapely.box(-1, -1, 1, 1).difference(shapely.box(-0.5, -1, 0.5, 0.5))  # a corridor like a bridge
WITH_CLEARANCE = {
    0.0: FREE,
    0.2: shapely.box(-0.8, -0.8, 0.8, 0.8).difference(shapely.box(-0.7, -1, 0.7, 0.7)),  # its corners are mitred
}
WALLS = {clearance: Walls(clearance=clearance).build(FREE) for clearance in WITH_CLEARANCE}


@given(
    clearance=st.sampled_from(sorted(WALLS)),
    points=st.lists(st.tuples(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2)), min_size=2, max_size=4),
)
@example(0.2, [(0.0, 0.75), (0.75, 0.6875)])  # past a corner of the wall, from which it is 0.2076 away
def test_walls_keep_a_path_in_the_free_space_with_a_clearance(clearance, points):
    path, core = shapely.LineString(points), WITH_CLEARANCE[clearance]
    # Rounding decides whether a path that touches the boundary is inside.
    less, more = (core.buffer(width, join_style="mitre") for width in (-1e-6, 1e-6))
    assume(less.covers(path) == more.covers(path))
    margin = WALLS[clearance].margin(torch.tensor(points, dtype=torch.float64)[None, None]).item()
    assert (margin >= 0) == core.covers(path)
    assert margin < 0 or path.distance(FREE.boundary) >= clearance - 1e-6


def test_walls_need_a_free_space_and_room_in_it():
    file = GuideFile(walls=Walls(clearance=0.3))
    with pytest.raises(ValueError, match=r"a guide with walls needs the free space, .* Write the region into the file"):
        file.build(0.1)
    with pytest.raises(ValueError, match=r"no place between the walls has a clearance of 0.3 m; use less"):
        file.build(0.1, free=FREE)


def test_a_point_within_a_wall_contradicts_the_walls(tmp_path):
    point = {"kind": "reach_point", "point": [0, -0.5], "tolerance": 0.1}
    file = read_guide(file_of(tmp_path, {"walls": {}, "constraints": [point]}))
    (sentence,) = file.contradictions(0.1, FREE)
    assert "keep 0 m from the walls" in sentence and "cannot hold together" in sentence


def test_regions_are_made_once_and_limits_for_each_period(tmp_path):
    file = read_guide(file_of(tmp_path, {"walls": {}, "constraints": ENTRIES}))
    limits = file.limits(FREE)
    first, second = limits(0.1), limits(torch.tensor([0.1, 0.2]).view(2, 1, 1))
    regions = [isinstance(c, KeepInRegion | KeepOutRegion) for c in first]
    assert [a is b for a, b in zip(first, second, strict=True)] == regions and sum(regions) == 3
    assert second[3].margins(Y)[0].equal(first[3].margins(Y)[0])
    assert not second[3].margins(Y)[1].equal(first[3].margins(Y)[1])


def test_constraints_of_the_question_are_guided_by_and_certified(tmp_path):
    file = read_guide(file_of(tmp_path, {"constraints": ENTRIES[:1], "buffer": 0.1}))
    box = KeepInBox((-0.1, -0.1), (0.1, 0.1))
    guide, constraints = file.build(0.1, also=[box])
    assert constraints[-1] is box
    assert guide.margins(Y).equal(guide_of(constraints, buffer=0.1).margins(Y))


PATH = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
ROAD = [[-20, -20], [20, -20], [20, 20], [-20, 20]]
OF_SCENES = [
    ({"kind": "keep_out_disc", "centre": [0, 0], "radius": 2, "agents": "all"}, OfAgents(KeepOutDisc((0, 0), 2))),
    ({"kind": "speed_limit", "limit": 7, "agents": [1, 3]}, OfAgents(SpeedLimit(7, 0.2), [1, 3])),
    (
        {"kind": "keep_in_region", "points": ROAD, "agents": [0], "steps": [1, -2]},
        During(OfAgents(KeepInRegion(polygon_of(ROAD)), [0]), 1, -2),
    ),
    (
        {"kind": "attribute_range", "attribute": "heading", "low": -1, "high": 2, "agents": "all"},
        OfAgents(AttributeRange("heading", -1, 2)),
    ),
    (
        {"kind": "attribute_range", "attribute": "acceleration", "low": -4, "high": 2, "agents": [2]},
        OfAgents(LongitudinalAcceleration(-4, 2, 0.2), [2]),
    ),
    (
        {"kind": "fixed", "values": {"speed": 3, "heading": 1}, "tolerance": 0.1, "agents": [0], "steps": [0, 0]},
        During(OfAgents(Fixed(GIVEN, GIVEN > 0, 0.1, angles=[2]), [0]), 0, 0),
    ),
    ({"kind": "unicycle", "tolerance": 0.1, "agents": "all"}, OfAgents(Unicycle(0.1, 0.2))),
    (
        {"kind": "bicycle", "tolerance": 0.1, "steering": 0.5, "rear": 1.4, "agents": "all"},
        OfAgents(Bicycle(0.1, 0.2, steering=0.5, rear=1.4)),
    ),
    ({"kind": "double_integrator", "tolerance": 0.1, "agents": [0]}, OfAgents(DoubleIntegrator(0.1, 0.2), [0])),
    ({"kind": "no_collision"}, NoCollision()),
    ({"kind": "no_collision", "gap": 0.5, "agents": [2], "steps": [2, 4]}, During(NoCollision(0.5, agents=[2]), 2, 4)),
    ({"kind": "keep_distance", "gap": 2, "headway": 1, "agents": [0]}, KeepDistance(2, 1, agents=[0])),
    ({"kind": "keep_distance", "gap": 2, "agents": "all", "ahead": [3]}, KeepDistance(2, ahead=[3])),
    ({"kind": "on_road", "points": ROAD, "agents": [1]}, OnRoad(polygon_of(ROAD), agents=[1])),
    ({"kind": "on_road", "points": ROAD, "cell": 1}, OnRoad(polygon_of(ROAD), cell=1)),
]


@pytest.mark.parametrize(("entry", "by_hand"), OF_SCENES, ids=lambda value: getattr(value, "name", ""))
def test_an_entry_about_agents_builds_what_it_names(tmp_path, entry, by_hand):
    y = cases.traffic(contexts=2, samples=3)
    guide, (constraint,) = read_guide(file_of(tmp_path, {"constraints": [entry]})).build(period=0.2)
    assert constraint.name == by_hand.name
    assert guide.margins(y).equal(by_hand.margins(y)) and guide.certify(y).equal(by_hand.margin(y))
    assert (guide.project is None) == (not by_hand.projects)
    if guide.project:
        assert guide.project(y).equal(by_hand.project(y)) and not guide.project(y).equal(y)


OF_COSTS = [
    ({"kind": "smoothness", "unit": 2, "order": 3}, Smoothness(2, 0.2, order=3)),
    ({"kind": "target_speed", "speed": 5}, TargetSpeed(5, 1, 0.2)),
    ({"kind": "target_point", "point": [1, 2], "unit": 3, "step": 0}, TargetPoint((1, 2), 3, step=0)),
    ({"kind": "progress", "direction": [1, 1]}, Progress((1, 1), 1)),
]


@pytest.mark.parametrize(("entry", "by_hand"), OF_COSTS, ids=lambda value: type(value).__name__)
def test_a_cost_builds_for_paths_and_for_agents_and_for_a_span(tmp_path, entry, by_hand):
    def cost(y, **more):
        file = read_guide(file_of(tmp_path, {"costs": [entry | more], "scale": 3}))
        guide, constraints = file.build(period=0.2)
        assert guide.scale == 3 and guide.margins is None and constraints == []
        return guide.cost(y)

    y = cases.traffic(contexts=2, samples=3)
    assert cost(PATH).equal(by_hand(PATH))
    assert cost(PATH, steps=[0, 4]).equal(by_hand(PATH[..., :5, :]))
    assert cost(y, agents="all").equal(CostOfAgents(by_hand)(y))
    assert cost(y, agents=[2], steps=[-5, -1]).equal(CostOfAgents(by_hand, [2])(y[..., 1:, :]))


def test_costs_and_constraints_of_a_scene_make_one_guide(tmp_path):
    headway = {"kind": "headway", "gap": 2, "headway": 1, "agents": [0], "unit": 2}
    content = {
        "constraints": [OF_SCENES[0][0], OF_SCENES[9][0]],
        "costs": [headway, OF_COSTS[0][0] | {"agents": "all"}],
    }
    guide, constraints = read_guide(file_of(tmp_path, content)).build(period=0.2)
    y = cases.traffic(contexts=2, samples=3)
    costs = [Headway(KeepDistance(2, 1, agents=[0]), 2), CostOfAgents(OF_COSTS[0][1])]
    torch.testing.assert_close(guide.cost(y), costs[0](y) + costs[1](y))
    assert guide.margins(y).equal(guide_of([OF_SCENES[0][1], OF_SCENES[9][1]]).margins(y)) and len(constraints) == 2


def test_projections_are_applied_in_the_order_of_constraints():
    values = torch.full((7,), 9.0, dtype=torch.float64)
    fixed, slow = Fixed(values, torch.arange(7) == 3, 0.1), AttributeRange("speed", 0, 5)
    short = AttributeRange("length", 0, 5)
    assert (guide_of([fixed, KeepOutDisc((0, 0), 1), slow, short]).project(PATH)[..., 3] < 5).all()
    new = guide_of([slow, short, fixed]).project(PATH)
    assert (new[..., 3] == 9).all() and (short.margin(new) >= 0).all() and new[..., :3].equal(PATH[..., :3])
    assert guide_of([KeepOutDisc((0, 0), 1)]).project is None


def test_a_cost_of_paths_says_whose_paths_it_is_about_in_a_scene(tmp_path):
    entry = {"kind": "smoothness"}
    with pytest.raises(ValueError, match=r"costs.0 of the guide, smoothness, is about a path; .* agents: all"):
        read_guide(file_of(tmp_path, {"costs": [entry]})).of_scenes(0.1)
    guide, _ = read_guide(
        file_of(tmp_path, {"costs": [{**entry, "agents": "all"}, {"kind": "headway", "gap": 1}]})
    ).of_scenes(0.1)
    assert guide.cost(cases.traffic(samples=3)).shape == (1, 3)


def test_steering_takes_cars_apart_and_keeps_them_on_the_road():
    event = torch.nn.Identity()
    event.scale = event.unscale = lambda x: x
    event.unscaling = lambda: event.unscale
    y = cases.traffic(samples=64, agents=3, steps=5, spread=8.0)
    constraints = [NoCollision(), OnRoad(polygon_of(ROAD)), OfAgents(AttributeRange("length", 3, 6))]
    guide = guide_of(constraints, buffer=0.05)
    variance = torch.tensor([1.0, 1.0, 0.01, 0.01, 0.01, 0.01, 0.0])
    steered = steer(y[0], variance, RowGuide(guide, event, 1), iterations=20)[None]
    before, after = (feasible(constraints, each).double().mean() for each in (y, steered))
    assert before < 0.5 and after > before + 0.3, (before, after)


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), flags=re.S))
def test_the_guide_files_of_the_page_are_read_and_can_hold(tmp_path, text):
    file = read_guide(file_of(tmp_path, text))
    assert len(file.build(0.1)[1]) == len(file.constraints) > 5 and file.contradictions(0.1) == []
