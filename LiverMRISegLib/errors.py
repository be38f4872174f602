"""The errors of the library: each message says what is wrong with which file, and what to do about it."""

from __future__ import annotations


class LiverMRISegError(Exception):
    """Base of every error raised on purpose. `exit_status` is what the command line returns for it."""

    exit_status = 1


class UsageError(LiverMRISegError):
    """The call cannot be carried out: an unknown organ, device or option, or an output that cannot be written."""

    exit_status = 2


class OutputError(UsageError):
    """An output cannot be written: folder missing, not writable, disk full. No incomplete file is left behind."""


class InputError(LiverMRISegError):
    """An input image or folder cannot be used."""

    exit_status = 3


class SeveralVolumesError(InputError):
    """A file or a DICOM series holds several volumes, and nobody said which is meant."""

    @property
    def facts(self) -> str:
        """The message without what to do after its last semicolon, for whoever has no --frame."""
        return str(self).rpartition(";")[0]


class SeveralSeriesError(SeveralVolumesError):
    """A DICOM folder holds several series, and nobody said which is meant."""


class ModelError(LiverMRISegError):
    """A model package or foreign checkpoint cannot be used."""

    exit_status = 4


class DeviceMemoryError(LiverMRISegError):
    """A device has too little memory for what was asked; `inference.memory_fallback` knows what takes less."""


class CancelledError(LiverMRISegError):
    """The caller asked to stop; nothing was written."""

    exit_status = 130

    def __init__(self, message: str = "cancelled; nothing was written") -> None:
        super().__init__(message)
