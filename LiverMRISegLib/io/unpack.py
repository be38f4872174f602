"""Packed bytes as they come out, a bounded piece at a time, with the checksum of the packing checked."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Generator, Iterator
from typing import Protocol

# Bytes that are read at once, and the most that one step may unpack to.
_READ, _MOST = 2**18, 2**22
_GZIP_MAGIC, _BZIP2_MAGIC = b"\x1f\x8b", b"BZh"
_GZIP_OR_NOTHING, _ZLIB = 31, 15
# What may follow the packed bytes without being a part of them: padding and a last line break.
PADDING = b"\0\r\n"


class ByteSource(Protocol):
    """What has bytes to read."""

    def read(self, count: int, /) -> bytes:
        """At most `count` bytes, none at the end."""


class DamagedError(Exception):
    """The packed bytes end too early, do not unpack, or have another checksum than they should."""


def gunzipped(stream: ByteSource) -> Iterator[bytes]:
    """What gzip packed (RFC 1952), of one member or several; DamagedError unless each has its length and CRC."""
    rest = b""
    while True:
        rest = yield from _inflated(stream, _GZIP_OR_NOTHING, rest)
        rest = rest.lstrip(PADDING) or _after_padding(stream)
        if not rest:
            return
        if not rest.startswith(_GZIP_MAGIC[: len(rest)]):
            raise DamagedError


def inflated(stream: ByteSource) -> Iterator[bytes]:
    """What zlib packed (RFC 1950); DamagedError unless it has its Adler checksum."""
    rest = yield from _inflated(stream, _ZLIB, b"")
    if rest.strip(PADDING) or _after_padding(stream):
        raise DamagedError


def bunzipped(stream: ByteSource) -> Iterator[bytes]:
    """What bzip2 packed, of one stream or several; DamagedError unless each has its checksums."""
    rest = b""
    while True:
        unpack = bz2.BZ2Decompressor()
        while not unpack.eof:
            block = (rest or stream.read(_READ)) if unpack.needs_input else b""
            if unpack.needs_input and not block:
                raise DamagedError
            rest = b""
            try:
                yield unpack.decompress(block, _MOST)
            except (OSError, EOFError) as error:
                raise DamagedError from error
        rest = unpack.unused_data.lstrip(PADDING) or _after_padding(stream)
        if not rest:
            return
        if not rest.startswith(_BZIP2_MAGIC[: len(rest)]):
            raise DamagedError


def _inflated(stream: ByteSource, bits: int, packed: bytes) -> Generator[bytes, None, bytes]:
    """As `zlib.decompressobj(bits)` unpacks `packed` and the stream; returns what follows in the last block read."""
    unpack = zlib.decompressobj(bits)
    while not unpack.eof:
        packed = packed or stream.read(_READ)
        at_end = not packed
        try:
            block = unpack.decompress(packed, _MOST)
        except zlib.error as error:
            raise DamagedError from error
        if at_end and not block and not unpack.eof:
            raise DamagedError
        yield block
        packed = unpack.unconsumed_tail
    return unpack.unused_data


def _after_padding(stream: ByteSource) -> bytes:
    """The first bytes of the rest of the stream that are not padding."""
    while block := stream.read(_READ):
        if found := block.lstrip(PADDING):
            return found
    return b""
