"""A leaderboard names its cells, resumes its record, and pools seeds in its table."""

import copy
import math
from pathlib import Path

import pytest
import torch

from embodied_gen import config, provenance, statistics
from embodied_gen.blocks.adversarial import GameBlock
from embodied_gen.blocks.autoregressive import EmissionBlock
from embodied_gen.blocks.energy import ObjectiveBlock
from embodied_gen.experiment import around
from embodied_gen.grounds.cell import refused
from embodied_gen.grounds.leaderboard import Leaderboard, Record
from embodied_gen.grounds.table import into_page, rows, table
from embodied_gen.nets.base import parameters_of
from embodied_gen.training import TrainSettings
from tests.heads.kinds import OF_OTHER_EVENTS, kinds

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "families.md"
EXCUSED = {"info_nce_uniform", "implicit_score"}  # objectives that are no rows, as the page says
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
    assert {"particle_2", "push_blocks", "avoid", "checkerboard", "bits_pinwheel"} <= own.grounds.keys()
    heads = [family.head for family in own.families.values()]
    assert {head.kind for head in heads} == set(kinds())
    assert {head.game.kind for head in heads if head.kind == "adversarial"} == set(kinds(GameBlock))
    assert {head.emission.kind for head in heads if head.kind == "autoregressive"} == set(kinds(EmissionBlock))
    objectives = {head.objective.kind for head in heads if head.kind == "energy"}
    assert objectives | EXCUSED == set(kinds(ObjectiveBlock)) and not objectives & EXCUSED
    assert {head.chains is None for head in heads if head.kind == "rbm"} == {True, False}
    assert all(f"`{name}`" in PAGE.read_text() for name in EXCUSED)
    for cell in own.cells((), (), (0,)):
        assert cell.ground.control.actions <= cell.ground.control.horizon


def learned_numbers(cell, event):
    """How many numbers a family learns on its ground; None where the ground refuses it."""
    seen = torch.zeros(2, cell.ground.sizes().observation)
    try:
        return parameters_of(around(cell.ground.control, event, cell.ground.net, cell.head, observations=seen, seed=0))
    except ValueError:
        return None


def test_all_families_learn_half_to_twice_as_many_numbers_as_regression_on_every_ground_that_takes_them():
    own = config.read(ROOT / "configs" / "families.yaml", Leaderboard, "leaderboard")
    for place, ground in own.grounds.items():
        event = ground.event_of(torch.zeros(1, *ground.control.shape(ground.sizes().action)))
        counts = {cell.family: learned_numbers(cell, copy.deepcopy(event)) for cell in own.cells((), (place,), (0,))}
        refused = {own.families[name].head.kind for name, count in counts.items() if count is None}
        units = {"hopfield", "boltzmann", "rbm", "belief"} if ground.kind == "bits" else set()
        assert refused == OF_OTHER_EVENTS.keys() - units
        shares = {name: count / counts["regression"] for name, count in counts.items() if count is not None}
        assert all(0.5 < share < 2 for share in shares.values()), (place, shares)


def test_all_families_learn_at_the_usual_rate_and_games_at_theirs():
    own = config.read(ROOT / "configs" / "families.yaml", Leaderboard, "leaderboard")
    games = {name for name, family in own.families.items() if family.head.kind == "adversarial"}
    for cell in own.cells((), (), (0,)):
        assert cell.ground.train.rate == (3e-4 if cell.family in games else TrainSettings().rate)


def entry(one, **changes):
    return {**one.key, "fingerprint": one.fingerprint(), "data": "d", **changes}


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


def test_cells_keep_the_versions_that_they_were_measured_with_and_are_replaced_by_those_of_others(
    tmp_path, monkeypatch
):
    path, (first, second) = tmp_path / "r.json", board().cells(("a",), ("x",), ())
    Record(path, device="cpu", jobs=2).add(entry(first, trials=1))
    Record(path, device="cuda", jobs=1).add(entry(second))
    monkeypatch.setattr(provenance, "versions", lambda: {"torch": "new"})
    record = Record(path)
    assert not record.has(first) and not record.has(second)
    record.add(entry(first, trials=2, data="e"))  # of other versions, data may be others
    assert record.has(first) and not record.has(second) and len(record.content["cells"]) == 2
    origins = [record.content["origins"][known["origin"]] for known in record.content["cells"]]
    assert [(origin["device"], origin["jobs"]) for origin in origins] == [("cuda", 1), ("cpu", 1)]
    assert origins[1]["versions"] == {"torch": "new"} != origins[0]["versions"]
    assert {"cores", "processor"} <= origins[0]["machine"].keys()


