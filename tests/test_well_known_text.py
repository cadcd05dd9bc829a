"""What is written in well-known text is read again as it was."""

import math

import pytest
import shapely

from embodied_gen import well_known_text

ANY = well_known_text.Described(
    one="a thing",
    many="things",
    such_as="POINT (0 0)",
    must_be="a thing with an inside",
    fits=lambda geometry: geometry.area > 0,
)


def test_what_is_written_is_read_again_with_all_digits(tmp_path):
    path, far = tmp_path / "things.wkt", 1e6 / 3
    things = [shapely.box(far, math.pi, far + 1e-3, 4), shapely.Point(1 / 7, 0).buffer(2)]
    well_known_text.write(path, things)
    assert all(shapely.equals_exact(well_known_text.read(path, ANY), things))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n \n", "line 1: there are no things. Give a line of well-known text for each."),
        (b"\xff\x00\x01", r"line 1: a thing must be well-known text, such as POINT \(0 0\); got"),
        (b"\nPOLYGON ((0 0, nan 0, 1 1, 0 0))", "line 2: coordinates must be finite; got 'POLYGON"),
        (b"POINT (1 2)\n", "line 1: a thing must be a thing with an inside; got 'POINT"),
    ],
)
def test_what_does_not_fit_is_refused_by_line(content, message, tmp_path):
    path = tmp_path / "things.wkt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path}, {message}"):
        well_known_text.read(path, ANY)
