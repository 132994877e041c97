"""The certificate that clients see, by whose fingerprint they trust a server.

It is read from what the server was started with: the inputs, or the immutable Secret that the
server's revision mounts. Not from the pod, whose annotations others may edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.errors import NotFound
from reconcilers import resources
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.context import ShownCertificate
from reconcilers.secrets import certificates
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.rest.client import Client
    from reconcilers.repositoryserver.context import ReconcileContext


class ShownCertificates:
    """Finds the certificate of the server in a pod.

    Args:
        client: Reads the Secret of a revision.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def of(self, current: ReconcileContext, pod: Mapping[str, Any]) -> ShownCertificate | None:
        """Return the certificate that a pod shows.

        Args:
            current: The reconcile.
            pod: A pod of ours.

        Returns:
            The certificate; None if the status has it already, or it cannot be known.

        Raises:
            ClientError: The Secret could not be read.
        """
        memory, digest = current.memory, names.digest_of(pod)
        inputs = memory.inputs
        if inputs is not None and inputs.fingerprint:
            found = ShownCertificate(inputs.fingerprint, inputs.not_after)
            # Of others but these two no pod is left that could be shown.
            kept = {one: memory.certificates.get(one) for one in (digest, inputs.digest)}
            memory.certificates = {one: held for one, held in kept.items() if held is not None}
            memory.certificates[inputs.digest] = found
        if digest not in memory.certificates:
            info = (current.obj.get("status") or {}).get("serverInfo") or {}
            if info.get("tlsFingerprint") and info.get("podName") == pod["metadata"]["name"]:
                # A controller that starts with thousands of servers reads nothing for this.
                return None
            read = self._read(current, digest)
            if read is None:
                return None
            memory.certificates[digest] = read
        return memory.certificates[digest]

    def _read(self, current: ReconcileContext, digest: str) -> ShownCertificate | None:
        server = current.server
        name = names.versioned_name(server, digest)
        try:
            obj = self._client.get(
                resources.SECRETS, server.namespace, name, deadline=current.deadline
            )
            ref = secrets.SecretRef("", server.namespace, name)
            held = certificates.server_certificate(secrets.read(ref, obj, (secrets.TYPE_OPAQUE,)))
        except (NotFound, InvalidInput):
            return None
        return ShownCertificate(held.fingerprint, held.not_after)
