"""Where structure maps come from: folders of label maps, with or without their CT images.

Naming the tissue around the organs takes seconds a body, so maps are kept on disk, keyed by the content of their files.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np

from LiverMRISegLib.anatomy import LABEL_SETS, LabelSet, organ_named
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.io.atomic import atomic_write_bytes, make_folder
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.hashing import hash_of
from LiverMRISegLib.io.limits import Limits
from LiverMRISegLib.io.unusable import UnusableVolumes
from LiverMRISegLib.synthesis.structure_maps import StructureMap, Tissue, make_structure_map, unlabelled_by

logger = logging.getLogger(__name__)
# Of what is made of the files; another makes them again.
_VERSION = 1


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
    cache: Path | None = None,
) -> list[StructureMap]:
    """The structure maps of all `sources` below folder `data`, in order of their names.

    Sources whose label set lacks one of `organs` are left out, with a warning: they would teach that it does not exist.
    With `partial` only those that lack all are, and what is learnt from the maps must heed `StructureMap.unlabelled`.
    Maps are kept in folder `cache`, and taken from there the next time.

    Raises:
        InputError: a pattern finds nothing, or files cannot be used, all of which are named.
        OutputError: the cache cannot be written.
        UsageError: an unknown label set or tissue, or no source has all organs.
    """
    fitting = [source for source in sources if _has(source, organs, partial)]
    if sources and not fitting:
        raise UsageError(f"no source of label maps has labels of {'any' if partial else 'all'} of: {', '.join(organs)}")
    chosen = [(path, source) for source in fitting for path in label_maps_of(data, source)]
    bodies, unusable = list[StructureMap](), UnusableVolumes()
    for path, source in chosen:
        with unusable.noted():
            bodies.append(_load(path, source, spacing, cache))
    unusable.raise_any(len(chosen), "repair them or take them away")
    return bodies


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


def label_maps_of(data: Path, source: StructureMapSource) -> list[Path]:
    """The label maps of a source below folder `data`, in order; InputError if there is none."""
    paths = sorted(data.glob(source.labelmaps))
    if not paths:
        raise InputError(f"{data / source.labelmaps}: no such label map; check --data")
    return paths


def _load(path: Path, source: StructureMapSource, spacing: float, cache: Path | None) -> StructureMap:
    name = path.name.removesuffix(source.label_ending)
    image = path.with_name(name + source.image_ending) if source.image_ending else None
    kept = cache / f"body_{_key(path, image, source, spacing)}.npz" if cache else None
    body = _kept(kept, name, _label_set(source), spacing) if kept and kept.exists() else None
    if body is None:
        body = make_structure_map(
            name,
            replace(read_labelmap(path), name=str(path)),
            _label_set(source),
            replace(read_volume(image), name=str(image)) if image else None,
            spacing=spacing,
            tissues=_tissues(source.tissues),
            is_complete=source.is_complete,
        )
        if kept:
            _keep(body, kept)
    logger.info("body %s: %s voxels, %s CT", name, body.structures.shape, "with" if image else "without")
    return replace(body, weight=source.weight)


def _key(path: Path, image: Path | None, source: StructureMapSource, spacing: float) -> str:
    values = {value: organ.name for value, organ in _label_set(source).items()}
    facts = [_VERSION, values, source.tissues, source.is_complete, spacing, [hash_of(p) for p in (path, image) if p]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _kept(path: Path, name: str, labels: LabelSet, spacing: float) -> StructureMap | None:
    """The map that was kept, or None where the file is damaged: it is then made again."""
    try:
        with np.load(path) as arrays:
            texture = arrays.get("texture")
            return StructureMap(name, arrays["structures"], texture, spacing, unlabelled_by(labels))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        logger.warning("%s: is damaged (%s); the structure map is made again", path, error)
        return None


def _keep(body: StructureMap, path: Path) -> None:
    content = io.BytesIO()
    if body.texture is None:
        np.savez_compressed(content, structures=body.structures)
    else:
        np.savez_compressed(content, structures=body.structures, texture=body.texture)
    make_folder(path.parent)
    atomic_write_bytes(path, content.getvalue())


def _tissues(names: dict[str, tuple[int, ...]]) -> dict[int, Tissue]:
    known = {tissue.name.lower(): tissue for tissue in Tissue}
    for name in names:
        if name not in known:
            raise UsageError(f"unknown tissue '{name}'; known are: {', '.join(known)}")
    return {value: known[name] for name, values in names.items() for value in values}
