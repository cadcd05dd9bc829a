"""Every verb explains itself, and every mistake is one sentence and status 2."""

import dataclasses
import importlib
import re
import subprocess
import sys

import pytest
import tiny

import embodied_gen
from embodied_gen.commands import main as command_line
from embodied_gen.commands.main import VERBS, main


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("verb", VERBS)
def test_help_documents_every_flag(verb, cli):
    outcome = cli(verb, "--help")
    assert outcome.status == 0
    words = " ".join(re.sub(r"[│╭╮╰╯─]", " ", plain(outcome.out)).split())
    arguments = importlib.import_module(f"embodied_gen.commands.{verb}").Arguments
    for field in dataclasses.fields(arguments):
        positional = field.name in ("config", "run", "runs", "what", "experiment")
        assert positional or f"--{field.name.rstrip('_').replace('_', '-')}" in words, field.name
    for line in arguments.__doc__.strip().splitlines()[:1]:
        assert line.strip() in words
    assert "(required)" in words or "default:" in words


def test_help_of_training_documents_every_setting_of_a_config(cli):
    words = plain(cli("train", "--help").out)
    for setting in ("--train.steps", "--head.steps", "--net.width", "--control.horizon", "--data.dataset", "--env.id"):
        assert setting in words, setting


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_every_verb(arguments, cli):
    outcome = cli(*arguments)
    assert outcome.status == 0
    for verb, what in VERBS.items():
        assert verb in outcome.out and what in outcome.out


def test_every_verb_has_a_file_and_every_file_of_a_verb_is_listed():
    for verb in VERBS:
        module = importlib.import_module(f"embodied_gen.commands.{verb}")
        assert dataclasses.is_dataclass(module.Arguments) and callable(module.main)


def test_the_version_is_that_of_the_package(cli):
    assert cli("--version").out.strip() == embodied_gen.__version__
    printed = subprocess.run([sys.executable, "-m", "embodied_gen", "--version"], capture_output=True, text=True)
    assert (printed.returncode, printed.stdout.strip()) == (0, embodied_gen.__version__)


def test_an_unknown_verb_lists_the_known_ones(cli):
    outcome = cli("trian", "config.yaml")
    assert outcome.status == 2
    assert outcome.err == f"embodied-gen: unknown verb 'trian'; expected one of {', '.join(VERBS)}.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["collect", "absent.yaml"], "there is no config file absent.yaml."),
        (["train", "absent.yaml"], "there is no config file absent.yaml."),
        (["train"], "a config file is expected first, such as configs/avoid_flow.yaml; got none."),
        (["evaluate", "absent"], "absent is not a run: it has no config.json. Train one: embodied-gen train CONFIG."),
        (["plan", "absent"], "absent is not a run: it has no config.json. Train one: embodied-gen train CONFIG."),
        (["plan", "absent", "--guide", "nowhere.yaml"], "there is no guide file nowhere.yaml."),
        (["info", "absent"], "there is no config file absent."),
        (["compare", "absent"], "compare needs two runs or more; got 1."),
        (["compare", "absent", "other"], "there is no absent."),
    ],
)
def test_what_is_missing_is_named_in_one_sentence(arguments, message, cli):
    outcome = cli(*arguments)
    assert (outcome.status, outcome.err) == (2, f"embodied-gen {arguments[0]}: {message}\n")


def test_a_missing_config_suggests_a_near_one(cli, tmp_path):
    tiny.config_file(tmp_path, "data")
    for verb in ("collect", "train", "info"):
        outcome = cli(verb, "tinny.yaml")
        assert (outcome.status, outcome.err) == (
            2,
            f"embodied-gen {verb}: there is no config file tinny.yaml. Did you mean tiny.yaml?\n",
        )


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_flag_names_itself_and_exits_with_status_2(verb, cli, tmp_path):
    config = tiny.config_file(tmp_path, "data")
    outcome = cli(verb, config, config, "--sede", "3")
    assert outcome.status == 2
    assert "--sede" in plain(outcome.err) and "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["train", "tiny.yaml", "--train.stepz", "3"], "--train.steps"),
        (["train", "tiny.yaml", "--haed.steps", "3"], "--head.steps"),
        (["evaluate", "run", "--episode", "3"], "--episodes"),
        (["collect", "tiny.yaml", "--episods", "3"], "--episodes"),
        (["plan", "run", "--giude", "3"], "--guide"),
    ],
)
def test_a_wrong_flag_names_the_nearest(arguments, nearest, cli, tmp_path):
    tiny.config_file(tmp_path, "data")
    outcome = cli(*arguments)
    assert outcome.status == 2
    assert nearest in plain(outcome.err)


