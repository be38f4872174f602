"""pydicom and highdicom called without their messages: these quote what files hold, and that may name a patient."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator

_LOGGERS = ("pydicom", "highdicom")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Neither warnings nor log messages of pydicom and highdicom."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def reason_without_quotes(error: Exception) -> str:
    """What an error of theirs says, in one line, without what it quotes; of a missing attribute its DICOM keyword."""
    from pydicom.datadict import tag_for_keyword

    if isinstance(error, AttributeError) and tag_for_keyword(error.name or "") is not None:
        return f"there is no {error.name}"
    return _QUOTED.sub("'...'", " ".join(str(error).split()))
