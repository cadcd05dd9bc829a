"""A leaderboard names its cells, resumes its record, and pools seeds in its table."""

import math
from pathlib import Path

import pytest

from embodied_gen import config, statistics
from embodied_gen.grounds.leaderboard import Leaderboard, Record
from embodied_gen.grounds.table import into_page, rows, table
from tests.heads.kinds import kinds

ROOT = Path(__file__).parents[2]
CONTENT = {
    "families": {"a": {"head": {"kind": "regression"}}, "b": {"head": {"kind": "mixture"}}},
    "grounds": {"x": {"kind": "plane", "shape": "two_moons"}, "y": {"kind": "plane", "shape": "pinwheel"}},
    "seeds": [4, 5],
}


def board(**changes):
    return config.parse(CONTENT | changes, Leaderboard, "board")


def names(cells):
    return [(cell.place, cell.seed, cell.family) for cell in cells]


def test_cells_are_all_combinations_one_ground_after_another():
    assert names(board().cells((), (), ())) == [(g, s, f) for g in "xy" for s in (4, 5) for f in "ab"]
    assert names(board().cells(("b",), ("y",), (9,))) == [("y", 9, "b")]
    assert {cell.fingerprint() for cell in board().cells((), (), ())}.__len__() == 8


def test_a_family_brings_what_its_head_cannot_do_without_and_nothing_else():
    families = {
        "plain": {"head": {"kind": "regression"}},
        "flow": {"head": {"kind": "maf"}, "net": {"kind": "masked"}},
        "game": {"head": {"kind": "adversarial"}, "momentum": 0.0, "rate": 3e-4},
    }
    plain, flow, game = board(families=families).cells((), ("x",), (0,))
    ground = board().grounds["x"]
    assert plain.ground == ground
    assert flow.ground.net.kind == "masked" and flow.ground.train == ground.train
    assert game.ground.net == ground.net
    assert game.ground.train == ground.train.model_copy(update={"momentum": 0.0, "rate": 3e-4})


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="there is no family 'c'; expected one of a, b"):
        board().cells(("c",), (), ())
    with pytest.raises(ValueError, match="there is no ground 'z'; expected one of x, y"):
        board().cells((), ("z",), ())


def test_mistakes_are_named_with_their_place():
    with pytest.raises(ValueError, match=r"board: families.a.head.temprature: unknown key; did you mean 'temperature'"):
        board(families={"a": {"head": {"kind": "regression", "temprature": 1}}})
    with pytest.raises(ValueError, match=r"board: grounds.x: kind is missing; expected one of plane, bits, task"):
        board(grounds={"x": {"shape": "two_moons"}})


def test_the_projects_own_leaderboard_reads_and_has_the_grounds_that_it_should():
    own = config.read(ROOT / "configs" / "families.yaml", Leaderboard, "leaderboard")
    assert {"particle_4", "push_blocks", "avoid", "checkerboard", "bits_pinwheel"} <= own.grounds.keys()
    assert {family.head.kind for family in own.families.values()} == set(kinds())
    for cell in own.cells((), (), (0,)):
        assert cell.ground.control.actions <= cell.ground.control.horizon


def test_a_record_knows_its_cells_and_refuses_other_settings(tmp_path):
    path, cell = tmp_path / "r.json", board().cells(("a",), ("x",), (4,))[0]
    record = Record(path)
    assert not record.has(cell) and not path.exists()
    record.add({**cell.key, "fingerprint": cell.fingerprint()})
    again = Record(path)
    assert again.has(cell) and not again.has(board().cells(("a",), ("x",), (5,))[0])
    other = board(families={"a": {"head": {"kind": "regression", "temperature": 0.5}}}).cells(("a",), ("x",), (4,))[0]
    with pytest.raises(ValueError, match=r"holds a on x, seed 4, measured with other settings. Name another file"):
        again.has(other)
    path.write_text('{"schema": 1}')
    with pytest.raises(ValueError, match=r"is no leaderboard: it has no cells. Name another file with --out"):
        Record(path)


def cell(family, seed, **changes):
    base = {
        "ground": "x",
        "family": family,
        "seed": seed,
        "trials": 10,
        "successes": 9,
        "calibration_error": 0.1,
        "training_seconds": 2.0,
        "ms_a_call": 1.0,
        "network_calls": 1,
        "parameters": 1000,
    }
    return base | changes


def record_of(*cells):
    return {"cells": list(cells), "machine": {"processor": "P", "cores": 2}, "versions": {"torch": "T"}}


def test_seeds_are_pooled_and_averaged():
    first = cell("a", 0, parts=[5, 4], distance=2.0, floor=1.0, nll=1.0, nll_of_truth=0.5)
    second = cell("a", 1, successes=1, parts=[0, 1], distance=4.0, floor=1.0, nll=2.0, nll_of_truth=0.5)
    (row,) = rows(record_of(first, second))
    assert row.good == (0.5, *statistics.wilson(10, 20))
    assert row.entropy == pytest.approx(1.0) and row.distance == 3.0
    assert row.mean("nll") == 1.5 and row.mean("absent") is None
    assert "| x | a | 2 | 0.500 |" in table(record_of(first, second))
    assert "| 1.500 (0.500) |" in table(record_of(first, second))


def test_what_is_unknown_stays_blank_and_what_is_infinite_is_said():
    text = table(record_of(cell("a", 0), cell("b", 0, nll=None), cell("b", 1, nll=1.0)))
    lines = [line for line in text.splitlines() if line.startswith("| x")]
    assert lines[0].count("|  |") >= 2 and "not finite" in lines[1]
    assert math.isfinite(float(lines[0].split("|")[4]))


def test_failures_are_told_below_the_table_and_do_not_count():
    broken = [{"ground": g, "family": "b", "seed": s, "failure": "no such net"} for g in "xy" for s in (0, 1)]
    text = table(record_of(cell("a", 0), *broken))
    assert text.count("b on ") == 1 and "b on x, y: no such net" in text
    assert [row.family for row in rows(record_of(cell("a", 0), {"ground": "x", "family": "b", "failure": ""}))] == ["a"]


def test_grounds_stay_together_in_the_order_of_their_first_cell():
    cells = [cell("a", 0, ground="y"), cell("a", 0), cell("b", 0, ground="y")]
    assert [(row.ground, row.family) for row in rows(record_of(*cells))] == [("y", "a"), ("y", "b"), ("x", "a")]


def test_a_page_gets_its_table_between_the_marks_and_nowhere_else():
    page = "before\n<!-- table: families -->\nold\n<!-- end -->\nafter <!-- table: avoid -->\nkept\n<!-- end -->\n"
    made = into_page(page, "new\ntable")
    assert made == page.replace("old", "new\ntable")
    assert into_page(made, "new\ntable") == made
    assert into_page("no marks", "new") == "no marks"
