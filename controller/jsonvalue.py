"""JSON values: how deep they may be nested, and how their strings are shared.

The API server takes objects of nearly ten thousand levels where a schema lets unknown fields
through. The JSON decoder ends at about a thousand with a RecursionError, and whatever walks through
the value before that: a single object would end its informer, and the process with it, for ever.

The decoder makes every key and value of every object anew. In a cache of thousands of objects of
one kind nearly all keys and most short values are the same: sharing them halves its size.
"""

import json
import re
import sys
from typing import Any, Final

#: Levels that are kept; what lies deeper is null. No kind of object has so many of its own.
MAX_DEPTH: Final = 100

#: Characters up to which a value is shared. Longer ones hardly ever recur, and each shared string
#: costs an entry in the interpreter's table for as long as somebody holds it.
MAX_VALUE: Final = 64

#: What opens or closes a level, and strings, inside of which nothing does.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]')


def decoded(content: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value that stands in some bytes; of a thousand levels and more, `MAX_DEPTH`.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return json.loads(content)
    except RecursionError:
        return json.loads(_cut(content))


def _cut(content: bytes) -> bytes:
    """Put null in the place of what lies deeper than `MAX_DEPTH`."""
    kept: list[bytes] = []
    start = depth = 0
    for token in _TOKEN.finditer(content):
        if token.group() in b"{[":
            if depth == MAX_DEPTH:
                kept += content[start : token.start()], b"null"
            depth += 1
        elif token.group() in b"}]":
            depth -= 1
            if depth == MAX_DEPTH:
                start = token.end()
    return b"".join(kept) + content[start:]


def interned(value: Any, levels: int = MAX_DEPTH) -> Any:  # noqa: ANN401 - any JSON value
    """Return an equal JSON value whose keys and short strings are shared with all others.

    Args:
        value: What a decoder has returned; not changed.
        levels: How many are kept; what lies deeper is None.
    """
    if isinstance(value, str):
        return sys.intern(value) if len(value) <= MAX_VALUE else value
    if isinstance(value, dict):
        below = levels - 1
        return {sys.intern(k): interned(v, below) for k, v in value.items()} if levels else None
    if isinstance(value, list):
        return [interned(item, levels - 1) for item in value] if levels else None
    return value
