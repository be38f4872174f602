"""JSON from files and pipes: whatever it is, it becomes plain data or one ValueError."""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 50
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def parse_json(text: str | bytes, deepest: int = DEEPEST) -> Any:
    """The data in `text` (bytes: UTF-8, with or without the byte order mark that Windows puts before it).

    Raises:
        ValueError: it is not JSON or not UTF-8, an object has a key twice, a whole number has thousands of digits, or
            lists and objects are nested more than `deepest` levels, which would exhaust the stack of whoever walks
            through them.
    """
    decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
    depth = 0
    for token in _TOKENS.finditer(decoded):
        kind = decoded[token.start()]
        depth += (kind in "[{") - (kind in "]}")
        if depth > deepest:
            raise ValueError(f"nested more than {deepest} levels")
    return json.loads(decoded, object_pairs_hook=_of_different_keys)


def _of_different_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found
