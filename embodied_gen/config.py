"""Config files: YAML as immutable typed data.

All mistakes of a file are reported together, each with its path, what was expected and what was found.
"""

import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from embodied_gen import yaml_file


class Block(BaseModel):
    """A part of a config: immutable, no unknown keys, finite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Whole = TypeVar("Whole", bound=Block)


def read(path: Path, model: type[Whole], what: str) -> Whole:
    """Reads a file.

    Args:
        path: YAML, and so JSON too.
        model: What the file describes.
        what: The file is called by this in messages, such as "config".

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not YAML; with one line for each mistake if it does not fit the model.
    """
    if not path.is_file():
        near = difflib.get_close_matches(str(path), [str(p) for p in path.parent.glob("*.yaml")], n=1, cutoff=0.3)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise FileNotFoundError(f"there is no {what} file {path}.{hint}")
    try:
        content = yaml_file.load(path)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return parse(content, model, str(path))


def keys_of(path: Path) -> frozenset[str]:
    """The keys of a config file, by which its kind is told; none where it cannot be read, which `read` explains."""
    try:
        content = yaml_file.load(path)
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return frozenset()
    return frozenset(map(str, content)) if isinstance(content, Mapping) else frozenset()


def parse(content: Any, model: type[Whole], source: str) -> Whole:
    """A model from plain data.

    Args:
        content: Mappings, sequences and scalars.
        model: What they describe.
        source: Where they come from, for messages.

    Raises:
        ValueError: With one line for each mistake.
    """
    if not isinstance(content, Mapping):
        needed = [name for name, field in model.model_fields.items() if field.is_required()] or model.model_fields
        raise ValueError(f"{source} must hold a mapping with the keys {', '.join(needed)}; got {_type(content)}.")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ValueError(explain(error, model, source)) from None


def explain(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """One line for each mistake: the path, what is wrong, and the nearest known key."""
    lines = []
    for mistake in error.errors():
        location = [part for part in mistake["loc"] if isinstance(part, str | int)]
        known, path, kinds = _walk(model, location)
        if mistake["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
            lines.append(f"{source}: {path}: unknown key; {hint}")
        elif mistake["type"] == "union_tag_not_found":
            lines.append(f"{source}: {path}: kind is missing; expected one of {', '.join(kinds)}")
        else:
            got = "" if mistake["type"] == "missing" else f"; got {mistake['input']!r}"
            message = mistake["msg"].removeprefix("Value error, ")
            lines.append(
                f"{source}: {path or 'config'}: {message}" + ("" if isinstance(mistake["input"], Mapping) else got)
            )
    return "\n".join(lines)


def _type(content: Any) -> str:
    return "nothing" if content is None else type(content).__name__


def _walk(model: type[BaseModel], location: Sequence[str | int]) -> tuple[list[str], str, list[str]]:
    """The known keys beside the last part of a location, the location as a config path, and the kinds it can have."""
    current: Any = model
    known: list[str] = []
    path: list[str] = []
    for part in location:
        options = _models(current)
        tagged = [m for m in options if _kind(m) == part and len(options) > 1]
        if tagged:  # pydantic names the chosen member of a union; a config path does not
            current = tagged[0]
            continue
        path.append(str(part))
        if isinstance(part, int):  # an entry of a list, of which `current` is the annotation
            continue
        if typing.get_origin(current) is dict:  # an entry by its name
            known, current = [], typing.get_args(current)[1]
            continue
        fields = next((m.model_fields for m in options), {})
        known = list(fields)
        current = fields[part].annotation if part in fields else None
    return known, ".".join(path), [str(_kind(m)) for m in _models(current)]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated, list):
        return [m for part in typing.get_args(annotation) for m in _models(part)]
    return []


def _kind(model: type[BaseModel]) -> Any:
    kinds = typing.get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()
    return kinds[0] if kinds else None
