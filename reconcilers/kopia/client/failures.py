"""From Kopia's words to what has failed, and what to do.

Kopia ends with code 1 whatever is wrong: a fault is known by its words. Each entry names where they
come from in Kopia 0.23.1; the tests have them as the program prints them.
"""

from __future__ import annotations

import errno
import re
import signal
from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.kopia.client.errors import ClientFailed, Kind
from reconcilers.kopia.failures import last_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconcilers.kopia.client.model import Ended
    from reconcilers.kopia.client.output import Failed

#: What is done: some words mean something else when something else was done.
BACK_UP: Final = "back up"
RESTORE: Final = "restore"
READ: Final = "read"
DELETE: Final = "delete"

DENIED: Final = (
    "the server denies access to {user}; correct the password, or add the user to the Secret with "
    "the server's users"
)
NOT_ALLOWED: Final = (
    "the server does not allow {user} to {doing} {what}; connect as the user whose it is, or allow "
    "it by an ACL of the repository"
)
CERTIFICATE: Final = (
    "the certificate of the server at {url} is not the expected one: {cause}; take the fingerprint "
    "of now from the server's connection Secret"
)
GONE: Final = (
    "the server at {url} went away while it was used: {cause}; see its log and its conditions, and "
    "try again"
)
NOT_OPENED: Final = (
    "the server at {url} has no repository open: {cause}; see its conditions, and try again"
)
REPOSITORY: Final = (
    "the server at {url} cannot {doing} {what}: {cause}; see its conditions and its storage, and "
    "try again"
)
DAMAGED: Final = (
    "the contents of {what} cannot be read as they were written: {cause}; check the storage of the "
    "repository, and restore from another snapshot"
)
NO_SUCH: Final = (
    "there is no {what} in the repository, or nothing of that name in it; list the snapshots of "
    "{user} and give one of their ids"
)
UNREADABLE: Final = (
    "{what} cannot be backed up: {failed}; nothing was kept; let this process read it, as root for "
    "example, or leave it out by a .kopiaignore file"
)
CHANGED: Final = (
    "{what} cannot be backed up: {failed} while it was read; nothing was kept; try again, or back "
    "up while nothing writes there"
)
CONFLICT: Final = (
    "{what} cannot be backed up: another client changed policies of the repository at the same "
    "moment; try again"
)
NO_SOURCE: Final = "{what} cannot be backed up: it is not there; correct the path"
OWNERS: Final = (
    "{what} cannot be restored with its owners, modes and times: {cause}; run as root with the "
    "capabilities CHOWN, FOWNER and DAC_OVERRIDE; what was restored so far is at {target}"
)
TARGET: Final = (
    "{what} cannot be restored to {target}: {cause}; remove what is in the way, or restore to "
    "another path; what was restored so far is there"
)
DISK_FULL: Final = (
    "{what} cannot be restored: {target} is full: {cause}; make room, and restore to the same path "
    "again; what was restored so far is there, with a file or more that are not complete"
)
OUT_OF_MEMORY: Final = (
    "Kopia ran out of memory and was killed; raise the memory limit of the container that it runs "
    "in"
)
UNKNOWN: Final = "Kopia cannot {doing} {what} and ended with code {code}: {cause}"

#: Characters of a cause, and of the line that it is taken from.
_CAUSE_LENGTH: Final = 300
_LINE_LENGTH: Final = 3000

# What Kopia names before the cause, from the outside in.
_PASSED_ON: Final = re.compile(
    r"^(?:(?:failed to open repository|open repository|unable to open repository|error restoring|"
    r"restore error|error copying|copy file|copy directory contents|finish directory|"
    r"create directory|create symlink|error creating directory|error creating file|"
    r"error setting attributes|flush error|upload error|error flushing writer|"
    r"error waiting for async writes|unable to establish session for purpose=[^:]*|"
    r"error establishing session|unable to initialize session|Session\(\)): |"
    r'rpc error: code = \w+ desc = |connection error: desc = "transport: )+'
)


@frozen
class Setting:
    """What the messages name.

    Args:
        url: Of the server.
        user: `USERNAME@HOSTNAME`.
        doing: One of the words above.
        what: What is backed up, restored, read or deleted.
        target: Where to. Default: nowhere.
    """

    url: str
    user: str
    doing: str
    what: str
    target: str = ""


