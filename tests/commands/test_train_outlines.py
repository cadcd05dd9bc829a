"""`embodied-gen train` with outlines: a config becomes a model of outlines, and comes back as one."""

import math
from pathlib import Path

import pytest
import shapely
import torch
import yaml
from shapely.affinity import rotate, translate

from embodied_gen import draws, experiment, well_known_text
from embodied_gen.demos.outlines import in_metres, observed
from embodied_gen.outlines import outlines_of

ROOT = Path(__file__).parents[2]
SMALL = ("--net.width", 16, "--head.decoder.width", 16, "--train.batch", 32, "--device", "cpu")


def lanes(count=20):
    """Straight lanes and bends of some lengths, widths and directions, around a map."""
    found = []
    for k in range(count):
        length, width = 10 + 2.5 * k, 3 + 0.1 * k
        ends = [(0, 0), (length, 0), (length + 8, 6 * (k % 2))]
        lane = shapely.LineString(ends).buffer(width / 2, cap_style="flat", join_style="mitre")
        found.append(translate(rotate(lane, 37 * k), 1000 + 60 * k, -300))
    return found


@pytest.fixture
def config(tmp_path):
    """A small config of this project for lanes that are drawn here."""
    well_known_text.write(tmp_path / "lanes.wkt", [*lanes(), lanes()[3], shapely.Point(0, 0).buffer(9, quad_segs=9)])
    content = yaml.safe_load((ROOT / "configs/lane_outlines.yaml").read_text())
    content["data"] |= {"files": {"lane": str(tmp_path / "lanes.wkt")}, "turns": 3}
    content["event"] |= {"vertices": 10, "levels": 16}
    content["control"]["vertices"] = 10
    content["head"] |= {"decoder": {"kind": "causal", "width": 16, "depth": 1, "heads": 2}, "features": 8}
    path = tmp_path / "outlines.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_model_of_outlines_is_trained_counts_what_it_leaves_out_and_comes_back(cli, config, tmp_path):
    outcome = cli("train", config, *SMALL, "--train.steps", 3, "--out", "run")
    assert outcome.status == 0, outcome.err
    assert "22 outlines of kind lane; left out 1 that are there twice, 0 with holes" in outcome.out
    assert "learned from: 19 outlines, 114 with those turned; left out 0 with more than 10 corners" in outcome.out
    assert "held out: 2 outlines, 1 with those turned; left out 1 with more than 10 corners" in outcome.out
    run = experiment.load(tmp_path / "run")
    assert experiment.sizes_of(run.predictor) == experiment.Sizes(3, 3)
    card = (tmp_path / "run/card.md").read_text()
    assert "For outlines of kind lane" in card and "19 to learn from, 2 held out" in card
    for what in ("run", config):
        outcome = cli("info", what)
        assert outcome.status == 0 and "an outline of up to 10 corners from the size of the box" in outcome.out


def test_what_a_small_model_draws_is_simple_and_fills_its_box(cli, config, tmp_path):
    rate = ("--train.rate", "5e-3", "--train.warmup", 10, "--train.average", "0.9")
    outcome = cli("train", config, *SMALL, *rate, "--train.steps", 250, "--out", "run")
    assert outcome.status == 0, outcome.err
    predictor = experiment.load(tmp_path / "run").predictor
    sides = torch.tensor([[24.0, 17.0], [40.0, 12.0]])
    seen = observed(sides, torch.zeros(2, dtype=torch.int64), 1)
    shares = predictor.predict(seen.repeat_interleave(30, 0), generator=draws.generator(0))
    found = outlines_of(in_metres(shares.unflatten(0, (2, 30)), sides).flatten(0, 1))
    assert len(found) == 60 and all(outline.is_valid and outline.area > 0 for outline in found)
    box = torch.tensor([outline.bounds for outline in found]).double()
    filled = (box[:, 2:] - box[:, :2]) / sides.repeat_interleave(30, 0)
    assert (filled > 0.7).double().mean() > 0.8
    # Lanes are long and narrow, and a box is not: they take a part of it.
    assert 0.1 < torch.tensor([outline.area for outline in found]).div(sides.prod(1).repeat_interleave(30)).mean() < 0.7
    context = predictor.encoder(seen)
    assert (predictor.head.simple_share(context, 100, generator=draws.generator(1)) > 0.5).all()
    assert float(outcome.out.rsplit("held out ", 1)[1].split()[0]) < math.log(17)


