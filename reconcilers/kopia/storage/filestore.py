"""A file store: a folder of a PersistentVolumeClaim."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from reconcilers.errors import InvalidInput
from reconcilers.kopia.storage.model import Storage

if TYPE_CHECKING:
    from reconcilers.kopia.storage.model import Source
    from reconcilers.secrets.data import SecretData

DATA_DIRECTORY: Final = "/mnt/data"
#: Name of the volume in a pod.
VOLUME: Final = "data"

REASON_CLAIM_NAME: Final = "ClaimNameInvalid"
CLAIM_NAME: Final = (
    "key {key} of Secret {ref}, named by {field}, is not a valid name for a PersistentVolumeClaim; "
    "put the name of the claim with the file store there"
)
REASON_POINT_IN_TIME: Final = "PointInTimeUnsupported"
POINT_IN_TIME: Final = (
    "spec.repository.pointInTime needs a storage that keeps earlier versions, which a file store "
    "does not; remove it, or use a snapshot of the claim"
)

# DNS subdomain, which names of claims are.
_OBJECT_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def storage(source: Source) -> Storage:
    """Return the storage on a claim.

    Raises:
        InvalidInput: There is no claim's name, the path leaves the claim, or a former state of it
            is asked for.
    """
    if source.point_in_time is not None:
        raise InvalidInput(REASON_POINT_IN_TIME, POINT_IN_TIME)
    claim = _claim_name(source.location)
    # A claim that can only be read is neither attached nor mounted otherwise.
    read_only = {"readOnly": True} if source.read_only else {}
    return Storage(
        type_="filesystem",
        # Two slashes where the path begins with one: so it was.
        config={"path": f"{DATA_DIRECTORY}/{source.path}"},
        label=f"{source.place} on PersistentVolumeClaim {source.namespace}/{claim}",
        volumes=[
            {"name": VOLUME, "persistentVolumeClaim": {"claimName": claim, **read_only}},
        ],
        mounts=[{"name": VOLUME, "mountPath": DATA_DIRECTORY, **read_only}],
        claim=claim,
    )


def _claim_name(location: SecretData) -> str:
    name = location.text("claimName")
    if not _OBJECT_NAME.fullmatch(name):
        raise location.refused(REASON_CLAIM_NAME, CLAIM_NAME, "claimName")
    return name
