"""Writes an ActionSet: status, memo and finalizer in one request, and only what has changed."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.errors import NotFound
from reconcilers.actionset import memo
from reconcilers.actionset.api import (
    ACTION_SETS,
    ANNOTATION_MEMO,
    ANNOTATION_WAITS_FOR,
    FINALIZER_RUNNING,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Deadline
    from controller.resource import Object
    from controller.rest.client import Client
    from reconcilers.actionset.memo import Memos

#: Bytes of the annotation that says what it waits for, at most.
MAX_WAITS_FOR: Final = 1024
#: Characters of a line of it. kubectl describe cuts each line of an annotation at 140 (kubectl
#: pkg/describe/describe.go, maxAnnotationLen).
MAX_LINE: Final = 120


@frozen
class Desired:
    """What is to be stored of an ActionSet.

    Args:
        status: Its status.
        memos: What running phases have to know.
        claimed: Whether it has our finalizer.
        waits_for: What it waits for; empty for nothing.
    """

    status: Object
    memos: Memos
    claimed: bool
    waits_for: str = ""


class Vanished(Exception):
    """The ActionSet is gone."""


class Writer:
    """Writes ActionSets.

    Args:
        client: Writes.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def write(self, obj: Object, desired: Desired, deadline: Deadline) -> Object:
        """Write what differs.

        Args:
            obj: The ActionSet as it was read. Not changed.
            desired: What is to be stored.
            deadline: Of the reconcile.

        Returns:
            The ActionSet as it is now; `obj` if nothing differs.

        Raises:
            Conflict: It has changed since it was read.
            Vanished: It is gone.
            ClientError: As a client raises it.
        """
        change = difference(obj, desired)
        if not change:
            return obj
        metadata = obj["metadata"]
        versioned = {"resourceVersion": metadata["resourceVersion"], "uid": metadata["uid"]}
        change["metadata"] = {**versioned, **change.get("metadata", {})}
        namespace, name = metadata["namespace"], metadata["name"]
        try:
            return self._client.merge_patch(ACTION_SETS, namespace, name, change, deadline=deadline)
        except NotFound:
            raise Vanished from None


def difference(obj: Object, desired: Desired) -> Object:
    """Return the merge patch from an ActionSet to what is desired; empty if nothing differs."""
    change: Object = {}
    status = _patch(obj.get("status") or {}, desired.status)
    if status:
        change["status"] = status
    annotations = _annotations(obj, desired)
    metadata: Object = {"annotations": annotations} if annotations else {}
    finalizers = obj["metadata"].get("finalizers") or []
    if desired.claimed != (FINALIZER_RUNNING in finalizers):
        others = [one for one in finalizers if one != FINALIZER_RUNNING]
        metadata["finalizers"] = [*others, *([FINALIZER_RUNNING] if desired.claimed else ())]
    if metadata:
        change["metadata"] = metadata
    return change


def _annotations(obj: Object, desired: Desired) -> dict[str, str | None]:
    found = obj["metadata"].get("annotations") or {}
    waits_for = _wrapped(desired.waits_for.encode()[:MAX_WAITS_FOR].decode(errors="ignore"))
    wanted = {
        ANNOTATION_MEMO: memo.render(desired.memos),
        ANNOTATION_WAITS_FOR: waits_for or None,
    }
    return {name: text for name, text in wanted.items() if found.get(name) != text}


def _wrapped(text: str) -> str:
    """Return a text in lines that kubectl describe shows whole."""
    lines = textwrap.wrap(text, MAX_LINE, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)


def _patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Object:
    """Return the merge patch between two mappings: null removes, a list is replaced."""
    patch: Object = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            inner = _patch(old, value)
            if inner:
                patch[name] = inner
        elif value != old:
            patch[name] = value
    return patch
