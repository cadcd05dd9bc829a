"""A config becomes a predictor, a run comes back as it was saved, and every mistake is named."""

import ast
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import scenes
import shapely
import tiny
import torch
import yaml
from crowds import crowd

from embodied_gen import config as configs
from embodied_gen import draws, experiment
from embodied_gen.blocks import (
    ForecastControl,
    InstancesControl,
    LeavesBlock,
    SceneControl,
    SegmentationControl,
    WholeWayControl,
)
from embodied_gen.demos.collect import expert_of, record
from embodied_gen.demos.episodes import Episodes
from embodied_gen.experiment import Experiment, Sizes
from embodied_gen.forecasting.windows import SOCIAL_GAN, windows_of
from embodied_gen.heads import Particles, Steered
from embodied_gen.slots import EnvMaker
from embodied_gen.training import checkpoint, files
from planners.guides import read_guide
from tests.images.labelled import SIZE, labelled_pictures

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
GUIDES = [path for path in CONFIGS if path.name.startswith("guide_")]
BOARDS = [ROOT / "configs" / "families.yaml"]
IMAGES = [ROOT / "configs" / "tabletop_images.yaml"]
DETECTORS = [path for path in CONFIGS if path.name.startswith("boxes_")]
EXPERIMENTS = [path for path in CONFIGS if path not in GUIDES + BOARDS + IMAGES + DETECTORS]
MAP, MOVES = 32, 60


def shrunk(config):
    """The same experiment with the smallest network of its kind."""
    small = {
        "mlp": {"width": 16, "depth": 1},
        "unet": {"width": 8, "groups": 4},
        "transformer": {"width": 16, "depth": 1, "heads": 2},
        "scene": {"width": 16, "depth": 1, "heads": 2},
        "experts": {"width": 16, "depth": 1},
        "image_unet": {"width": 8, "groups": 4},
        "glimpse": {"features": 4, "memory": 8, "cells": 4},
    }
    smaller = {"net": config.net.model_copy(update=small[config.net.kind])}
    if isinstance(config.control, WholeWayControl):
        size = {"rows": MAP, "columns": MAP}
        smaller["event"] = config.event.model_copy(update=size)
        smaller["control"] = config.control.model_copy(update=size | {"moves": MOVES})
    if isinstance(config.control, SegmentationControl):
        smaller["control"] = config.control.model_copy(update={"size": SIZE})
    return config.model_copy(update=smaller)


def ways():
    """Ways of the expert over a few small maps."""
    env = EnvMaker("embodied/TerrainWay-v0", {"size": MAP, "moves": MOVES}, ("envs",))()
    shown = [record(env, expert_of(env), seed) for seed in range(4)]
    observations, actions = (
        torch.from_numpy(np.concatenate(part)).float()
        for part in ([each.observations[:1] for each in shown], [each.actions for each in shown])
    )
    return Episodes(observations, actions, torch.arange(len(shown) + 1), "ways")


def examples_of(config):
    """A few examples of what a config learns from, and the sizes of its observation and value."""
    if isinstance(config.control, SceneControl):
        seen = scenes.episodes((60, 60), agents=config.control.agents)
        return config.control.examples(seen), Sizes(seen.observations.shape[1], 4)
    if isinstance(config.control, ForecastControl):
        windows = windows_of([crowd(5, 30)], SOCIAL_GAN)
        return config.control.varied(windows, config.data), Sizes(*config.control.sizes(0, 0))
    if isinstance(config.control, WholeWayControl):
        examples = config.control.examples(ways())
        return examples, Sizes(len(examples.observations()[0]), 2)
    if isinstance(config.control, SegmentationControl):
        classes = len(config.data.classes)
        examples = config.control.varied(labelled_pictures(4, classes=classes), config.data, 0)
        return examples, Sizes(3, classes)
    if isinstance(config.control, InstancesControl):
        few = LeavesBlock(train=5).examples("train", config.control.size)
        return few, Sizes(3, 1 + config.event.objects)
    length, observation = config.control.horizon + 3, 16 if getattr(config.control, "places", None) else 4
    episodes = tiny.episodes_of((length, length), observation=observation)
    return tiny.windows_of(config, episodes), Sizes(observation, 2)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_config_builds_a_predictor_with_a_loss_and_samples(path):
    config = shrunk(experiment.read(path))
    examples, sizes = examples_of(config)
    predictor = experiment.build(config, examples)
    batch = examples.batch(torch.arange(4))
    generator = draws.generator(0)
    losses = predictor.loss(batch.observations, batch.value, generator=generator, valid=batch.valid)
    samples = predictor.sample(batch.observations, 2, generator=generator)
    assert losses.shape == (4,) and losses.isfinite().all()
    assert samples.shape == (4, 2, *config.control.shape(sizes.action)) and samples.isfinite().all()
    assert experiment.sizes_of(predictor) == sizes


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_every_guide_file_builds_a_guide(path):
    file, free = read_guide(path), shapely.box(-1, -1, 1, 1)
    of_scenes = any(entry.agents is not None for entry in file.constraints)
    guide, constraints = file.of_scenes(0.1, free=free) if of_scenes else file.build(0.1, free=free)
    assert constraints
    assert guide.certify(torch.zeros(2, 3, 2, 8, 7) if of_scenes else torch.zeros(2, 3, 8, 4)).shape == (2, 3)


