"""XML files from outside, read without trusting them.

A document is read in pieces of 64 KiB by the standard library's expat. Only the elements below the root are kept, one
at a time, so memory follows the largest of them and not the file. Refused are document types (and with them entities,
external or nested a billion times), files above a size, elements nested too deeply, and everything that is not
well-formed; the error names the file and the line.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import final
from xml.parsers import expat

MAX_BYTES = 64 * 2**20
"""Largest file [bytes] that is read unless told otherwise."""
MAX_DEPTH = 32
"""Deepest nesting of elements, the root included."""
_PIECE = 2**16


@final
@dataclass(slots=True)
class Node:
    """An element with what is below it.

    Attributes:
        tag: Its name.
        attributes: Its attributes.
        path: The file it was read from.
        line: The line on which it begins.
        text: The text directly inside, stripped of white space.
        children: Elements directly inside, in order.
    """

    tag: str
    attributes: dict[str, str]
    path: str
    line: int
    text: str = ""
    children: "list[Node]" = field(default_factory=list)

    def all(self, tag: str) -> "list[Node]":
        """The children of that name."""
        return [child for child in self.children if child.tag == tag]

    def find(self, *tags: str) -> "Node | None":
        """The first child of the first name, its first child of the second, and so on; None where one lacks."""
        node: Node | None = self
        for tag in tags:
            node = next((child for child in node.children if child.tag == tag), None) if node is not None else None
        return node

    def need(self, *tags: str) -> "Node":
        """Like `find`, where a missing element is an error."""
        node = self.find(*tags)
        if node is None:
            raise self.error(f"<{self.tag}> has no <{'/'.join(tags)}>")
        return node

    def attribute(self, name: str) -> str:
        """The value of an attribute; a missing one is an error."""
        if name not in self.attributes:
            raise self.error(f"<{self.tag}> has no attribute {name!r}")
        return self.attributes[name]

    def number(self, name: str | None = None) -> float:
        """The text, or the attribute `name`, as a finite number."""
        text = self.text if name is None else self.attribute(name)
        try:
            value = float(text)
        except ValueError:
            raise self.error(f"<{self.tag}> must hold a number; got {text[:40]!r}") from None
        if not math.isfinite(value):
            raise self.error(f"<{self.tag}> must hold a finite number; got {text[:40]!r}")
        return value

    def whole(self, name: str) -> int:
        """The attribute `name` as a whole number of 64 bits."""
        text = self.attribute(name)
        if re.fullmatch(r"-?[0-9]{1,19}", text) is None or abs(int(text)) >= 2**63:
            raise self.error(f"{name} of <{self.tag}> must be a whole number; got {text[:40]!r}")
        return int(text)

    def error(self, what: str) -> ValueError:
        """An error that says where this element is."""
        return ValueError(f"{self.path}, line {self.line}: {what}.")


def read(path: str | Path, *, max_bytes: int = MAX_BYTES) -> Iterator[Node]:
    """The root of a document without its children, then its children one after the other.

    Args:
        path: File.
        max_bytes: Largest size of the file [bytes].

    Raises:
        ValueError: While iterating, where the file is too large, not well-formed, nested too deeply or has a DOCTYPE.
    """
    building = _Building(str(path))
    count = 0
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            count += len(piece)
            if count > max_bytes:
                raise ValueError(f"{path} has more than {max_bytes} bytes; cut the map or raise max_bytes.")
            building.feed(piece, last=False)
            yield from building.take()
        building.feed(b"", last=True)
    yield from building.take()


@final
class _Building:
    """Puts together what expat reports."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open: list[Node] = []
        self._texts: list[list[str]] = []
        self._done: list[Node] = []
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        self._parser = parser

    def feed(self, piece: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(piece, last)
        except expat.ExpatError as error:
            what = expat.errors.messages[error.code]
            raise ValueError(f"{self._path}, line {error.lineno}: not well-formed XML ({what}).") from None

    def take(self) -> list[Node]:
        """What has been finished since the last call."""
        done, self._done = self._done, []
        return done

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        node = Node(tag, attributes, self._path, self._parser.CurrentLineNumber)
        if len(self._open) >= MAX_DEPTH:
            raise node.error(f"elements are nested deeper than {MAX_DEPTH}")
        if not self._open:
            self._done.append(node)
        elif len(self._open) > 1:
            self._open[-1].children.append(node)
        self._open.append(node)
        self._texts.append([])

    def _end(self, tag: str) -> None:
        node = self._open.pop()
        node.text = "".join(self._texts.pop()).strip()
        if len(self._open) == 1:
            self._done.append(node)

    def _text(self, text: str) -> None:
        if len(self._texts) > 1:  # what stands between the root's children has no meaning and no bound
            self._texts[-1].append(text)

    def _doctype(self, *declaration: object) -> None:
        line = self._parser.CurrentLineNumber
        raise ValueError(f"{self._path}, line {line}: a DOCTYPE and its entities are not read; remove it.")
