"""What Kopia is told on the client's side: configuration, environment and arguments.

No secret is among the arguments or in a file. The configuration is written by hand: `repository
connect` would keep the password beside it (Kopia repo/local_config.go, cli/password.go).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from reconcilers.kopia.client.errors import InvalidRequest
from reconcilers.kopia.client.model import SNAPSHOT_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from reconcilers.kopia.client.model import Limits, ServerConnection

#: The pin of every snapshot. The server applies the retention policy of a source whoever the client
#: is, and removes what has no pin (Kopia cli/command_snapshot_create.go, snapshot/policy).
PIN: Final = "until-deleted"

#: The tag that tells the snapshots of one attempt from all others, so that what a failed one has
#: left can be found.
ATTEMPT_TAG: Final = "repository-server-attempt"

CONFIG_FILE: Final = "repository.config"
CA_FILE: Final = "ca.crt"
CACHE_DIRECTORY: Final = "cache"

#: Hundredths of the files that are read again although they look the same as before.
_ALL: Final = 100

# The log is read: by it a command's progress and the cause of its end are known. Reports of
# failures are the caller's, and sending them would take the time of a server that is gone.
_GLOBAL: Final = (
    "--no-auto-maintenance",
    "--disable-file-logging",
    "--log-level=info",
    "--error-notifications=never",
)
_WITH_PROGRESS: Final = (*_GLOBAL, "--progress", "--progress-update-interval=300ms")
_WITHOUT_PROGRESS: Final = (*_GLOBAL, "--no-progress")


def configuration(connection: ServerConnection, limits: Limits, folder: Path) -> str:
    """Return Kopia's configuration file, as JSON without a secret.

    Args:
        connection: The server and the user.
        limits: Has the limit of the cache.
        folder: Where the cache is.
    """
    server = {"url": connection.url, "serverCertFingerprint": connection.fingerprint}
    config: dict[str, object] = {
        "apiServer": server,
        "hostname": connection.hostname,
        "username": connection.username,
        "enableActions": False,
    }
    if limits.cache_mb:
        # Kopia sweeps down to the first size, and never grows past the second.
        size = limits.cache_mb * 1000 * 1000
        config["caching"] = {
            "cacheDirectory": str(folder / CACHE_DIRECTORY),
            "maxCacheSize": size,
            "contentCacheSizeLimitBytes": size,
            "maxListCacheDuration": 30,
        }
    return json.dumps(config, indent=1, sort_keys=True)


def environment(connection: ServerConnection, folder: Path) -> dict[str, str]:
    """Return all variables of a Kopia process; it inherits none.

    A proxy of the environment would keep Kopia from a server in the cluster, and a variable of
    Kopia's own could change what this client relies on.

    Args:
        connection: Has the password.
        folder: Where the configuration is.
    """
    variables = {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PATH": "/usr/bin:/bin",
        "KOPIA_CONFIG_PATH": str(folder / CONFIG_FILE),
        "KOPIA_PASSWORD": connection.password,
        "KOPIA_PERSIST_CREDENTIALS_ON_CONNECT": "false",
        "KOPIA_CHECK_FOR_UPDATES": "false",
        "KOPIA_DISABLE_COLOR": "true",
    }
    if not connection.fingerprint:
        variables["SSL_CERT_FILE"] = str(folder / CA_FILE)
        # Without it Go adds the authorities in the folders of the system.
        variables["SSL_CERT_DIR"] = str(folder)
    return variables


def create(
    path: str,
    *,
    source: str,
    tags: Mapping[str, str],
    attempt: str,
    force_hash: bool = False,
) -> list[str]:
    """Return the arguments that back a folder or file up.

    Args:
        path: Absolute path of it.
        source: `USERNAME@HOSTNAME:PATH` that it stands for in the repository.
        tags: The caller's tags.
        attempt: Value of `ATTEMPT_TAG`.
        force_hash: Whether to read every file.
    """
    return [*_create(source, tags, attempt, force_hash=force_hash), path]


def create_from_stdin(
    directory: str, name: str, *, source: str, tags: Mapping[str, str], attempt: str
) -> list[str]:
    """Return the arguments that back standard input up as one file of one folder.

    Args:
        directory: Absolute path of the folder.
        name: Of the file.
        source: As of `create`.
        tags: As of `create`.
        attempt: As of `create`.
    """
    return [*_create(source, tags, attempt), f"--stdin-file={name}", directory]


def _create(
    source: str, tags: Mapping[str, str], attempt: str, *, force_hash: bool = False
) -> list[str]:
    return [
        *_WITH_PROGRESS,
        "snapshot",
        "create",
        "--json",
        "--json-verbose",
        "--fail-fast",
        "--no-send-snapshot-report",
        f"--pin={PIN}",
        f"--override-source={source}",
        *(f"--tags={name}:{value}" for name, value in checked_tags(tags).items()),
        f"--tags={ATTEMPT_TAG}:{attempt}",
        *([f"--force-hash={_ALL}"] if force_hash else []),
    ]


def restore(of: str, target: str, *, sparse: bool = False) -> list[str]:
    """Return the arguments that restore to a path.

    A path that ends in `.tar` or `.zip` is a path as others. What is there is overwritten. Without
    the right to set owners and modes Kopia ends with an error.

    Args:
        of: Id, with a path in it if not all is wanted.
        target: Absolute path.
        sparse: Whether files get holes in place of zeros.
    """
    return [
        *_WITH_PROGRESS,
        "snapshot",
        "restore",
        "--mode=local",
        "--no-ignore-permission-errors",
        *(["--write-sparse-files"] if sparse else []),
        of,
        target,
    ]


def show(of: str) -> list[str]:
    """Return the arguments that print the contents of a file.

    Args:
        of: Object id, with the path of the file in it.
    """
    return [*_WITHOUT_PROGRESS, "show", of]


def list_snapshots(
    source: str = "", tags: Mapping[str, str] | None = None, *, all_users: bool = False
) -> list[str]:
    """Return the arguments that list snapshots, incomplete ones as well.

    Args:
        source: `USERNAME@HOSTNAME:PATH`. Default: all.
        tags: Those that they must have.
        all_users: Whether to list those of other users that the server shows.
    """
    return [
        *_WITHOUT_PROGRESS,
        "snapshot",
        "list",
        "--json",
        "--json-verbose",
        "--incomplete",
        "--no-retention",
        *(["--all"] if all_users else []),
        *(f"--tags={name}:{value}" for name, value in (tags or {}).items()),
        *([source] if source else []),
    ]


def show_manifest(snapshot: str) -> list[str]:
    """Return the arguments that print the manifest of a snapshot."""
    return [*_WITHOUT_PROGRESS, "manifest", "show", snapshot_id(snapshot)]


def delete(snapshots: Iterable[str]) -> list[str]:
    """Return the arguments that delete snapshots.

    Args:
        snapshots: Their ids. Anything else is refused: Kopia would take it for an object, and
            delete all snapshots that have it for a root (cli/command_snapshot_delete.go).
    """
    ids = [snapshot_id(snapshot) for snapshot in snapshots]
    return [*_WITHOUT_PROGRESS, "snapshot", "delete", "--delete", *ids]


def verify(snapshot: str, percent: float) -> list[str]:
    """Return the arguments that read a snapshot back.

    Args:
        snapshot: Its id.
        percent: Share of the files that is read, from 0 to 100.
    """
    return [
        *_WITHOUT_PROGRESS,
        "snapshot",
        "verify",
        "--json",
        f"--verify-files-percent={percent:g}",
        snapshot_id(snapshot),
    ]


def snapshot_id(text: str) -> str:
    """Return the id of a snapshot, if it is one.

    Raises:
        InvalidRequest: It is not.
    """
    if not SNAPSHOT_ID.fullmatch(text):
        raise InvalidRequest(
            f"{text!r} is not the id of a snapshot; give the 32 hexadecimal digits that the backup "
            "returned"
        )
    return text


def checked_tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    """Return tags, if Kopia takes them.

    Raises:
        InvalidRequest: A name is empty, has a colon, or is the client's own.
    """
    for name in tags:
        if not name or ":" in name or name == ATTEMPT_TAG:
            raise InvalidRequest(
                f"{name!r} cannot be the name of a tag; give one without a colon, other than "
                f"{ATTEMPT_TAG}"
            )
    return tags
