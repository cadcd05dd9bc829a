"""Entries of guide files about boxes are those constraints and costs, and go with nothing else."""

import pytest
import torch

from embodied_gen import config
from planners import BoxCount, BoxesApart, BoxesWithin, GuideFile, guide_of

WITHIN = {"kind": "boxes_within", "low": [0.1, 0.2], "high": [0.9, 0.8], "likely": 0.3}
CONTENT = {
    "constraints": [{"kind": "boxes_apart", "bound": 0.3}, WITHIN],
    "costs": [{"kind": "box_count", "count": 6, "unit": 2.0}],
    "scale": 3.0,
    "buffer": 0.01,
}


def file_of(**content):
    return config.parse(content, GuideFile, "guide")


def test_a_file_is_the_guide_of_its_parts():
    y = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    read = file_of(**CONTENT).of_boxes()
    parts = [BoxesApart(0.3), BoxesWithin((0.1, 0.2), (0.9, 0.8), likely=0.3)]
    made = guide_of(parts, [BoxCount(6, unit=2.0)], scale=3.0, buffer=0.01)
    assert read.scale == made.scale == 3
    for name in ("cost", "margins", "certify"):
        torch.testing.assert_close(getattr(read, name)(y), getattr(made, name)(y))


BAD = [
    ({"constraints": [{"kind": "boxes_apart", "bound": 1.5}]}, r"constraints.0: bound must be an overlap strictly"),
    ({"constraints": [WITHIN | {"high": [0.0, 1.0]}]}, r"constraints.0: low must be below high"),
    ({"constraints": [WITHIN | {"agents": "all"}]}, r"constraints.0: boxes .* have neither agents nor steps\. Leave"),
    (
        {"costs": [{"kind": "box_count", "count": 2, "steps": [0, 1]}]},
        r"costs.0: boxes .* have neither agents nor steps",
    ),
    ({"costs": [{"kind": "box_count", "count": -1}]}, r"costs.0.count: Input should be greater than or equal to 0"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_mistakes_are_named_by_their_place(content, message):
    with pytest.raises(ValueError, match=message):
        file_of(**content)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({"constraints": [WITHIN, {"kind": "speed_limit", "limit": 1.0}]}, "constraints.1, speed_limit"),
        ({"costs": [{"kind": "smoothness"}]}, "costs.0, smoothness"),
        ({"walls": {}}, "walls"),
    ],
)
def test_what_is_not_about_boxes_is_refused_for_boxes(content, place):
    with pytest.raises(ValueError, match=f"{place} of the guide is not about boxes, which the run draws"):
        file_of(**content).of_boxes()


def test_boxes_are_refused_for_paths_and_scenes():
    for content, place in (({"constraints": [WITHIN]}, "constraints.0"), ({"costs": CONTENT["costs"]}, "costs.0")):
        file = file_of(**content)
        with pytest.raises(ValueError, match=rf"{place} of the guide, box.* about boxes .*; the run draws paths\."):
            file.require_channels(2)
        with pytest.raises(ValueError, match=rf"{place} of the guide, box.*the run draws scenes of several agents\."):
            file.of_scenes(1.0)