def test_cells_of_a_ground_are_of_the_same_data(tmp_path):
    record, (first, second) = Record(tmp_path / "r.json"), board().cells(("a",), ("x",), ())
    record.add(entry(first))
    with pytest.raises(ValueError, match=r"holds cells of x that were measured on other data. Name another file"):
        record.add(entry(second, data="e"))
    record.add(refused(second, "no\n such net"))  # which knows no data
    assert record.content["cells"][-1]["refusal"] == "no such net"


def test_a_family_may_have_another_network_on_a_ground():
    families = {"flow": {"head": {"kind": "bnaf"}, "net": {"kind": "monotone"}, "nets": {"y": {"kind": "mlp"}}}}
    there, other = board(families=families).cells((), (), (0,))
    assert (there.ground.net.kind, other.ground.net.kind) == ("monotone", "mlp")
    families["flow"]["nets"] = {"z": {"kind": "mlp"}}
    with pytest.raises(ValueError, match=r"families.flow.nets names no ground 'z'; expected one of x, y"):
        board(families=families)


def cell(family, seed, **changes):
    base = {
        "ground": "x",
        "family": family,
        "seed": seed,
        "origin": 0,
        "trials": 10,
        "successes": 9,
        "calibration_error": 0.1,
        "training_seconds": 2.0,
        "ms_a_call": 1.0,
        "network_calls": 1,
        "parameters": 1500,
    }
    return base | changes


def broken(family, seed, why="inf", *, diverged=True, ground="x"):
    return {
        "ground": ground,
        "family": family,
        "seed": seed,
        "origin": 0,
        "trials": 10,
        "successes": 0,
        "failure": why,
        "diverged": diverged,
    }


def record_of(*cells):
    origin = {"machine": {"processor": "P", "cores": 2}, "versions": {"torch": "T"}, "device": "cpu", "jobs": 3}
    origin["sources"] = "S"
    return {"cells": list(cells), "origins": [origin]}


def columns(record, number=0):
    header, _, *lines = [line for line in table(record).splitlines() if line.startswith("|")]
    names, values = ([part.strip() for part in line.strip("|").split("|")] for line in (header, lines[number]))
    return dict(zip(names, values, strict=True))


def test_seeds_are_pooled_and_averaged():
    first = cell(
        "a", 0, parts=[[5, 4]], due=[[5, 5]], distance=2.0, floor=1.0, nll=1.0, nll_by="flow", nll_of_truth=0.5
    )
    second = first | cell("a", 1, successes=1, distance=4.0, nll=2.0)
    (row,) = rows(record_of(first, second))
    assert row.good == (0.5, *statistics.wilson(10, 20))
    assert row.shares == [0.9, 0.1] and row.distance == 3.0
    assert row.mean("nll") == 1.5 and row.mean("absent") is None
    shown = columns(record_of(first, second))
    assert (shown["ground"], shown["family"], shown["seeds"], shown["good"]) == ("x", "a", "2", "0.500")
    assert shown["over seeds"] == "0.100 to 0.900" and shown["parameters [1000]"] == "2"
    assert shown["NLL"] == "1.500 flow (0.500)"
    assert "<sub>2 cells: P, 2 cores, cpu, 3 at once; torch T, sources S.</sub>" in table(record_of(first, second))


def test_cells_that_shared_a_device_say_so():
    record = record_of(cell("a", 0))
    record["origins"][0]["device"] = "cuda:0"
    assert "cuda:0, 3 at once, whose times depend on one another; torch T" in table(record)
    record["origins"][0]["jobs"] = 1
    assert "cuda:0, 1 at once; torch T" in table(record)


def test_ways_that_seeds_take_apart_do_not_make_up_for_those_that_each_of_them_drops():
    """Pooled, three seeds that each fell on another part looked as if all parts were drawn alike."""
    collapsed = [cell("a", k, parts=[[900 * (k == j) for j in range(3)]] * 2, due=[[3.0] * 3] * 2) for k in range(3)]
    (row,) = rows(record_of(*collapsed))
    assert row.entropy == 0.0 and row.modes == pytest.approx(1 / 3)
    (row,) = rows(record_of(cell("a", 0, parts=[[400, 0, 0], [0, 400, 0]], due=[[3.0] * 3] * 2)))  # nor do contexts
    assert row.entropy == 0.0 and row.modes == pytest.approx(1 / 3)


