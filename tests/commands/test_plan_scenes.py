"""`embodied-gen plan` on runs that draw traffic scenes."""

import json

import pytest
import yaml

from embodied_gen import experiment
from embodied_gen.demos.scenes import Scenes
from embodied_gen.experiment import Sizes
from embodied_gen.training import checkpoint
from tests.scenes import episodes
from tests.tiny import call

AGENTS = 3


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that has seen nothing but the bounds of some motions."""
    folder = tmp_path_factory.mktemp("scene") / "run"
    config = experiment.parse(
        {
            "name": "scene",
            "env": {"id": "embodied/Traffic-v0", "kwargs": {"map": "crossing", "agents": AGENTS}},
            "data": {"dataset": "embodied/scene/idm-v0"},
            "event": {"kind": "scene"},
            "net": {"kind": "scene", "width": 16, "depth": 1, "heads": 2},
            "head": {"kind": "denoising", "steps": 3},
            "control": {"kind": "scene", "agents": AGENTS, "history": 2, "horizon": 5},
        },
        "scene",
    )
    bounds = Scenes(episodes((40, 40)), agents=AGENTS, history=2, horizon=5, stride=2).values()
    predictor = experiment.empty(config, Sizes(AGENTS * 67, 4))
    predictor.head.event.load_state_dict(config.event.build(bounds).state_dict())
    folder.mkdir()
    experiment.save_config(folder, config, experiment.sizes_of(predictor))
    checkpoint.save_model(folder, 0, predictor)
    return folder


def guide(folder, **content):
    path = folder / "guide.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_scenes_are_drawn_judged_and_written(run, tmp_path, capsys):
    path = guide(
        tmp_path,
        walls={},
        constraints=[
            {"kind": "no_collision", "agents": "all"},
            {"kind": "attribute_range", "attribute": "speed", "low": -1, "high": 60, "agents": [1]},
        ],
    )
    outcome = call(["plan", run, "--guide", path, "--n", 4, "--out", tmp_path / "p.png", "--seed", 3], capsys)
    assert outcome.status == 0 and "scenes satisfy all constraints" in outcome.out
    record = json.loads((tmp_path / "p.json").read_text())
    assert (tmp_path / "p.png").stat().st_size > 1000 and record["period"] == pytest.approx(0.2)
    for group in record["groups"].values():
        assert len(group["plans"]) == 4 and len(group["plans"][0]) == AGENTS and len(group["plans"][0][0]) == 6
        assert group["feasible"] == [margin >= 0 for margin in group["margin"]]
    assert len(record["constraints"]) == 3


def test_another_map_is_named_on_the_command_line(run, tmp_path, capsys):
    outcome = call(["plan", run, "--scene", "merge", "--n", 2, "--out", tmp_path / "p.png"], capsys)
    assert outcome.status == 0
    assert json.loads((tmp_path / "p.json").read_text())["groups"].keys() == {"unguided"}
    outcome = call(["plan", run, "--scene", tmp_path / "none.xml", "--out", tmp_path / "p.png"], capsys)
    assert outcome.status != 0 and "none.xml" in outcome.err


def test_a_constraint_on_paths_is_refused_by_its_place_in_the_file(run, tmp_path, capsys):
    path = guide(tmp_path, constraints=[{"kind": "speed_limit", "limit": 5}])
    outcome = call(["plan", run, "--guide", path, "--out", tmp_path / "p.png"], capsys)
    assert outcome.status != 0
    assert "constraints.0 of the guide, speed_limit, is about a path" in " ".join(outcome.err.split())


def test_an_agent_that_is_not_there_is_refused(run, tmp_path, capsys):
    path = guide(tmp_path, constraints=[{"kind": "speed_limit", "limit": 5, "agents": [7]}])
    outcome = call(["plan", run, "--guide", path, "--out", tmp_path / "p.png"], capsys)
    assert outcome.status != 0
    assert "there is no agent 7; the scene has 3 agents" in " ".join(outcome.err.split())
