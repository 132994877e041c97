"""What of an object is worth keeping in a cache."""

from typing import Final

from controller.resource import Object

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def default_trim(obj: Object) -> Object:
    """Drop what no reconciler reads and what makes up a third of an object's size or more.

    The annotation that `kubectl apply` leaves holds a Secret's data in full, even where only
    metadata is watched.

    Args:
        obj: The object; it and its metadata are changed, what is nested deeper is not.

    Returns:
        The same object.
    """
    metadata = obj["metadata"]
    metadata.pop("managedFields", None)
    annotations = metadata.get("annotations")
    if annotations and LAST_APPLIED in annotations:
        # A new mapping: whoever copied the metadata before shares the old one.
        metadata["annotations"] = {k: v for k, v in annotations.items() if k != LAST_APPLIED}
    return obj
