"""Families whose networks read a context alone: once is enough, whatever the number of draws."""

import abc
from typing import final

from embodied_gen.context import Context
from embodied_gen.heads.base import Head


class ReadsOnce(Head, abc.ABC):
    """A head of which `_sample` is given each context once, and repeats what it made of it to the number of rows."""

    @final
    def _repeated(self, c: Context, n: int) -> Context:
        """See `Head`."""
        return c
