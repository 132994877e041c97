"""Strings that many objects have in common, kept once.

The JSON decoder makes every key and value of every object anew. In a cache of thousands of objects
of one kind nearly all keys and most short values are the same: sharing them halves its size.
"""

import sys
from typing import Any, Final

#: Characters up to which a value is shared. Longer ones hardly ever recur, and each shared string
#: costs an entry in the interpreter's table for as long as somebody holds it.
MAX_VALUE: Final = 64


def interned(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return an equal JSON value whose keys and short strings are shared with all others.

    Args:
        value: What a decoder has returned; not changed.
    """
    if isinstance(value, dict):
        return {sys.intern(key): interned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [interned(item) for item in value]
    if isinstance(value, str) and len(value) <= MAX_VALUE:
        return sys.intern(value)
    return value
