"""Arguments and outputs that several functions have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers.datafunctions import units
from reconcilers.datafunctions.arguments import Need, flag, mapping, text, tree, words
from reconcilers.datafunctions.function import Output

if TYPE_CHECKING:
    from reconcilers.kopia.client.model import Snapshot

BACKUP_ID: Final = Output("backupID", "id of the snapshot")
BACKUP_TAG: Final = Output("backupTag", "a tag that no other snapshot has")
FILE_COUNT: Final = Output("fileCount", "number of files in the snapshot")
SIZE: Final = Output("size", "bytes of the files, such as `1.234 MiB`")
UPLOADED: Final = Output("phySize", "bytes that were sent to the server, such as `1.234 MiB`")
SPACE_FREED: Final = Output(
    "spaceFreed", "`0 B`: the repository's maintenance frees the space later"
)
VERSION_OUTPUT: Final = Output("version", "the function's version, `v1.0.0-alpha`")


def sizes(snapshot: Snapshot) -> dict[str, str]:
    """Return the outputs `fileCount`, `size` and `phySize` of a backup.

    Args:
        snapshot: What the backup has made.
    """
    return {
        FILE_COUNT.name: str(snapshot.files),
        SIZE.name: units.binary(snapshot.size),
        UPLOADED.name: units.binary(snapshot.uploaded or 0),
    }


def namespace() -> Any:  # noqa: ANN401 - a field of attrs, as of `arguments.text`
    """Return the argument `namespace`."""
    return text("namespace", "the namespace of the workload", need=Need.IN_PHASE)


def pod(description: str, *, need: Need = Need.IN_PHASE) -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `pod`."""
    return text("pod", description, need=need)


def pods(default: str) -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `pods`.

    Args:
        default: Which pods it is where it is not given.
    """
    return words("pods", f"the names of the pods; by default {default}")


def container() -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `container`."""
    return text("container", "the container that sees the data", need=Need.IN_PHASE)


def include_path() -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `includePath`."""
    return text(
        "includePath", "the absolute path of the data in the workload's pod", need=Need.ALWAYS
    )


def prefix(name: str = "backupArtifactPrefix") -> Any:  # noqa: ANN401 - as namespace
    """Return the argument that was the path of restic's repository."""
    return text(
        name,
        "kept as the tag backupArtifactPrefix of the snapshot; with restic, the repository",
        need=Need.IN_PHASE,
    )


def backup_info() -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `backupInfo`."""
    return text("backupInfo", "the output BackupAllInfo of BackupDataAll", need=Need.ALWAYS)


def restore_path() -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `restorePath` of the functions that restic has shaped."""
    return text(
        "restorePath",
        "the folder below which the data gets the path that it was backed up from",
        default="/",
    )


def user_hostname() -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `repositoryServerUserHostname`."""
    return text(
        "repositoryServerUserHostname",
        "which of the users to connect as, by a key of the user access Secret",
    )


def volumes() -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `volumes`."""
    return mapping("volumes", "the claims, and the paths that they are mounted at")


def image(need: Need = Need.NEVER) -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `image`."""
    return text("image", "the image of the pod that the function makes", need=need)


def encryption_key() -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `encryptionKey`."""
    return text("encryptionKey", "with restic, the password of the repository")


def insecure_tls() -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `insecureTLS`."""
    return flag("insecureTLS", "with restic, whether any certificate was accepted")


def reclaim_space() -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `reclaimSpace`."""
    return flag("reclaimSpace", "with restic, whether space was freed at once")


def pod_override() -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `podOverride`."""
    return tree("podOverride", "a partial PodSpec for the pod that the function makes")


def pod_annotations() -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `podAnnotations`."""
    return mapping("podAnnotations", "annotations of the pod that the function makes")


def pod_labels() -> Any:  # noqa: ANN401 - as namespace
    """Return the argument `podLabels`."""
    return mapping("podLabels", "labels of the pod that the function makes")
