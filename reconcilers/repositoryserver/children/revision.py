"""A revision of a server: all that a running one cannot take up, its digest and its snapshot."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.pod import pod_spec
from reconcilers.repositoryserver.children.secrets import encoded

if TYPE_CHECKING:
    from reconcilers.repositoryserver.api import RepositoryServer
    from reconcilers.repositoryserver.children.secrets import ServerInputs


def digest(server: RepositoryServer, inputs: ServerInputs) -> str:
    """Return the digest over all that a running server cannot take up.

    The private key is part of it, so that nothing can be learnt from it about a weak password.

    Raises:
        InvalidInput: The override of the pod changes what the server depends on.
    """
    content = {"secret": inputs.secret_data(), "pod": pod_spec(server, inputs, "")}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[: names.DIGEST_LENGTH]


def snapshot_secret(server: RepositoryServer, inputs: ServerInputs, digest_: str) -> dict[str, Any]:
    """Return the immutable Secret that holds all the Pod needs but its users."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": names.metadata(server, names.versioned_name(server, digest_), digest_),
        "type": "Opaque",
        "immutable": True,
        "data": encoded(inputs.secret_data()),
    }
