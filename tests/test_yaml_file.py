"""YAML files lose nothing: a key stands once, and numbers are numbers."""

import re

import pytest
import tiny
import yaml

from embodied_gen import config, experiment, yaml_file
from embodied_gen.blocks import images


def content_of(folder, text):
    (folder / "file.yaml").write_text(text)
    return yaml_file.load(folder / "file.yaml")


@pytest.mark.parametrize("text", ["1e2", "-1E-3", "+.5e+1", "2.e3", "1e-05", "1.5e10"])
def test_numbers_with_an_exponent_are_numbers(text, tmp_path):
    assert content_of(tmp_path, f"x: {text}") == {"x": float(text)}


@pytest.mark.parametrize(
    "text", ["12", "0.5", "true", "null", "a1e2", "1e", "e2", "'1e2'", "1e2m", "[1, 2]", "2020-01-01"]
)
def test_all_else_is_what_it_was(text, tmp_path):
    assert content_of(tmp_path, f"x: {text}") == yaml.safe_load(f"x: {text}")


def test_what_is_merged_may_be_replaced_whatever_stands_first(tmp_path):
    text = "deep: {er: &base {<<: {a: 0, c: 0}, a: 1, b: 2}}\nown: {<<: *base, a: 3}\nboth: {a: 4, <<: [*base, {d: 5}]}"
    assert content_of(tmp_path, text) == {
        "deep": {"er": {"a": 1, "b": 2, "c": 0}},
        "own": {"a": 3, "b": 2, "c": 0},
        "both": {"a": 4, "b": 2, "c": 0, "d": 5},
    }


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [("a: 1\nb: {}\na: 1", "a", (1, 3)), ("x:\n- {b: 1, 'b': 2}", "b", (2, 2)), ("x: {1: 2,\n 1: 3}", "1", (1, 2))],
)
def test_a_key_that_stands_twice_is_refused(text, key, lines, tmp_path):
    sentence = f"the key '{key}' stands in line {lines[0]} and again in line {lines[1]}. Keep one of them."
    with pytest.raises(yaml.YAMLError, match=re.escape(sentence)):
        content_of(tmp_path, text)


def test_a_config_with_a_block_twice_is_named_by_its_reader_and_is_of_no_kind(tmp_path):
    path = tiny.config_file(tmp_path, "data")
    path.write_text(path.read_text() + "data: {kind: images}\n")
    with pytest.raises(
        ValueError, match=rf"{path} is not YAML: the key 'data' stands in line \d+ and again in line \d+"
    ):
        experiment.read(path)
    assert not config.keys_of(path) and not images.describes(path)
