"""What made a mask, as a line in the file's own header: whoever finds the file can ask which model it is of.

NIfTI has it in `descrip`, MetaImage in `Comment`, NRRD in a key of ours, DICOM SEG in Content Description.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom import tags
from LiverMRISegLib.io.dicom.elements import is_dicom_file
from LiverMRISegLib.io.dicom.folders import list_series
from LiverMRISegLib.io.dicom.header import read_dicom_header
from LiverMRISegLib.io.hashing import hash_of_files
from LiverMRISegLib.io.headers import files_of, parse_header

# The longest line that each format has room for: DICOM's long string.
_LONGEST, _DIGITS = 64, 8
_LINE = re.compile(r"LiverMRISeg ([0-9a-f]{8}) ([0-9a-f]{8}|-) ([0-9a-f]{8}|-) (.*)")
_NOT_SAID = "-"


@dataclass(frozen=True)
class MadeBy:
    """The model by name and version, the first digits of the hash of its `weights`, and what they were given.

    `image`: the first digits of the hash of the image's files; `choices`: of what was asked beside the model. Both are
    empty where they are not known.
    """

    model: str
    weights: str
    image: str = ""
    choices: str = ""

    @classmethod
    def of(cls, provenance: Mapping[str, Any], image: str = "", choices: str = "") -> MadeBy:
        """For the provenance of a `Segmentation`."""
        model = f"{provenance['model']} {provenance['model version']}"
        return cls(model, str(provenance["model fingerprint"]), image, choices).as_written()

    def as_written(self) -> MadeBy:
        """As it is read back: a line has no room for all digits, nor for the longest names."""
        return _parsed(self.to_line()) or self

    def to_line(self) -> str:
        """As a line of printable ASCII."""
        digits = [text[:_DIGITS] or _NOT_SAID for text in (self.weights, self.image, self.choices)]
        plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in self.model)
        return " ".join(["LiverMRISeg", *digits, plain])[:_LONGEST].rstrip()


def made_by(path: Path) -> MadeBy | None:
    """What made a mask; None where its file does not say: it is of another program, or was edited with one.

    Raises:
        InputError: the file cannot be read, or has more or fewer voxels than it announces.
    """
    if path.suffix.lower() == ".dcm":
        if not is_dicom_file(path):
            raise InputError(f"{path}: is not a DICOM file in spite of its name")
        return _parsed(read_dicom_header(path).text(tags.CONTENT_DESCRIPTION))
    return _parsed(parse_header(path).comment)


def image_digits(images: Sequence[Path], series: str | None = None) -> str:
    """The first digits of the hash of the images of a case, wherever they are and whatever they are called.

    Args:
        images: files, or folders with a DICOM series.
        series: UID of the one that is meant, where a folder has several.

    Raises:
        InputError: they cannot be read.
    """
    found = [hash_of_files(_files(image, series)) for image in images]
    return hashlib.sha256("".join(found).encode()).hexdigest()[:_DIGITS]


def choice_digits(choices: Mapping[str, Any]) -> str:
    """The first digits of the hash of what was asked; "" if nothing was."""
    made = {key: value for key, value in sorted(choices.items()) if value}
    return hashlib.sha256(json.dumps(made).encode()).hexdigest()[:_DIGITS] if made else ""


def _files(image: Path, series: str | None) -> Sequence[Path]:
    folder = image.parent if image.name.upper() == "DICOMDIR" else image
    if not folder.is_dir():
        return files_of(image)
    return [Path(file) for one in list_series(folder) if series in (None, one.uid) for file in one.files]


def _parsed(line: str) -> MadeBy | None:
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    weights, image, choices = (found[n].replace(_NOT_SAID, "") for n in (1, 2, 3))
    return MadeBy(found[4], weights, image, choices)
