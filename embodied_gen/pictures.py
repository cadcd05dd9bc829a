"""Pictures: figures of plans, training curves and scores, drawn with matplotlib without any global state.

A scene is plain numbers, as environments give it: `bounds` ((x0, x1), (y0, y1)), `discs` with role, centre and radius,
`lines` with role, start and end; all in metres.
"""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

COLOURS = {
    "posts": "#b0483b",
    "post": "#b0483b",
    "wall": "#333333",
    "constraint": "#7a3fb0",
    "goal": "#2e8b57",
    "finish": "#2e8b57",
}
PLAN, REFUSED = "#2a6fb0", "#c9a24a"


def plans(scene: Mapping[str, Any] | None, groups: Mapping[str, np.ndarray], feasible: Mapping[str, np.ndarray]) -> Any:
    """Plans side by side, one panel a group.

    Args:
        scene: Where they lie; without it each channel is drawn over the steps.
        groups: Titles and plans, each `(n, T, D)`, physical units.
        feasible: For each title whether each plan satisfies every constraint, `(n,)`.

    Returns:
        A figure. Plans that break a constraint are dashed.
    """
    figure = _figure(len(groups))
    for axes, (title, paths) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True):
        holds = feasible[title]
        axes.set_title(f"{title}\n{int(holds.sum())} of {len(paths)} satisfy all constraints", fontsize=10)
        if scene is None:
            _draw_channels(axes, paths, holds)
            continue
        _draw_scene(axes, scene)
        for path, good in zip(paths, holds, strict=True):
            style = {"color": PLAN, "alpha": 0.8} if good else {"color": REFUSED, "alpha": 0.9, "linestyle": "--"}
            axes.plot(path[:, 0], path[:, 1], linewidth=1.2, **style)
    return figure


def curves(logs: Mapping[str, Sequence[Mapping[str, float]]]) -> Any:
    """Losses over steps of one or more runs: training thin, held out thick."""
    figure = _figure(1, wide=True)
    axes = figure.subplots()
    for index, (name, lines) in enumerate(logs.items()):
        widths = {"loss": 0.8, "held_out_loss": 2.2}
        series = {key: [(line["step"], line[key]) for line in lines if key in line] for key in widths}
        drawn = [key for key in widths if series[key]]
        for key in drawn:
            label = name if key == drawn[-1] else None
            axes.plot(*zip(*series[key], strict=True), color=f"C{index}", linewidth=widths[key], label=label)
    axes.set_xlabel("optimiser step")
    axes.set_ylabel("loss (thin: training, thick: held out)")
    if all(line.get("loss", 1) > 0 for lines in logs.values() for line in lines):
        axes.set_yscale("log")
    if axes.get_lines():
        axes.legend(frameon=False)
    return figure


def rates(names: Sequence[str], values: Sequence[float], intervals: Sequence[Sequence[float]]) -> Any:
    """Success of runs with their intervals."""
    figure = _figure(1, wide=True, height=0.9 + 0.45 * len(names))
    axes = figure.subplots()
    places = np.arange(len(names))[::-1]
    spread = np.abs(np.array(intervals, dtype=float).T - np.array(values, dtype=float))
    axes.barh(places, values, color=PLAN, height=0.6, alpha=0.85)
    axes.errorbar(values, places, xerr=spread, fmt="none", ecolor="black", capsize=4)
    axes.set_yticks(places, names)
    axes.set_xlim(0, 1)
    axes.set_xlabel("success with 95 % Wilson interval")
    return figure


def modes(counts: Mapping[str, Sequence[int]]) -> Any:
    """How often each way of doing the task was taken, one panel a run."""
    figure = _figure(len(counts), height=2.2)
    for axes, (name, taken) in zip(figure.subplots(1, len(counts), squeeze=False)[0], counts.items(), strict=True):
        axes.bar(np.arange(len(taken)), taken, color=PLAN)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("way taken by a success")
        axes.set_ylabel("episodes")
    return figure