@frozen
class _Rule:
    """One fault, in all words that are known for it.

    Args:
        words: Finds it in a line.
        kind: What it is.
        message: Template of the fault and its fix.
        doing: What must have been done. Default: anything.
    """

    words: re.Pattern[str]
    kind: Kind
    message: str
    doing: frozenset[str] = frozenset((BACK_UP, RESTORE, READ, DELETE))


def _any(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives))


_WRITES_FILES: Final = frozenset((RESTORE,))
_READS_FILES: Final = frozenset((BACK_UP,))
_READS_SNAPSHOTS: Final = frozenset((RESTORE, READ))

# In the order in which they are looked for.
_RULES: Final = (
    # internal/server/grpc_session.go, authenticateGRPCSession
    _Rule(_any(r"PermissionDenied desc = (?:access denied|missing)"), Kind.ACCESS_DENIED, DENIED),
    # internal/server/grpc_session.go, accessDeniedError
    _Rule(_any(r"access denied"), Kind.ACCESS_DENIED, NOT_ALLOWED),
    # internal/tlsutil/tlsutil.go; Go: crypto/x509 verify.go
    _Rule(
        _any(r"can't find certificate matching SHA256 fingerprint", r"x509: "),
        Kind.CERTIFICATE,
        CERTIFICATE,
    ),
    # internal/server/grpc_session.go, Session
    _Rule(_any(r"not connected to a direct repository"), Kind.REPOSITORY, NOT_OPENED),
    # grpc-go: the codes of status; repo/grpc_repository_client.go adds EOF to a broken stream
    _Rule(
        _any(
            r"rpc error: code = (?:Unavailable|Canceled|DeadlineExceeded)",
            r"connection error: desc",
            r"unable to establish session",
            r"did not receive response from the server",
            r"closing transport",
            r": EOF$",
        ),
        Kind.SERVER_GONE,
        GONE,
    ),
    # Go's names of ENOSPC and EDQUOT, of a write by snapshot/restore/local_fs_output.go
    _Rule(
        _any(r"no space left on device", r"disk quota exceeded"),
        Kind.DISK_FULL,
        DISK_FULL,
        _WRITES_FILES,
    ),
    # snapshot/restore/local_fs_output.go, setAttributes
    _Rule(
        _any(
            r"could not change (?:owner/group|permissions|mod time) .*: "
            r"(?:operation not permitted|permission denied)"
        ),
        Kind.OWNERS,
        OWNERS,
        _WRITES_FILES,
    ),
    # repo/content/content_manager.go, repo/blob; what encryption and hashing find
    _Rule(
        _any(
            r"invalid checksum",
            r"message authentication failed",
            r"unable to decrypt",
            r"BLOB not found",
            r"invalid content",
            r"object is backed by missing blob",
        ),
        Kind.DAMAGED,
        DAMAGED,
        _READS_SNAPSHOTS,
    ),
    # snapshot/policy/policy_manager.go: each backup of a source that was named by hand replaces its
    # policy, and each looks through those of all sources of the user
    _Rule(_any(r"policy not found"), Kind.CONFLICT, CONFLICT, _READS_FILES),
    # snapshot/snapshotfs/objref.go; repo/manifest, repo/object
    _Rule(
        _any(
            r"entry not found",
            r"object not found",
            r"can't parse object ID",
            r"snapshot not found",
            r"requested snapshot IDs to verify",
            r"error getting metadata for .*: not found",
            r"no snapshots matched",
        ),
        Kind.NO_SUCH_SNAPSHOT,
        NO_SUCH,
    ),
    # snapshot/restore/local_fs_output.go: what is in the way, in the words of Go's syscall package
    _Rule(
        _any(
            r"already exists",
            r"will not overwrite",
            r"is a directory",
            r"not a directory",
            r"permission denied",
            r"operation not permitted",
            r"read-only file system",
            r"file name too long",
            r"too many levels of symbolic links",
            r"text file busy",
            r"device or resource busy",
        ),
        Kind.TARGET,
        TARGET,
        _WRITES_FILES,
    ),
    # fs/localfs: what is not there at the beginning
    _Rule(
        _any(r"failed to prepare source: .*no such file or directory"),
        Kind.SOURCE_UNREADABLE,
        NO_SOURCE,
        _READS_FILES,
    ),
    # snapshot/upload/upload.go: the path itself
    _Rule(
        _any(
            r"(?:upload error|failed to prepare source): .*(?P<why>permission denied|"
            r"operation not permitted|input/output error|stale (?:NFS )?file handle)"
        ),
        Kind.SOURCE_UNREADABLE,
        UNREADABLE,
        _READS_FILES,
    ),
    # What the server passes on of its own: of its storage, of its disk
    _Rule(
        _any(
            r"unable to write content",
            r"unable to create pending pack",
            r"unable to write session marker",
            r"error flushing",
            r"flush error",
            r"error putting manifest",
            r"no space left on device",
            r"unexpected content error",
            r"cannot open storage",
        ),
        Kind.REPOSITORY,
        REPOSITORY,
    ),
)

