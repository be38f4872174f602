"""Text of DICOM files, decoded by its Specific Character Set (PS3.3, C.12.1.1.2): it can always be printed."""

from __future__ import annotations

import re

_CODECS = {
    "ISO_IR 6": "ascii", "ISO_IR 100": "latin-1", "ISO_IR 101": "iso8859-2", "ISO_IR 109": "iso8859-3",
    "ISO_IR 110": "iso8859-4", "ISO_IR 144": "iso8859-5", "ISO_IR 127": "iso8859-6", "ISO_IR 126": "iso8859-7",
    "ISO_IR 138": "iso8859-8", "ISO_IR 148": "iso8859-9", "ISO_IR 203": "iso8859-15", "ISO_IR 13": "shift_jis",
    "ISO_IR 166": "tis-620", "ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk",
    "ISO_IR 87": "iso2022_jp", "ISO_IR 159": "iso2022_jp_2", "ISO_IR 149": "euc_kr", "ISO_IR 58": "gb2312",
}  # fmt: skip
# These switch by escape sequences that Python's codecs know; those of the others are left out.
_SWITCHING = ("iso2022_jp", "iso2022_jp_2")
_ESCAPE = re.compile(rb"\x1b[\x20-\x2f]*[\x30-\x7e]")


def decoded(value: bytes, character_set: bytes = b"") -> str:
    """`value` as text: without padding, every character printable. Bytes that the set does not have become '?'."""
    names = [name.strip().replace("ISO 2022 IR", "ISO_IR") for name in character_set.decode("latin-1").split("\\")]
    codecs = [_CODECS[name] for name in (n.strip("\0 ") for n in names) if name in _CODECS]
    text = _text(value, codecs)
    return "".join(c if c.isprintable() and c != "\ufffd" else "?" for c in text.strip("\0 \t\r\n"))


def _text(value: bytes, codecs: list[str]) -> str:
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    if b"\x1b" in value:
        for codec in codecs:
            if codec in _SWITCHING:
                return value.decode(codec, "replace")
        value = _ESCAPE.sub(b"", value)
        codecs = codecs[-1:]
    if codecs:
        return value.decode(codecs[0], "replace")
    try:
        return value.decode("utf-8")  # no set is named: other text is hardly ever valid UTF-8
    except UnicodeDecodeError:
        return value.decode("latin-1")
