"""What Kanister has and this engine does not, in words for who asks for it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from reconcilers.datafunctions.function import VERSION
from reconcilers.datafunctions.registry import FunctionUnknown, Named, Registry
from reconcilers.datafunctions.versions import DEFAULT_VERSION, normalized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.datafunctions.registry import Found

F = TypeVar("F", bound=Named)

OF_RESTIC: Final = (
    "function {name} at v0.0.0 is Kanister's on restic, which is not here; set preferredVersion: "
    "{version} in the ActionSet's action: it has the same arguments and outputs, and backs up "
    "through the action's RepositoryServer"
)
NOT_HERE: Final = "function {name} is not here: {instead}; there are: {names}"

_SNAPSHOTS: Final = (
    "snapshots of volumes are taken by their storage's own means, such as a VolumeSnapshot that "
    "KubeOps creates"
)
_DATABASES: Final = "it works with a cloud's databases; use Kanister's own operator for it"

#: What to do in place of each of Kanister's other functions (Kanister pkg/function).
INSTEAD: Final[Mapping[str, str]] = {
    "CheckRepository": "a RepositoryServer's conditions say whether its repository can be used",
    "LocationDelete": "DeleteData deletes a snapshot, repository-server-functions delete a stream",
    "CreateCSISnapshot": _SNAPSHOTS,
    "CreateCSISnapshotStatic": _SNAPSHOTS,
    "DeleteCSISnapshot": _SNAPSHOTS,
    "DeleteCSISnapshotContent": _SNAPSHOTS,
    "RestoreCSISnapshot": _SNAPSHOTS,
    "CreateVolumeFromSnapshot": _SNAPSHOTS,
    "CreateVolumeSnapshot": _SNAPSHOTS,
    "DeleteVolumeSnapshot": _SNAPSHOTS,
    "WaitForSnapshotCompletion": _SNAPSHOTS,
    "CreateRDSSnapshot": _DATABASES,
    "DeleteRDSSnapshot": _DATABASES,
    "ExportRDSSnapshotToLocation": _DATABASES,
    "RestoreRDSSnapshot": _DATABASES,
}


class Catalogue(Registry[F]):
    """Functions by name and version, with words for those of Kanister that are not among them."""

    def find(self, name: str, version: str = "") -> Found[F]:
        """Return the function of a name at a version, or else at v0.0.0.

        Args:
            name: As a Blueprint names it.
            version: The ActionSet's `preferredVersion`. Default: v0.0.0.

        Raises:
            FunctionUnknown: There is none; the message says what to do.
        """
        try:
            return super().find(name, version)
        except FunctionUnknown:
            known = {one.name: one.version for one in self}
            if name in INSTEAD and name not in known:
                names = ", ".join(sorted(known))
                message = NOT_HERE.format(name=name, instead=INSTEAD[name], names=names)
                raise FunctionUnknown(message) from None
            if known.get(name) == VERSION and _is_default(version):
                raise FunctionUnknown(OF_RESTIC.format(name=name, version=VERSION)) from None
            raise


def _is_default(version: str) -> bool:
    try:
        return normalized(version) == DEFAULT_VERSION
    except ValueError:
        return False
