"""What the children of a server are called, and by which labels and annotations they are known."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.repositoryserver.api import RepositoryServer

MANAGER: Final = "repository-server-controller"
CONTAINER: Final = "repo-server-container"

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_INSTANCE: Final = "cr.kanister.io/repository-server"
LABEL_HASH: Final = "cr.kanister.io/digest"
#: Annotations of ours begin so; those that a resource gives its pod must not.
ANNOTATION_PREFIX: Final = "cr.kanister.io/"
ANNOTATION_APPLIED: Final = "cr.kanister.io/applied"
#: On a pod: which labels and annotations it has from its ReplicaSet, so that one that is not wanted
#: any more is taken off.
ANNOTATION_FROM_TEMPLATE: Final = "cr.kanister.io/from-template"
#: On the Secret with the users: when they last changed, while a pod may have had those of before.
ANNOTATION_CHANGED: Final = "cr.kanister.io/changed"
#: On a ReplicaSet: since when it has no pod, so that a newer revision can mount the claim; and
#: since when it has none since it could not make use of that.
ANNOTATION_YIELDED: Final = "cr.kanister.io/yielded"
ANNOTATION_GAVE_BACK: Final = "cr.kanister.io/gave-back"
#: On a ReplicaSet: when its controller was last made to try again, and since when its pod was
#: refused by then.
ANNOTATION_NUDGED: Final = "cr.kanister.io/nudged"
ANNOTATION_REFUSED: Final = "cr.kanister.io/refused"
#: On a ReplicaSet and a CronJob: the generation that the controller's last write has made.
ANNOTATION_GENERATION: Final = "cr.kanister.io/generation"
#: The version of the users that the server in a pod has loaded.
ANNOTATION_USERS: Final = "cr.kanister.io/users"
#: What is known of the Secrets that a ReplicaSet was made of, see `record`.
ANNOTATION_RECORD: Final = "cr.kanister.io/record"
#: The Jobs that maintain the repository of a server, and their pods. They are none of the server's
#: own pods, which its Service and its NetworkPolicy select by another label.
LABEL_MAINTENANCE: Final = "cr.kanister.io/maintenance"
#: What the CronJob and its Secret were made of.
ANNOTATION_MAINTENANCE: Final = "cr.kanister.io/maintenance"
#: On a Secret that is published: what it was made of.
ANNOTATION_PUBLISHED: Final = "cr.kanister.io/published"
ANNOTATION_DRAIN_UNTIL: Final = "cr.kanister.io/drain-until"

#: What the Service selects as long as there is no pod that clients may reach.
NO_HASH: Final = "none"

#: The version of a file without users: a server whose access Secrets are all wrong starts with it.
NO_USERS: Final = "none"

# A Service name is a DNS label: 63 characters. Pod names may be longer, host names may not.
_LABEL_LENGTH: Final = 63
# A CronJob adds eleven characters for the name of a Job (pkg/apis/batch/validation).
_CRON_JOB_LENGTH: Final = 52
# What the ReplicaSet controller adds to its name for a pod's: "-" and five characters.
_POD_SUFFIX_LENGTH: Final = 6
HASH_LENGTH: Final = 10
# A reconcile asks for the names of one server again and again, and few run at the same time.
_NAMES_AT_WORK: Final = 64

_VERSIONED: Final = re.compile(rf"(?P<prefix>.+)-(?P<hash>[0-9a-f]{{{HASH_LENGTH}}})")


def versioned_name(server: RepositoryServer, hash_: str) -> str:
    """Return the name of the Secret and the ReplicaSet with a hash."""
    return f"{versioned_prefix(server.name)}-{hash_}"


def versioned_prefix(name: str) -> str:
    """Return what the names of the Secrets and ReplicaSets of a server begin with.

    Args:
        name: Of the RepositoryServer.
    """
    return _label(name, _LABEL_LENGTH - _POD_SUFFIX_LENGTH - HASH_LENGTH - 1)


def split_versioned(name: str) -> tuple[str, str]:
    """Return prefix and hash of a name that `versioned_name` has made; both empty for others.

    A name stays where somebody takes labels off.

    Args:
        name: Of a Secret or a ReplicaSet.
    """
    found = _VERSIONED.fullmatch(name)
    return ("", "") if found is None else (found["prefix"], found["hash"])


def stable_name(server: RepositoryServer) -> str:
    """Return the name of the Service, the NetworkPolicy and the Profile."""
    prefix = "repo-server-"
    return prefix + _label(server.name, _LABEL_LENGTH - len(prefix))


def users_name(server: RepositoryServer) -> str:
    """Return the name of the Secret with the users, as the server reads them."""
    return _own_secret(server, f"{stable_name(server)}-users")


def certificate_name(server: RepositoryServer) -> str:
    """Return the name of the Secret with the certificate that the controller makes."""
    return _own_secret(server, f"{stable_name(server)}-tls")


def authority_name(server: RepositoryServer) -> str:
    """Return the name of the Secret with the authority that signs that certificate."""
    return _own_secret(server, f"{stable_name(server)}-ca")


def connection_name(server: RepositoryServer) -> str:
    """Return the name of the Secret that tells clients how to connect."""
    return _own_secret(server, f"{stable_name(server)}-connection")


def profile_certificate_name(server: RepositoryServer) -> str:
    """Return the name of the Secret with the certificate for Kanister's Profile."""
    return _own_secret(server, f"{stable_name(server)}-profile")


