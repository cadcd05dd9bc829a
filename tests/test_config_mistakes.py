"""Every mistake in a config is named, with its place in the file and what was got."""

import pytest
import tiny
import yaml

from embodied_gen import config as configs
from embodied_gen import experiment
from embodied_gen.experiment import Experiment

PLACES = [{"x": 0, "y": 1}, {"x": 2, "y": 3}]


def mistakes(**changes):
    with pytest.raises(ValueError) as caught:
        experiment.parse(tiny.content("data", **changes), "tiny.yaml")
    return str(caught.value).splitlines()


def test_an_unknown_key_names_the_nearest_at_every_depth():
    content = tiny.content("data", train={"stesp": 3})
    content["haed"] = {}
    content["head"]["sampler"] = {"kind": "ddim", "eta_": 0.1}
    with pytest.raises(ValueError) as caught:
        experiment.parse(content, "tiny.yaml")
    assert sorted(str(caught.value).splitlines()) == [
        "tiny.yaml: haed: unknown key; did you mean 'head'?",
        "tiny.yaml: head.sampler.eta_: unknown key; did you mean 'eta'?",
        "tiny.yaml: train.stesp: unknown key; did you mean 'steps'?",
    ]


def test_an_unknown_key_that_is_near_nothing_lists_the_known_ones():
    (line,) = mistakes(control={"zzz": 1})
    assert line == "tiny.yaml: control.zzz: unknown key; known keys: kind, history, horizon, actions, ensemble, places"


def test_all_mistakes_of_a_file_are_told_at_once_each_with_its_path_and_value():
    lines = mistakes(
        train={"steps": -1, "rate": "fast"},
        control={"horizon": 0},
        head={"kind": "denoising", "schedule": {"kind": "cosine", "levels": 1}},
        seed=-3,
    )
    assert [line.split(": ")[1] for line in sorted(lines)] == [
        "control.horizon",
        "head.schedule.levels",
        "seed",
        "train.rate",
        "train.steps",
    ]
    assert any(line.endswith("greater than or equal to 1; got -1") for line in lines)
    assert any("got 'fast'" in line for line in lines)


@pytest.mark.parametrize(("block", "kind"), [("head", "diffusion"), ("net", "resnet"), ("event", "boxes")])
def test_an_unknown_kind_lists_the_kinds(block, kind):
    (line,) = mistakes(**{block: {"kind": kind}})
    assert line.startswith(f"tiny.yaml: {block}: ") and f"'{kind}'" in line and "expected tags: '" in line


def test_a_block_without_a_kind_lists_the_kinds():
    content = tiny.content("data")
    del content["net"]["kind"], content["head"]["kind"]
    content["head"]["schedule"] = {}
    with pytest.raises(ValueError) as caught:
        experiment.parse(content, "tiny.yaml")
    head, net = sorted(str(caught.value).splitlines())
    assert head.startswith(
        "tiny.yaml: head: kind is missing; expected one of denoising, regression, two_step, mixture, "
    )
    assert net.startswith("tiny.yaml: net: kind is missing; expected one of mlp, unet, transformer, scene, ")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"control": {"ensemble": float("nan")}}, "control.ensemble"),
        ({"control": {"ensemble": float("inf")}}, "control.ensemble"),
        ({"train": {"rate": float("inf")}}, "train.rate"),
        ({"control": {"places": {"of": PLACES, "lengths": [0.1, float("inf")]}}}, "control.places.lengths.1"),
        ({"control": {"places": {"of": PLACES, "period": float("nan")}}}, "control.places.period"),
    ],
)
def test_numbers_that_are_not_finite_are_named(changes, path):
    (line,) = mistakes(**changes)
    assert line.startswith(f"tiny.yaml: {path}: Input should be a finite number; got ")


def test_a_period_that_no_heading_has_is_named_and_one_of_few_digits_is_kept():
    (line,) = mistakes(control={"places": {"of": PLACES, "period": 1.0}})
    assert line.startswith("tiny.yaml: control.places.period: period must be a full turn over a whole number, 2 pi / n")
    content = tiny.content("data", control={"places": {"of": PLACES, "period": 1.5708}})
    assert experiment.parse(content, "tiny.yaml").control.places.period == 1.5708


def test_a_missing_block_is_named():
    content = tiny.content("data")
    del content["env"], content["data"]["dataset"]
    with pytest.raises(ValueError) as caught:
        experiment.parse(content, "tiny.yaml")
    assert sorted(str(caught.value).splitlines()) == [
        "tiny.yaml: data.dataset: Field required",
        "tiny.yaml: env: Field required",
    ]


def test_no_more_actions_are_executed_than_are_predicted():
    (line,) = mistakes(control={"horizon": 4, "actions": 5})
    assert line == "tiny.yaml: config: control.actions (5) must not exceed control.horizon (4)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [1, 2", "is not YAML: .*line 1"),
        ("- a\n- b\n", "must hold a mapping with the keys name, env, data; got list"),
        ("", "must hold a mapping with the keys name, env, data; got nothing"),
        ("hello", "must hold a mapping with the keys name, env, data; got str"),
    ],
)
def test_a_file_that_is_no_config_is_named(text, message, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path} {message}"):
        experiment.read(path)


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not YAML"):
        experiment.read(path)


def test_a_missing_config_suggests_a_near_one(tmp_path):
    (tmp_path / "avoid_flow.yaml").touch()
    with pytest.raises(
        FileNotFoundError, match=r"there is no config file .*avoid_flwo.yaml. Did you mean .*avoid_flow."
    ):
        experiment.read(tmp_path / "avoid_flwo.yaml")


def test_every_field_of_a_config_is_documented():
    def models(model):
        yield model
        for field in model.model_fields.values():
            for inner in configs._models(field.annotation):
                yield from models(inner)

    for model in {m for m in models(Experiment)}:
        assert model.__doc__, model
        blocks = {name for name, field in model.model_fields.items() if configs._models(field.annotation)}
        for name, field in model.model_fields.items():
            assert field.description or name == "kind" or name in blocks, f"{model.__name__}.{name}"


def test_a_written_config_reads_as_yaml_too(tmp_path):
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(tiny.experiment_of().model_dump(mode="json")))
    assert experiment.read(path) == tiny.experiment_of()
