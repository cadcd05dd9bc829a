"""`embodied-gen report` makes one file of whatever runs hold."""

import re
import shutil

import pytest

FEW = ("--episodes", 3, "--workers", 1, "--device", "cpu")


def stands_alone(page):
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    return all(source.startswith("data:image/") for source in sources) and "<script" not in page


def test_a_run_that_was_only_trained_has_its_curve_and_its_settings(cli, own_run, tmp_path):
    outcome = cli("report", own_run)
    assert outcome.status == 0, outcome.err
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!doctype html>") and stands_alone(page)
    assert "None of these runs was evaluated yet" in page and "Training" in page and "checkpoint_every: 10" in page
    assert page.count("data:image/png") == 1
    assert outcome.out.startswith("written: report.html")


def test_it_shows_scores_differences_plans_and_animations(cli, own_run, tmp_path):
    assert cli("evaluate", own_run, *FEW, "--video", 1).status == 0
    assert cli("plan", own_run, "--n", 2, "--device", "cpu").status == 0
    other = shutil.copytree(own_run, tmp_path / "other")
    outcome = cli("report", own_run, other, "--out", "deep/er/page.html")
    assert outcome.status == 0, outcome.err
    page = (tmp_path / "deep" / "er" / "page.html").read_text()
    assert stands_alone(page)
    for part in (
        "Scores",
        "Differences",
        "Ways taken",
        "Plans",
        "Episodes",
        "Training",
        "Provenance",
        "other against run",
    ):
        assert part in page, part
    assert page.count("data:image/gif") == 2


def test_two_runs_of_one_name_are_told_apart(cli, own_run, tmp_path):
    twin = shutil.copytree(own_run, tmp_path / "twin" / own_run.name)
    assert cli("report", own_run, twin).status == 0
    page = (tmp_path / "report.html").read_text()
    assert f"<summary>{own_run}</summary>" in page and f"<summary>{twin}</summary>" in page


def test_names_are_text_and_not_html(cli, own_run, tmp_path):
    odd = shutil.copytree(own_run, tmp_path / "a<b>&c")
    assert cli("report", odd).status == 0
    page = (tmp_path / "report.html").read_text()
    assert "a&lt;b&gt;&amp;c" in page and "a<b>&c" not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "report needs one run or more; got none."), (["nowhere"], "nowhere is not a run: it has no config.json")],
)
def test_what_is_missing_is_named(arguments, message, cli):
    outcome = cli("report", *arguments)
    assert outcome.status == 2 and outcome.err.startswith(f"embodied-gen report: {message}")


@pytest.mark.parametrize("file", ["eval.json", "plan.json"])
def test_a_damaged_file_is_named(file, cli, own_run):
    (own_run / file).write_text('{"schema": 1')
    outcome = cli("report", own_run)
    assert outcome.status == 2 and f"{own_run / file} is truncated or not JSON" in outcome.err


def test_a_plan_without_its_constraints_is_named(cli, own_run):
    (own_run / "plan.json").write_text('{"schema": 1}')
    outcome = cli("report", own_run)
    sentence = f"{own_run / 'plan.json'} is no plan: it has no constraints. Draw it again: embodied-gen plan RUN."
    assert outcome.status == 2 and sentence in outcome.err
