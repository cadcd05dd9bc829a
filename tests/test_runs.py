"""A run comes back as it was saved, without unpickling anything, and one that is damaged is named."""

import ast
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import tiny
import torch

from embodied_gen import draws, experiment
from embodied_gen.training import checkpoint, files

ROOT = Path(__file__).parents[1]
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
    {"kind": "continuous_flow", "training_solver": {"kind": "fixed", "method": "midpoint", "steps": 2}},
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


def test_a_run_can_be_moved_and_copied(tiny_run, tmp_path):
    moved = shutil.copytree(tiny_run, tmp_path / "elsewhere" / "run")
    first, second = experiment.load(tiny_run), experiment.load(moved)
    observations = torch.randn(2, 2, 4)
    assert first.predictor.sample(observations, generator=draws.generator(0)).equal(
        second.predictor.sample(observations, generator=draws.generator(0))
    )
