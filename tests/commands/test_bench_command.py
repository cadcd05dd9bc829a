"""`embodied-gen bench families` measures what is missing, and publishes what is there."""

import json

import pytest
import torch
import yaml

from embodied_gen import config
from embodied_gen.commands import cells, together
from embodied_gen.grounds.leaderboard import Leaderboard, Record
from embodied_gen.grounds.task import TaskGround

NET = {"kind": "mlp", "width": 16, "depth": 1}
TRAIN = {"steps": 15, "batch": 32, "precision": "fp32", "warmup": 2}
BOARD = {
    "families": {
        "least squares": {"head": {"kind": "regression"}},
        "flow": {"head": {"kind": "denoising", "steps": 2}},
    },
    "seeds": [0],
    "grounds": {
        "board": {
            "kind": "plane",
            "shape": "checkerboard",
            "condition": "label",
            "points": 300,
            "contexts": 2,
            "samples": 50,
            "net": NET,
            "train": TRAIN,
        },
        "particle": {
            "kind": "task",
            "env": {"id": "embodied/Particle-v0", "kwargs": {"dimension": 1}},
            "data": {"dataset": "embodied/tiny-particle/expert-v0", "episodes": 5},
            "held_out": 0.2,
            "trials": 3,
            "net": NET,
            "control": {"history": 1, "horizon": 4, "actions": 2},
            "train": TRAIN,
        },
    },
}


def written(folder, **changes):
    path = folder / "board.yaml"
    path.write_text(yaml.safe_dump(BOARD | changes, sort_keys=False))
    return path


def test_cells_are_measured_once_and_published(cli, tmp_path):
    config, page = written(tmp_path), tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("# Families\n\n<!-- table: families -->\n<!-- end -->\n")
    call = ["bench", "families", config, "--out", "r.json", "--page", page, "--device", "cpu"]
    first = cli(*call, "--grounds", "board", "--families", "flow")
    assert first.status == 0, first.err
    assert "1 cells, 0 of them in r.json already" in first.out and "train: 15/15" in first.out
    begun = json.loads((tmp_path / "r.json").read_text())["cells"]
    assert [cell["family"] for cell in begun] == ["flow"]

    second = cli(*call)
    assert second.status == 0, second.err
    assert "4 cells, 1 of them in r.json already" in second.out and "3/3 particle: flow, seed 0" in second.out
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["cells"][1] == begun[0] and len(record["cells"]) == 4  # in the order of the file
    (origin,) = record["origins"]
    assert {"torch", "gymnasium"} <= origin["versions"].keys() and "cores" in origin["machine"]
    assert (origin["device"], origin["jobs"]) == ("cpu", 1)
    assert all("failure" not in cell and cell["origin"] == 0 and cell["ms_a_call"] > 0 for cell in record["cells"])
    task = next(cell for cell in record["cells"] if cell["ground"] == "particle")
    assert task["trials"] == 3 and task["successes"] <= task["rewarded"] <= 3 and "distance" not in task
    assert (page.parent / "images" / "families.png").read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    assert text.count("| board |") == 2 and text.count("| particle |") == 2 and "calibration error" in text

    third = cli(*call)
    assert third.status == 0 and "4 cells, 4 of them" in third.out and "train:" not in third.out
    assert page.read_text() == text


def test_only_the_record_of_the_project_goes_into_its_page_unasked(cli, tmp_path, monkeypatch):
    page = tmp_path / "docs" / "families.md"
    page.parent.mkdir()
    page.write_text("<!-- table: families -->\n<!-- end -->\n")
    board = written(tmp_path, grounds={"board": BOARD["grounds"]["board"]})
    call = ["bench", "families", board, "--families", "least squares", "--device", "cpu"]
    other = cli(*call, "--out", "r.json")
    assert other.status == 0 and "| board |" in other.out and "| board |" not in page.read_text()
    own = cli(*call)
    assert own.status == 0 and "written: docs/families.md" in own.out and "| board |" in page.read_text()
    assert (tmp_path / "benchmarks" / "results" / "families.json").is_file()


