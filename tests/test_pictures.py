"""Pictures are drawn from plain numbers, without any global state."""

import base64
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from embodied_gen import pictures

SCENE = {
    "bounds": [[-1, 1], [-1, 1]],
    "discs": [
        {"role": "post", "centre": [0, 0], "radius": 0.2},
        {"role": "unheard of", "centre": [1, 0], "radius": 0.1},
    ],
    "lines": [{"role": "finish", "start": [-1, 0.9], "end": [1, 0.9]}],
}
PATHS = np.cumsum(np.random.default_rng(0).normal(size=(3, 8, 2)), axis=1) * 0.1


def labels(figure):
    return [axes.get_title() for axes in figure.axes]


def test_plans_have_a_panel_a_group_and_those_that_break_a_constraint_are_dashed():
    holds = np.array([True, False, True])
    figure = pictures.plans(SCENE, {"free": PATHS, "guided": PATHS}, {"free": holds, "guided": ~holds})
    assert labels(figure) == [
        "free\n2 of 3 satisfy all constraints",
        "guided\n1 of 3 satisfy all constraints",
    ]
    for axes, good in zip(figure.axes, (holds, ~holds), strict=True):
        plans = axes.get_lines()[1:]  # the first is the finish
        assert [line.get_linestyle() for line in plans] == ["-" if ok else "--" for ok in good]
        np.testing.assert_allclose(np.array([line.get_xydata() for line in plans]), PATHS)
        assert len(axes.patches) == 2 and axes.get_xlim() == (-1, 1)


def test_without_a_scene_channels_are_drawn_over_the_steps():
    figure = pictures.plans(None, {"free": PATHS}, {"free": np.ones(3, bool)})
    (axes,) = figure.axes
    assert len(axes.get_lines()) == 6
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["channel 0", "channel 1"]


def test_without_a_scene_plans_that_break_a_constraint_are_dashed_too():
    (axes,) = pictures.plans(None, {"free": PATHS}, {"free": np.array([True, False, True])}).axes
    assert [line.get_linestyle() for line in axes.get_lines()] == ["-", "--", "-"] * 2


def test_curves_show_what_was_logged():
    lines = [
        {"step": 1, "loss": 3.0},
        {"step": 2, "loss": 1.0, "held_out_loss": 2.0},
        {"step": 3, "held_out_loss": 1.5},
    ]
    (axes,) = pictures.curves({"a": lines, "b": []}).axes
    assert [line.get_xydata().tolist() for line in axes.get_lines()] == [[[1, 3], [2, 1]], [[2, 2], [3, 1.5]]]
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a"]


def test_a_run_without_held_out_episodes_is_named_in_the_legend_too():
    (axes,) = pictures.curves({"a": [{"step": 1, "loss": 3.0}], "b": [{"step": 1, "held_out_loss": 3.0}]}).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert pictures.curves({"a": []}).axes[0].get_legend() is None


def test_a_loss_that_is_not_positive_has_no_logarithm():
    (axes,) = pictures.curves({"a": [{"step": 1, "loss": -3.0}, {"step": 2, "loss": 1.0}]}).axes
    assert axes.get_yscale() == "linear"


def test_rates_are_bars_with_their_intervals():
    (axes,) = pictures.rates(["a", "b"], [0.5, 0.9], [[0.3, 0.7], [0.8, 0.95]]).axes
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.9]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    spans = sorted(path.vertices[:, 0].tolist() for path in axes.collections[0].get_paths())
    np.testing.assert_allclose(spans, [[0.3, 0.7], [0.8, 0.95]])


def test_methods_keep_their_colour_in_all_panels_and_intervals_are_shaded():
    points = [(64, 0.5, 0.4, 0.7), (8, 1.0, 0.9, 1.2)]
    panels = {"one": {"a": points, "b": points}, "two": {"b": points}}
    figure = pictures.by_number(panels, across="demonstrations", up="value")
    assert labels(figure) == ["one", "two"]
    one, two = figure.axes
    assert two.get_lines()[0].get_color() == one.get_lines()[1].get_color() != one.get_lines()[0].get_color()
    np.testing.assert_allclose(one.get_lines()[0].get_xydata(), [(8, 1.0), (64, 0.5)])
    assert one.get_xscale() == "log" and one.get_ylim()[0] == 0
    assert [len(axes.collections) for axes in (one, two)] == [2, 1]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_families_have_one_mark_a_seed_and_one_colour_in_all_panels():
    panels = {"x": {"a": [(2.0, 0.5), (2.0, 0.9)], "b": [(3.0, 0.1)]}, "y": {"b": [(3.0, 4.0), (3.0, 1.0)]}}
    figure = pictures.trade_offs(panels, {"x": "success", "y": "distance to the truth"})
    x, y = figure.axes[:2]
    first, second = x.get_lines()
    np.testing.assert_allclose(first.get_xydata(), [(2.0, 0.5), (2.0, 0.9)])
    np.testing.assert_allclose(y.get_lines()[0].get_xydata(), [(3.0, 1.0), (3.0, 4.0)])
    assert first.get_color() != second.get_color() == y.get_lines()[0].get_color()
    assert (x.get_yscale(), y.get_yscale()) == ("linear", "log")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