def test_ways_are_unknown_where_fewer_than_two_trials_are_good_and_of_one_way_there_is_no_entropy():
    (row,) = rows(record_of(cell("a", 0, parts=[[1, 0, 0], [0, 0, 0]], due=[[3.0] * 3] * 2)))
    assert row.entropy is None and row.modes is None
    (row,) = rows(record_of(cell("a", 0, parts=[[70, 0]], due=[[9.0, 0.0]])))
    assert row.entropy is None and row.modes == 1.0
    some = [cell("a", 0, parts=[[4, 0]], due=[[1, 1]]), cell("a", 1, parts=[[0, 0]], due=[[1, 1]])]
    assert rows(record_of(*some))[0].entropy == 0.0


def test_seeds_that_failed_have_no_success_and_say_nothing_of_ways():
    good = cell("a", 0, successes=10, parts=[[500, 500]], due=[[5.0, 5.0]], distance=2.0, floor=1.0)
    record = record_of(good, good | {"seed": 1}, broken("a", 2))
    (row,) = rows(record)
    assert row.good[0] == pytest.approx(2 / 3) and row.shares == [1.0, 1.0, 0.0]
    assert row.entropy == pytest.approx(1, abs=1e-3) and row.modes == 1.0 and row.distance == 2.0
    assert columns(record)["seeds"] == "1 of 3 diverged" and "a on x: inf" in table(record)
    all_failed = record_of(*(broken("a", seed, "no action", diverged=seed > 0) for seed in range(3)))
    shown = columns(all_failed)
    assert shown["seeds"] == "1 of 3 failed, 2 of 3 diverged" and shown["good"] == "0.000" and shown["ms a call"] == ""


def test_a_density_that_could_not_be_told_is_blank_and_says_why():
    record = record_of(cell("a", 0, nll_failure="not solved."), cell("a", 1, nll_failure="not solved."))
    assert columns(record)["NLL"] == "" and "\na on x: no density: not solved." in table(record)


def test_any_reward_is_pooled_with_none_for_seeds_that_failed_and_spreads_are_averaged_over_the_others():
    first = cell("a", 0, successes=2, rewarded=6, spread=0.5)
    shown = columns(record_of(first, first | {"seed": 1, "rewarded": 9, "spread": 1.0}, broken("a", 2)))
    assert (shown["rewarded"], shown["spread"]) == ("0.500", "0.75")
    shown = columns(record_of(cell("a", 0)))
    assert (shown["rewarded"], shown["spread"]) == ("", "")


def test_what_is_unknown_stays_blank_and_what_is_infinite_is_said():
    record = record_of(cell("a", 0), cell("b", 0, nll=None, nll_by="exact"), cell("b", 1, nll=1.0, nll_by="exact"))
    unknown, infinite = columns(record), columns(record, 1)
    assert [unknown[name] for name in ("entropy", "modes", "distance / floor", "NLL")] == [""] * 4
    assert infinite["NLL"] == "not finite" and math.isfinite(float(unknown["good"]))


def test_refusals_and_failures_are_told_below_the_table_and_what_is_refused_has_no_row():
    failed = [broken("b", s, "no such action", ground=g) for g in "xy" for s in (0, 1)]
    not_asked = [{"ground": "x", "family": "c", "seed": s, "origin": 0, "refusal": "no such net"} for s in (0, 1)]
    record = record_of(cell("a", 0), *failed, *not_asked)
    text = table(record)
    assert text.count("b on ") == 1 and "b on x, y: no such action" in text
    assert text.count("c on ") == 1 and "c on x: no such net" in text
    assert [(row.ground, row.family) for row in rows(record)] == [("x", "a"), ("x", "b"), ("y", "b")]


def test_grounds_stay_together_in_the_order_of_their_first_cell():
    cells = [cell("a", 0, ground="y"), cell("a", 0), cell("b", 0, ground="y")]
    assert [(row.ground, row.family) for row in rows(record_of(*cells))] == [("y", "a"), ("y", "b"), ("x", "a")]


def test_a_page_gets_its_table_between_the_marks_and_nowhere_else():
    page = "before\n<!-- table: families -->\nold\n<!-- end -->\nafter <!-- table: avoid -->\nkept\n<!-- end -->\n"
    made = into_page(page, "new\ntable")
    assert made == page.replace("old", "new\ntable")
    assert into_page(made, "new\ntable") == made
    assert into_page("no marks", "new") == "no marks"
