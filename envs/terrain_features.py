"""More layers from those of a map: what lies around a cell, as an aerial image shows it.

For every class: its layer blurred by a Gaussian of some widths, and how near the next cell of it is, exp(-d / l) with d
the distance between the cells' centres and some lengths l. Both lie in [0, 1]; a class that is nowhere is near nowhere.
Blurred layers end at the map as if the outermost cells went on.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from envs.terrain_map import CLASSES, TerrainMap


def surrounded(
    terrain: TerrainMap, *, blurs: tuple[float, ...] = (1.0, 4.0), reaches: tuple[float, ...] = (3.0,)
) -> TerrainMap:
    """The map with blurred and near layers of every class after its own.

    Args:
        terrain: A map.
        blurs: Standard deviations of the Gaussians [m].
        reaches: Lengths l [m].

    Raises:
        ValueError: If a width or length is not positive, or a layer is there already.
    """
    if not all(0 < length < np.inf for length in (*blurs, *reaches)):
        raise ValueError(f"blurs and reaches must be positive lengths [m]; got {blurs} and {reaches}.")
    layers, names = [terrain.layers], list(terrain.names)
    for name in CLASSES:
        layer = terrain.layer(name)
        layers += [gaussian_filter(layer, blur / terrain.cell, mode="nearest").clip(0, 1)[None] for blur in blurs]
        names += [f"{name} blurred {blur:g} m" for blur in blurs]
        layers += [_near(layer > 0, reach / terrain.cell)[None] for reach in reaches]
        names += [f"{name} near {reach:g} m" for reach in reaches]
    if len(set(names)) < len(names):
        raise ValueError("each layer can be there once; give blurs and reaches without repeats to a plain map.")
    return replace(terrain, layers=np.concatenate(layers), names=tuple(names))


def _near(mask: NDArray[np.bool_], reach: float) -> NDArray[np.float32]:
    if not mask.any():
        return np.zeros(mask.shape, dtype=np.float32)
    return np.exp(-distance_transform_edt(~mask) / reach).astype(np.float32)
