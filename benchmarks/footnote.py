"""What stands below every table: what was measured, where, and with which versions."""

from typing import Any


def footnote(record: dict[str, Any], *said: str) -> str:
    """A line in small print.

    Args:
        record: With its machine and versions.
        said: What comes first.
    """
    machine, torch = record["machine"], record["versions"]["torch"]
    where = machine.get("gpu", f"{machine['processor']}, {machine['cores']} cores")
    return f"<sub>{'; '.join([*said, where, f'torch {torch}'])}.</sub>"


def episodes(record: dict[str, Any]) -> str:
    """Which episodes were played, and in which simulator."""
    seeds = record["seeds"]
    return f"{seeds['count']} episodes from seed {seeds['first']}, mujoco {record['versions']['mujoco']}"
