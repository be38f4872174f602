"""Where structure maps come from: folders of label maps, with or without their CT images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from LiverMRISegLib.anatomy import LABEL_SETS, LabelSet, organ_named
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits
from LiverMRISegLib.synthesis.structure_maps import StructureMap, Tissue, make_structure_map

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StructureMapSource(Checked):
    """Label maps of one kind."""

    labelmaps: str
    """Pattern below the data folder, e.g. "ct_multiorgan/*_label.nii.gz"."""
    label_set: str
    """What their values mean: a name of `anatomy.LABEL_SETS`."""
    label_ending: str = "_label.nii.gz"
    """How their names end."""
    image_ending: str = ""
    """What replaces that ending in the name of the CT of the same body; empty where there is none."""
    tissues: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Values of the label map that are tissue, by the tissue's name in lower case (`structure_maps.Tissue`)."""
    is_complete: bool = False
    """Organs and tissues fill the body up to its skin: nothing is put around them."""
    weight: Annotated[float, Limits(0, 1000)] = 1.0
    """How many times as often as a map of weight 1 each of these maps is drawn."""
    licence: str = "unknown"
    """Licence of the data, for the model package."""


def load_structure_maps(
    data: Path,
    sources: Sequence[StructureMapSource],
    spacing: float,
    organs: Sequence[str] = (),
    *,
    partial: bool = False,
) -> list[StructureMap]:
    """The structure maps of all `sources` below folder `data`, in order of their names.

    Sources whose label set lacks one of `organs` are left out, with a warning: they would teach that it does not exist.
    With `partial` only those that lack all are, and what is learnt from the maps must heed `StructureMap.unlabelled`.

    Raises:
        InputError: a pattern finds nothing, or a file cannot be read.
        UsageError: an unknown label set or tissue, or no source has all organs.
    """
    fitting = [source for source in sources if _has(source, organs, partial)]
    if sources and not fitting:
        raise UsageError(f"no source of label maps has labels of {'any' if partial else 'all'} of: {', '.join(organs)}")
    return [_load(path, source, spacing) for source in fitting for path in _found(data, source)]


def _has(source: StructureMapSource, organs: Sequence[str], partial: bool) -> bool:
    known = {organ.name for organ in _label_set(source).organs}
    missing = [name for name in (organ_named(organ).name for organ in organs) if name not in known]
    if partial and len(missing) < len(organs):
        return True
    if missing:
        logger.warning("%s: left out, it has no labels of %s", source.labelmaps, ", ".join(missing))
    return not missing


def _label_set(source: StructureMapSource) -> LabelSet:
    if source.label_set not in LABEL_SETS:
        raise UsageError(f"unknown label set '{source.label_set}'; known are: {', '.join(LABEL_SETS)}")
    return LABEL_SETS[source.label_set]


def _found(data: Path, source: StructureMapSource) -> list[Path]:
    paths = sorted(data.glob(source.labelmaps))
    if not paths:
        raise InputError(f"{data / source.labelmaps}: no such label map; check --data")
    return paths


def _load(path: Path, source: StructureMapSource, spacing: float) -> StructureMap:
    name = path.name.removesuffix(source.label_ending)
    image = read_volume(path.with_name(name + source.image_ending)) if source.image_ending else None
    body = make_structure_map(
        name,
        read_labelmap(path),
        _label_set(source),
        image,
        spacing=spacing,
        tissues=_tissues(source.tissues),
        is_complete=source.is_complete,
    )
    logger.info("body %s: %s voxels, %s CT", name, body.structures.shape, "with" if image else "without")
    return replace(body, weight=source.weight)


def _tissues(names: dict[str, tuple[int, ...]]) -> dict[int, Tissue]:
    known = {tissue.name.lower(): tissue for tissue in Tissue}
    for name in names:
        if name not in known:
            raise UsageError(f"unknown tissue '{name}'; known are: {', '.join(known)}")
    return {value: known[name] for name, values in names.items() for value in values}