def test_the_method_of_guidance_is_chosen_by_its_block():
    blocks = {"particles": {"kind": "particles", "count": 8, "eta": 0.5}, "steered": {"kind": "steered"}}
    heads = {}
    for name, block in blocks.items():
        config = tiny.experiment_of(head={"guidance": block})
        heads[name] = experiment.empty(config, Sizes(4, 2)).head
    assert isinstance(heads["steered"].guidance, Steered)
    assert isinstance(heads["particles"].guidance, Particles)
    assert (heads["particles"].guidance.count, heads["particles"].guidance.eta) == (8, 0.5)


PLANNER = {"kind": "planner", "state": [0, 1], "goal": [2, 3], "reaches": [0, 1], "horizon": 4, "strides": 2}


@pytest.mark.parametrize(
    ("control", "observation", "value"),
    [(PLANNER, (1, 5), (4, 2)), ({"kind": "inverse", "state": [0, 1]}, (2, 2), (1, 2))],
    ids=["planner", "inverse"],
)
def test_planners_and_inverse_dynamics_are_built_from_their_examples(control, observation, value, tmp_path):
    content = tiny.content("data", event={"kind": "trajectory"})
    config = experiment.parse(content | {"control": control}, "tiny")
    episodes = tiny.episodes_of((12, 9))
    config.control.check(episodes)
    examples = config.control.examples(episodes)
    predictor = experiment.build(config, examples)
    batch = examples.batch(torch.arange(3))
    assert batch.observations.shape[1:] == observation and batch.value.shape[1:] == value
    loss = predictor.loss(batch.observations, batch.value, generator=draws.generator(0), valid=batch.valid)
    assert loss.shape == (3,) and loss.isfinite().all()
    sizes = experiment.sizes_of(predictor)
    assert sizes == Sizes(*config.control.sizes(4, 2))
    run = experiment.Run(tmp_path, config, predictor, 0)
    with pytest.raises(ValueError, match=r"predicts .*, which is no policy. Name a run with control.kind policy"):
        run.policy()


def test_a_goal_has_as_many_channels_as_it_is_about():
    content = tiny.content("data") | {"control": PLANNER | {"goal": [2]}}
    with pytest.raises(ValueError, match=r"control.goal and control.reaches must name as many channels; got 1 and 2"):
        experiment.parse(content, "tiny").control.examples(tiny.episodes_of())


def test_there_are_configs_of_both_kinds():
    assert EXPERIMENTS and GUIDES


def test_a_config_comes_back_from_plain_data():
    config = tiny.experiment_of()
    assert experiment.parse(json.loads(json.dumps(config.model_dump(mode="json"))), "json") == config


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


def test_weights_are_a_function_of_the_seed_and_the_global_random_state_is_left_alone():
    config, other = tiny.experiment_of(), tiny.experiment_of(seed=1)
    before = torch.get_rng_state()
    first = experiment.build(config, tiny.windows_of(config))
    torch.manual_seed(123)
    second = experiment.build(config, tiny.windows_of(config))
    after = torch.get_rng_state()
    third = experiment.build(other, tiny.windows_of(other))
    assert torch.get_rng_state().equal(after)
    torch.manual_seed(0)
    assert before.equal(torch.get_rng_state())
    flat = [torch.nn.utils.parameters_to_vector(p.parameters()) for p in (first, second, third)]
    assert flat[0].equal(flat[1]) and not flat[0].equal(flat[2])


def test_building_seeds_the_generator_of_the_cpu_alone(monkeypatch):
    # torch.manual_seed would seed the global generators of all GPUs as well.
    monkeypatch.setattr(torch, "manual_seed", lambda seed: pytest.fail("torch.manual_seed was called"))
    config = tiny.experiment_of()
    experiment.build(config, tiny.windows_of(config))


