"""Label maps of a datalist that name their segments (.seg.nrrd): the names must not contradict the datalist."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from LiverMRISegLib.anatomy import structure_named
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.read import named_segments
from LiverMRISegLib.volume import Volume


def check_segment_names(labelmap: Volume, values: Mapping[int, str], path: Path) -> None:
    """Refuse a label map that calls a value by the name of another one of `values`: Slicer numbers segments itself.

    Raises:
        InputError: it does.
    """
    known = {value: structure_named(name, value) for value, name in values.items()}
    for value, name in named_segments(labelmap).items():
        own, said = structure_named(name, value), known.get(value)
        if own in known.values() and own != said:
            raise InputError(
                f"{path}: its value {value} is called {name}, and {said.name if said else 'nothing'} in the data set; "
                "save it as NIfTI with the data set's values"
            )
