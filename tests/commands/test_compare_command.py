"""`embodied-gen compare` pairs episodes by their seeds, and its numbers are those of a hand."""

import json
import re
from math import comb

import numpy as np
import pytest

from embodied_gen import statistics
from embodied_gen.commands.compare import compare, names_of


def record_of(successes, returns=None, env="embodied/Avoid-v0", first=1_000_000, schema=1):
    returns = returns or [float(s) for s in successes]
    count = len(successes)
    low, high = statistics.wilson(sum(successes), count)
    return {
        "schema": schema,
        "env": {"id": env, "kwargs": {}},
        "seeds": {"first": first, "count": count},
        "summary": {
            "episodes": count,
            "successes": sum(successes),
            "success_rate": sum(successes) / count,
            "success_interval": [low, high],
            "return": {"mean": float(np.mean(returns)), "interval": None},
            "length": {"mean": 5.0, "interval": None},
        },
        "episodes": [
            {"seed": first + i, "success": bool(s), "sum_reward": r}
            for i, (s, r) in enumerate(zip(successes, returns, strict=True))
        ],
    }


OLD = [1, 1, 1, 0, 0, 0, 0, 0, 1, 0]
NEW = [1, 1, 0, 1, 1, 1, 1, 1, 1, 0]  # six discordant pairs: five for the new one, one for the old


@pytest.fixture
def folder_of(tmp_path):
    def make(name, record):
        (tmp_path / name).mkdir()
        (tmp_path / name / "eval.json").write_text(json.dumps(record))
        return tmp_path / name

    return make


def test_the_numbers_equal_those_of_a_hand():
    old, new = record_of(OLD), record_of(NEW, returns=[float(i) for i in range(10)])
    comparison = compare([old, new], ["old", "new"])
    (pair,) = comparison["pairs"]
    assert (pair["run"], pair["reference"]) == ("new", "old")
    assert pair["success_difference"] == pytest.approx(0.8 - 0.4)
    assert (pair["only_run"], pair["only_reference"]) == (5, 1)
    # Exact McNemar: twice the tail of a fair coin in six throws.
    assert pair["mcnemar_p"] == pytest.approx(2 * (comb(6, 5) + comb(6, 6)) / 2**6)
    assert pair["mcnemar_p_holm"] == pair["mcnemar_p"]
    assert pair["success_difference_interval"] == list(statistics.newcombe_paired(3, 5, 1, 1))
    assert pair["return_difference"] == pytest.approx(4.5 - 0.4)
    low, high = pair["return_difference_interval"]
    assert low < pair["return_difference"] < high
    assert pair["detectable_difference"] is None, "too few episodes for any"
    assert comparison["runs"][1]["run"] == "new" and comparison["runs"][1]["success_rate"] == 0.8
    assert json.loads(json.dumps(comparison)) == comparison


def test_several_runs_are_compared_with_the_first_and_adjusted_after_holm():
    records = [record_of(s) for s in (OLD, NEW, OLD, [1] * 10)]
    pairs = compare(records, list("abcd"))["pairs"]
    assert [(pair["reference"], pair["run"]) for pair in pairs] == [("a", "b"), ("a", "c"), ("a", "d")]
    raw = [pair["mcnemar_p"] for pair in pairs]
    assert [pair["mcnemar_p_holm"] for pair in pairs] == pytest.approx(list(statistics.holm(raw)))
    assert raw[1] == 1.0 and pairs[1]["detectable_difference"] is None


def test_the_difference_of_return_and_the_detectable_one_are_shown(cli, folder_of):
    records = record_of(OLD * 10, returns=[float(i % 7) for i in range(100)]), record_of(NEW * 10)
    (pair,) = compare(list(records), ["old", "new"])["pairs"]
    assert pair["detectable_difference"] == statistics.minimum_detectable_effect_paired(100, 0.6)
    outcome = cli("compare", folder_of("old", records[0]), folder_of("new", records[1]))
    assert outcome.status == 0, outcome.err
    low, high = pair["return_difference_interval"]
    assert f"{pair['return_difference']:+.4g}" in outcome.out and f"[{low:+.4g}, {high:+.4g}]" in outcome.out
    assert f" {pair['detectable_difference']:.3f} " in outcome.out


