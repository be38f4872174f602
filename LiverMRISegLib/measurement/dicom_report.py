"""Measurements in the codes of DICOM (PS3.16, SNOMED CT, UCUM), for a DICOM SR."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from LiverMRISegLib.anatomy import LEFT_KIDNEY, Code, structure_named
from LiverMRISegLib.io.dicom.sr import Figure, Group, write_dicom_sr
from LiverMRISegLib.measurement.maps import IMAGE
from LiverMRISegLib.measurement.organs import TOTAL_KIDNEY_VOLUME, Measurements, OrganMeasurement, Rules

_OWN = "99LIVERMRISEG"
_VOLUME = Code("118565006", "Volume")
_LENGTH, _CRANIOCAUDAL = Code("410668003", "Length"), Code("399162004", "cranio-caudal")
_LONGEST = Code("L0JK", "Maximum 3D Diameter of a Mesh", "IBSI")
_BOTH_SIDES = Code("51440002", "Right and left")
# Of these figures DICOM has codes; of quartiles it has none.
_DERIVATIONS = {
    "mean": Code("373098007", "Mean"), "sd": Code("386136009", "Standard Deviation"),
    "median": Code("373099004", "Median"), "p5": Code("371888009", "5th Percentile Value of population"),
    "p95": Code("371889001", "95th Percentile Value of population"),
}  # fmt: skip
_FAT_FRACTION = Code("129100", "Fat fraction", "DCM")
_QUANTITIES = {
    "pdff": _FAT_FRACTION, "ff": _FAT_FRACTION, "r2*": Code("126395", "R2*", "DCM"),
    "r2star": Code("126395", "R2*", "DCM"), "t1": Code("113063", "T1", "DCM"), "t2": Code("113065", "T2", "DCM"),
    "t2*": Code("113064", "T2*", "DCM"), "t2star": Code("113064", "T2*", "DCM"),
    "adc": Code("113041", "Apparent Diffusion Coefficient", "DCM"),
    IMAGE: Code("110852", "MR signal intensity", "DCM"),
}  # fmt: skip
_UNITS = {
    "%": Code("%", "percent", "UCUM"), "/s": Code("/s", "per second", "UCUM"), "ms": Code("ms", "millisecond", "UCUM"),
    "": Code("1", "no units", "UCUM"),
}  # fmt: skip
_ML, _MM = Code("ml", "milliliter", "UCUM"), Code("mm", "millimeter", "UCUM")


def write_dicom_report(path: Path, found: Measurements, segmentation: Path) -> None:
    """Write a DICOM SR of what was measured of a DICOM SEG; an organ that was not found has no segment to report on.

    Raises:
        InputError, OutputError, UsageError: as `io.dicom.sr.write_dicom_sr` and `io.read_labelmap`.
    """
    from LiverMRISegLib.io.dicom.seg import segments_of

    groups = list(groups_of(found, segments_of(segmentation)))
    write_dicom_sr(path, segmentation, groups, _in_words(found.rules))


def groups_of(found: Measurements, segments: Mapping[str, int]) -> Iterator[Group]:
    """A group for each organ that is a segment, by the segments' names, and one for the kidneys together."""
    numbers = {structure_named(name, number): number for name, number in segments.items()}
    for organ in found.organs:
        number = numbers.get(organ.organ)
        if number is not None and organ.volume_ml is not None:
            kind = organ.organ
            yield Group(kind.title, kind.type_code, kind.side, number, list(_figures(found, organ)), _remarks(organ))
    for figure in found.derived:
        if figure.name == TOTAL_KIDNEY_VOLUME and figure.value is not None:
            volume = Figure(_VOLUME, figure.value, _ML)
            yield Group("Both kidneys", LEFT_KIDNEY.type_code, _BOTH_SIDES, None, [volume], figure.remarks)


def _figures(found: Measurements, organ: OrganMeasurement) -> Iterator[Figure]:
    yield Figure(_VOLUME, organ.volume_ml or 0.0, _ML)
    if organ.craniocaudal_mm is not None:
        yield Figure(_LENGTH, organ.craniocaudal_mm, _MM, method=_CRANIOCAUDAL)
    if organ.longest_mm is not None:
        yield Figure(_LONGEST, organ.longest_mm, _MM)
    codes = [_quantity(title) for title in organ.statistics]
    for code, (title, statistics) in zip(codes, organ.statistics.items(), strict=True):
        unit = found.units.get(title, "")
        # Two fat fractions of one organ would be two figures of one name.
        method = _own(title) if codes.count(code) > 1 else None
        for name, derivation in _DERIVATIONS.items():
            value = getattr(statistics, name)
            if value is not None:
                coded = _UNITS.get(unit, Code(unit, unit, "UCUM"))
                yield Figure(code, value, coded, derivation, method)


def _quantity(title: str) -> Code:
    """The code of a map by its name; of a name that DICOM does not know, one of ours."""
    if title.startswith("fat fraction"):
        return _FAT_FRACTION
    return _QUANTITIES.get(title.lower(), _own(title))


def _own(title: str) -> Code:
    plain = "".join(c for c in title.upper() if c.isascii() and c.isalnum())[:16]
    return Code(plain or "MAP", title[:64], _OWN)


def _remarks(organ: OrganMeasurement) -> list[str]:
    return list(dict.fromkeys([*organ.remarks, *(text for s in organ.statistics.values() for text in s.remarks)]))


def _in_words(rules: Rules) -> list[str]:
    """What the maps' figures are of, for the algorithm's parameters."""
    words = [f"erosion {rules.erosion_mm:g} mm"] if rules.erosion_mm else []
    if rules.outliers is not None:
        words.append(f"without values farther than {rules.outliers:g} x 1.4826 MAD from the median")
    return words
