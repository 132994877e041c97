"""Which fields of an object a cache keeps."""

from typing import Final

from controller.resource import Object

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def default_trim(obj: Object) -> Object:
    """Drop the managed fields and the annotation of `kubectl apply` from an object.

    No reconciler reads them, and they are a third of its size or more. The annotation holds the
    data of a Secret, also where only metadata is watched.

    Args:
        obj: The object. It and its metadata are changed, deeper values are not.

    Returns:
        The same object.
    """
    metadata = obj["metadata"]
    metadata.pop("managedFields", None)
    annotations = metadata.get("annotations")
    if annotations and LAST_APPLIED in annotations:
        # A new mapping: a shallow copy of the metadata shares the old one.
        metadata["annotations"] = {k: v for k, v in annotations.items() if k != LAST_APPLIED}
    return obj
