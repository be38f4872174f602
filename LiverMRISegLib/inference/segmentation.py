"""`Segmentation`: the result for one volume, which can be saved and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import LabelSet, id_of
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.flag import Flag
from LiverMRISegLib.inference.remarks import KEY, Remarks, as_tag
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.made_by import MadeBy
from LiverMRISegLib.measurement.maps import IMAGE, QuantityMap
from LiverMRISegLib.measurement.organs import Measurements, Rules, measure
from LiverMRISegLib.measurement.table import as_csv
from LiverMRISegLib.volume import Geometry, Volume


@dataclass(frozen=True)
class Segmentation:
    """The result for one volume, on its own grid.

    `labelmap` uint8 [Z, Y, X] contains the values of `labels`; `volumes_ml` are theirs. `flags` are
    sentences on what to look at, each of which knows its organ and its kind (`inference.flag`).
    `provenance` names model and engine, and gives the seconds of each part. `trust` is the Dice to be
    expected of every organ that was found, from its `trust_signs` (`inference.trust`); it is empty for a model without
    weights for it, and for a box that a user chose.
    """

    labelmap: np.ndarray
    labels: LabelSet
    geometry: Geometry
    volumes_ml: Mapping[str, float]
    flags: Sequence[Flag]
    provenance: Mapping[str, Any]
    source: Volume | None = field(default=None, repr=False)
    trust: Mapping[str, float] = field(default_factory=dict)
    trust_signs: Mapping[str, Mapping[str, float]] = field(default_factory=dict, repr=False)

    @property
    def labelmap_volume(self) -> Volume:
        """The label map as a volume, with the input's name and frame of reference."""
        if self.source is None:
            return Volume(self.labelmap, self.geometry)
        frame = self.source.metadata.get("frame of reference")
        return Volume(self.labelmap, self.geometry, self.source.name, {"frame of reference": frame} if frame else {})

    def measure(self, maps: Mapping[str, QuantityMap] | None = None, rules: Rules | None = None) -> Measurements:
        """Volumes and lengths of the organs, and the statistics of the input ("image") and of `maps` in them.

        Raises:
            InputError: a map is of another frame of reference, or in another place.
        """
        own = {IMAGE: QuantityMap(self.source)} if self.source is not None else {}
        return measure(self.labelmap_volume, self.labels, {**own, **(maps or {})}, rules)

    def save_measurements(
        self,
        path: str | Path,
        maps: Mapping[str, QuantityMap] | None = None,
        rules: Rules | None = None,
        *,
        dicom_seg: str | Path | None = None,
    ) -> None:
        """Write what `measure` finds to a table (.csv), or to a DICOM SR (.dcm) about the saved `dicom_seg`.

        Raises:
            InputError: as `measure`.
            UsageError: another ending, .dcm without `dicom_seg`, or it cannot be written there.
        """
        path = Path(path)
        if path.suffix.lower() == ".csv":
            atomic_write_text(path, as_csv([self.measure(maps, rules)]))
        elif path.suffix.lower() != ".dcm":
            raise UsageError(f"{path}: measurements are written to .csv, or to .dcm as a DICOM SR")
        elif dicom_seg is None:
            raise UsageError(f"{path}: a DICOM SR refers to a DICOM SEG; save that first, and give it as dicom_seg")
        else:
            from LiverMRISegLib.measurement.dicom_report import write_dicom_report

            write_dicom_report(path, self.measure(maps, rules), Path(dicom_seg))

    def save(self, path: str | Path, made_by: MadeBy | None = None) -> None:
        """Write to .nii.gz, .nii, .nrrd, .mha, .seg.nrrd or (for DICOM inputs) .dcm, whole or not at all.

        A .seg.nrrd also keeps volumes, flags and trust, which the panel shows when Slicer loads it. Every file says
        which model it is of (`io.made_by`); `made_by` where more is known of it than the provenance says.

        Raises:
            UsageError: unknown ending, or it cannot be written there.
        """
        from LiverMRISegLib.io import write_segmentation

        made_ml = {id_of(organ): ml for organ, ml in self.volumes_ml.items()}
        remarks = Remarks(self.volumes_ml, self.trust, made_ml, self.flags)
        tags = {KEY: as_tag(remarks.to_text())}
        made_by = made_by or (MadeBy.of(self.provenance) if "model" in self.provenance else None)
        comment = made_by.to_line() if made_by else ""
        write_segmentation(
            Path(path), self.labelmap, self.labels, self.geometry, source=self.source, tags=tags, comment=comment
        )
