"""`embodied-gen report` makes one file of whatever runs hold."""

import json
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


def record_of(run):
    return json.loads((run / "eval.json").read_text())


@pytest.fixture
def scored(tiny_run, tmp_path, cli):
    """A run that was evaluated, and two copies of it."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    assert cli("evaluate", run, *FEW).status == 0
    return [run, *(shutil.copytree(run, tmp_path / name) for name in ("second", "third"))]


@pytest.mark.parametrize(
    ("change", "caption"),
    [
        ({"env": {"id": "embodied/Reach-v0", "kwargs": {}}}, "Closed loop in embodied/Reach-v0, 3 episodes"),
        (
            {"env": {"id": "embodied/Avoid-v0", "kwargs": {"max_speed": 0.3}}},
            "embodied/Avoid-v0 (max_speed 0.3), 3 epi",
        ),
        ({"seeds": {"first": 7, "count": 9}}, "Closed loop in embodied/Avoid-v0, 9 episodes from seed 7"),
    ],
)
def test_every_score_stands_over_its_own_environment_and_seeds(change, caption, cli, scored, tmp_path):
    (scored[1] / "eval.json").write_text(json.dumps(record_of(scored[1]) | change))
    assert cli("report", *scored).status == 0
    tables = (tmp_path / "report.html").read_text().split("<table>")
    assert len(tables) == 3 and "Closed loop in embodied/Avoid-v0, 3 episodes from seed 1000000" in tables[1]
    assert "<td>third</td>" in tables[1] and "<td>second</td>" not in tables[1]
    assert caption in tables[2] and "<td>second</td>" in tables[2]
    assert "No differences are shown, as the runs were scored in several environments or on several seeds" in tables[2]
    assert "<h2>Differences</h2>" not in tables[2]


def test_it_says_which_run_keeps_differences_from_being_shown(cli, scored, tmp_path):
    (scored[2] / "eval.json").unlink()
    assert cli("report", *scored).status == 0
    assert (
        "No differences are shown, as there are no scores in an environment of third"
        in (tmp_path / "report.html").read_text()
    )


def test_differences_of_several_runs_are_adjusted(cli, scored, tmp_path):
    changed = record_of(scored[0])
    for episode in changed["episodes"]:
        episode["success"] = not episode["success"]
    (scored[1] / "eval.json").write_text(json.dumps(changed))
    assert cli("report", *scored).status == 0
    page = (tmp_path / "report.html").read_text()
    assert "<th>p (Holm)</th>" in page
    first, second = re.findall(r"against run</td>.*?</tr>", page)
    assert re.findall(r">([\d.]+)<", first)[-2:] == ["0.25", "0.5"] and re.findall(r">([\d.]+)<", second)[-2:] == [
        "1",
        "1",
    ]


def test_animations_of_earlier_seeds_are_left_out(cli, own_run, tmp_path):
    assert cli("evaluate", own_run, *FEW, "--video", 1).status == 0
    assert cli("evaluate", own_run, *FEW, "--seed", 2_000_000, "--video", 2).status == 0
    assert cli("report", own_run).status == 0
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/gif") == 2 and "episode seed 1000000" not in page


FORECASTS = {"rows": [{"scene": "eth", "draws": 1, "ade": 0.5}, {"scene": "zara", "draws": 20, "ade": None}]}
SEGMENTS = {"scores": {"mean_iou": 0.25, "classes": {"road & way": 1.0, "sky": None}}}


@pytest.mark.parametrize(
    ("record", "lines"),
    [
        (FORECASTS, [["scene", "eth", "zara"], ["draws", "1", "20"], ["ade", "0.500", ""]]),
        (SEGMENTS, [["mean_iou", "0.250"], ["classes, road &amp; way", "1.000"], ["classes, sky", ""]]),
    ],
)
def test_scores_on_data_are_a_plain_table(record, lines, cli, own_run, tmp_path):
    (own_run / "eval.json").write_text(json.dumps({"schema": 1, "versions": {"torch": "2.0"}, **record}))
    outcome = cli("report", own_run)
    assert outcome.status == 0, outcome.err
    page = (tmp_path / "report.html").read_text()
    table = page[page.index("Scores on data") : page.index("</table>")]
    assert [re.findall(r"<td[^>]*>([^<]*)</td>", line) for line in table.split("<tr>")[2:]] == lines
    assert "evaluated with torch 2.0" in page and "None of these runs was evaluated" not in page


def test_runs_scored_on_data_stand_beside_those_scored_in_an_environment(cli, scored, tmp_path):
    (scored[2] / "eval.json").write_text(json.dumps({"schema": 1, **SEGMENTS}))
    assert cli("report", *scored).status == 0
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Scores</h2>" in page and "<h2>Scores on data</h2>" in page
    assert "there are no scores in an environment of third" in page


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
