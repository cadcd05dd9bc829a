"""YAML files as plain data, where nothing is lost in silence.

PyYAML reads YAML 1.1, keeps the last of two equal keys, and takes 1e-3 for a text. Here a key stands once in its
mapping, merge keys aside, and numbers with an exponent are numbers, as in YAML 1.2 (sections 3.2.1.3 and 10.3.2).
"""

import re
from pathlib import Path
from typing import Any, final

import yaml


def load(path: Path) -> Any:
    """The content of a file.

    Raises:
        OSError: If it cannot be read.
        UnicodeDecodeError: If it is no text.
        yaml.YAMLError: If it is not YAML, or has a key twice in one mapping.
    """
    loader = _Loader(path.read_text())
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


@final
class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Before merge keys are resolved: what a mapping merges, its own keys may replace.
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line = key.start_mark.line + 1
            place = (key.tag, key.value)
            if place in lines:
                raise yaml.YAMLError(
                    f"the key {key.value!r} stands in line {lines[place]} and again in line {line}. Keep one of them."
                )
            lines[place] = line
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
