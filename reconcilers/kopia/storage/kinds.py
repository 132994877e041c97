"""The kinds of storage that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.kopia.storage import azure, filestore, gcs, s3
from reconcilers.secrets.data import TYPE_AWS, TYPE_AZURE, TYPE_GCP

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconcilers.kopia.storage.model import Source, Storage
    from reconcilers.secrets.data import SecretData

REASON_LOCATION_TYPE: Final = "LocationTypeUnknown"
UNKNOWN_LOCATION: Final = (
    "key {key} of Secret {ref}, named by {field}, is not a location type; use one of {known}"
)


@frozen
class Kind:
    """A kind of storage.

    Args:
        storage: Makes a storage of this kind from what says where it is; raises InvalidInput.
        credential_type: Type of a Secret with its credential; empty where it needs none.
    """

    storage: Callable[[Source], Storage]
    credential_type: str = ""


FILE_STORE: Final = Kind(filestore.storage)

# By the word under `type` in a location Secret.
KINDS: Final = {
    "s3": Kind(s3.storage, TYPE_AWS),
    "s3Compliant": Kind(s3.compatible, TYPE_AWS),
    "gcs": Kind(gcs.storage, TYPE_GCP),
    "azure": Kind(azure.storage, TYPE_AZURE),
    "filestore": FILE_STORE,
}
# The spellings of Kanister's documentation and of the design document.
OTHER_SPELLINGS: Final = {"fileStore": FILE_STORE, "file-store": FILE_STORE}


def kind_of(location: SecretData) -> Kind:
    """Return the kind of storage that a location Secret names.

    Raises:
        InvalidInput: It names none, or one that is not in `KINDS`.
    """
    kind = {**KINDS, **OTHER_SPELLINGS}.get(location.text("type"))
    if kind is None:
        raise location.refused(
            REASON_LOCATION_TYPE, UNKNOWN_LOCATION, "type", known=", ".join(sorted(KINDS))
        )
    return kind