def test_a_difference_that_nothing_would_detect_is_no_number_and_the_file_is_json(cli, folder_of, tmp_path):
    assert statistics.minimum_detectable_effect_paired(10, 0.1) == np.inf
    runs = folder_of("old", record_of([1] * 10)), folder_of("new", record_of([1] * 9 + [0]))
    outcome = cli("compare", *runs, "--json", tmp_path / "comparison.json")
    assert outcome.status == 0, outcome.err

    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    written = json.loads((tmp_path / "comparison.json").read_text(), parse_constant=refuse)
    assert written["pairs"][0]["detectable_difference"] is None


def test_a_single_episode_is_compared_too():
    (pair,) = compare([record_of([0]), record_of([1])], ["a", "b"])["pairs"]
    assert pair["success_difference"] == 1 and pair["return_difference_interval"] is None


def test_the_tables_and_the_file_show_the_comparison(cli, folder_of, tmp_path):
    old, new = folder_of("old", record_of(OLD)), folder_of("new", record_of(NEW))
    outcome = cli("compare", old, new / "eval.json", "--json", tmp_path / "comparison.json")
    assert outcome.status == 0, outcome.err
    assert "0.400 (4/10)" in outcome.out and "0.800 (8/10)" in outcome.out
    assert "+0.400" in outcome.out and "5 / 1" in outcome.out and "0.22" in outcome.out
    written = json.loads((tmp_path / "comparison.json").read_text())
    assert written == compare([record_of(OLD), record_of(NEW)], ["old", "eval.json"])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            record_of(OLD, first=5),
            "runs must share the seeds: .*old has .*1000000.*new has .*5.* same --seed and --epis",
        ),
        (record_of(OLD[:8]), "runs must share the seeds: .*old has .*10.*new has .*8"),
        (record_of(OLD, env="embodied/Reach-v0"), "runs must share the environment: .*Avoid-v0.*Reach-v0"),
        (record_of(OLD, schema=9), "new/eval.json has schema 9; this version of embodied-gen reads up to 1"),
        ({"schema": 1, "experiment": {}}, "new/eval.json is no evaluation: it has no env. Name a run's folder"),
        ([1, 2], "new/eval.json was not written by embodied-gen"),
    ],
)
def test_what_cannot_be_compared_is_refused(other, message, cli, folder_of):
    outcome = cli("compare", folder_of("old", record_of(OLD)), folder_of("new", other))
    assert outcome.status == 2 and "Traceback" not in outcome.err
    assert re.search(message, outcome.err), outcome.err


def test_a_run_that_was_not_evaluated_is_named(cli, folder_of, tmp_path):
    old = folder_of("old", record_of(OLD))
    (tmp_path / "empty").mkdir()
    outcome = cli("compare", old, tmp_path / "empty")
    assert (outcome.status, outcome.err) == (
        2,
        f"embodied-gen compare: there is no {tmp_path}/empty/eval.json. "
        f"Evaluate the run first: embodied-gen evaluate {tmp_path}/empty.\n",
    )


def test_two_real_evaluations_are_compared(cli, own_run):
    few = ("--episodes", 4, "--workers", 1, "--device", "cpu")
    assert cli("evaluate", own_run, *few).status == 0
    assert cli("evaluate", own_run, *few, "--json", "again.json").status == 0
    outcome = cli("compare", own_run, "again.json")
    assert outcome.status == 0, outcome.err
    assert "+0.000" in outcome.out and "0 / 0" in outcome.out


def test_runs_are_called_by_their_folders_or_by_their_paths_where_these_are_alike(tmp_path):
    assert names_of([f"{tmp_path}/a/old/", f"{tmp_path}/a/new"]) == ["old", "new"]
    assert names_of(["a/same", "b/same"]) == ["a/same", "b/same"]
