"""The images of a case of `livermriseg segment`, read, and which they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from LiverMRISegLib.commands.plan import SegmentCase
from LiverMRISegLib.errors import InputError

if TYPE_CHECKING:
    from LiverMRISegLib.volume import Volume


@dataclass(frozen=True)
class CaseImages:
    """The images that a model takes, the first being the one to segment; `digits` are those of their content."""

    volumes: list[Volume]
    digits: str

    @classmethod
    def read(cls, case: SegmentCase, names: Sequence[str]) -> CaseImages:
        """Read them by the `names` that the model has for its images; InputError where one cannot be used."""
        from LiverMRISegLib.io import read_channels
        from LiverMRISegLib.io.made_by import image_digits

        if case.problem:
            raise InputError(case.problem)
        volumes = read_channels(case.source, names, series=case.series, frame=case.frame)
        return cls(volumes, image_digits((case.source, *case.further), case.series))
