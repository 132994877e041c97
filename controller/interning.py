"""Strings that many objects have in common, kept once.

The JSON decoder makes every key and value of every object anew. In a cache of thousands of objects
of one kind nearly all keys and most short values are the same: sharing them halves its size.
"""

import sys
from typing import Any, Final

from controller.nesting import MAX_DEPTH

#: Characters up to which a value is shared. Longer ones hardly ever recur, and each shared string
#: costs an entry in the interpreter's table for as long as somebody holds it.
MAX_VALUE: Final = 64


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
