"""Independent pieces of work."""

import os
import signal
from functools import partial

import pytest
import torch

from embodied_gen.commands import together
from embodied_gen.commands.console import console


def shifted(by, item):
    if item < 0:
        raise ValueError(f"no number below 0; got {item}.")
    return item + by, os.getpid(), torch.get_num_threads(), console.quiet


def test_work_is_the_same_one_after_another_and_at_once():
    items = [3, 1, 2]
    here = list(together.done(partial(shifted, 10), items, jobs=1))
    assert [(item, found[0]) for item, found in here] == [(3, 13), (1, 11), (2, 12)]
    assert {found[1] for _, found in here} == {os.getpid()} and not console.quiet
    apart = dict(together.done(partial(shifted, 10), items, jobs=2, threads=2))
    assert {item: found[0] for item, found in apart.items()} == {3: 13, 1: 11, 2: 12}
    assert all(pid != os.getpid() and threads == 2 and quiet for _, pid, threads, quiet in apart.values())


def test_one_after_another_nothing_is_made_before_it_is_asked_for():
    found = together.done(partial(shifted, 1), [1, -1], jobs=1)
    assert next(found)[1][0] == 2
    with pytest.raises(ValueError, match="no number below 0; got -1"):
        next(found)


def test_a_failure_ends_all_of_it():
    with pytest.raises(ValueError, match="no number below 0; got -1"):
        list(together.done(partial(shifted, 1), [-1, 1], jobs=2))


def ended(item):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_the_system_ends_is_named():
    with pytest.raises(ChildProcessError, match=r"one of 2 processes was ended from outside.* with fewer jobs\."):
        list(together.done(ended, [1, 2, 3], jobs=2))


def test_no_jobs_are_refused():
    with pytest.raises(ValueError, match="jobs must be at least 1; got 0"):
        list(together.done(partial(shifted, 1), [1], jobs=0))