def is_ours(obj: Mapping[str, Any]) -> bool:
    """Return whether an observed object has the labels of a child that this controller makes."""
    labels = obj["metadata"].get("labels") or {}
    return labels.get(LABEL_MANAGED_BY) == MANAGER and LABEL_INSTANCE in labels


def maintenance_name(server: RepositoryServer) -> str:
    """Return the name of the CronJob that maintains the repository."""
    prefix, suffix = "repo-server-", "-maintenance"
    return prefix + _label(server.name, _CRON_JOB_LENGTH - len(prefix) - len(suffix)) + suffix


def maintenance_secret_name(server: RepositoryServer) -> str:
    """Return the name of the Secret that the CronJob's pods are started with."""
    return _own_secret(server, maintenance_name(server))


def maintenance_labels(server: RepositoryServer) -> dict[str, str]:
    """Return the labels of the Jobs that maintain the repository, and of their pods."""
    return {LABEL_MANAGED_BY: MANAGER, LABEL_MAINTENANCE: _label(server.name, _LABEL_LENGTH)}


def users_of(pod_: Mapping[str, Any]) -> str:
    """Return the version of the users that an observed pod has loaded; empty if not known."""
    version: str = (pod_["metadata"].get("annotations") or {}).get(ANNOTATION_USERS, "")
    return version


def hash_of(obj: Mapping[str, Any]) -> str:
    """Return the hash of an observed Pod, ReplicaSet or Secret; empty if it is none of ours."""
    hash_: str = (obj["metadata"].get("labels") or {}).get(LABEL_HASH, "")
    return hash_


def versioned_hash(server: RepositoryServer, obj: Mapping[str, Any]) -> str:
    """Return the hash in the name of an observed Secret or ReplicaSet; empty if it has none.

    Args:
        server: The resource.
        obj: The Secret or ReplicaSet.
    """
    prefix, hash_ = split_versioned(obj["metadata"]["name"])
    return hash_ if prefix == versioned_prefix(server.name) else ""


def maker_of(pod_: Mapping[str, Any]) -> str:
    """Return the name of the ReplicaSet that has made an observed pod; empty if none has."""
    generated: str = pod_["metadata"].get("generateName") or ""
    return generated.removesuffix("-")


def is_marked(obj: Mapping[str, Any]) -> bool:
    """Return whether an observed pod has any mark of a ReplicaSet that this controller makes."""
    metadata_ = obj["metadata"]
    labels_, annotations = metadata_.get("labels") or {}, metadata_.get("annotations") or {}
    return (
        labels_.get(LABEL_MANAGED_BY) == MANAGER
        or LABEL_INSTANCE in labels_
        or LABEL_HASH in labels_
        or ANNOTATION_FROM_TEMPLATE in annotations
    )


def is_found(server: RepositoryServer, obj: Mapping[str, Any], hash_: str) -> bool:
    """Return whether an observed ReplicaSet or Secret has the labels by which it is found.

    Args:
        server: The resource.
        obj: The ReplicaSet or Secret.
        hash_: Its hash.
    """
    labels = obj["metadata"].get("labels") or {}
    return labels.items() >= {**selector(server), LABEL_HASH: hash_}.items()


def bears_labels_of(obj: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether an observed pod has the labels of another by which a Service selects it."""
    return all(
        (obj["metadata"].get("labels") or {}).get(label) == other["metadata"]["labels"].get(label)
        for label in (LABEL_INSTANCE, LABEL_HASH)
    )


def _own_secret(server: RepositoryServer, name: str) -> str:
    """Return the name, or a longer one if a Secret that the resource refers to has it.

    Such a Secret is the user's, who may have found the name in a list of Secrets. One of ours that
    is there keeps its name: pods mount it.
    """
    if name in server.own_secrets:
        return name
    referred_to = {ref.name for ref in server.inputs}
    referred_to |= {one.secret.name for one in server.accesses}
    candidates = [name + "-own" * count for count in range(len(referred_to) + 1)]
    there = (one for one in candidates if one in server.own_secrets)
    return next(there, None) or next(one for one in candidates if one not in referred_to)


@functools.lru_cache(maxsize=_NAMES_AT_WORK)
def _label(name: str, length: int) -> str:
    label = re.sub(r"[^a-z0-9-]", "-", name)
    if label == name and len(name) <= length:
        return name
    # Two names that become one when shortened or without dots stay apart by their hash.
    suffix = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{label[: length - len(suffix) - 1].rstrip('-')}-{suffix}"


def metadata(server: RepositoryServer, name: str, hash_: str = "") -> dict[str, Any]:
    """Return the metadata of a child.

    Args:
        server: The resource, which owns it.
        name: Its name.
        hash_: Its hash; empty for a child that has none.
    """
    return {
        "name": name,
        "namespace": server.namespace,
        "labels": labels(server, hash_),
        "ownerReferences": [server.owner_reference()],
    }


def labels(server: RepositoryServer, hash_: str = "") -> dict[str, str]:
    """Return the labels of a child, and of the pods of a ReplicaSet.

    Args:
        server: The resource.
        hash_: Its hash; empty for a child that has none.
    """
    of_revision = {LABEL_HASH: hash_} if hash_ else {}
    return {LABEL_MANAGED_BY: MANAGER, **selector(server), **of_revision}


def selector(server: RepositoryServer) -> dict[str, str]:
    """Return the labels by which the pods of a server are found."""
    return {LABEL_INSTANCE: instance_label(server.name)}


def instance_label(name: str) -> str:
    """Return the value of the label that names a server.

    Args:
        name: Of the RepositoryServer.
    """
    return _label(name, _LABEL_LENGTH)