def test_families_that_refuse_a_ground_are_told_before_data_are_read(cli, tmp_path):
    families = {"units": {"head": {"kind": "hopfield"}}, "masked": {"head": {"kind": "maf"}}}
    board = written(tmp_path, families=families, seeds=[0, 1], grounds={"particle": BOARD["grounds"]["particle"]})
    outcome = cli("bench", "families", board, "--out", "r.json", "--device", "cpu")
    assert outcome.status == 0, outcome.err
    assert outcome.out.count("particle refuses units: models of binary units need a Binary event") == 1
    assert "demonstrations of particle" not in outcome.out and not (tmp_path / "data").exists()
    record = json.loads((tmp_path / "r.json").read_text())
    assert [cell["family"] for cell in record["cells"]] == ["units", "masked"] * 2
    assert all("refusal" in cell and "successes" not in cell for cell in record["cells"])
    assert "units on particle: models of binary units" in outcome.out
    again = cli("bench", "families", board, "--out", "r.json", "--device", "cpu")
    assert "4 cells, 4 of them in r.json already" in again.out and "refuses" not in again.out


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_family_that_fails_is_a_row_and_the_others_are_measured_all_the_same(cli, tmp_path, jobs):
    grounds = {"board": BOARD["grounds"]["board"] | {"train": TRAIN | {"rate": 1e30, "steps": 40}}}
    families = {"bad": {"head": {"kind": "regression"}}, "good": {"head": {"kind": "regression"}, "rate": 1e-3}}
    board = written(tmp_path, families=families, grounds=grounds, seeds=[0, 1])
    outcome = cli("bench", "families", board, "--out", "r.json", "--device", "cpu", "--jobs", jobs)
    assert outcome.status == 0, outcome.err
    assert "| board | bad | 2 of 2 diverged | 0.000 |" in outcome.out and "| board | good | 2 |" in outcome.out
    assert "bad on board: the loss of step" in outcome.out and (tmp_path / "r.png").is_file()
    again = cli("bench", "families", board, "--out", "r.json", "--device", "cpu", "--jobs", jobs)
    assert "4 cells, 4 of them in r.json already" in again.out


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_cell_that_a_mistake_breaks_off_has_no_result_and_the_others_go_on(cli, tmp_path, monkeypatch, jobs):
    def measure(cell, *others, **named):
        return ([][cell.seed]) if cell.family == "flow" else measured(cell, *others, **named)

    measured = cells.measure
    monkeypatch.setattr(cells, "measure", measure)
    monkeypatch.setattr(together, "done", lambda work, items, **_: ((item, work(item)) for item in items))  # here
    board = written(tmp_path, grounds={"board": BOARD["grounds"]["board"]}, seeds=[0, 1])
    call = ["bench", "families", board, "--out", "r.json", "--device", "cpu", "--jobs", jobs]
    outcome = cli(*call)
    assert outcome.status == 2
    assert "2 cells broke off and have no result (board: flow, seed 0, board: flow, seed 1)" in outcome.err
    assert outcome.err.count("Traceback") == 1 and "IndexError: list index out of range" in outcome.err
    assert "| board | least squares | 2 |" in outcome.out and "| flow |" not in outcome.out
    monkeypatch.setattr(cells, "measure", measured)
    again = cli(*call)
    assert again.status == 0 and "4 cells, 2 of them in r.json already" in again.out


def test_dear_families_of_dear_grounds_go_first(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(together, "done", lambda work, items, **_: asked.extend(items) or [])
    board = config.parse(BOARD | {"seeds": [0, 1]}, Leaderboard, "board")
    prices = {("board", "flow"): 2.0, ("board", "least squares"): 1.0, ("particle", "flow"): 3.0}
    monkeypatch.setattr(TaskGround, "missing", lambda _: 0)
    due = [(cell, prices.get((cell.place, cell.family), 0.5)) for cell in board.cells((), (), ())]
    cells.fill(Record(tmp_path / "r.json"), due, cells.Means(torch.device("cpu"), jobs=2))
    assert [(cell.place, cell.family) for cell in asked] == [
        *[("particle", "flow")] * 2,
        *[("particle", "least squares")] * 2,
        *[("board", "flow")] * 2,
        *[("board", "least squares")] * 2,
    ]


def test_without_a_page_the_table_is_printed_and_the_picture_lies_beside_the_record(cli, tmp_path):
    board = written(tmp_path, grounds={"board": BOARD["grounds"]["board"]})
    outcome = cli("bench", "families", board, "--out", "r.json", "--families", "flow", "--device", "cpu")
    assert outcome.status == 0, outcome.err
    assert "| board | flow | 1 |" in outcome.out and "training [s]" in outcome.out
    assert (tmp_path / "r.png").is_file()


def test_cells_that_are_measured_at_once_are_those_that_are_measured_in_turn(cli, tmp_path):
    config = written(tmp_path)
    records = []
    for jobs in (1, 2):
        outcome = cli("bench", "families", config, "--out", f"{jobs}.json", "--device", "cpu", "--jobs", jobs)
        assert outcome.status == 0, outcome.err
        records.append(json.loads((tmp_path / f"{jobs}.json").read_text())["cells"])
    assert "cells: 4/4" in outcome.out
    for one, other in zip(*records, strict=True):
        clocks = {"training_seconds", "ms_a_call", "timed_calls"}
        assert one.keys() == other.keys() >= clocks
        assert {key: one[key] for key in one.keys() - clocks} == {key: other[key] for key in other.keys() - clocks}


def test_wrong_input_is_one_sentence(cli, tmp_path):
    config = written(tmp_path)
    for arguments, message in (
        (["heads"], "there is no bench 'heads'; expected one of families."),
        (["families", "absent.yaml"], "there is no leaderboard file absent.yaml."),
        (["families", config, "--families", "flaw"], "there is no family 'flaw'; expected one of least squares, flow."),
        (["families", config, "--threads", "0"], "--jobs, --threads and --workers must be at least 1; got 1, 0 and 1."),
        (["families", config, "--jobs", "0"], "--jobs, --threads and --workers must be at least 1; got 0, 1 and 1."),
    ):
        outcome = cli("bench", *arguments)
        assert outcome.status == 2 and outcome.err.startswith(f"embodied-gen bench: {message}")


def test_a_record_of_other_settings_is_left_alone(cli, tmp_path):
    board = {"board": BOARD["grounds"]["board"]}
    call = ["--out", "r.json", "--families", "least squares", "--device", "cpu"]
    assert cli("bench", "families", written(tmp_path, grounds=board), *call).status == 0
    before = (tmp_path / "r.json").read_text()
    board["board"] = board["board"] | {"points": 400}
    outcome = cli("bench", "families", written(tmp_path, grounds=board), *call)
    assert outcome.status == 2
    assert "r.json holds least squares on board, seed 0, measured with other settings" in outcome.err
    assert (tmp_path / "r.json").read_text() == before
