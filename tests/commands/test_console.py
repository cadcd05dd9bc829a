"""Progress counts what is done, and tells the time that is left by what was done since it began."""

import time

import pytest

from embodied_gen.commands import console


@pytest.mark.parametrize(
    ("done", "said"), [(0, "work: 2/10 in 8 s, 32 s left  two"), (6, "work: 8/10 in 8 s, 8 s left  two")]
)
def test_what_was_done_before_is_no_part_of_the_rate(done, said, capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with console.progress("work", 10, done=done) as advance:
        for note in ("one", "two"):
            now[0] += 4
            advance(note)
    assert capsys.readouterr().out == f"{said}\n"
