"""Which source a backup belongs to.

Kopia takes a file from the last snapshot of the same source if name, size, time, mode and owner
agree; it does not look at the content (Kopia snapshot/upload/upload.go). By itself a source is
user, host and path, which all pods of a workload share, and all containers of a pod: a snapshot of
one would have another's files. So everything that is backed up has a source of its own, and the
real path is a tag.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

from reconcilers.datafunctions.errors import Refused

ASKED: Final = (
    "nothing says whose data this is: give {arguments}, or --source NAME, a name that nothing else "
    "that is backed up with this user has"
)
NAME_INVALID: Final = (
    "argument {argument}: {name!r} is not a name in Kubernetes; it may have a to z, 0 to 9, `-` "
    "and `.`"
)
SOURCE_INVALID: Final = (
    "--source {name!r} is not a name; it may have letters, digits, `.`, `_` and `-`"
)

_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")
_SOURCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

# k8s.io/apimachinery pkg/util/rand: without vowels and what looks like them.
_RANDOM: Final = "[bcdfghjklmnpqrstvwxz2456789]"
# Of a ReplicaSet's pod: a hash of the template, if a Deployment owns it, and five letters.
_REPLACEABLE: Final = re.compile(rf"(.+?)(?:-{_RANDOM}{{8,10}})?-{_RANDOM}{{5}}")


@frozen
class Source:
    """A name for what is backed up, the same at each backup of it and at none of anything else.

    Args:
        path: In place of a path, below the user and host that the snapshots belong to.
        force_hash: Whether every file must be read: several pods share the source.
    """

    path: str
    force_hash: bool = False


def of_claim(namespace: str, claim: str) -> Source:
    """Return the source of a claim's volume, wherever it is mounted.

    Raises:
        Refused: One is not a name.
    """
    return Source(f"/claim/{_name('namespace', namespace)}/{_name('volume', claim)}")


def of_pod(namespace: str, pod: str, path: str, container: str = "") -> Source:
    """Return the source of a path in a pod, or in one of its containers.

    A pod whose name has a random end is replaced by another one: then it is the workload that has
    the source, and since its pods share it every file is read.

    Containers of a pod may have different volumes at the same path. Those of a workload would not
    get each other's files, but a restore of the last snapshot of their source, and a policy for it,
    would be of any of them.

    Args:
        namespace: The pod's namespace.
        pod: Its name.
        path: Absolute path of the data in it.
        container: The container that sees the data there. Default: nobody has said which.

    Raises:
        Refused: One is not a name.
    """
    name = _name("pod", pod)
    place = _name("namespace", namespace)
    replaceable = _REPLACEABLE.fullmatch(name)
    kind, owner = ("pod", name) if replaceable is None else ("workload", replaceable.group(1))
    if container:
        kind, owner = f"{kind}-container", f"{owner}/{_name('container', container)}"
    return Source(f"/{kind}/{place}/{owner}{_below(path)}", force_hash=replaceable is not None)


def named(name: str, path: str) -> Source:
    """Return the source that a user has named.

    Args:
        name: What the option `--source` says.
        path: Absolute path of the data.

    Raises:
        Refused: It is not a name.
    """
    if not _SOURCE.fullmatch(name):
        raise Refused(SOURCE_INVALID.format(name=name))
    return Source(f"/source/{name}{_below(path)}")


def choose(
    path: str,
    *,
    asked: str = "",
    namespace: str = "",
    claim: str = "",
    pod: str = "",
    container: str = "",
) -> Source:
    """Return the source by the first that is known: what was asked for, the claim, the pod.

    Args:
        path: Absolute path of the data, as a pod of the workload sees it.
        asked: What the option `--source` says; empty if it is not given.
        namespace: Namespace of the claim or pod.
        claim: Name of the claim that the data is on.
        pod: Name of the pod that the data is of.
        container: Name of its container that sees the data.

    Raises:
        Refused: None is known, or one is not a name.
    """
    if asked:
        return named(asked, path)
    if claim and namespace:
        return of_claim(namespace, claim)
    if pod and namespace:
        return of_pod(namespace, pod, path, container)
    raise Refused(ASKED.format(arguments="the arguments namespace and pod"))


def _name(argument: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Refused(NAME_INVALID.format(argument=argument, name=name))
    return name


def _below(path: str) -> str:
    return "" if path == "/" else path