# What a failure of one file means. Go's names of errors, which Kopia puts at the end.
_VANISHED: Final = _any(r"no such file or directory$", r"stale (?:NFS )?file handle$")

_NO_MEMORY: Final = _any(
    r"runtime: out of memory",
    r"cannot allocate memory",
    r"signal: killed",
    r"fatal error: .*memory",
)


def explain(ended: Ended, setting: Setting, *, secret: str = "") -> ClientFailed:
    """Return why Kopia has failed.

    Args:
        ended: What came of it.
        setting: What the message names.
        secret: What the message must not repeat. Kopia does not print it either.
    """
    lines = [_without(secret, line) for line in ended.lines]
    output = "\n".join(lines)
    if ended.code == -signal.SIGKILL or any(_NO_MEMORY.search(line) for line in lines):
        return ClientFailed(Kind.OUT_OF_MEMORY, OUT_OF_MEMORY, output)
    found = _found(lines, setting.doing)
    if found is not None:
        rule, line = found
        words = rule.words.search(line)
        message = rule.message.format(
            url=setting.url,
            user=setting.user,
            doing=setting.doing,
            what=setting.what,
            target=setting.target,
            cause=_cause(line),
            failed=(words.groupdict().get("why") if words else None) or _cause(line),
        )
        return ClientFailed(rule.kind, message, output)
    message = UNKNOWN.format(
        doing=setting.doing, what=setting.what, code=ended.code, cause=_cause(output)
    )
    return ClientFailed(Kind.UNKNOWN, message, output)


def unread(entries: Sequence[Failed], setting: Setting) -> ClientFailed:
    """Return why a backup has failed that could not read some files.

    Args:
        entries: At least one of them.
        setting: What the message names.
    """
    first, *others = entries
    failed = f"{first.path}: {_cause(first.error)}"
    if others:
        failed += f" (and {len(others)} more)"
    vanished = all(_VANISHED.search(entry.error) for entry in entries)
    kind = Kind.SOURCE_CHANGED if vanished else Kind.SOURCE_UNREADABLE
    message = CHANGED if vanished else UNREADABLE
    output = "\n".join(f"{entry.path}: {entry.error}" for entry in entries)
    return ClientFailed(kind, message.format(what=setting.what, failed=failed), output)


def of_target(error: OSError, setting: Setting) -> ClientFailed:
    """Return why the target of a restore cannot be made.

    Args:
        error: What the system says.
        setting: What the message names.
    """
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    message = (DISK_FULL if full else TARGET).format(
        what=setting.what, target=setting.target, cause=f"{error.filename}: {error.strerror}"
    )
    return ClientFailed(Kind.DISK_FULL if full else Kind.TARGET, message)


def _found(lines: Iterable[str], doing: str) -> tuple[_Rule, str] | None:
    """Return the first rule that fits a line, and the line: the order of the rules counts."""
    ending = list(lines)[::-1]
    for rule in _RULES:
        if doing not in rule.doing:
            continue
        for line in ending:
            if rule.words.search(line):
                return rule, line
    return None


def _cause(text: str) -> str:
    return _PASSED_ON.sub("", last_line(text, _LINE_LENGTH)).rstrip(".")[:_CAUSE_LENGTH]


def _without(secret: str, line: str) -> str:
    return line.replace(secret, "...") if secret else line
