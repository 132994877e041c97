"""The fields that this version knows, and which of them a CRD lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers.repositoryserver import api

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object

#: By path; `[]` stands for the items of a list. A test compares them with the CRD of manifests/crd.
FIELDS: Final = (
    "spec.storage.secretRef",
    "spec.storage.credentialSecretRef",
    "spec.repository.rootPath",
    "spec.repository.passwordSecretRef",
    "spec.repository.username",
    "spec.repository.hostname",
    "spec.repository.cacheSizeSettings.metadata",
    "spec.repository.cacheSizeSettings.content",
    "spec.repository.readOnly",
    "spec.repository.pointInTime",
    "spec.repository.maintenance.schedule",
    "spec.repository.maintenance.owner",
    "spec.repository.configuration.cacheDirectory",
    "spec.repository.configuration.logDirectory",
    "spec.repository.configuration.configFilePath",
    "spec.server.adminSecretRef",
    "spec.server.tlsSecretRef",
    "spec.server.tls.selfSigned",
    "spec.server.userAccess.userAccessSecretRef",
    "spec.server.userAccess.username",
    "spec.server.userAccessSecretRef",
    "spec.server.additionalUserAccess[].userAccessSecretRef",
    "spec.server.additionalUserAccess[].username",
    "spec.server.image",
    "spec.server.restart",
    "spec.server.drainSeconds",
    "spec.server.refreshSeconds",
    "spec.server.networkPolicy.from[].podSelector",
    "spec.server.networkPolicy.from[].namespaceSelector",
    "spec.server.networkPolicy.from[].ipBlock.cidr",
    "spec.server.networkPolicy.from[].ipBlock.except",
    "spec.server.networkPolicy.podSelector",
    "spec.server.networkPolicy.namespaceSelector",
    "spec.server.metrics.port",
    "spec.server.metrics.from[].podSelector",
    "spec.server.metrics.from[].namespaceSelector",
    "spec.server.metrics.from[].ipBlock.cidr",
    "spec.server.metrics.from[].ipBlock.except",
    "spec.server.runAsUser",
    "spec.server.fsGroup",
    "spec.server.resources.requests",
    "spec.server.resources.limits",
    "spec.server.serviceAccountName",
    "spec.server.serviceAccountToken.audience",
    "spec.server.serviceAccountToken.expirationSeconds",
    "spec.server.imagePullSecrets[].name",
    "spec.server.nodeSelector",
    "spec.server.tolerations[].key",
    "spec.server.tolerations[].operator",
    "spec.server.tolerations[].value",
    "spec.server.tolerations[].effect",
    "spec.server.tolerations[].tolerationSeconds",
    "spec.server.podLabels",
    "spec.server.podAnnotations",
    "spec.server.podOverride",
    "spec.paused",
    "spec.publish.connection",
    "spec.publish.kanisterProfile.user",
    "status.observedGeneration",
    "status.progress",
    "status.conditions[].type",
    "status.conditions[].status",
    "status.conditions[].reason",
    "status.conditions[].message",
    "status.conditions[].lastTransitionTime",
    "status.conditions[].observedGeneration",
    "status.serverInfo.podName",
    "status.serverInfo.serviceName",
    "status.serverInfo.url",
    "status.serverInfo.port",
    "status.serverInfo.connectionSecretName",
    "status.serverInfo.kanisterProfileName",
    "status.serverInfo.networkPolicyName",
    "status.serverInfo.kopiaVersion",
    "status.serverInfo.tlsFingerprint",
    "status.serverInfo.tlsNotAfter",
    "status.maintenance.lastRunTime",
    "status.maintenance.lastSuccessTime",
    "status.maintenance.result",
    "status.maintenance.message",
    "status.repositoryUsers",
)

_GVK: Final = "x-kubernetes-group-version-kind"
_LIST: Final = "[]"


def missing(document: Object) -> tuple[str, ...] | None:
    """Return the known fields that the served CRD lacks.

    The API server drops such a field when it stores or returns a resource, without an error.

    Args:
        document: The OpenAPI v3 document of the resource's group and version.

    Returns:
        Paths, each of the outermost field that is missing; None if the CRD is not served.
    """
    resource = api.REPOSITORY_SERVERS
    wanted = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    for schema in map(_map, _map(_map(document.get("components")).get("schemas")).values()):
        kinds = schema.get(_GVK)
        if isinstance(kinds, list) and wanted in kinds:
            absent = (_first_absent(schema, path) for path in FIELDS)
            return tuple(dict.fromkeys(path for path in absent if path))
    return None


def _first_absent(schema: Mapping[str, Any], path: str) -> str:
    """Return the beginning of a path up to the first field that a schema lacks, or ""."""
    walked: list[str] = []
    for word in path.split("."):
        walked.append(word)
        below = _map(schema.get("properties")).get(word.removesuffix(_LIST))
        if below is None:
            return ".".join(walked)
        schema = _map(_map(below).get("items") if word.endswith(_LIST) else below)
    return ""


def _map(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - any JSON value
    """Return a part of a document, empty if it is none: an aggregated API server may write any."""
    return value if isinstance(value, dict) else {}
