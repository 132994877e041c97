"""A revision of a server: all that a running one cannot load.

Its hash names two children: the snapshot of the inputs, and the ReplicaSet that keeps one pod
with it at work, also while no controller runs.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from controller.jsonvalue import canonical
from reconcilers import resources
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.pod import pod_spec, template
from reconcilers.repositoryserver.children.secrets import encoded

if TYPE_CHECKING:
    from reconcilers.repositoryserver.api import RepositoryServer
    from reconcilers.repositoryserver.children.secrets import ServerInputs


def revision_hash(server: RepositoryServer, inputs: ServerInputs) -> str:
    """Return the hash over all that a running server cannot load.

    The private key is part of it, so that nothing can be learnt from it about a weak password.

    Raises:
        InvalidInput: The override of the pod changes what the server depends on.
    """
    content: dict[str, Any] = {
        "secret": inputs.secret_data(),
        "pod": pod_spec(server, inputs, ""),
    }
    if server.restart:
        content["restart"] = server.restart
    return hashlib.sha256(canonical(content)).hexdigest()[: names.HASH_LENGTH]


def snapshot_secret(server: RepositoryServer, inputs: ServerInputs, hash_: str) -> dict[str, Any]:
    """Return the immutable Secret that holds all that a pod needs but its users."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": names.metadata(server, names.versioned_name(server, hash_), hash_),
        "type": "Opaque",
        "immutable": True,
        "data": encoded(inputs.secret_data()),
    }


def replica_set(
    server: RepositoryServer, inputs: ServerInputs, hash_: str, *, replicas: int
) -> dict[str, Any]:
    """Return the ReplicaSet of a revision.

    Args:
        server: The resource.
        inputs: What its pods are made of.
        hash_: Names the revision.
        replicas: How many pods it is to have: 1, or 0 while another one needs what they hold.

    Raises:
        InvalidInput: As for `template`.
    """
    return {
        "apiVersion": resources.REPLICA_SETS.api_version,
        "kind": resources.REPLICA_SETS.kind,
        "metadata": names.metadata(server, names.versioned_name(server, hash_), hash_),
        "spec": {
            "replicas": replicas,
            # It cannot change.
            "selector": {"matchLabels": {**names.selector(server), names.LABEL_HASH: hash_}},
            "template": template(server, inputs, hash_),
        },
    }
