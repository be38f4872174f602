"""Results that an earlier call left where this one writes: a user must not take them for those of this call."""

from __future__ import annotations

from pathlib import Path

from LiverMRISegLib.commands.plan import SegmentCase


def written_at(path: Path) -> int | None:
    """When a file was last written, None where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def left_there(case: SegmentCase, before: int | None) -> str:
    """What to add to the error of a case: its output is there all the same, and was before (`written_at`)."""
    is_there = before is not None and written_at(case.output) == before
    return f"; {case.output} is the result of an earlier call" if is_there else ""


def older_than_input(case: SegmentCase) -> list[str]:
    """A flag for a result that may be of another version of its input."""
    from LiverMRISegLib.inference.flag import INPUT, Flag

    newest = max(written_at(path) or 0 for path in (case.source, *case.further))
    if newest <= (written_at(case.output) or 0):
        return []
    return [Flag("the input is newer than this result: delete the result to have it made again", kind=INPUT)]
