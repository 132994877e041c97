"""What several functions do: back up a folder of the workload, restore a snapshot to one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from reconcilers.datafunctions import places, units
from reconcilers.datafunctions.errors import Refused
from reconcilers.kopia.client.model import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from reconcilers.datafunctions.function import Run
    from reconcilers.datafunctions.sources import Source
    from reconcilers.kopia.client.model import Snapshot

NOT_THERE: Final = (
    "argument {argument}: there is no {path} in this pod; mount the volume there, or give the "
    "folder below which it is mounted as --root"
)
BACKED_UP: Final = "backed up {path}: {files} files, {size}, as snapshot {id}"
RESTORED: Final = "restored {path}: {files} files, {size}, of snapshot {id}"
READ_ONLY: Final = (
    "argument restorePath: {folder} is on a read-only file system, and Kopia writes beside the "
    "folder that it restores to; mount the volume below an emptyDir, and give that as --root"
)
NO_VOLUME: Final = (
    "argument restorePath: {path} is on no volume of this pod, and would be lost with it; it has "
    "volumes at {mounted}"
)
BETWEEN: Final = "what is restored to {path} beside the volumes at {mounted} is lost with this pod"
LEFT_OUT: Final = (
    "{files} files and {directories} folders of {path} are not in the snapshot: a policy of the "
    "repository, a .kopiaignore file or a CACHEDIR.TAG leaves them out"
)


def back_up(
    run: Run,
    path: str,
    *,
    argument: str,
    source: Source,
    tags: Mapping[str, str],
    root: Path | None = None,
    what: str = "",
) -> Snapshot:
    """Back up a folder of the workload, and return the snapshot.

    Args:
        run: The run.
        path: Absolute path in a pod of the workload.
        argument: Name of the argument with the path, for the message.
        source: What the snapshot is of.
        tags: Its tags.
        root: Below which the workload's files are in this pod. Default: that of the run.
        what: What is backed up, in a word, for the progress. Default: the path.

    Raises:
        Refused: It is not in this pod.
        ClientFailed: It cannot be backed up.
    """
    folder = places.in_pod(root or run.root, path)
    if _exists(folder) is False:
        raise Refused(NOT_THERE.format(argument=argument, path=folder))
    show = run.progress_of(what or path)
    snapshot = run.client.back_up(
        folder, source=source.path, tags=tags, force_hash=source.force_hash, on_progress=show
    )
    show(_done(snapshot.files, snapshot.size, uploaded=snapshot.uploaded or 0))
    words = {"path": path, "id": snapshot.id, "size": units.decimal(snapshot.size)}
    run.say(BACKED_UP.format(files=snapshot.files, **words))
    if snapshot.excluded_files or snapshot.excluded_directories:
        run.warn(
            LEFT_OUT.format(
                files=snapshot.excluded_files,
                directories=snapshot.excluded_directories,
                path=path,
            )
        )
    return snapshot


def _exists(path: Path) -> bool | None:
    """Return whether something is at a path; None if this user may not look: Kopia says that."""
    try:
        return path.exists()
    except OSError:
        return None


def is_read_only(folder: Path) -> bool:
    """Return whether a folder is on a file system that nothing can be written to."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def restore(
    run: Run,
    snapshot: str | Snapshot,
    target: places.Target,
    *,
    root: Path | None = None,
    what: str = "",
) -> None:
    """Restore a snapshot, or a folder of it, to a folder of the workload.

    Args:
        run: The run.
        snapshot: The snapshot, or its id.
        target: What of it, and where to.
        root: Below which the workload's files are in this pod. Default: that of the run.
        what: What is restored, in a word, for the progress. Default: the path.

    Raises:
        Refused: The folder is on no volume, or the one above on a read-only file system.
        ClientFailed: It cannot be restored.
    """
    _check_volume(run, target.path)
    folder = places.in_pod(root or run.root, target.path)
    # Kopia: snapshot/restore/local_fs_output.go removes PATH.kopia-entry after each folder. Where
    # nothing can be written that fails also if there is none.
    above = next((parent for parent in folder.parents if _exists(parent)), folder)
    if is_read_only(above):
        raise Refused(READ_ONLY.format(folder=above))
    show = run.progress_of(what or target.path)
    restored = run.client.restore(
        snapshot, folder, path=target.within, sparse=run.sparse, on_progress=show
    )
    entries = restored.files + restored.directories + restored.symlinks
    show(_done(entries, restored.size))
    id_ = snapshot if isinstance(snapshot, str) else snapshot.id
    words = {"path": folder, "id": id_, "size": units.decimal(restored.size)}
    run.say(RESTORED.format(files=restored.files, **words))


def _done(files: int, size: int, *, uploaded: int = 0) -> Progress:
    """Return the progress of what is done: others may still run, at a rate of their own."""
    return Progress(files=files, size=size, uploaded=uploaded, total_size=size)


def _check_volume(run: Run, path: str) -> None:
    """Refuse a path that is on no volume, where it is known which there are."""
    if not run.mounted or any(places.is_below(path, volume) for volume in run.mounted):
        return
    below = [volume for volume in run.mounted if places.is_below(volume, path)]
    if not below:
        raise Refused(NO_VOLUME.format(path=path, mounted=", ".join(run.mounted)))
    run.warn(BETWEEN.format(path=path, mounted=", ".join(below)))


def check_mounted(run: Run, paths: Iterable[str], *, argument: str) -> None:
    """Refuse paths of the workload that this pod does not see.

    Args:
        run: The run.
        paths: Absolute paths in a pod of the workload.
        argument: Name of the argument with the paths, for the message.

    Raises:
        Refused: One is not in this pod.
    """
    for path in paths:
        folder = places.in_pod(run.root, places.absolute(argument, path))
        if _exists(folder) is not None and not folder.is_dir():
            raise Refused(NOT_THERE.format(argument=argument, path=folder))
