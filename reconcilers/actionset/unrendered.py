"""Parts of a phase's arguments that are not rendered, beside parts that are.

The conditions of Wait and WaitV2 are templates of another kind, which are evaluated on the object
that they are about; the reference to that object, beside them, is a template of the parameters
(Kanister pkg/function/wait.go, waitv2.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection


def without(tree: Any, names: Collection[str]) -> Any:  # noqa: ANN401 - any JSON value
    """Return the part of a tree that is to be rendered: without the values of some keys.

    Args:
        tree: The arguments as a Blueprint has them. Not changed.
        names: The keys, at any depth.
    """
    if isinstance(tree, dict):
        return {key: without(one, names) for key, one in tree.items() if key not in names}
    if isinstance(tree, list):
        return [without(one, names) for one in tree]
    return tree


def restored(rendered: Any, tree: Any, names: Collection[str]) -> Any:  # noqa: ANN401 - any JSON value
    """Return a rendered tree with what `without` has left out.

    Args:
        rendered: What has become of `without(tree, names)`.
        tree: The arguments as a Blueprint has them.
        names: The keys. Below a key that is itself a template nothing is put back.
    """
    if isinstance(rendered, dict) and isinstance(tree, dict):
        kept = {key: one for key, one in tree.items() if key in names}
        return kept | {key: restored(one, tree.get(key), names) for key, one in rendered.items()}
    if isinstance(rendered, list) and isinstance(tree, list):
        pairs = zip(rendered, tree, strict=True)
        return [restored(one, original, names) for one, original in pairs]
    return rendered