@pytest.mark.parametrize("panels", [1, 2, 8])
def test_all_words_of_a_picture_lie_within_it_and_panels_stay_high_however_many_families_there_are(panels):
    families = {f"a_family_of_name_{number}": [(1.0 + number, 2.0)] for number in range(60)}
    titles = [f"ground {number}" for number in range(panels)]
    figure = pictures.trade_offs(
        dict.fromkeys(titles, families), dict.fromkeys(titles, "distance to the truth / floor")
    )
    figure.draw_without_rendering()
    drawn = figure.axes[:panels]
    for part in [*figure.legends, *(axis.label for axes in drawn for axis in (axes.xaxis, axes.yaxis))]:
        box = part.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    assert all(axes.get_window_extent().height > 2 * figure.dpi for axes in drawn)


def test_ways_are_counted_a_panel_a_run():
    figure = pictures.modes({"a": [1, 0, 2], "b": [0, 0, 0]})
    assert labels(figure) == ["a", "b"]
    assert [bar.get_height() for bar in figure.axes[0].patches] == [1, 0, 2]


@pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG"), ("a.PDF", b"%PDF"), ("deep/er/a.svg", b"<?xml")])
def test_the_ending_chooses_the_format(tmp_path, name, magic):
    pictures.save(pictures.modes({"a": [1]}), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"must end in one of .*pdf.*png.*; got a.foo"):
        pictures.save(pictures.modes({"a": [1]}), tmp_path / "a.foo")
    assert list(tmp_path.iterdir()) == []


def test_an_inline_picture_is_a_png_in_a_data_uri():
    uri = pictures.inline(pictures.modes({"a": [1]}))
    head, content = uri.split(",", 1)
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).format == "PNG"


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        ImportError, match=r"pictures need matplotlib. Install the extra: pip install 'embodied-gen\[viz\]'"
    ):
        pictures.modes({"a": [1]})


def test_drawing_needs_no_display_and_touches_no_global_figure():
    code = (
        "import sys; from embodied_gen import pictures; pictures.inline(pictures.modes({'a': [1]}));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_maps_lie_as_their_ends_say_with_ways_over_them():
    values = np.arange(12.0).reshape(3, 4)
    values[0, 0] = np.inf
    way = np.array([[10.5, 20.5], [13.5, 22.5]])
    panels = {
        "learned": (values, (10.0, 14.0, 20.0, 23.0), {"way": way, "other": way[::-1]}),
        "map": (np.zeros((3, 4, 3), np.uint8), (0.0, 4.0, 0.0, 3.0), {"other": way - [10, 20]}),
    }
    figure = pictures.rasters(panels)
    learned, map_ = figure.axes[:2]
    assert labels(figure)[:2] == ["learned", "map"]
    (image,) = learned.get_images()
    assert image.get_extent() == [10, 14, 20, 23] and image.origin == "lower"
    low, high = image.get_clim()
    assert 0 <= low < high <= 11 and np.isfinite([low, high]).all()
    lines = {line.get_label(): line for line in learned.get_lines()}
    np.testing.assert_allclose(lines["way"].get_xydata(), way)
    (same,) = [line for line in map_.get_lines() if line.get_label() == "other"]
    assert same.get_color() == lines["other"].get_color() != lines["way"].get_color()


def test_a_map_without_a_finite_number_is_drawn_all_the_same(tmp_path):
    panels = {"blocked": (np.full((2, 2), np.inf), (0.0, 1.0, 0.0, 1.0), {})}
    pictures.save(pictures.rasters(panels), tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 0


def test_label_maps_have_a_colour_a_class_and_white_where_nothing_is_known():
    images = np.random.default_rng(0).integers(256, size=(2, 4, 6, 3), dtype=np.uint8)
    truth = np.tile(np.array([0, 0, 1, 1, 2, 255]), (2, 4, 1))
    figure = pictures.label_maps({"image": images, "truth": truth}, void=255)
    assert labels(figure) == ["image", "truth", "", ""]
    shown = [axes.get_images()[0].get_array() for axes in figure.axes]
    assert np.array_equal(shown[0], images[0]) and np.array_equal(shown[2], images[1])
    colours = [tuple(shown[1][0, column]) for column in (0, 2, 4)]
    assert len(set(colours)) == 3 and tuple(shown[1][0, 1]) == colours[0] and (shown[1][:, 5] == 1).all()