def test_it_can_be_stopped_and_resumed_to_the_same_weights(cli, config, tmp_path):
    few = (*SMALL, "--train.steps", 3, "--train.checkpoint-every", 1)
    assert cli("train", config, *few, "--out", "whole").status == 0
    assert cli("train", config, *few, "--out", "whole", "--resume").status == 0
    first = experiment.load(tmp_path / "whole").predictor.state_dict()
    assert cli("train", config, *few, "--out", "again").status == 0
    second = experiment.load(tmp_path / "again").predictor.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    well_known_text.write(tmp_path / "lanes.wkt", lanes(12))
    refused = cli("train", config, *few, "--out", "again", "--resume")
    assert refused.status == 2 and "was trained with another configuration" in refused.err


def test_several_kinds_of_outlines_are_learned_together(cli, config, tmp_path):
    content = yaml.safe_load(config.read_text())
    well_known_text.write(
        tmp_path / "rocks.wkt", [shapely.Point(9 * k, 0).buffer(1 + k, quad_segs=2) for k in range(9)]
    )
    content["data"]["files"]["rock"] = str(tmp_path / "rocks.wkt")
    content["data"]["held_out"] = 0.0
    config.write_text(yaml.safe_dump(content))
    outcome = cli("train", config, *SMALL, "--train.steps", 2, "--out", "run")
    assert outcome.status == 0, outcome.err
    assert "9 outlines of kind rock" in outcome.out and "held out:" not in outcome.out
    assert experiment.sizes_of(experiment.load(tmp_path / "run").predictor) == experiment.Sizes(4, 3)


@pytest.mark.parametrize("verb", ["plan", "evaluate", "collect"])
def test_verbs_that_need_an_environment_say_that_there_is_none(verb, cli, config):
    assert cli("train", config, *SMALL, "--train.steps", 1, "--out", "run").status == 0
    outcome = cli(verb, config if verb == "collect" else "run")
    assert outcome.status == 2 and "Traceback" not in outcome.err
    assert "lane-outlines predicts an outline of up to 10 corners from the size of the box around it" in outcome.err
    assert "which no environment is asked for. Name a config or a run with an env." in outcome.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"control": {"kind": "outlines", "vertices": 9}},
            "event.vertices and control.vertices must be the same; got 10 and 9",
        ),
        ({"event": {"kind": "trajectory"}}, "control.kind outlines and event.kind polygon go together; got outlines"),
        ({"env": {"id": "embodied/Avoid-v0"}}, "got data.kind outlines, control.kind outlines and an env"),
        (
            {"control": {"kind": "forecast"}},
            "outlines with control.kind outlines and no env, demonstrations with .*got",
        ),
        ({"data": {"kind": "outlines", "files": {}}}, "data.files: Dictionary should have at least 1 item"),
        ({"data": {"kind": "outlines"}}, "data.files: Field required"),
    ],
)
def test_blocks_that_do_not_go_together_are_named(change, message, config):
    content = yaml.safe_load(config.read_text()) | change
    with pytest.raises(ValueError, match=message):
        experiment.parse(content, "outlines.yaml")


def test_other_heads_and_missing_files_are_refused(cli, config):
    outcome = cli("train", config, *SMALL, "--data.files.lane", "nowhere.wkt", "--out", "run")
    assert outcome.status == 2 and "there is no file of outlines nowhere.wkt" in outcome.err
    content = yaml.safe_load(config.read_text())
    content |= {"env": {"id": "embodied/Avoid-v0"}, "data": {"dataset": "x"}}
    content |= {"event": {"kind": "trajectory"}, "control": {"kind": "policy"}}
    with pytest.raises(ValueError, match=r"head.kind polygon predicts polygons; got Trajectory"):
        experiment.empty(experiment.parse(content, "outlines.yaml"), experiment.Sizes(4, 2))
