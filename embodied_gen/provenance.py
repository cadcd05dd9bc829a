"""Provenance: on what a number was measured."""

import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

_PACKAGES = (
    "embodied-gen",
    "torch",
    "numpy",
    "scipy",
    "gymnasium",
    "mujoco",
    "metaworld",
    "gymnasium-robotics",
    "minari",
)
_SOURCES = ("embodied_gen", "envs", "planners")


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on; those that are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def sources() -> str:
    """A short hash of the code of the project's packages, which their version does not tell apart between releases."""
    root = Path(__file__).parents[1]
    paths = sorted(path for name in _SOURCES for path in (root / name).rglob("*.py"))
    contents = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)
    return hashlib.sha256(contents).hexdigest()[:16]


def machine() -> dict[str, Any]:
    """The processor, its cores and the threads in use, and the GPU where there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts: dict[str, Any] = {
        "system": platform.system(),
        "processor": _processor(),
        "cores": cores,
        "torch_threads": torch.get_num_threads(),
    }
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
