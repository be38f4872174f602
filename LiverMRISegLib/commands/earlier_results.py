"""Results that an earlier call left where this one writes: a user must not take them for those of this call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from LiverMRISegLib.commands.plan import SegmentCase
from LiverMRISegLib.errors import InputError

if TYPE_CHECKING:
    from LiverMRISegLib.inference.flag import Flag
    from LiverMRISegLib.io.made_by import MadeBy


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
    """A flag for a result that may be of another version of its input, by when the files were written."""
    newest = max(written_at(path) or 0 for path in (case.source, *case.further))
    return [] if newest <= (written_at(case.output) or 0) else [_flag("the input is newer than this result")]


class Asked:
    """What a call asks for: its results say so, and those that it skips are held against it."""

    def __init__(self, model: str, organs: Sequence[str], tta: bool) -> None:
        """`organs`: none for all that the model has."""
        self._model = model
        self._organs, self._tta = sorted(organs), tta
        self._loaded: MadeBy | None = None

    def made_by(self, case: SegmentCase, provenance: Mapping[str, Any], image: str) -> MadeBy:
        """What a result of this call says of itself; `image`: the `image_digits` of the case."""
        from LiverMRISegLib.io.made_by import MadeBy

        return MadeBy.of(provenance, image, self._choices(case))

    def differences(self, case: SegmentCase) -> list[str]:
        """Flags for a result that is there already: it is of another model, another image, or other choices."""
        from LiverMRISegLib.io.made_by import made_by

        try:
            found = made_by(case.output)
        except InputError as error:
            return [_flag(f"this result cannot be read ({' '.join(str(error).split())})")]
        said: list[str] = list(map(_flag, self._differences(case, found)))
        return said if found is not None and found.image else [*said, *older_than_input(case)]

    def _choices(self, case: SegmentCase) -> str:
        from LiverMRISegLib.io.made_by import choice_digits

        return choice_digits({"organs": self._organs, "tta": self._tta, "frame": (case.frame or 1) - 1})

    def _differences(self, case: SegmentCase, found: MadeBy | None) -> Iterator[str]:
        if found is None:
            yield "this result does not say which model made it: it is of another program or version, or was edited"
            return
        if (found.model, found.weights) != (self._expected.model, self._expected.weights):
            maker = found.model if found.model != self._expected.model else "other weights"
            yield f"this result was made by {maker}, not by {self._expected.model}"
        if found.image and found.choices != self._choices(case):
            yield "this result was made with other organs, another frame, or with or without --tta"
        if found.image and found.image != _digits_of(case):
            yield "the input is not the image that this result was made from, or was changed since"

    @property
    def _expected(self) -> MadeBy:
        """Of the model that is asked for."""
        if self._loaded is None:
            from LiverMRISegLib.io.made_by import MadeBy
            from LiverMRISegLib.models.catalog import load_model

            package = load_model(self._model)
            self._loaded = MadeBy(f"{package.spec.name} {package.spec.version}", package.fingerprint).as_written()
        return self._loaded


def _digits_of(case: SegmentCase) -> str:
    """The `image_digits` of a case; "" where it cannot be read."""
    from LiverMRISegLib.io.made_by import image_digits

    try:
        return image_digits((case.source, *case.further), case.series)
    except InputError:
        return ""


def _flag(text: str) -> Flag:
    from LiverMRISegLib.inference.flag import INPUT, Flag

    return Flag(f"{text}: delete the result to have it made again", kind=INPUT)
