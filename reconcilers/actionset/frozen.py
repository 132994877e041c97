"""What an action works with until its end: its spec, its Blueprint's action, its parameters.

Kept in an immutable Secret that the ActionSet owns, one an action, so that a process that goes on
works with what the one before it began with. It holds no copy of another Secret.

Once the ActionSet is deleted, a second one without an owner has the same for the deferPhase: with
`--cascade=foreground` the garbage collector deletes what the ActionSet owns at once, though that
itself stays for our finalizer.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from controller.resource import controller_reference
from reconcilers.actionset.api import LABEL_UID, MANAGER
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
KEY_ACTION: Final = "action.json"
KEY_PARAMETERS: Final = "parameters.json"

#: Bytes of a Secret's data at most (kubernetes pkg/apis/core/types.go, MaxSecretSize).
MAX_BYTES: Final = 1024 * 1024

REASON_TOO_LARGE: Final = "ActionTooLarge"
TOO_LARGE: Final = (
    "action {action}: its Blueprint and parameters have {size} bytes, {limit} fit; take large"
    " options, artifacts or arguments out"
)
REASON_NAME_TAKEN: Final = "NameTaken"
NAME_TAKEN: Final = (
    "Secret {name} is in the way: it is not of this ActionSet; delete it, and create the ActionSet"
    " again"
)


@frozen
class FrozenAction:
    """An action as it was when it began.

    Args:
        spec: What the spec of the ActionSet said of it.
        planned: The action of the Blueprint, as it was written.
        objects: References of each phase, by its name and their aliases, rendered.
        repeatable: The annotation of the Blueprint that names repeatable phases.
        parameters: What templates can name.
    """

    spec: Mapping[str, Any]
    planned: Mapping[str, Any]
    objects: Mapping[str, Mapping[str, Mapping[str, Any]]]
    repeatable: str
    # Options may hold a password.
    parameters: bytes = field(repr=False)


def secret_name(uid: str, action: int) -> str:
    """Return the name of the Secret of an action.

    Args:
        uid: Of the ActionSet.
        action: The index of the action.
    """
    return f"actionset-{uid}-{action}"


def kept_name(uid: str, action: int) -> str:
    """Return the name of the Secret without an owner.

    Args:
        uid: Of the ActionSet.
        action: The index of the action.
    """
    return f"{secret_name(uid, action)}-deleted"


def make_secret(action_set: Object, action: int, content: FrozenAction) -> Object:
    """Return the Secret of an action.

    Args:
        action_set: Its owner.
        action: The index of the action.
        content: What to keep.

    Raises:
        InvalidInput: It does not fit.
    """
    text = json.dumps(
        {
            "spec": content.spec,
            "planned": content.planned,
            "objects": content.objects,
            "repeatable": content.repeatable,
        },
        separators=(",", ":"),
        sort_keys=True,
    ).encode()
    size = len(text) + len(content.parameters)
    if size > MAX_BYTES:
        named = content.spec["name"]
        raise InvalidInput(
            REASON_TOO_LARGE, TOO_LARGE.format(action=named, size=size, limit=MAX_BYTES)
        )
    metadata = action_set["metadata"]
    data = {KEY_ACTION: text, KEY_PARAMETERS: content.parameters}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret_name(metadata["uid"], action),
            "namespace": metadata["namespace"],
            "labels": {LABEL_UID: metadata["uid"], LABEL_MANAGED_BY: MANAGER},
            "ownerReferences": [controller_reference(action_set)],
        },
        "type": "Opaque",
        "immutable": True,
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def make_kept(action_set: Object, action: int, content: FrozenAction) -> Object:
    """Return the Secret without an owner, of an action whose ActionSet is deleted.

    Args:
        action_set: Whose it is.
        action: The index of the action.
        content: What to keep.
    """
    secret = make_secret(action_set, action, content)
    metadata = {key: one for key, one in secret["metadata"].items() if key != "ownerReferences"}
    name = kept_name(action_set["metadata"]["uid"], action)
    return {**secret, "metadata": {**metadata, "name": name}}


def parse_secret(secret: Object, action_set: Object) -> FrozenAction:
    """Return what a Secret keeps.

    Args:
        secret: The Secret.
        action_set: The ActionSet that must own it: others may make a Secret of this name first. If
            it is deleted there may be no owner: `--cascade=orphan` takes it away as well.

    Raises:
        InvalidInput: It is not of this ActionSet, or cannot be read.
    """
    name = secret["metadata"]["name"]
    if not secret.get("immutable") or not _belongs_to(secret, action_set):
        raise InvalidInput(REASON_NAME_TAKEN, NAME_TAKEN.format(name=name))
    try:
        data = {key: base64.b64decode(text) for key, text in secret["data"].items()}
        content = json.loads(data[KEY_ACTION])
        return FrozenAction(
            spec=content["spec"],
            planned=content["planned"],
            objects=content["objects"],
            repeatable=content["repeatable"],
            parameters=data[KEY_PARAMETERS],
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        raise InvalidInput(REASON_NAME_TAKEN, NAME_TAKEN.format(name=name)) from None


def _belongs_to(secret: Object, action_set: Object) -> bool:
    metadata, uid = secret["metadata"], action_set["metadata"]["uid"]
    owners = metadata.get("ownerReferences") or ()
    if owners or not action_set["metadata"].get("deletionTimestamp"):
        return any(owner["uid"] == uid for owner in owners)
    return bool((metadata.get("labels") or {}).get(LABEL_UID) == uid)
