"""The commands that are run in a server's container, beside the server.

They carry no secret: Kopia finds passwords in the container's environment and in files.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from reconcilers.kopia.cli import EXECUTABLE, GLOBAL_FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Opens no repository.
VERSION: Final = (EXECUTABLE, "--version")
REFRESH: Final = (EXECUTABLE, *GLOBAL_FLAGS, "server", "refresh")
STATUS: Final = (EXECUTABLE, *GLOBAL_FLAGS, "server", "status")

MAINTENANCE_INFO: Final = (EXECUTABLE, *GLOBAL_FLAGS, "maintenance", "info", "--json")

# Kopia does not look at its storage by itself. A folder that is gone, or a network file system that
# hangs, is noticed without it; an object store is not.
_SEE_DIRECTORY: Final = 'ls -d "$0" >/dev/null && exec "$@"'

# The server's users, in a volume of their own: the kubelet brings it up to date in a running pod.
USERS_DIRECTORY: Final = "/etc/kopia-users"
USERS_FILE: Final = "htpasswd"
USERS_VERSION_FILE: Final = "version"

_GLOBAL: Final = " ".join(GLOBAL_FLAGS)

# Prints Kopia's version as a line of one word, which is empty if it is not known, and then the
# users. One exec so answers what is asked of each new server. The version has a limit as the
# deletions below have.
_LIST_SCRIPT: Final = f"""
version=$(timeout -k 1 5 {EXECUTABLE} --version) || version=
set -f
set -- $version
printf '%s\\n' "${{1-}}"
exec {EXECUTABLE} {_GLOBAL} server user list --json
"""
LIST_USERS: Final = ("/bin/sh", "-c", _LIST_SCRIPT)
_VERSION_WORD: Final = re.compile(rb"[0-9A-Za-z.+-]{1,32}")

NOT_THERE_YET: Final = 75
# Waits for the kubelet at most four seconds: its next look at the pod may be a minute away.
_LOAD_SCRIPT: Final = f"""
tries=0
until [ "$(cat {USERS_DIRECTORY}/{USERS_VERSION_FILE})" = "$1" ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 40 ] || exit {NOT_THERE_YET}
  sleep 0.1
done
exec {" ".join(REFRESH)}
"""

# Reads names up to a line `end`, which no user has for a name: an exec's standard input cannot be
# closed in the protocol that every API server speaks. A name may begin with a dash, hence the `--`.
# Each deletion has a limit: BusyBox's timeout, under which the script runs, ends the shell alone.
_PURGE_SCRIPT: Final = f"""
while read -r user; do
  [ "$user" != end ] || exec {" ".join(REFRESH)}
  timeout -k 1 30 {EXECUTABLE} {_GLOBAL} server user delete -- "$user" >/dev/null || exit
done
exit 1
"""
PURGE_USERS: Final = ("/bin/sh", "-c", _PURGE_SCRIPT)


def ready_check(directory: str) -> tuple[str, ...]:
    """Return the command that succeeds while clients can use a server.

    Args:
        directory: The repository's folder in the container; empty where no file store has it.
    """
    return ("/bin/sh", "-c", _SEE_DIRECTORY, directory, *STATUS) if directory else STATUS


def load_users(version: str) -> tuple[str, ...]:
    """Return the command that loads the users into a running server.

    It ends with `NOT_THERE_YET` if the kubelet has not brought them into the pod.

    Args:
        version: Of the users, as it stands beside them.
    """
    return ("/bin/sh", "-c", _LOAD_SCRIPT, "load-users", version)


def purge_users_input(names: Iterable[str]) -> bytes:
    """Return what `PURGE_USERS` reads from standard input.

    Args:
        names: Users to delete from the repository; one that is not there is no error.
    """
    return "".join(f"{line}\n" for line in [*sorted(names), "end"]).encode()


def split_listing(output: bytes) -> tuple[bytes, bytes]:
    """Return what `LIST_USERS` printed: Kopia's version, for `kopia_version`, and the users.

    Args:
        output: Its standard output.
    """
    version, _, users = output.partition(b"\n")
    return version, users


def kopia_version(exit_code: int, output: bytes) -> str:
    """Return Kopia's version, as `VERSION` printed it.

    Args:
        exit_code: Of the command.
        output: Its standard output; the version is the first word.

    Raises:
        ValueError: The command has failed, or printed something else.
    """
    if exit_code != 0:
        raise ValueError(f"kopia --version has ended with code {exit_code}")
    words = output.split(maxsplit=1)
    if not words or not _VERSION_WORD.fullmatch(words[0]):
        raise ValueError("kopia --version has printed no version")
    return words[0].decode()


def maintenance_owner(exit_code: int, output: bytes) -> str:
    """Return who owns the repository's maintenance, as `MAINTENANCE_INFO` printed it.

    Args:
        exit_code: Of the command.
        output: Its standard output.

    Raises:
        ValueError: The command has failed, or printed something else.
    """
    if exit_code != 0:
        raise ValueError(f"kopia maintenance info has ended with code {exit_code}")
    try:
        info = json.loads(output)
    except RecursionError:
        raise ValueError("kopia maintenance info has printed what is nested too deep") from None
    owner = info.get("owner") if isinstance(info, dict) else None
    if not owner:
        raise ValueError("kopia maintenance info has printed no owner")
    return str(owner)
