"""Where a file keeps its voxels, and reading them: as they are, packed, or written out as text.

Nothing is allocated before the sizes of the files were found to fit, and nothing is returned unless all bytes were
there, with the checksum that their packing has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.text_voxels import from_hex, numbers_in_text
from LiverMRISegLib.io.unpack import PADDING, ByteSource, DamagedError, bunzipped, gunzipped, inflated

RAW, GZIP, ZLIB, BZIP2, ASCII, HEX = "raw", "gzip", "zlib", "bzip2", "ascii", "hex"
AT_END = -1
# Deflate cannot make anything smaller than by this factor; bzip2 can, its voxels are only counted as they come.
_SMALLEST = {RAW: 1.0, GZIP: 1032.0, ZLIB: 1032.0, BZIP2: float("inf"), HEX: 0.5}
_UNPACKED: dict[str, Callable[[ByteSource], Iterator[bytes]]] = {
    GZIP: gunzipped, ZLIB: inflated, BZIP2: bunzipped, HEX: from_hex,
}  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """The voxels of a volume, in `files` that are read one after the other, an equal part of the voxels in each.

    `header` is the file that was named: errors name it. In each file the voxels are after `start` bytes (`AT_END`:
    they are its last ones), after `lines` lines behind these, and after `skip` bytes of what is unpacked. `packed` is
    how many packed bytes there are, where the header tells.
    """

    header: Path
    files: tuple[Path, ...]
    encoding: str = RAW
    start: int = 0
    skip: int = 0
    lines: int = 0
    packed: int | None = None


@dataclass(frozen=True)
class Span:
    """Bytes `first` to `last` of all the bytes of a volume's voxels."""

    first: int
    last: int


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """What the system says of a file that cannot be read, as InputError."""
    try:
        yield
    except DamagedError as error:
        raise InputError(f"{path}: the compressed file is truncated or damaged; copy or export it again") from error
    except ValueError as error:
        raise InputError(f"{path}: its voxels, written as text, are not all numbers of its type; export it") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def beside(header: Path, name: str) -> Path:
    """The file `name` in the folder of `header`; InputError if it is elsewhere or missing."""
    bare = name.removeprefix("./").removeprefix(".\\")
    if not bare or "/" in bare or "\\" in bare or bare == ".." or "\0" in bare:
        raise InputError(
            f"{header}: its voxels are said to be in {shortened(name)}; only a file in the same folder is read: "
            "put the two together and correct the header"
        )
    path = header.with_name(bare)
    with readable(header):
        is_there = path.is_file()
    if not is_there:
        raise InputError(f"{header}: the file with its voxels, {shortened(bare)}, is missing; keep the two together")
    return path


def check_sizes(stored: Stored, needed: int, slack: int, voxels: int) -> None:
    """InputError unless the files can have `needed` bytes of `voxels`, or if they have more than `slack` beyond."""
    if needed % len(stored.files):
        raise InputError(f"{stored.header}: its {len(stored.files)} files with voxels cannot be of one length")
    share, present = needed // len(stored.files), 0
    for file in stored.files:
        with readable(stored.header):
            size = file.stat().st_size
        start = 0 if stored.start == AT_END else stored.start
        present += max(0, size - start - (stored.skip if stored.encoding == RAW else 0))
        room = size - start if stored.packed is None else stored.packed
        if stored.packed is not None and start + stored.packed > size:
            raise InputError(f"{stored.header}: the compressed file is truncated; copy or export it again")
        most = room * _SMALLEST[stored.encoding] if stored.encoding != ASCII else needed
        few = room + 1 < 2 * voxels // len(stored.files) if stored.encoding == ASCII else most < stored.skip + share
        if few:
            announced, found = megabytes(needed), megabytes(present)
            if announced == found:
                announced, found = f"{needed} bytes", f"{present} bytes"
            raise InputError(
                f"{stored.header}: its header announces {announced}, but the file has {found}: "
                "truncated or not a real volume; export or copy it again"
            )
        if stored.encoding == RAW and stored.start != AT_END and not stored.lines:
            _check_rest(stored, room - stored.skip - share, slack)


