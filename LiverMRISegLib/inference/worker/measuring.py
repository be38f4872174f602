"""Measures label maps for the worker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from LiverMRISegLib.anatomy import LabelSet, structure_named
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.worker.tasks import Layer, MapFile, MeasureTask
from LiverMRISegLib.io import read_labelmap, read_map
from LiverMRISegLib.measurement.fat_fraction import fat_fraction_of_phases, fat_fraction_of_water_and_fat
from LiverMRISegLib.measurement.maps import QuantityMap, quantity_map
from LiverMRISegLib.measurement.organs import Measurements, Rules, measure
from LiverMRISegLib.measurement.table import HEADER, rows


def measured(task: MeasureTask) -> dict[str, Any]:
    """The table of everything that was asked for; errors as in `measurements_of`."""
    return {"header": list(HEADER), "rows": [row for found in measurements_of(task) for row in rows(found)]}


def measurements_of(task: MeasureTask) -> list[Measurements]:
    """What is measured of each layer.

    Raises:
        InputError: a file cannot be used, or a map is in another place.
        UsageError: two maps of one name, or rules that cannot be.
    """
    names = [one.name for one in task.maps]
    if len(set(names)) < len(names):
        raise UsageError(f"two maps have the same name: {', '.join(names)}; give each a name of its own")
    maps = {one.name: _map(one) for one in task.maps}
    rules = Rules(task.erosion_mm, task.outliers)
    return [measure(read_labelmap(layer.file), structures_of(layer), maps, rules, task.name) for layer in task.layers]


def structures_of(layer: Layer) -> LabelSet:
    """The structures of a layer by their names. An organ that the user called otherwise has its codes still."""
    found = {}
    for name, value in layer.labels.items():
        organ = layer.organs.get(name)
        found[value] = structure_named(name, value) if organ is None else replace(structure_named(organ), name=name)
    return LabelSet("segments", found)


def _map(given: MapFile) -> QuantityMap:
    if given.kind == "map":
        return quantity_map(given.name, read_map(given.image))
    if given.second is None:
        raise UsageError(f"{given.name}: needs two images; choose the second")
    made = fat_fraction_of_water_and_fat if given.kind == "water and fat" else fat_fraction_of_phases
    return made(read_map(given.image, is_signal=True), read_map(given.second, is_signal=True))