def test_all_mistakes_of_a_config_are_told_at_once(cli, tmp_path):
    tiny.config_file(tmp_path, "data", train={"stesp": 3, "batch": 0})
    for verb in ("collect", "train", "info"):
        outcome = cli(verb, "tiny.yaml")
        assert outcome.status == 2
        assert outcome.err == (
            f"embodied-gen {verb}: tiny.yaml: train.batch: Input should be greater than or equal to 1; got 0\n"
            "tiny.yaml: train.stesp: unknown key; did you mean 'steps'?\n"
        )


def test_a_traceback_is_shown_where_it_is_asked_for(cli, monkeypatch):
    monkeypatch.setenv("EMBODIED_GEN_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError, match=r"there is no config file absent.yaml"):
        main(["collect", "absent.yaml"])


def test_a_bug_of_ours_is_not_hidden(monkeypatch):
    def fail(arguments):
        raise KeyError("a bug")

    monkeypatch.setattr(importlib.import_module("embodied_gen.commands.info"), "main", fail)
    with pytest.raises(KeyError, match="a bug"):
        main(["info", "x"])


def test_ctrl_c_exits_with_status_130_and_no_traceback(cli, monkeypatch):
    def stop(arguments):
        raise KeyboardInterrupt  # what SIGINT becomes; a process started in the background may ignore the signal

    monkeypatch.setattr(importlib.import_module("embodied_gen.commands.info"), "main", stop)
    outcome = cli("info", "x")
    assert (outcome.status, outcome.err) == (130, "embodied-gen info: interrupted.\n")


def test_a_closed_pipe_is_no_error():
    printed = subprocess.run(
        f"{sys.executable} -m embodied_gen info {tiny.__file__.rsplit('/', 2)[0]}/configs/avoid_flow.yaml | true",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert printed.stderr == ""


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"id": "embodied/Avoidd-v0"}, "Environment id 'embodied/Avoidd-v0' is not registered .*embodied/Avoid-v0"),
        ({"id": "no id at all"}, "Environment 'no id at all' cannot be made with {}: Malformed"),
        (
            {"kwargs": {"sped": 3}},
            r"Environment 'embodied/Avoid-v0' cannot be made with {'sped': 3}: .*argument 'sped'",
        ),
        ({"kwargs": {"renderer": "crayon"}}, "crayon"),
        ({"keys": ["position"]}, "keys need a Dict observation"),
        ({"id": "no_module:embodied/Avoid-v0"}, "no_module"),
    ],
)
def test_an_environment_that_cannot_be_made_is_named(env, message, cli, tmp_path):
    tiny.config_file(tmp_path, "data", env=env)
    for verb in ("collect", "info"):
        outcome = cli(verb, "tiny.yaml")
        assert outcome.status == 2
        assert re.search(message, outcome.err), outcome.err


def test_actions_that_are_no_box_are_named(cli, tmp_path):
    tiny.config_file(tmp_path, "data", env={"id": "CartPole-v1"})
    outcome = cli("info", "tiny.yaml")
    assert outcome.status == 2 and "a policy needs actions in a Box of shape (A,)" in outcome.err


def test_info_says_what_a_config_and_a_run_are(cli, tiny_run, tmp_path):
    config = tiny.config_file(tmp_path, "data")
    for what in (config, tiny_run):
        outcome = cli("info", what)
        assert outcome.status == 0
        for part in (
            "(2, 4)",
            "(8, 2), path: chunks of 8 actions of which 4",
            "denoising",
            "mlp",
            "width: 16",
            "torch ",
        ):
            assert part in outcome.out, part
    assert "40 steps" in outcome.out


def test_the_verbs_are_imported_only_when_asked_for():
    code = (
        "import sys; from embodied_gen.commands.main import main; main(['--help']); main(['nonsense']);"
        "assert 'torch' not in sys.modules and 'gymnasium' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert command_line._help().startswith("usage: embodied-gen VERB")
