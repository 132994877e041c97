"""Kopia in the server's container: the commands that are run there, and what their words mean.

The commands carry no secret: Kopia finds passwords in the container's environment and in files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from reconcilers.repositoryserver.storage.filestore import DATA_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterable

EXECUTABLE = "/bin/kopia"
# A writer command may otherwise run the repository's maintenance, which is its owner's business.
GLOBAL_FLAGS = ("--no-auto-maintenance", "--disable-file-logging", "--log-level=error")

LIST_USERS = (EXECUTABLE, *GLOBAL_FLAGS, "server", "user", "list", "--json")
REFRESH = (EXECUTABLE, *GLOBAL_FLAGS, "server", "refresh")
STATUS = (EXECUTABLE, *GLOBAL_FLAGS, "server", "status")

# Kopia does not look at its storage by itself. A folder that is gone, or a network file system that
# hangs, is noticed without it; an object store is not.
_SEE_DIRECTORY = 'ls -d "$0" >/dev/null && exec "$@"'

# The server's users, in a volume of their own: the kubelet brings it up to date in a running pod.
USERS_DIRECTORY = "/etc/kopia-users"
USERS_FILE = "htpasswd"
USERS_VERSION_FILE = "version"

_GLOBAL = " ".join(GLOBAL_FLAGS)
NOT_THERE_YET = 75
# Waits for the kubelet at most four seconds: its next look at the pod may be a minute away.
_TAKE_UP_SCRIPT = f"""
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
_FORGET_SCRIPT = f"""
while read -r user; do
  [ "$user" != end ] || exec {" ".join(REFRESH)}
  timeout -k 1 30 {EXECUTABLE} {_GLOBAL} server user delete -- "$user" >/dev/null || exit
done
exit 1
"""
FORGET_USERS = ("/bin/sh", "-c", _FORGET_SCRIPT)

REASON_PASSWORD = "RepositoryPasswordWrong"  # noqa: S105 - a reason
REASON_NO_REPOSITORY = "RepositoryMissing"
REASON_PERMISSION = "StoragePermissionDenied"
REASON_BUCKET = "BucketMissing"
REASON_DENIED = "StorageAccessDenied"
REASON_UNTRUSTED = "StorageCertificateUntrusted"
REASON_REGION = "StorageRegionWrong"
REASON_NO_VERSIONS = "PointInTimeUnsupported"
REASON_STORAGE = "StorageUnavailable"
REASON_OTHER_KOPIA = "KopiaVersionUnsupported"
REASON_OUT_OF_MEMORY = "OutOfMemory"
REASON_EXITED = "KopiaExited"

NOT_OPENED = (
    "Kopia cannot open the repository at {storage}: the password in key repo-password of Secret "
    "{password} is wrong; correct it"
)
NO_REPOSITORY = (
    "there is no Kopia repository at {storage}; if there was one, bring the storage back; "
    "otherwise correct spec.repository.rootPath or Secret {location}, or create one with `kopia "
    "repository create`"
)
PERMISSION_DENIED = (
    "Kopia runs as user {user} and may not use {path} of {storage}; set spec.server.runAsUser to "
    "the owner of the files, or change their owner"
)
BUCKET_MISSING = (
    "the bucket or container of {storage} does not exist; create it, or correct key bucket of "
    "Secret {location}"
)
ACCESS_DENIED = "{storage} denies Kopia access: {cause}; correct Secret {credential}"
IDENTITY_DENIED = (
    "{storage} denies Kopia access: {cause}; name a Secret with a credential in "
    "spec.storage.credentialSecretRef, or grant access to the service account of "
    "spec.server.serviceAccountName"
)
UNTRUSTED = (
    "the certificate of {storage} is signed by an authority that Kopia does not know; put the "
    "authority's certificate under key ca.crt of Secret {location}"
)
REGION_WRONG = "Kopia cannot open {storage}: {cause}; correct key region of Secret {location}"
NO_VERSIONS = (
    "spec.repository.pointInTime needs earlier versions of objects, which {storage} does not keep; "
    "remove the field, or turn on versioning there from now on"
)
STORAGE_UNAVAILABLE = "Kopia cannot reach {storage}: {cause}"
STORAGE_NOT_FOUND = STORAGE_UNAVAILABLE + "; fix the storage, or correct Secret {location}"
OUT_OF_MEMORY = (
    "Kopia ran out of memory and was killed (exit code {code}); raise "
    "spec.server.resources.limits.memory, or the limit that a LimitRange of the namespace sets"
)
OTHER_KOPIA = (
    "Kopia in the server's image does not accept the command line of the controller: {cause}; use "
    "an image with Kopia 0.23.1 in --server-image of the controller, or in spec.server.podOverride "
    "if that names one"
)
EXITED = "Kopia exited with code {code}: {cause}; see the log of the pod"