def test_bounds_and_statistics_are_those_of_the_demonstrations():
    config, episodes = tiny.experiment_of(event={"kind": "trajectory"}), tiny.episodes_of()
    predictor = experiment.build(config, tiny.windows_of(config, episodes))
    torch.testing.assert_close(predictor.head.event.low, episodes.actions.amin(0))
    torch.testing.assert_close(predictor.head.event.high, episodes.actions.amax(0))
    torch.testing.assert_close(predictor.encoder.mean, episodes.observations.mean(0))
    torch.testing.assert_close(predictor.encoder.deviation, episodes.observations.std(0, correction=0))


HEADS = [
    {"kind": "denoising", "steps": 3},
    {"kind": "denoising", "steps": 3, "schedule": {"kind": "cosine"}, "prediction": "noise"},
    {"kind": "regression"},
    {"kind": "two_step", "temperature": 1.0},
    {"kind": "mixture", "components": 3},
    {"kind": "planar", "layers": 2},
    {"kind": "coupling", "layers": 2, "transform": {"kind": "affine"}, "chain": {"steps": 3}},
    {"kind": "coupling", "layers": 2, "transform": {"kind": "spline", "bins": 3}},
    {"kind": "maf", "layers": 2},
    {"kind": "iaf", "layers": 2, "transform": {"kind": "spline", "bins": 3}},
    {"kind": "bnaf", "iterations": 8},
    {"kind": "residual_flow", "layers": 2, "iterations": 10, "truncation": {"kind": "first", "terms": 3}},
    {"kind": "residual_flow", "layers": 1, "truncation": {"kind": "poisson"}},
    {"kind": "continuous_flow", "solver": {"kind": "fixed", "method": "midpoint", "steps": 2}},
    {"kind": "continuous_flow", "solver": {"kind": "dormand_prince", "relative": 1e-3, "absolute": 1e-3}},
    {"kind": "autoencoder", "latent": 3},
    {"kind": "vae", "latent": 3, "beta": 0.5, "prior": "learned", "chain": {"steps": 3}},
    {"kind": "joint_vae", "latent": 2, "classes": 3},
    {"kind": "hierarchical_vae", "latent": 2, "levels": 2},
    {"kind": "vqvae", "positions": 2, "words": 4},
    {"kind": "latent_diffusion", "latent": 3, "steps": 3, "guidance": {"kind": "steered"}},
]

# Heads that need a network with a quality of its own.
NETS = {
    "maf": {"kind": "masked", "width": 16, "depth": 1},
    "iaf": {"kind": "masked", "width": 16, "depth": 1},
    "bnaf": {"kind": "monotone", "block": 2},
    "residual_flow": {"kind": "lipschitz", "width": 16},
}
SMALL = {"kind": "mlp", "width": 16, "depth": 1}


@pytest.mark.parametrize("event", ["path", "trajectory"])
@pytest.mark.parametrize("head", HEADS, ids=lambda head: head["kind"])
def test_a_saved_run_loads_and_draws_exactly_the_same(head, event, tmp_path):
    config = tiny.experiment_of(head=head, net=NETS.get(head["kind"], SMALL), event={"kind": event})
    predictor = tiny.predictor_of(config)
    experiment.save_config(tmp_path, config, experiment.sizes_of(predictor))
    checkpoint.save_model(tmp_path, 7, predictor)
    state = torch.get_rng_state()
    run = experiment.load(tmp_path)
    assert torch.get_rng_state().equal(state)
    assert (run.folder, run.experiment, run.step) == (tmp_path, config, 7)
    assert not run.predictor.training
    observations = torch.randn(3, 2, 4)
    for question in ("sample", "predict"):
        mine, theirs = (
            getattr(p, question)(observations, 2, generator=draws.generator(5)) for p in (predictor, run.predictor)
        )
        assert mine.equal(theirs)


@pytest.mark.parametrize("kind", NETS)
def test_a_head_says_which_network_it_needs(kind):
    config = tiny.experiment_of(head={"kind": kind}, net=SMALL)
    with pytest.raises(ValueError, match=rf"got ResidualMLP, .* Set net.kind to {NETS[kind]['kind']}\."):
        tiny.predictor_of(config)


def test_a_run_is_loaded_without_unpickling_anything(tiny_run, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("something was unpickled")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load"), (np, "load")):
        monkeypatch.setattr(module, name, refuse)
    run = experiment.load(tiny_run)
    assert run.step == 40
    files.read_tensors(checkpoint.state_path(tiny_run))


def test_nothing_in_the_package_can_unpickle_but_the_pipes_to_our_own_workers():
    found = set()
    for path in [path for folder in ("embodied_gen", "planners", "envs") for path in (ROOT / folder).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                found |= {(path.name, n) for n in names if n in ("pickle", "marshal", "shelve", "joblib", "dill")}
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
                *("torch.load", "np.load", "numpy.load", "eval", "exec", "yaml.load", "yaml.unsafe_load"),
            ):
                if "allow_pickle=False" in [ast.unparse(keyword) for keyword in node.keywords]:
                    continue
                found.add((path.name, ast.unparse(node.func)))
    assert found == {("slots_process.py", "pickle")}


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path} is not a run: it has no config.json. Train one"):
        experiment.load(tmp_path)


