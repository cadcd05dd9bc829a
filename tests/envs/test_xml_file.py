"""Files from outside are read in pieces and never trusted."""

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.xml_file import MAX_DEPTH, read


@pytest.fixture
def file(tmp_path):
    def make(content):
        path = tmp_path / "file.xml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def test_the_root_comes_first_and_its_children_one_by_one(file):
    nodes = read(file('<map a="1">\n<lane id="7"><x> 1.5 </x><x>2</x></lane>\n<other/></map>'))
    root = next(nodes)
    assert (root.tag, root.attributes, root.children) == ("map", {"a": "1"}, [])
    lane, other = nodes
    assert [x.number() for x in lane.all("x")] == [1.5, 2.0]
    assert (lane.number("id"), lane.line, other.line, other.tag) == (7.0, 2, 3, "other")
    assert lane.find("x").text == "1.5" and lane.find("x", "y") is None


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=200))
def test_text_survives(tmp_path_factory, text):
    from xml.sax.saxutils import escape

    path = tmp_path_factory.mktemp("xml") / "file.xml"
    path.write_text(f"<a><b>{escape(text)}</b></a>", encoding="utf-8")
    _, node = read(path)
    assert node.text == text.strip()


BILLION_LAUGHS = """<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]><a><b>&y;</b></a>"""
EXTERNAL = """<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a><b>&x;</b></a>"""


@pytest.mark.parametrize("content", [BILLION_LAUGHS, EXTERNAL, '<!DOCTYPE a SYSTEM "http://localhost/a.dtd"><a/>'])
def test_document_types_and_entities_are_refused(file, content):
    with pytest.raises(ValueError, match=r"file.xml, line 1: a DOCTYPE and its entities are not read; remove it"):
        list(read(file(content)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: not well-formed XML .no element found"),
        ("<a>\n<b></a>", "line 2: not well-formed XML .mismatched tag"),
        ("<a>&nothing;</a>", "not well-formed XML .undefined entity"),
        ("<a/><b/>", "not well-formed XML .junk after document element"),
        ("<a>" + "<b>" * MAX_DEPTH, f"elements are nested deeper than {MAX_DEPTH}"),
        ("<a>" * 10_000, f"elements are nested deeper than {MAX_DEPTH}"),
    ],
)
def test_what_is_not_well_formed_is_refused_with_its_line(file, content, message):
    with pytest.raises(ValueError, match=message):
        list(read(file(content)))


@pytest.mark.parametrize("content", [bytes(range(256)) * 4096, b"<a>" + b"\xff\x00" * 2**19, b"\x00" * 2**20])
def test_a_megabyte_of_nonsense_fails_at_once_and_takes_no_memory(file, content):
    path = file(content)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(ValueError, match="not well-formed XML"):
        list(read(path))
    assert time.perf_counter() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_children_do_not_stay_in_memory(file):
    path = file("<a>" + "<b><c>1</c></b>\n" * 20_000 + "</a>")
    tracemalloc.start()
    assert sum(node.tag == "b" for node in read(path)) == 20_000
    assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    tracemalloc.stop()


def test_large_files_are_refused_before_they_are_read_to_the_end(file):
    path = file("<a>" + " " * 2**20 + "</a>")
    with pytest.raises(ValueError, match=r"has more than 1000 bytes; cut the map or raise max_bytes"):
        list(read(path, max_bytes=1000))
    assert len(list(read(path))) == 1


def test_missing_parts_are_named(file):
    _, node = read(file("<a>\n<b><c>nan</c><d>two</d></b></a>"))
    for call, message in [
        (lambda: node.need("x", "y"), "line 2: <b> has no <x/y>"),
        (lambda: node.attribute("id"), "line 2: <b> has no attribute 'id'"),
        (lambda: node.need("c").number(), "line 2: <c> must hold a finite number; got 'nan'"),
        (lambda: node.need("d").number(), "line 2: <d> must hold a number; got 'two'"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