_CAUSE_LENGTH = 300

# Only what is below the mount of the storage: a cache that cannot be written is another fault.
_DENIED = re.compile(
    rf"({DATA_DIRECTORY}\S*): (?:permission denied|operation not permitted)",
)
_NO_REPOSITORY = re.compile(
    r"repository not initialized|kopia\.repository blob: BLOB not found|no such file or directory"
)
# github.com/alecthomas/kingpin flags.go
_UNKNOWN_FLAG = re.compile(r"unknown long flag '--[\w-]+'")
_NO_STORAGE = re.compile(r"cannot (?:open|access) storage|can't connect to storage")

# What Kopia says on opening. What a server has said before of its clients tells nothing of it.
_OPENING = re.compile(r"open(?:ing)? repository: .*|can't connect to storage.*", re.DOTALL)

# What object stores answer, in the order in which it is looked for.
_STORE_FAULTS = (
    (
        re.compile(
            r"ContainerNotFound|NoSuchBucket|bucket doesn't exist|"
            r"specified bucket does not exist"
        ),
        REASON_BUCKET,
        BUCKET_MISSING,
    ),
    (re.compile(r"certificate signed by unknown authority"), REASON_UNTRUSTED, UNTRUSTED),
    (
        re.compile(r"non-versioned bucket|versioning must be enabled"),
        REASON_NO_VERSIONS,
        NO_VERSIONS,
    ),
    (re.compile(r'region "[^"]*" is wrong'), REASON_REGION, REGION_WRONG),
    (
        re.compile(
            # S3 and STS, Azure and its login, Google and its login.
            r"signature we calculated does not match|[Aa]ccess ?[Dd]enied|InvalidAccessKeyId|"
            r"Access Key Id you provided does not exist|not authorized to perform|"
            r"security token included in the request is|provided token has expired|"
            r"AuthenticationFailed|Authorization(?:Permission|Resource|Service|Protocol|SourceIP)?"
            r"(?:Failure|Mismatch)|KeyBasedAuthenticationNotPermitted|AADSTS\d+|"
            r"Error 40[13]|does not have storage\.|invalid_grant|cannot fetch token|"
            r"could not find default credentials"
        ),
        REASON_DENIED,
        ACCESS_DENIED,
    ),
)

# Azure's library prints a page; these lines of it say what is wrong.
_AZURE_ANSWER = re.compile(r"RESPONSE \d+: \d+ (?P<words>.*)\nERROR CODE: (?P<code>\w+)")
# Azure's login ends its page with a link, and its answer with identifiers of the request.
_LOGIN_ANSWER = re.compile(r"AADSTS\d+: (?:(?! Trace ID: )[^\"\\\r\n])+")
# Through how many of its parts Kopia passed the error on.
_PASSED_ON = re.compile(
    r"^.*(?:cannot open storage|unable to list from the bucket|"
    r'error retrieving storage config from bucket "[^"]*"): '
)
# The query of a URL may be a credential: a SAS token is.
_QUERY = re.compile(r"(https?://[^\s\"?]*)\?[^\s\"]*")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# The pod's end of a connection has another port each time: told, each try would be another fault.
_FROM = re.compile(r"(?:[\d.]+|\[[\da-f:.]+\]):\d+->")


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


