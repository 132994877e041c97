"""The certificate that clients see, by whose fingerprint they trust a server.

It is read from what the server was started with: the inputs, or the immutable Secret that the
server's revision mounts. Not from the pod, whose annotations others may edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from controller.errors import NotFound
from reconcilers import resources
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.children import names
from reconcilers.secrets import certificates
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from controller.rest.client import Client
    from reconcilers.repositoryserver.children.known import KnownInputs
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States


@frozen
class ShownCertificate:
    """What clients see of a server's certificate.

    Args:
        fingerprint: As of `secrets.certificates.ServerCertificate`.
        not_after: When it expires.
    """

    fingerprint: str
    not_after: datetime


class ShownCertificates:
    """Finds the certificate of the server in a pod.

    Args:
        client: Reads the Secret of a revision.
        states: Holds the certificates of the revisions of each resource, by hash.
    """

    def __init__(self, *, client: Client, states: States) -> None:
        self._client = client
        self._found = states.per_object(lambda _: dict[str, ShownCertificate]())

    def of(
        self, current: ReconcileContext, pod: Mapping[str, Any], inputs: KnownInputs | None
    ) -> ShownCertificate | None:
        """Return the certificate that a pod shows.

        Args:
            current: The reconcile.
            pod: A pod of ours.
            inputs: What is known of the newest inputs; None if they are refused.

        Returns:
            The certificate; None if the status has it already, or it cannot be known.

        Raises:
            ClientError: The Secret could not be read.
        """
        found, hash_ = self._found.of(current), names.hash_of(pod)
        if inputs is not None and inputs.fingerprint:
            # Of others but these two no pod is left that could be shown.
            for other in found.keys() - {hash_, inputs.hash}:
                del found[other]
            found[inputs.hash] = ShownCertificate(inputs.fingerprint, inputs.not_after)
        if hash_ not in found:
            info = (current.obj.get("status") or {}).get("serverInfo") or {}
            if info.get("tlsFingerprint") and info.get("podName") == pod["metadata"]["name"]:
                # A controller that starts with thousands of servers reads nothing for this.
                return None
            read = self._read(current, hash_)
            if read is None:
                return None
            found[hash_] = read
        return found[hash_]

    def _read(self, current: ReconcileContext, hash_: str) -> ShownCertificate | None:
        server = current.server
        name = names.versioned_name(server, hash_)
        try:
            obj = self._client.get(
                resources.SECRETS, server.namespace, name, deadline=current.deadline
            )
            ref = secrets.SecretRef("", server.namespace, name)
            held = certificates.server_certificate(secrets.read(ref, obj, (secrets.TYPE_OPAQUE,)))
        except (NotFound, InvalidInput):
            return None
        return ShownCertificate(held.fingerprint, held.not_after)