def read_bytes(stored: Stored, needed: int, slack: int, kind: np.dtype, span: Span) -> np.ndarray:
    """The bytes of `span`, uint8, of the `needed` ones of all voxels of type `kind`; sizes as in `check_sizes`.

    Raises:
        InputError: bytes are missing, damaged, or more than `slack` too many.
    """
    share, window = needed // len(stored.files), _Window(span)
    for number, file in enumerate(stored.files):
        with readable(stored.header), file.open("rb") as stream:
            start = stored.start if stored.start != AT_END else file.stat().st_size - share
            stream.seek(start)
            _skip_lines(stored, stream)
            if stored.encoding == RAW:
                first = stream.seek(stored.skip, 1)
                window.fill_from(stored, stream, number * share, share)
                stream.seek(first + share)
                _check_padding(stored, stream.read(slack + 1), slack)
            else:
                _unpack_part(stored, stream, kind, window, number * share, share, slack)
    return window.content


class _Window:
    """The part of all bytes that is kept."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.content = np.empty(span.last - span.first, np.uint8)
        self._view = memoryview(self.content.data)

    def put(self, place: int, block: memoryview) -> None:
        """Keep what of `block`, whose first byte is number `place` of all, belongs to the span."""
        low, high = max(place, self.span.first), min(place + len(block), self.span.last)
        if low < high:
            self._view[low - self.span.first : high - self.span.first] = block[low - place : high - place]

    def fill_from(self, stored: Stored, stream: BufferedReader, place: int, share: int) -> None:
        """Read what is kept of the next `share` bytes of `stream`, number `place` and on of all."""
        low, high = max(place, self.span.first), min(place + share, self.span.last)
        if low >= high:
            return
        stream.seek(low - place, 1)
        part = self._view[low - self.span.first : high - self.span.first]
        if stream.readinto(part) != len(part):
            raise InputError(f"{stored.header}: is truncated; copy or export it again")


def _unpack_part(
    stored: Stored, stream: BufferedReader, kind: np.dtype, window: _Window, place: int, share: int, slack: int
) -> None:
    limited: ByteSource = stream if stored.packed is None else _Limited(stream, stored.packed)
    blocks = numbers_in_text(limited, kind) if stored.encoding == ASCII else _UNPACKED[stored.encoding](limited)
    seen = -stored.skip
    for block in blocks:
        view, first = memoryview(block), max(0, -seen)
        window.put(place + seen + first, view[first : max(first, share - seen)])
        seen += len(block)
        _check_rest(stored, seen - share, slack)
        if seen > share:
            _check_padding(stored, block[len(block) - (seen - share) :], slack)
    if seen < share:
        raise InputError(f"{stored.header}: contains fewer voxels than its header announces; export it again")


def _check_rest(stored: Stored, rest: int, slack: int) -> None:
    """A header with a wrong size moves every voxel: what is left then is a slice at least."""
    if rest >= (slack if stored.encoding not in (ASCII, HEX) else 1):
        raise _more_than_announced(stored)


def _check_padding(stored: Stored, rest: bytes, slack: int) -> None:
    """Voxels that begin too late leave some over, which are not padding."""
    if len(rest) >= slack or rest.strip(PADDING):
        raise _more_than_announced(stored)


def _more_than_announced(stored: Stored) -> InputError:
    return InputError(
        f"{stored.header}: contains more voxels than its header announces; correct the header or export it again"
    )


class _Limited:
    """The next `count` bytes of a stream."""

    def __init__(self, stream: ByteSource, count: int) -> None:
        self._stream, self._left = stream, count

    def read(self, count: int) -> bytes:
        """At most `count` bytes."""
        block = self._stream.read(min(count, self._left))
        self._left -= len(block)
        return block


def _skip_lines(stored: Stored, stream: BufferedReader) -> None:
    for _ in range(stored.lines):
        if not stream.readline():
            raise InputError(f"{stored.header}: is truncated; copy or export it again")


def shortened(text: str) -> str:
    """Text out of a file, short and printable, for a message."""
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable if len(printable) <= 60 else printable[:57] + "..."


def megabytes(count: int) -> str:
    """A number of bytes, for a message."""
    return f"{count / 1e6:.0f} MB" if count >= 1e7 else f"{count / 1e6:.2g} MB"
