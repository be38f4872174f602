"""Water, fat, in-phase and out-of-phase images of one acquisition, which share a series, a file or a folder.

Which is which the Image Type says (of Enhanced files the Frame Type): W, F, IP and OP in older files of Philips; WATER,
FAT, IN_PHASE and OUT_PHASE, OPP_PHASE or OUT_OF_PHASE in newer ones and those of GE and Siemens; FAT_FRACTION of a map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom.folders import list_series
from LiverMRISegLib.io.dicom.series import image_types_of

WATER, FAT, IN_PHASE, OUT_PHASE = "water", "fat", "in-phase", "out-of-phase"
# The four never stand for one another; what a map is called only helps to find it.
_IMAGES = {
    WATER: {"WATER", "W"}, FAT: {"FAT", "F"}, IN_PHASE: {"IN_PHASE", "IP"},
    OUT_PHASE: {"OUT_PHASE", "OPP_PHASE", "OUT_OF_PHASE", "OP"},
}  # fmt: skip
_FAT_FRACTION, _R2_STAR, _T2_STAR = {"FAT_FRACTION", "FF"}, {"R2_STAR", "R2_STAR_MAP"}, {"T2_STAR", "T2_STAR_MAP"}
_WORDS = {
    **_IMAGES, "pdff": _FAT_FRACTION, "ff": _FAT_FRACTION, "fat fraction": _FAT_FRACTION, "r2*": _R2_STAR,
    "r2star": _R2_STAR, "t2*": _T2_STAR, "t2star": _T2_STAR,
}  # fmt: skip
# Before these words the type says how the image was made.
_FIRST_WORD = 2


@dataclass(frozen=True)
class DixonImage:
    """One of the volumes of a folder or a file: its series, the frame where that has several, and its Image Type."""

    series: str | None
    frame: int | None
    image_type: str

    def is_of(self, kind: str) -> bool:
        """Whether the type says that it is "water", "fat", ..., or a map called so."""
        return bool(_WORDS[kind.lower()] & {word.strip() for word in self.image_type.upper().split("\\")[_FIRST_WORD:]})


def image_of_kind(path: Path, series: str | None, kind: str) -> DixonImage | None:
    """The only volume of a DICOM folder or file that is of a kind; None if none or several are, or if it has just one.

    Raises:
        InputError: it has just one, which says that it is another of the four images.
    """
    if kind.lower() not in _WORDS:
        return None
    volumes = list(_volumes(path, series))
    if len(volumes) == 1:
        _check_is_no_other(path, volumes[0], kind)
        return None
    found = [volume for volume in volumes if volume.is_of(kind)]
    return found[0] if len(found) == 1 else None


def _volumes(path: Path, series: str | None) -> Iterator[DixonImage]:
    uids: list[str | None] = [series]
    if series is None and path.is_dir():
        uids = [one.uid for one in list_series(path)]
    for uid in uids:
        try:
            types = image_types_of(path, uid)
        except InputError:  # a localizer; if it is what is wanted, that is said when it is read
            types = [""]
        for number, image_type in enumerate(types, start=1):
            yield DixonImage(uid, number if len(types) > 1 else None, image_type)


def _check_is_no_other(path: Path, volume: DixonImage, kind: str) -> None:
    others = [name for name in _IMAGES if kind in _IMAGES and name != kind and volume.is_of(name)]
    if others and not volume.is_of(kind):
        raise InputError(
            f"{path}: is the {others[0]} image by its Image Type ({volume.image_type}), not the {kind} one; give it as "
            f"{others[0]}, or as NIfTI if the scanner took the two for each other"
        )