def trade_offs(panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], wanted: Mapping[str, str]) -> Any:
    """What families are worth against what a draw costs, one panel a ground.

    Args:
        panels: For each title and family the milliseconds and the value of each training seed.
        wanted: For each title what the value is. Values that start with "distance" have a logarithmic axis.

    Returns:
        A figure with one mark a seed, those of a family joined by a line; a family has one colour in all panels.
    """
    figure, flat = _panels(len(panels))
    names = list(dict.fromkeys(name for points in panels.values() for name in points))
    for axes, (title, families) in zip(flat, panels.items(), strict=False):
        for name, points in families.items():
            index = names.index(name)
            marks = {"color": f"C{index % 10}", "marker": "osD^vP*X"[index // 10 % 8], "markersize": 4, "label": name}
            axes.plot(*zip(*sorted(points), strict=True), linewidth=0.8, alpha=0.8, **marks)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("ms a call")
        axes.set_ylabel(wanted[title])
        axes.set_xscale("log")
        if wanted[title].startswith("distance"):
            axes.set_yscale("log")
        else:
            axes.set_ylim(-0.03, 1.03)
    _legend_below(figure, flat)
    return figure


def by_number(
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float, float, float]]]], *, across: str, up: str
) -> Any:
    """What methods come to with more of something, one panel a problem and one curve a method.

    Args:
        panels: For each title and method its points: number, value, and the ends of the value's interval.
        across: What the number counts; its axis is logarithmic, base 2.
        up: What the value is; its axis begins at zero.

    Returns:
        A figure; a method has one colour in all panels, and its interval is shaded.
    """
    figure, flat = _panels(len(panels))
    names = list(dict.fromkeys(name for curves_ in panels.values() for name in curves_))
    for axes, (title, methods) in zip(flat, panels.items(), strict=False):
        for name, points in methods.items():
            number, value, low, high = zip(*sorted(points), strict=True)
            colour = f"C{names.index(name)}"
            axes.plot(number, value, color=colour, marker="o", markersize=3.5, linewidth=1.4, label=name)
            axes.fill_between(number, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_ylim(bottom=0)
    _legend_below(figure, flat)
    return figure


def rasters(panels: Mapping[str, tuple[np.ndarray, Sequence[float], Mapping[str, np.ndarray]]]) -> Any:
    """Maps side by side with ways over them.

    Args:
        panels: For each title a map, `(H, W)` numbers (not finite where blocked) or `(H, W, 3)` colours, row 0 at the
            lowest y; its left, right, lower and upper end [m]; and ways `(L, 2)` [m] by name.

    Returns:
        A figure; a name has one colour in all panels. Numbers are shaded over their own 2nd to 98th percentile.
    """
    figure, flat = _panels(len(panels))
    names = list(dict.fromkeys(name for _, _, ways in panels.values() for name in ways))
    for axes, (title, (values, extent, ways)) in zip(flat, panels.items(), strict=False):
        shown = {} if values.ndim == 3 else _shades(values)
        axes.imshow(values, origin="lower", extent=extent, interpolation="nearest", **shown)
        for name, way in ways.items():
            axes.plot(way[:, 0], way[:, 1], color=f"C{names.index(name)}", linewidth=1.6, label=name)
            axes.plot(*way[-1], color=f"C{names.index(name)}", marker="o", markersize=4)
        axes.set_title(title, fontsize=10)
        axes.set_xlim(extent[0], extent[1])
        axes.set_ylim(extent[2], extent[3])
    _legend_below(figure, flat)
    return figure


def label_maps(columns: Mapping[str, np.ndarray], *, void: int) -> Any:
    """Images and label maps side by side, one row an image.

    Args:
        columns: For each title colours, uint8, `(N, H, W, 3)`, or labels, `(N, H, W)`.
        void: Label of what has none, which is left white.

    Returns:
        A figure; a class has one colour in all panels.
    """
    rows, height, width = next(iter(columns.values())).shape[:3]
    figure = _figure(len(columns), height=4.6 * rows * height / width)  # says what is missing without matplotlib
    from matplotlib import colormaps

    palette = colormaps["tab20"](np.arange(20))[:, :3]
    grid = figure.subplots(rows, len(columns), squeeze=False)
    for place, (title, maps) in enumerate(columns.items()):
        grid[0, place].set_title(title, fontsize=10)
        for axes, one in zip(grid[:, place], maps, strict=True):
            if one.ndim == 2:
                one = np.where((one == void)[..., None], 1.0, palette[one % len(palette)])
            axes.imshow(one, interpolation="nearest")
            axes.set_axis_off()
    return figure


def save(figure: Any, path: Path) -> None:
    """Writes a figure; the ending of the name chooses the format.

    Raises:
        ValueError: If the ending is none that matplotlib writes.
    """
    known = figure.canvas.get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in known:
        raise ValueError(f"a picture's name must end in one of {', '.join(sorted(known))}; got {path.name}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def inline(figure: Any) -> str:
    """A figure as a data URI of a PNG, for an HTML file that stands alone."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _shades(values: np.ndarray) -> dict[str, Any]:
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [2, 98]) if len(finite) else (0.0, 1.0)
    return {"cmap": "viridis", "vmin": low, "vmax": high}


def _figure(panels: int, *, wide: bool = False, height: float = 3.6) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib. Install the extra: pip install 'embodied-gen[viz]'.") from error
    return Figure(figsize=(8.0 if wide else 4.6 * panels, height), layout="constrained")


def _panels(count: int) -> tuple[Any, Any]:
    """A figure with up to three panels a row, and its panels."""
    columns = min(3, count)
    rows = math.ceil(count / columns)
    figure = _figure(columns, height=3.2 * rows)
    flat = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in flat[count:]:
        axes.set_axis_off()
    return figure, flat


def _legend_below(figure: Any, flat: Any) -> None:
    """One legend for all panels, which stay as high as they are: the figure grows by it."""
    handles = {h.get_label(): h for axes in flat for h in axes.get_legend_handles_labels()[0]}
    if not handles:
        return
    columns = _legend_columns(list(handles), figure.get_figwidth())
    figure.set_figheight(figure.get_figheight() + 0.2 + 0.17 * math.ceil(len(handles) / columns))
    style = {"loc": "outside lower center", "ncols": columns, "frameon": False, "fontsize": 8}
    figure.legend(handles.values(), handles.keys(), **style)


def _legend_columns(names: Sequence[str], width: float) -> int:
    """As many columns as a width [inch] holds, at most six: 0.07 a letter, and 0.55 for the mark and margins."""
    for count in range(min(6, len(names)), 1, -1):
        if sum(0.55 + 0.07 * max(map(len, part)) for part in np.array_split(names, count)) <= width:
            return count
    return 1


def _draw_scene(axes: Any, scene: Mapping[str, Any]) -> None:
    from matplotlib.patches import Circle

    (left, right), (bottom, top) = scene["bounds"]
    for disc in scene.get("discs", []):
        colour = COLOURS.get(disc["role"], "#888888")
        axes.add_patch(Circle(disc["centre"], disc["radius"], color=colour, alpha=0.55, linewidth=0))
    for line in scene.get("lines", []):
        colour = COLOURS.get(line["role"], "#888888")
        axes.plot(*zip(line["start"], line["end"], strict=True), color=colour, linewidth=1.6)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_aspect("equal")
    axes.set_xlabel("x [m]")
    axes.set_ylabel("y [m]")


def _draw_channels(axes: Any, paths: np.ndarray, holds: np.ndarray) -> None:
    for channel in range(paths.shape[-1]):
        for index, (path, good) in enumerate(zip(paths, holds, strict=True)):
            style = {"label": f"channel {channel}"} if index == 0 else {}
            dash = "-" if good else "--"
            axes.plot(path[:, channel], color=f"C{channel}", linewidth=0.8, alpha=0.7, linestyle=dash, **style)
    axes.set_xlabel("step")
    axes.set_ylabel("value")
    axes.legend(frameon=False, fontsize=8)
