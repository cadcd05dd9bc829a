"""A config becomes a predictor, a run comes back as it was saved, and every mistake is named."""

import json
from pathlib import Path

import numpy as np
import pytest
import scenes
import shapely
import tiny
import torch
from crowds import crowd

from embodied_gen import draws, experiment
from embodied_gen.blocks import (
    InstancesControl,
    LabelledSetBlock,
    LeavesBlock,
    OutlinesControl,
    RecordingsControl,
    SceneControl,
    SegmentationControl,
    WholeWayControl,
)
from embodied_gen.demos.collect import expert_of, record
from embodied_gen.demos.episodes import Episodes
from embodied_gen.experiment import Sizes
from embodied_gen.forecasting.windows import SOCIAL_GAN, windows_of
from embodied_gen.heads import Particles, Steered
from embodied_gen.slots import EnvMaker
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
        "set_transformer": {"width": 16, "depth": 1, "heads": 2},
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
    if isinstance(config.control, RecordingsControl):
        windows, data = windows_of([crowd(5, 30)], SOCIAL_GAN), config.data
        if getattr(data, "map", None):
            data = data.model_copy(update={"map": str(Path(__file__).with_name("pillars.wkt"))})
        return config.control.varied(windows, data), Sizes(*config.control.sizes(0, 0))
    if isinstance(config.control, WholeWayControl):
        examples = config.control.examples(ways())
        return examples, Sizes(len(examples.observations()[0]), 2)
    if isinstance(config.control, SegmentationControl):
        classes = len(config.data.classes)
        deep = isinstance(config.data, LabelledSetBlock)
        examples = config.control.varied(labelled_pictures(4, classes=classes, deep=deep), config.data, 0)
        return examples, Sizes(config.data.channels, classes)
    if isinstance(config.control, InstancesControl):
        few = LeavesBlock(train=5).examples("train", config.control.size)
        return few, Sizes(3, 1 + config.event.objects)
    if isinstance(config.control, OutlinesControl):
        boxes = {kind: [shapely.box(0, 0, 3 + k, 4) for k in range(4)] for kind in config.data.files}
        event = config.event.build(torch.zeros(1, *config.control.shape(3)))
        examples = config.control.varied(boxes, config.data, event)
        return examples, Sizes(*config.control.sizes(config.data.channels, 0))
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
