"""How deep a JSON value may be nested.

The API server takes objects of nearly ten thousand levels where a schema lets unknown fields
through. The JSON decoder ends at about a thousand with a RecursionError, and whatever walks through
the value before that: a single object would end its informer, and the process with it, for ever.
"""

import json
import re
from typing import Any, Final

#: Levels that are kept; what lies deeper is null. No kind of object has so many of its own.
MAX_DEPTH: Final = 100

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
