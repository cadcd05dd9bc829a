import sys

import numpy as np
import pytest

from envs.drawing import BLUE, INK, PAPER, RED, Drawing

BOUNDS = ((-2.0, 2.0), (-1.0, 1.0))


def test_world_coordinates_map_to_pixels_with_y_up():
    drawing = Drawing(bounds=BOUNDS, size=(80, 40))
    drawing.disc((1.0, 0.5), 0.2, BLUE)
    pixels = drawing.pixels()
    assert pixels.shape == (40, 80, 3)
    assert tuple(pixels[10, 60]) == BLUE
    assert tuple(pixels[30, 60]) == PAPER
    blue = np.argwhere((pixels == BLUE).all(axis=-1))
    assert np.ptp(blue, axis=0).max() <= 8


def test_edges_are_anti_aliased():
    drawing = Drawing(bounds=BOUNDS, size=(80, 40))
    drawing.disc((0.0, 0.0), 0.4, INK)
    colours = np.unique(drawing.pixels().reshape(-1, 3), axis=0)
    assert len(colours) > 4


@pytest.mark.parametrize("end", [(0.5, 0.0), (0.0, 0.5), (-0.3, -0.4), (0.0, 0.0)])
def test_a_capsule_covers_its_axis_its_caps_and_nothing_else(end):
    drawing = Drawing(bounds=BOUNDS, size=(400, 200))
    end = np.array(end)
    drawing.capsule(np.zeros(2), end, 0.1, RED)
    pixels = drawing.pixels()
    red = np.argwhere((pixels == RED).all(axis=-1))
    points = np.stack([red[:, 1] + 0.5 - 200, 100 - red[:, 0] - 0.5], axis=1) / 100
    foot = np.clip(points @ end / max(end @ end, 1e-12), 0, 1)[:, None] * end
    assert np.linalg.norm(points - foot, axis=1).max() <= 0.12
    area = 0.2 * np.linalg.norm(end) + np.pi * 0.1**2
    assert len(red) / 100**2 == pytest.approx(area, rel=0.12)


def test_a_missing_pillow_is_explained_by_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"'viz' extra: pip install 'embodied-gen\[viz\]'"):
        Drawing(bounds=BOUNDS, size=(80, 40))


def test_a_raster_fills_the_picture_with_its_first_row_at_the_bottom():
    drawing = Drawing(bounds=BOUNDS, size=(80, 40))
    drawing.raster(np.array([[BLUE, RED], [INK, PAPER]], dtype=np.uint8))
    pixels = drawing.pixels()
    for place, colour in (((30, 20), BLUE), ((30, 60), RED), ((10, 20), INK), ((10, 60), PAPER)):
        assert tuple(pixels[place]) == colour
