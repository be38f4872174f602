"""Ways of damaging bytes and text headers."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

Mutation = Callable[[bytes, np.random.Generator], bytes]
NASTY = (
    "-1", "0", "1", "2", "3", "-0", "1.5", "1e400", "-1e400", "nan", "inf", "-inf", "1e-320", "99999999999",
    "2147483648", "4294967297", "9" * 400, "1,5", "1_0", "0x10", "", " ", "%s%n", "../v.raw", "/etc/hostname", "LIST",
    "LOCAL", "true", "False", "none", "(1,0,0)", "\u0664", "\u00b2", "a" * 5000, "float", "MET_DOUBLE", "uchar", "gzip",
    "raw",
)  # fmt: skip
_WORDS = re.compile(rb"[^\s:=,()]+")


def flip_bits(content: bytes, random: np.random.Generator) -> bytes:
    """One to three bits flipped, anywhere."""
    broken = bytearray(content)
    for place in random.integers(0, len(broken), int(random.integers(1, 4))):
        broken[place] ^= 1 << int(random.integers(0, 8))
    return bytes(broken)


def set_bytes(content: bytes, random: np.random.Generator) -> bytes:
    """A few bytes in a row replaced by zeros, ones or noise."""
    broken, count = bytearray(content), int(random.integers(1, 17))
    place = int(random.integers(0, max(1, len(broken) - count)))
    fill = random.integers(0, 3)
    noise = random.integers(0, 256, count, np.uint8).tobytes()
    broken[place : place + count] = (bytes(count), b"\xff" * count, noise)[fill]
    return bytes(broken)


def truncate(content: bytes, random: np.random.Generator) -> bytes:
    """The end is missing."""
    return content[: int(random.integers(0, len(content)))]


def lengthen(content: bytes, random: np.random.Generator) -> bytes:
    """Something follows the end."""
    return content + random.integers(0, 256, int(random.integers(1, 2000)), np.uint8).tobytes()


def cut_out(content: bytes, random: np.random.Generator) -> bytes:
    """Some bytes in the middle are lost."""
    place, count = int(random.integers(0, len(content))), int(random.integers(1, 60))
    return content[:place] + content[place + count :]


def repeat(content: bytes, random: np.random.Generator) -> bytes:
    """Some bytes come twice."""
    place, count = int(random.integers(0, len(content))), int(random.integers(1, 60))
    return content[: place + count] + content[place:]


def replace_word(content: bytes, random: np.random.Generator) -> bytes:
    """A word of a text is replaced by one that programs stumble over."""
    words = list(_WORDS.finditer(content))
    if not words:
        return content
    word = words[int(random.integers(0, len(words)))]
    return content[: word.start()] + NASTY[int(random.integers(0, len(NASTY)))].encode() + content[word.end() :]


def drop_line(content: bytes, random: np.random.Generator) -> bytes:
    """A line of a text is lost, or comes again at another place."""
    lines = content.split(b"\n")
    line = lines.pop(int(random.integers(0, len(lines))))
    if random.integers(0, 2):
        lines.insert(int(random.integers(0, len(lines) + 1)), line)
        if random.integers(0, 2):
            lines.insert(int(random.integers(0, len(lines) + 1)), line)
    return b"\n".join(lines)


OF_BYTES: tuple[Mutation, ...] = (flip_bits, set_bytes, truncate, lengthen, cut_out, repeat)
OF_TEXT: tuple[Mutation, ...] = (replace_word, replace_word, replace_word, drop_line, flip_bits, cut_out)
