"""Memory that a computation frees is kept for the next one.

glibc hands large blocks back to the system as soon as they are free. A network that answers without gradients frees
every intermediate result, so that the system has to provide each anew, page by page and zeroed, which is much of the
time of a box decoder on a CPU. Kept, the process stays about as large as it has once been.

Source: mallopt(3).
"""

import ctypes
import os
import sys

# Names of malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_NEVER, _AT_ONCE = 2**31 - 1, 2**26  # bytes


def keep_freed() -> None:
    """From now on, in this process; not where the environment says how to allocate, nor without glibc."""
    chosen = any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ
    if chosen or sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for name, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _AT_ONCE)):
            mallopt(name, value)