def test_a_run_without_weights_names_the_file(own_run):
    checkpoint.model_path(own_run).unlink()
    with pytest.raises(FileNotFoundError, match=r"model.safetensors"):
        experiment.load(own_run)


def test_weights_of_another_network_are_named(own_run):
    path = own_run / "config.json"
    content = json.loads(path.read_text())
    content["experiment"]["net"]["depth"] = 2
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"model.safetensors does not fit the config beside it: head.* more differ"):
        experiment.load(own_run)


def test_weights_of_another_width_are_named(own_run):
    path = own_run / "config.json"
    content = json.loads(path.read_text())
    content["experiment"]["net"]["width"] = 8
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="does not fit the config beside it"):
        experiment.load(own_run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("sizes"), "sizes must hold the numbers observation and action"),
        (lambda c: c.pop("experiment"), "must hold a mapping with the keys name, env, data; got nothing"),
        (lambda c: c["experiment"].pop("env"), "config.json: env: Field required"),
        (lambda c: c.update(schema=99), "has schema 99"),
    ],
)
def test_a_damaged_config_of_a_run_is_named_and_left_as_it_is(change, message, own_run):
    path = own_run / "config.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        experiment.load(own_run)
    assert path.read_bytes() == before


def test_foreign_weights_are_refused_and_left_as_they_are(own_run):
    path = checkpoint.model_path(own_run)
    path.write_bytes(safetensors.torch.save({"weight": torch.ones(1)}))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"{path} was not written by embodied-gen"):
        experiment.load(own_run)
    assert path.read_bytes() == before


def test_the_fingerprint_is_that_of_everything_that_fixes_the_course_of_training():
    config = tiny.experiment_of()
    own = config.fingerprint("data", 1)
    assert config.fingerprint("data", 1) == own
    assert len({own, config.fingerprint("other", 1), config.fingerprint("data", 2)}) == 3
    changes = {
        "seed": 1,
        "data": {"episodes": 3},
        "event": {"kind": "trajectory"},
        "net": {"depth": 2},
        "head": {"steps": 4},
        "control": {"history": 1},
        "train": {"rate": 0.5},
    }
    for block, change in changes.items():
        assert tiny.experiment_of(**{block: change}).fingerprint("data", 1) != own, block
    assert tiny.experiment_of(name="renamed").fingerprint("data", 1) == own


def planner_of(**control):
    return experiment.parse(tiny.content("data") | {"control": PLANNER | control}, "tiny.yaml")


TRACKER = {"position": [0], "velocity": [1], "p": 1.0, "d": 0.5}
COURSE = {"position": [0], "velocity": [1], "acceleration": 2.0, "time": 0.5}


def test_how_plans_are_followed_can_change_without_another_training():
    own = planner_of().fingerprint("data", 1)
    for change in ({"tracker": TRACKER}, {"course": COURSE}, {"candidates": 3}, {"replan": 5}, {"tolerance": 0.5}):
        assert planner_of(**change).fingerprint("data", 1) == own, change
    assert planner_of(horizon=5).fingerprint("data", 1) != own


@pytest.mark.parametrize(("name", "block"), [("tracker", TRACKER), ("course", COURSE)])
@pytest.mark.parametrize(
    ("channels", "got"),
    [
        ({"position": [0, 1]}, r"\[0, 1\] and \[1\]"),
        ({"velocity": [2]}, r"\[0\] and \[2\]"),
        ({"position": [], "velocity": []}, r"\[\] and \[\]"),
    ],
)
def test_trackers_and_courses_name_channels_of_the_plan(name, block, channels, got):
    sentence = f"control.{name} must name as many positions as velocities among the 2 channels of the plan; got {got}"
    with pytest.raises(ValueError, match=sentence):
        planner_of(**{name: block | channels})


def test_a_run_can_be_moved_and_copied(tiny_run, tmp_path):
    moved = shutil.copytree(tiny_run, tmp_path / "elsewhere" / "run")
    first, second = experiment.load(tiny_run), experiment.load(moved)
    observations = torch.randn(2, 2, 4)
    assert first.predictor.sample(observations, generator=draws.generator(0)).equal(
        second.predictor.sample(observations, generator=draws.generator(0))
    )


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