def ready_check(directory: str) -> tuple[str, ...]:
    """Return the command that succeeds while clients can use a server.

    Args:
        directory: The repository's folder in the container; empty where no file store has it.
    """
    return ("/bin/sh", "-c", _SEE_DIRECTORY, directory, *STATUS) if directory else STATUS


def take_up_users(version: str) -> tuple[str, ...]:
    """Return the command that lets a running server take up its users.

    It ends with `NOT_THERE_YET` if the kubelet has not brought them into the pod.

    Args:
        version: Of the users, as it stands beside them.
    """
    return ("/bin/sh", "-c", _TAKE_UP_SCRIPT, "take-up-users", version)


def forget_users_input(names: Iterable[str]) -> bytes:
    """Return what `FORGET_USERS` reads from standard input.

    Args:
        names: Users to delete from the repository; one that is not there is no error.
    """
    return "".join(f"{line}\n" for line in [*sorted(names), "end"]).encode()


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
    if out_of_memory:
        return Explanation(
            opened=True, reason=REASON_OUT_OF_MEMORY, message=OUT_OF_MEMORY.format(code=code)
        )
    for check in _CHECKS:
        verdict = check(output, setting)
        if verdict is not None:
            reason, message = verdict
            return Explanation(opened=False, reason=reason, message=message)
    message = EXITED.format(code=code, cause=last_line(output))
    return Explanation(opened=True, reason=REASON_EXITED, message=message)


def _other_kopia(output: str, _setting: Setting) -> tuple[str, str] | None:
    unknown = _UNKNOWN_FLAG.search(output)
    if unknown is None:
        return None
    return REASON_OTHER_KOPIA, OTHER_KOPIA.format(cause=unknown.group())


def _wrong_password(output: str, setting: Setting) -> tuple[str, str] | None:
    if "invalid repository password" not in output:
        return None
    message = NOT_OPENED.format(storage=setting.storage, password=setting.password)
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
    opening = _OPENING.search(output)
    if opening is None:
        return None
    for pattern, reason, template in _STORE_FAULTS:
        if pattern.search(opening.group()):
            identity = reason == REASON_DENIED and not setting.credential
            message = (IDENTITY_DENIED if identity else template).format(
                storage=setting.storage,
                location=setting.location,
                credential=setting.credential,
                cause=_cause(output),
            )
            return reason, message
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


def _cause(output: str) -> str:
    return _PASSED_ON.sub("", _last_line(output)).rstrip(".")[:_CAUSE_LENGTH]


# In this order: all that follow the first two mention the storage, the last one for any reason.
_CHECKS = (
    _other_kopia,
    _wrong_password,
    _files_denied,
    _store_refused,
    _no_repository,
    _not_reached,
)


def last_line(output: str) -> str:
    """Return the line that says why, cut to 300 characters.

    The last one, unless Kopia panicked: then what follows is a trace of its stack. Nor is it the
    last one where Azure answered. It is without colours and queries of URLs, and without what is
    different each time that the same is wrong.
    """
    return _last_line(output)[:_CAUSE_LENGTH]


def _last_line(output: str) -> str:
    if answer := _AZURE_ANSWER.search(output):
        return f"{answer['code']}: {answer['words']}"
    if login := _LOGIN_ANSWER.search(output):
        return login.group()
    plain = _FROM.sub("", _QUERY.sub(r"\1", _COLOUR.sub("", output)))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    panics = [line for line in lines if line.startswith(("panic:", "fatal error:"))]
    return (*lines, *panics[:1])[-1] if lines else "it printed nothing"
