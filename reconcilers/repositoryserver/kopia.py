"""Kopia in the server's container: the commands that are run there, and what their words mean.

The commands carry no secret: Kopia finds passwords in the container's environment, and what changes
users comes over standard input.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from reconcilers.repositoryserver.storage.filestore import DATA_DIRECTORY

if TYPE_CHECKING:
    from reconcilers.repositoryserver.users import Plan

EXECUTABLE = "/bin/kopia"
# A writer command may otherwise run the repository's maintenance, which is its owner's business.
GLOBAL_FLAGS = ("--no-auto-maintenance", "--disable-file-logging", "--log-level=error")

LIST_USERS = (EXECUTABLE, *GLOBAL_FLAGS, "server", "user", "list", "--json")
REFRESH = (EXECUTABLE, *GLOBAL_FLAGS, "server", "refresh")
STATUS = (EXECUTABLE, *GLOBAL_FLAGS, "server", "status")

# Printed between the last change and the refresh, so that a failure can be told apart.
USERS_CHANGED = b"users-changed"

_GLOBAL = " ".join(GLOBAL_FLAGS)
# Reads lines of verb, user and hash up to `end`: an exec's standard input cannot be closed in the
# protocol that every API server speaks. Stops at the first command that fails, and refreshes the
# server at the end. A hash is an argument of the Kopia process for a quarter of a second; it never
# leaves the container. A user's name may begin with a dash, so it stands behind `--`.
_CHANGE_USERS_SCRIPT = f"""
change() {{
  {EXECUTABLE} {_GLOBAL} server user "$1" --user-password-hash="$hash" -- "$user" >/dev/null
}}
while read -r verb user hash; do
  case "$verb" in
    put) change add || change set || exit ;;
    set) change set || exit ;;
    delete) {EXECUTABLE} {_GLOBAL} server user delete -- "$user" >/dev/null || exit ;;
    end) echo {USERS_CHANGED.decode()} && exec {" ".join(REFRESH)} ;;
  esac
done
exit 1
"""
CHANGE_USERS = ("/bin/sh", "-c", _CHANGE_USERS_SCRIPT)

REASON_PASSWORD = "RepositoryPasswordWrong"  # noqa: S105 - a reason
REASON_NO_REPOSITORY = "RepositoryMissing"
REASON_PERMISSION = "StoragePermissionDenied"
REASON_STORAGE = "StorageUnavailable"
REASON_OUT_OF_MEMORY = "OutOfMemory"
REASON_EXITED = "KopiaExited"

NOT_OPENED = (
    "Kopia cannot open the repository at {storage}: key repo-password of Secret {password} is not "
    "its password; correct the key"
)
NO_REPOSITORY = (
    "there is no Kopia repository at {storage}; correct spec.repository.rootPath or Secret "
    "{location}, or create the repository with `kopia repository create`"
)
PERMISSION_DENIED = (
    "Kopia runs as user {user} and may not use {path} of {storage}; set spec.server.runAsUser to "
    "the owner of the files, or change their owner"
)
STORAGE_UNAVAILABLE = "Kopia cannot reach {storage}: {cause}"
OUT_OF_MEMORY = (
    "Kopia was killed for want of memory (exit code {code}); raise the memory limit that a "
    "LimitRange of the namespace gives the pod, or give the node more memory"
)
EXITED = "Kopia ended with exit code {code}: {cause}"

_CAUSE_LENGTH = 300

# Only what is below the mount of the storage: a cache that cannot be written is another fault.
_DENIED = re.compile(
    rf"({DATA_DIRECTORY}\S*): (?:permission denied|operation not permitted)",
)
_NO_REPOSITORY = re.compile(
    r"repository not initialized|kopia\.repository blob: BLOB not found|no such file or directory"
)
_NO_STORAGE = re.compile(r"cannot (?:open|access) storage|can't connect to storage")


@frozen
class Setting:
    """What the messages name.

    Attributes:
        storage: Where the repository is, in words.
        location: Secret of the location.
        password: Secret of the repository password.
        user: User id of the server process.
        credential: Secret of the storage credential; empty where there is none.
    """

    storage: str
    location: str
    password: str
    user: int
    credential: str = ""


@frozen
class Explanation:
    """What ended a Kopia command.

    Attributes:
        opened: Whether the repository had been opened, so that the fault is a later one.
        reason: CamelCase word.
        message: The fault and its fix.
    """

    opened: bool
    reason: str
    message: str


def change_users_input(plan: Plan) -> bytes:
    """Return what `CHANGE_USERS` reads from standard input for a plan."""
    lines = [f"delete {name} -" for name in plan.delete]
    lines += [f"set {name} {hash_}" for name, hash_ in plan.set_.items()]
    lines += [f"put {name} {hash_}" for name, hash_ in plan.put.items()]
    return "".join(f"{line}\n" for line in [*lines, "end - -"]).encode()


def explain(
    output: str, code: int, setting: Setting, *, out_of_memory: bool = False
) -> Explanation:
    """Say why a Kopia command or server failed.

    Kopia ends with code 1 whatever is wrong, so the text decides (tried with v0.23.1).

    Args:
        output: The end of what Kopia printed.
        code: Its exit code.
        setting: What the message names.
        out_of_memory: Whether the kubelet says that the kernel killed it.
    """
    # In this order: a wrong path and a forbidden one both mention the storage.
    if out_of_memory:
        return Explanation(
            opened=True, reason=REASON_OUT_OF_MEMORY, message=OUT_OF_MEMORY.format(code=code)
        )
    if "invalid repository password" in output:
        message = NOT_OPENED.format(storage=setting.storage, password=setting.password)
        return Explanation(opened=False, reason=REASON_PASSWORD, message=message)
    if denied := _DENIED.search(output):
        message = PERMISSION_DENIED.format(
            user=setting.user, path=denied.group(1), storage=setting.storage
        )
        return Explanation(opened=False, reason=REASON_PERMISSION, message=message)
    if _NO_REPOSITORY.search(output):
        message = NO_REPOSITORY.format(storage=setting.storage, location=setting.location)
        return Explanation(opened=False, reason=REASON_NO_REPOSITORY, message=message)
    cause = last_line(output)
    if _NO_STORAGE.search(output):
        message = STORAGE_UNAVAILABLE.format(storage=setting.storage, cause=cause)
        return Explanation(opened=False, reason=REASON_STORAGE, message=message)
    message = EXITED.format(code=code, cause=cause)
    return Explanation(opened=True, reason=REASON_EXITED, message=message)


def last_line(output: str) -> str:
    """Return the line that says why, without colours, cut to 300 characters.

    The last one, unless Kopia panicked: then what follows is a trace of its stack.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    panics = [line for line in lines if line.startswith(("panic:", "fatal error:"))]
    return (*lines, *panics[:1])[-1][:_CAUSE_LENGTH] if lines else "it printed nothing"
