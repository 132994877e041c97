"""JSON values: decoding with a limit on nesting, encoding, and sharing of strings.

The API server accepts objects of nearly ten thousand levels if a schema allows unknown fields. The
JSON decoder refuses a thousand, and code that walks through the value fails earlier. One such
object would end its informer, and with it the process, at each start.

The decoder makes new strings for every key and value of every object. In a cache with thousands of
objects of one kind nearly all keys and most short values are equal. Sharing them halves its size.
"""

import re
import sys
from typing import Any, Final

import orjson

#: Levels that are kept. Deeper values become null. No kind of object has so many levels.
MAX_DEPTH: Final = 100

#: The longest value that is shared, in characters. Longer ones hardly ever recur, and each shared
#: string costs an entry in a table of the interpreter.
MAX_VALUE: Final = 64

#: A bracket, which opens or closes a level, or a string, whose brackets do not. A string without an
#: end goes to the end of the text: otherwise each quote in it is tried as the beginning of one.
_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)


def decoded(content: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value of some bytes.

    A value that is nested too deep for the decoder is cut to `MAX_DEPTH` levels.

    Raises:
        ValueError: The bytes are no JSON.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        # Broken, or too deep: the decoder has one error for both, and what is broken stays so.
        return orjson.loads(_cut(content))


def encoded(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Return a JSON value as bytes, without white space.

    Args:
        value: Dictionaries with text as keys, lists, texts, numbers, booleans and None.

    Raises:
        TypeError: It holds anything else, or a number that JSON or the API server lacks.
    """
    return orjson.dumps(value)


def canonical(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Return the bytes that all equal JSON values have in common, for a digest.

    Args:
        value: As for `encoded`.

    Raises:
        TypeError: As in `encoded`.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _cut(content: bytes) -> bytes:
    """Return the JSON text with null in place of each value deeper than `MAX_DEPTH`."""
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
    """Return an equal JSON value that shares its keys and short strings with all others.

    Args:
        value: A value from the decoder. Not changed.
        levels: Levels that are kept. Deeper objects and lists become None.
    """
    if isinstance(value, str):
        return sys.intern(value) if len(value) <= MAX_VALUE else value
    if isinstance(value, dict):
        below = levels - 1
        return {sys.intern(k): interned(v, below) for k, v in value.items()} if levels else None
    if isinstance(value, list):
        return [interned(item, levels - 1) for item in value] if levels else None
    return value
