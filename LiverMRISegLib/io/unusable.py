"""Volumes that cannot be used, found while many are worked through: the others are done first, then all are named."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from LiverMRISegLib.errors import InputError

_REMEDY = "repair them or remove them from the datalist"


class UnusableVolumes:
    """The reasons of one run over many volumes.

    unusable = UnusableVolumes()
    for scan in scans:
        with unusable.noted():
            work_on(scan)
    unusable.raise_any(len(scans))
    """

    def __init__(self) -> None:
        self._reasons: list[str] = []

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """What is raised within as InputError, of one volume, is kept; the caller goes on behind it."""
        try:
            yield
        except InputError as error:
            self._reasons.append(str(error))

    def raise_any(self, count: int, remedy: str = _REMEDY) -> None:
        """InputError that names every unusable one of `count` volumes; nothing where all could be used."""
        if self._reasons:
            listed = "\n  ".join(self._reasons)
            raise InputError(f"{len(self._reasons)} of {count} volumes cannot be used; {remedy}:\n  {listed}")
