"""Whether an observed object is as desired."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from controller.jsonvalue import canonical
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.pods.strategicmerge import Path

# What is known, and what has happened: not what is desired.
_BOOKKEEPING: Final = frozenset(
    {
        names.ANNOTATION_CHANGED,
        names.ANNOTATION_GAVE_BACK,
        names.ANNOTATION_GENERATION,
        names.ANNOTATION_NUDGED,
        names.ANNOTATION_RECORD,
        names.ANNOTATION_REFUSED,
        names.ANNOTATION_YIELDED,
    }
)

# Fields whose value must be as written, not merely hold what was written: one selector label too
# many and a Service selects nothing, one peer too many and a stranger may connect. By path: a label
# may be called as one of them.
_EXACT: Final = frozenset({("spec", "selector"), ("spec", "podSelector"), ("spec", "ingress")})

# Lists that others may add to, with the field that tells their items apart: an owner of their own.
_KEYED: Final[Mapping[Path, str]] = {("metadata", "ownerReferences"): "uid"}


def with_applied(desired: Mapping[str, Any]) -> dict[str, Any]:
    """Return a desired object with its own digest as an annotation.

    By it a field that is no longer desired is noticed, which a comparison with the observed object
    cannot see.
    """
    metadata = desired["metadata"]
    wished = {**desired, "metadata": desired_metadata(metadata)}
    if "replicas" in desired.get("spec", {}):
        # The rollout changes it, and no event is due for that.
        wished["spec"] = {**desired["spec"], "replicas": None}
    applied = hashlib.sha256(canonical(wished)).hexdigest()[: names.HASH_LENGTH]
    annotations = {**metadata.get("annotations", {}), names.ANNOTATION_APPLIED: applied}
    return {**desired, "metadata": {**metadata, "annotations": annotations}}


def desired_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a desired object without its bookkeeping annotations."""
    annotations = metadata.get("annotations", {})
    kept = {key: value for key, value in annotations.items() if key not in _BOOKKEEPING}
    return {**metadata, "annotations": kept}


def replacing(desired: Mapping[str, Any], observed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch that makes an observed specification the desired one and no more.

    A field that the API server adds by default is among those that it removes, and is added again.

    Args:
        desired: The specification as it should be, or a part of it.
        observed: The same as it is.
    """
    patch: dict[str, Any] = dict.fromkeys(observed.keys() - desired.keys())
    for name, value in desired.items():
        found = observed.get(name)
        if isinstance(value, dict) and isinstance(found, dict):
            patch[name] = replacing(value, found)
        else:
            patch[name] = value
    return patch


def differs(desired: Any, observed: Any, at: Path = ()) -> bool:  # noqa: ANN401 - JSON values
    """Return whether an observed object lacks something of the desired one.

    What the API server or others add is let be, except in selectors and rules, where an addition
    changes who connects to what.

    Args:
        desired: The object as it should be, or a part of it.
        observed: The same of the object as it is.
        at: Where the part stands in the object; the items of a list stand where the list does.
    """
    if desired == observed:
        return False
    if at in _EXACT:
        return True
    if isinstance(desired, dict):
        return not isinstance(observed, dict) or any(
            differs(value, observed.get(name), (*at, name)) for name, value in desired.items()
        )
    if at in _KEYED:
        key = _KEYED[at]
        items = {item[key]: item for item in observed or ()}
        return any(differs(item, items.get(item[key]), (*at, "")) for item in desired)
    if isinstance(desired, list):
        return (
            not isinstance(observed, list)
            or len(desired) != len(observed)
            or any(differs(*pair, (*at, "")) for pair in zip(desired, observed, strict=True))
        )
    return True
