"""What Kopia's words mean: from the end of its output to a reason, the fault and its fix."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.kopia.storage.filestore import DATA_DIRECTORY
from reconcilers.kopia.wordings import WORDINGS

if TYPE_CHECKING:
    from collections.abc import Callable

REASON_PASSWORD: Final = "RepositoryPasswordWrong"  # noqa: S105 - a reason
REASON_NO_REPOSITORY: Final = "RepositoryMissing"
REASON_NOT_OPENED: Final = "RepositoryNotOpened"
REASON_PERMISSION: Final = "StoragePermissionDenied"
REASON_STORAGE: Final = "StorageUnavailable"
REASON_OTHER_KOPIA: Final = "KopiaVersionUnsupported"
REASON_OUT_OF_MEMORY: Final = "OutOfMemory"
REASON_EXITED: Final = "KopiaExited"

NOT_UNLOCKED: Final = (
    "Kopia cannot open the repository at {storage}: the password in key repo-password of Secret "
    "{password} is wrong; correct it"
)
NO_REPOSITORY: Final = (
    "there is no Kopia repository at {storage}; if there was one, bring the storage back; "
    "otherwise correct spec.repository.rootPath or Secret {location}, or create one with `kopia "
    "repository create`"
)
NOT_OPENED: Final = "Kopia cannot open the repository at {storage}: {cause}; see the log of the pod"
PERMISSION_DENIED: Final = (
    "Kopia runs as user {user} and may not use {path} of {storage}; change the owner of the files "
    "to that user, or set spec.server.runAsUser to their owner"
)
STORAGE_UNAVAILABLE: Final = "Kopia cannot reach {storage}: {cause}"
STORAGE_NOT_FOUND: Final = STORAGE_UNAVAILABLE + "; fix the storage, or correct Secret {location}"
OUT_OF_MEMORY: Final = (
    "Kopia ran out of memory and was killed (exit code {code}); raise "
    "spec.server.resources.limits.memory, or the limit that a LimitRange of the namespace sets"
)
OTHER_KOPIA: Final = (
    "Kopia in the server's image does not accept the command line of the controller: {cause}; use "
    "an image with Kopia 0.23.1 in spec.server.image or spec.server.podOverride or, if neither "
    "names one, in --server-image or the settings of the controller"
)
EXITED: Final = "Kopia exited with code {code}: {cause}; see the log of the pod"

_CAUSE_LENGTH: Final = 300

# The kubelet keeps no more of a log (kubernetes pkg/kubelet/kuberuntime, MaxContainerTermination-
# MessageLogLength): what is as long begins in the middle.
_CUT_BYTES: Final = 2048

# Only what is below the mount of the storage: a cache that cannot be written is another fault.
_DENIED: Final = re.compile(
    rf"({DATA_DIRECTORY}\S*): (?:permission denied|operation not permitted)",
)
# Kopia: repo/format/format_blob.go, repo/open.go, repo/blob/filesystem/filesystem_storage.go. No
# other file that is missing, the token of an identity say, is a missing repository.
_NO_REPOSITORY: Final = re.compile(
    r"repository not initialized|kopia\.repository blob: BLOB not found|"
    r"cannot access storage path: stat \S+: no such file or directory"
)
# github.com/alecthomas/kingpin flags.go
_UNKNOWN_FLAG: Final = re.compile(r"unknown long flag '--[\w-]+'")
_NO_STORAGE: Final = re.compile(r"cannot (?:open|access) storage|can't connect to storage")

# Kopia: cli/command_server_tls.go prints it once the repository has been opened.
_STARTED: Final = "SERVER ADDRESS: "
# What Kopia says on opening. What a server has said before of its clients says nothing of it.
_OPENING: Final = re.compile(r"open(?:ing)? repository: .*|can't connect to storage.*", re.DOTALL)

# Azure's library prints a page; these lines of it say what is wrong.
_AZURE_ANSWER: Final = re.compile(r"RESPONSE \d+: \d+ (?P<words>.*)\nERROR CODE: (?P<code>\w+)")
# Azure's login ends its page with a link, and its answer with identifiers of the request.
_LOGIN_ANSWER: Final = re.compile(r"AADSTS\d+: (?:(?! Trace ID: )[^\"\\\r\n])+")
# Through how many of its parts Kopia passed the error on.
_PASSED_ON: Final = re.compile(
    r"^.*(?:open(?:ing)? repository|cannot open storage|unable to list from the bucket|"
    r'error retrieving storage config from bucket "[^"]*"): '
)
# The query of a URL may be a credential: a SAS token is. Go puts quotes around a URL; one that is
# wrong may have white space in it.
_QUERY: Final = re.compile(r'("https?://[^"?]*)\?[^"]*|(https?://[^\s"?]*)\?[^\s"]*')
_SIGNATURE: Final = re.compile(r'\bsig=[^\s&"]*')
# Where the output was cut, the rest of a URL may be all that is left of it.
_REST: Final = re.compile(r'^[^\s"]*')
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
# The pod's end of a connection has another port each time: with it each try were another fault.
_FROM: Final = re.compile(r"(?:[\d.]+|\[[\da-f:.]+\]):\d+->")


@frozen
class Setting:
    """What the messages name.

    Args:
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

    Args:
        opened: Whether the repository had been opened, so that the fault is a later one; True only
            if the output shows it.
        reason: CamelCase word.
        message: The fault and its fix.
    """

    opened: bool
    reason: str
    message: str


def explain(
    output: str, code: int, setting: Setting, *, out_of_memory: bool = False
) -> Explanation:
    """Return why a Kopia command or server failed.

    Kopia ends with code 1 whatever is wrong, so the text decides (tried with v0.23.1).

    Args:
        output: The end of what Kopia printed.
        code: Its exit code.
        setting: What the message names.
        out_of_memory: Whether the kubelet says that the kernel killed it.
    """
    opened = _STARTED in output
    if out_of_memory:
        return Explanation(opened, REASON_OUT_OF_MEMORY, OUT_OF_MEMORY.format(code=code))
    for check in _CHECKS:
        verdict = check(output, setting)
        if verdict is not None:
            reason, message = verdict
            return Explanation(opened=False, reason=reason, message=message)
    return Explanation(opened, REASON_EXITED, EXITED.format(code=code, cause=last_line(output)))


def _other_kopia(output: str, _setting: Setting) -> tuple[str, str] | None:
    unknown = _UNKNOWN_FLAG.search(output)
    if unknown is None:
        return None
    return REASON_OTHER_KOPIA, OTHER_KOPIA.format(cause=unknown.group())


def _wrong_password(output: str, setting: Setting) -> tuple[str, str] | None:
    if "invalid repository password" not in output:
        return None
    message = NOT_UNLOCKED.format(storage=setting.storage, password=setting.password)
    return REASON_PASSWORD, message


def _files_denied(output: str, setting: Setting) -> tuple[str, str] | None:
    denied = _DENIED.search(output)
    if denied is None:
        return None
    message = PERMISSION_DENIED.format(
        user=setting.user, path=denied.group(1), storage=setting.storage
    )
    return REASON_PERMISSION, message


def _store_refused(output: str, setting: Setting) -> tuple[str, str] | None:
    opening = _opening(output)
    for wording in WORDINGS:
        found = wording.words.search(opening)
        if found is not None:
            identity = wording.without_credential and not setting.credential
            message = (wording.without_credential if identity else wording.message).format(
                storage=setting.storage,
                location=setting.location,
                credential=setting.credential or "of spec.storage.credentialSecretRef",
                cause=_cause(output),
                **found.groupdict(),
            )
            return wording.reason, message
    return None


def _no_repository(output: str, setting: Setting) -> tuple[str, str] | None:
    if not _NO_REPOSITORY.search(output):
        return None
    message = NO_REPOSITORY.format(storage=setting.storage, location=setting.location)
    return REASON_NO_REPOSITORY, message


def _not_reached(output: str, setting: Setting) -> tuple[str, str] | None:
    if not _NO_STORAGE.search(output):
        return None
    message = STORAGE_NOT_FOUND.format(
        storage=setting.storage, cause=_cause(output), location=setting.location
    )
    return REASON_STORAGE, message


def _not_opened(output: str, setting: Setting) -> tuple[str, str] | None:
    if not _opening(output):
        return None
    message = NOT_OPENED.format(storage=setting.storage, cause=_cause(output))
    return REASON_NOT_OPENED, message


# In this order: all that follow the first two mention the storage, the last ones for any reason.
_CHECKS: Final[tuple[Callable[[str, Setting], tuple[str, str] | None], ...]] = (
    _other_kopia,
    _wrong_password,
    _files_denied,
    _store_refused,
    _no_repository,
    _not_reached,
    _not_opened,
)


def _opening(output: str) -> str:
    """Return what Kopia says on opening the repository; empty if it says nothing of it."""
    opening = _OPENING.search(output)
    if opening is not None:
        return opening.group()
    # Azure's page is long enough to push the words before it out of what the kubelet keeps.
    return output if _is_cut(output) and _AZURE_ANSWER.search(output) else ""


def _cause(output: str) -> str:
    return _PASSED_ON.sub("", _last_line(output)).rstrip(".")[:_CAUSE_LENGTH]


def last_line(output: str, length: int = _CAUSE_LENGTH) -> str:
    """Return the line that says why, cut to a length.

    The last one, unless Kopia panicked: then what follows is a trace of its stack. Nor is it the
    last one where Azure answered. It is without colours and queries of URLs, and without what is
    different each time that the same is wrong.

    Args:
        output: What Kopia printed.
        length: Characters that are kept. Default: 300.
    """
    return _last_line(output)[:length]


def _last_line(output: str) -> str:
    if answer := _AZURE_ANSWER.search(output):
        return f"{answer['code']}: {answer['words']}"
    if login := _LOGIN_ANSWER.search(output):
        return login.group()
    lines = [line.strip() for line in _disclosed(output).splitlines() if line.strip()]
    panics = [line for line in lines if line.startswith(("panic:", "fatal error:"))]
    return (*lines, *panics[:1])[-1] if lines else "it printed nothing"


def _disclosed(output: str) -> str:
    """Return what may be repeated of an output: no query of a URL, no part of one."""
    whole = _REST.sub("", output) if _is_cut(output) else output
    plain = _QUERY.sub(r"\1\2", _COLOUR.sub("", whole))
    return _FROM.sub("", _SIGNATURE.sub("sig=...", plain))


def _is_cut(output: str) -> bool:
    return len(output.encode()) >= _CUT_BYTES
