"""Entries of guide files, and the files."""

import yaml

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


def file_of(tmp_path, content):
    path = tmp_path / "guide.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path
