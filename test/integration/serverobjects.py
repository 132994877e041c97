"""RepositoryServers for the tests of their definition, and ways to change them."""

from __future__ import annotations

import copy
from typing import Any

from controller.rest.client import Object, Resource

REPOSITORY_SERVERS = Resource("cr.kanister.io", "v1alpha1", "repositoryservers", "RepositoryServer")

# The status of a resource that no controller has seen.
NOT_OBSERVED = {"observedGeneration": -1}

# Takes a field out of an object, where other rows of a table put one in.
ABSENT = object()

SERVER: Object = {
    "apiVersion": "cr.kanister.io/v1alpha1",
    "kind": "RepositoryServer",
    "metadata": {"name": "server"},
    "spec": {
        "storage": {"secretRef": {"name": "location"}},
        "repository": {"rootPath": "repository", "passwordSecretRef": {"name": "password"}},
        "server": {
            "adminSecretRef": {"name": "admin"},
            "tlsSecretRef": {"name": "tls"},
            "userAccess": {"username": "backup", "userAccessSecretRef": {"name": "users"}},
        },
    },
}

# What users of the removed controller have in their folders, with what kubectl, kustomize and
# the Go client add.
LEGACY_SERVER: Object = {
    "apiVersion": "cr.kanister.io/v1alpha1",
    "kind": "RepositoryServer",
    "metadata": {
        "name": "kopia-repo-server",
        "creationTimestamp": None,
        "labels": {"app": "kanister"},
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "kubectl.kubernetes.io/restartedAt": "2026-08-01T00:00:00Z",
        },
    },
    "spec": {
        "storage": {
            "secretRef": {"name": "s3-location", "namespace": "kanister"},
            "credentialSecretRef": {"name": "s3-creds", "namespace": "kanister"},
        },
        "repository": {
            "rootPath": "/repo-controller/",
            "passwordSecretRef": {"name": "repo-pass", "namespace": "kanister"},
            "username": "repository-user",
            "hostname": "localhost",
            "cacheSizeSettings": {"metadata": 1000, "content": 2000},
            "configuration": {
                "cacheDirectory": "/tmp/kopia-cache",  # noqa: S108 - a value, nothing is written
                "logDirectory": "",
                "configFilePath": "",
            },
        },
        "server": {
            "adminSecretRef": {"name": "admin-user", "namespace": "kanister"},
            "tlsSecretRef": {"name": "tls-cert", "namespace": "kanister"},
            "userAccess": {
                "username": "kanister-user",
                "userAccessSecretRef": {"name": "user-access", "namespace": "kanister"},
            },
        },
    },
    "status": {"serverInfo": {}},
}

LEGACY_STATUS: Object = {
    "conditions": [
        {
            "type": "ServerSetup",
            "status": "True",
            "reason": "KopiaRepositoryServerSetupSucceeded",
            "message": "",
            "lastTransitionTime": "2026-08-01T12:00:00Z",
        },
        {
            "type": "RepositoryConnected",
            "status": "False",
            "reason": "KopiaRepositoryConnectionFailed",
            "message": "repository not found",
            "lastTransitionTime": "2026-08-01T12:00:05Z",
        },
    ],
    "progress": "Failed",
    "serverInfo": {"podName": "repo-server-pod-abcde", "serviceName": "repo-server-service-abcde"},
}


def changed(base: Object, changes: dict[str, Any]) -> Object:
    """Return a copy with fields set, or taken out where the value is ABSENT."""
    result = copy.deepcopy(base)
    for path, value in changes.items():
        *parents, field = path.split(".")
        node = result
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is ABSENT:
            del node[field]
        else:
            node[field] = value
    return result


def nested(path: str, value: Any) -> Object:
    """Return a merge patch that sets one field."""
    for field in reversed(path.split(".")):
        value = {field: value}
    return dict(value)


NETWORK_POLICY = "spec.server.networkPolicy"
METRICS = "spec.server.metrics"

SELF_SIGNED: Object = {
    "spec.server.tlsSecretRef": ABSENT,
    "spec.server.tls": {"selfSigned": {}},
}
