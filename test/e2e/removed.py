"""What Kanister's chart with the removed controller leaves on a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from controller.resource import Resource
from e2e.cluster import NAMESPACE, Cluster
from reconcilers.repositoryserver import api

if TYPE_CHECKING:
    from controller.resource import Object
    from e2e.server import Server

DEFINITION_FILE: Final = Path(__file__).parents[2] / "manifests/crd/repositoryservers.yaml"
DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)
WEBHOOKS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)

ROOT: Final = 0

# Names as the removed controller generated them.
FORMER_POD: Final = "repo-server-pod-x7k2q"
FORMER_SERVICE: Final = "repo-server-service-b9d4m"

LONG_AGO: Final = "2025-03-01T09:30:00Z"
FORMER_STATUS: Final[dict[str, Any]] = {
    "progress": "Ready",
    "serverInfo": {"podName": FORMER_POD, "serviceName": FORMER_SERVICE},
    "conditions": [
        {
            "type": type_,
            "status": "True",
            "reason": reason,
            "message": "",
            "lastTransitionTime": LONG_AGO,
        }
        for type_, reason in (
            ("ServerSetup", "KopiaRepositoryServerSetupSucceeded"),
            ("RepositoryConnected", "KopiaRepositoryConnectionSucceeded"),
            ("ServerInitialized", "KopiaRepositoryServerInitializationSucceeded"),
            ("ClientUserInitialized", "ClientInitializationSucceeded"),
            ("ServerRefreshed", "ServerRefreshed"),
        )
    ],
}

#: The fields of its CRD; below these everything (pkg/customresource/repositoryserver.yaml).
FIELDS: Final[dict[str, Any]] = {
    "spec": {
        "storage": {"secretRef": {}, "credentialSecretRef": {}},
        "repository": {
            "rootPath": {},
            "username": {},
            "hostname": {},
            "passwordSecretRef": {},
            "cacheSizeSettings": {},
            "configuration": {},
        },
        "server": {"userAccess": {}, "adminSecretRef": {}, "tlsSecretRef": {}},
    },
    "status": {"conditions": {}, "progress": {}, "serverInfo": {"podName": {}, "serviceName": {}}},
}

#: Its webhook for the resource (helm/kanister-operator/templates/validating-webhook.yaml), which
#: an uninstall of that release alone takes away. Nobody answers it any more.
WEBHOOK: Final[dict[str, Any]] = {
    "apiVersion": WEBHOOKS.api_version,
    "kind": WEBHOOKS.kind,
    "metadata": {"name": "repositoryservers.cr.kanister.io"},
    "webhooks": [
        {
            "name": "repositoryserver.cr.kanister.io",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "service": {
                    "namespace": NAMESPACE,
                    "name": "kanister-kanister-operator",
                    "path": "/validate/v1alpha1/repositoryserver",
                    "port": 444,
                }
            },
            "failurePolicy": "Fail",
            # Of other namespaces other tests run meanwhile, on a cluster that somebody uses.
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
            "rules": [
                {
                    "apiGroups": ["cr.kanister.io"],
                    "apiVersions": ["v1alpha1"],
                    "operations": ["UPDATE"],
                    "resources": ["repositoryservers"],
                    "scope": "Namespaced",
                }
            ],
            "sideEffects": "None",
        }
    ],
}


def definition() -> Object:
    """Return a CRD with the fields of the removed one alone, and without rules."""
    made: Object = yaml.safe_load(DEFINITION_FILE.read_text())
    (version,) = made["spec"]["versions"]
    root = version["schema"]["openAPIV3Schema"]
    for name, fields in FIELDS.items():
        root["properties"][name] = _narrowed(root["properties"][name], fields)
    version["schema"]["openAPIV3Schema"] = _without_rules(root)
    return made


def _narrowed(schema: Object, fields: dict[str, Any]) -> Object:
    if not fields:
        return schema
    kept = {name: _narrowed(schema["properties"][name], below) for name, below in fields.items()}
    required = [name for name in schema.get("required", ()) if name in kept]
    narrowed = {**schema, "properties": kept, "required": required}
    # A default has fields as well, and the removed one had none.
    narrowed.pop("default", None)
    return narrowed


def _without_rules(schema: Any) -> Any:
    if isinstance(schema, dict):
        kept = {key: _without_rules(value) for key, value in schema.items()}
        kept.pop("x-kubernetes-validations", None)
        return kept
    return [_without_rules(item) for item in schema] if isinstance(schema, list) else schema


def write_definition(cluster: Cluster) -> None:
    """Have the cluster serve that CRD, as an operator does that writes its own back."""
    cluster.kubectl.run("replace", "--filename=-", stdin=json.dumps(definition()))


def write_former_status(server: Server) -> Object:
    """Write the status as the removed controller left it, and return the resource."""
    return server.cluster.client.merge_patch(
        api.REPOSITORY_SERVERS,
        NAMESPACE,
        server.name,
        {"status": FORMER_STATUS},
        subresource="status",
    )


def leave_behind(server: Server) -> Object:
    """Put what the removed controller left on the cluster, and return the resource."""
    cluster = server.cluster
    obj = write_former_status(server)
    owner = {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": server.name,
        "uid": obj["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    labels = {"repo-server-pod-label": "x7k2q", "name": FORMER_SERVICE}
    cluster.kubectl.create(
        [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": FORMER_SERVICE,
                    "namespace": NAMESPACE,
                    "ownerReferences": [owner],
                },
                "spec": {
                    "selector": {"name": FORMER_SERVICE},
                    "ports": [{"port": 51515, "protocol": "TCP"}],
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": FORMER_POD,
                    "namespace": NAMESPACE,
                    "labels": labels,
                    "ownerReferences": [owner],
                },
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [
                        {
                            "name": "repo-server-container",
                            "image": cluster.server_image,
                            "imagePullPolicy": "IfNotPresent",
                            "command": ["/bin/sh", "-c", "tail -f /dev/null"],
                            "securityContext": {"runAsUser": ROOT},
                        }
                    ],
                },
            },
        ]
    )
    return obj
