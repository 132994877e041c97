"""The RepositoryServer resource, as a real API server takes it."""

from __future__ import annotations

import copy
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controller.errors import Invalid
from controller.rest.client import Client, Object, Resource
from e2e.waiting import wait_for
from fakes import kstatus
from integration.running import DEFINITION, DEFINITIONS, install_definition, serves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REPOSITORY_SERVERS = Resource("cr.kanister.io", "v1alpha1", "repositoryservers", "RepositoryServer")

# The same schema in another API group, for a test that changes it under the feet of its objects.
GROUP_OF_COPY = "copy.kanister.io"
COPIES = Resource(GROUP_OF_COPY, "v1alpha1", "repositoryservers", "RepositoryServer")

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


def refuses(client: Client, namespace: str, obj: Object) -> bool:
    try:
        created = client.create(COPIES, namespace, obj)
    except Invalid:
        return True
    client.delete(COPIES, namespace, created["metadata"]["name"])
    return False


def definition() -> Object:
    loaded: Object = yaml.safe_load(DEFINITION.read_text())
    return loaded


def schema(definition: Object) -> Object:
    (version,) = definition["spec"]["versions"]
    root: Object = version["schema"]["openAPIV3Schema"]
    return root


def described(node: Object, path: str) -> Iterator[tuple[str, str]]:
    """Yield each field, in the path syntax of `kubectl explain`, with its description."""
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", child.get("description", "")
        yield from described(child, f"{path}.{name}")
    if "items" in node:
        yield from described(node["items"], path)


def without_rules(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: without_rules(value)
            for key, value in node.items()
            if key != "x-kubernetes-validations"
        }
    if isinstance(node, list):
        return [without_rules(value) for value in node]
    return node


@pytest.fixture(scope="module", autouse=True)
def _crd(client: Client) -> None:
    install_definition(client)


@pytest.fixture
def server(client: Client, namespace: str) -> Object:
    return client.create(REPOSITORY_SERVERS, namespace, SERVER)


NETWORK_POLICY = "spec.server.networkPolicy"
METRICS = "spec.server.metrics"

SELF_SIGNED: Object = {
    "spec.server.tlsSecretRef": ABSENT,
    "spec.server.tls": {"selfSigned": {}},
}


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param(SERVER, id="a file store without credentials"),
        pytest.param(LEGACY_SERVER, id="all that the removed controller knew"),
        pytest.param(
            changed(
                LEGACY_SERVER,
                {
                    "spec.repository.username": ABSENT,
                    "spec.repository.hostname": "",
                    "spec.repository.cacheSizeSettings": {},
                    "spec.repository.configuration": {},
                },
            ),
            id="the empty fields that the removed controller's Go client writes",
        ),
        pytest.param(
            changed(
                SERVER,
                {
                    "spec.server.userAccess": ABSENT,
                    "spec.server.userAccessSecretRef": {"name": "users"},
                },
            ),
            id="users written user_at_host",
        ),
        pytest.param(
            changed(SERVER, {"spec.repository.rootPath": ""}), id="a repository at the prefix"
        ),
        pytest.param(
            changed(SERVER, {"spec.repository.rootPath": "a..b/..c/d../..."}),
            id="dots that climb nowhere",
        ),
        pytest.param(
            changed(SERVER, {"spec.repository.username": "Kopia@Old_Host"}),
            id="an own identity in the repository that Kopia takes although no user may have it",
        ),
        pytest.param(
            changed(SERVER, {"spec.storage.secretRef.namespace": ""}),
            id="an empty namespace, meaning that of the object",
        ),
        pytest.param(changed(SERVER, {"spec.server.runAsUser": 0}), id="a file store of root"),
        pytest.param(
            changed(
                SERVER,
                {
                    "spec.repository.maintenance": {
                        "schedule": "*/30 3-5 1,15 * 0",
                        "owner": "A@b.c",
                    }
                },
            ),
            id="maintenance on a schedule",
        ),
        pytest.param(changed(SERVER, {"spec.server.fsGroup": -1}), id="a volume left as it is"),
        pytest.param(
            changed(SERVER, {"spec.publish": {"connection": {}, "kanisterProfile": {}}}),
            id="all that can be published",
        ),
        pytest.param(
            changed(SERVER, {"spec.publish.kanisterProfile": {"user": "backup@app.example"}}),
            id="a Profile of one of several users",
        ),
        pytest.param(changed(SERVER, {NETWORK_POLICY: {}}), id="no further peers"),
        pytest.param(changed(SERVER, {METRICS: {}}), id="metrics of Kopia's own"),
        pytest.param(
            changed(SERVER, {METRICS: {"port": 1024, "from": [{"namespaceSelector": {}}]}}),
            id="their port and peers",
        ),
        pytest.param(changed(SERVER, {NETWORK_POLICY: {"from": []}}), id="an empty list of peers"),
        pytest.param(
            changed(
                SERVER,
                {
                    NETWORK_POLICY: {
                        "namespaceSelector": {"matchLabels": {"team": "a"}},
                        "podSelector": {},
                    }
                },
            ),
            id="one peer as the design document of Kanister writes it",
        ),
        pytest.param(
            changed(
                SERVER,
                {
                    f"{NETWORK_POLICY}.from": [
                        {"podSelector": {"matchLabels": {"role": "client"}}},
                        {"namespaceSelector": {}},
                        {
                            "podSelector": {
                                "matchExpressions": [
                                    {"key": "role", "operator": "In", "values": ["a", ""]},
                                    {"key": "old", "operator": "DoesNotExist", "values": []},
                                ]
                            },
                            "namespaceSelector": {"matchLabels": {"team": "a"}},
                        },
                        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                        {"ipBlock": {"cidr": "2001:db8::/64"}},
                    ]
                },
            ),
            id="every kind of peer",
        ),
        pytest.param(changed(SERVER, SELF_SIGNED), id="a self-signed certificate"),
        pytest.param(
            changed(SERVER, {"spec.server.tls": {}}), id="a Secret's certificate, and no other"
        ),
        pytest.param(
            changed(
                SERVER,
                {
                    "spec.repository.readOnly": True,
                    "spec.repository.pointInTime": "2026-01-31T12:00:00.5+01:00",
                },
            ),
            id="a server for restores from the past",
        ),
        pytest.param(
            changed(
                SERVER,
                {
                    "spec.server.additionalUserAccess": [
                        {"username": f"user-{number}", "userAccessSecretRef": {"name": "users"}}
                        for number in range(64)
                    ]
                },
            ),
            id="many Secrets of users",
        ),
        pytest.param(changed(SERVER, {"spec.server.drainSeconds": 0}), id="no time to drain"),
        pytest.param(
            changed(
                SERVER,
                {
                    "spec.server.resources": {
                        "requests": {"cpu": 1, "memory": "1Gi", "example.com/device": "1"},
                        "limits": {"cpu": "1000m", "memory": "1.5Gi", "ephemeral-storage": "1e9"},
                    }
                },
            ),
            id="every way to write an amount",
        ),
        pytest.param(
            changed(
                SERVER,
                {
                    "spec.server.serviceAccountName": "cloud.identity-1",
                    "spec.server.serviceAccountToken": {"audience": "sts.kubernetes.example"},
                    "spec.server.imagePullSecrets": [{"name": "registry"}],
                    "spec.server.nodeSelector": {"kubernetes.io/arch": "amd64"},
                    "spec.server.tolerations": [
                        {"operator": "Exists"},
                        {
                            "key": "a",
                            "operator": "Equal",
                            "value": "b",
                            "effect": "NoExecute",
                            "tolerationSeconds": 60,
                        },
                    ],
                    "spec.server.podLabels": {"app.kubernetes.io/part-of": "backup", "a": ""},
                    "spec.server.podAnnotations": {"example.com/note": "two\nlines"},
                },
            ),
            id="what the pod is to have",
        ),
        pytest.param(
            changed(
                SERVER,
                {
                    "spec.server.podOverride": {
                        "priorityClassName": "high",
                        "containers": [
                            {"name": "repo-server-container", "env": [{"name": "A", "value": "b"}]}
                        ],
                        "tolerations": [{"$patch": "replace"}],
                    }
                },
            ),
            id="any part of a PodSpec",
        ),
    ],
)
def test_accepts(client: Client, namespace: str, obj: Object) -> None:
    created = client.create(REPOSITORY_SERVERS, namespace, obj)

    assert created["spec"] == obj["spec"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        pytest.param("spec.storage.secretRef", ABSENT, "Required value", id="no location"),
        pytest.param("spec.storage.secretRef", {}, "Required value", id="a reference to nothing"),
        pytest.param(
            "spec.storage.secretRef.name",
            "",
            "give the name of a Secret in this object's namespace",
            id="an empty name",
        ),
        pytest.param(
            "spec.repository.passwordSecretRef.name",
            "Repo_Password",
            "no Secret can have this name",
            id="a name that no Secret can have",
        ),
        pytest.param("spec.repository.rootPath", ABSENT, "Required value", id="no path"),
        pytest.param("spec.repository.rootPath", 7, 'must be of type string: "integer"', id="type"),
        pytest.param(
            "spec.repository.rootPath",
            "../other",
            'rootPath must not contain ".."',
            id="a path that climbs out of the prefix",
        ),
        pytest.param(
            "spec.repository.rootPath",
            "a/..",
            "write the path below the prefix of the storage location",
            id="a path that climbs inside the prefix",
        ),
        pytest.param(
            "spec.repository.cacheSizeSettings",
            {"content": "500"},
            'must be of type integer: "string"',
            id="a cache size as a string",
        ),
        pytest.param(
            "spec.repository.cacheSizeSettings",
            {"metadata": -1},
            "should be greater than or equal to 0",
            id="a negative cache size",
        ),
        pytest.param("spec.server.adminSecretRef", ABSENT, "Required value", id="no administrator"),
        pytest.param(
            "spec.server.tlsSecretRef",
            ABSENT,
            'give exactly one of tlsSecretRef (a Secret with tls.crt and tls.key) and "tls:',
            id="no certificate",
        ),
        pytest.param(
            "spec.server.tls",
            {"selfSigned": {}},
            "give exactly one of tlsSecretRef",
            id="a certificate of the user's and one of the controller's",
        ),
        pytest.param(
            "spec.server.userAccess", ABSENT, "give exactly one of userAccess", id="no users"
        ),
        pytest.param(
            "spec.server.userAccessSecretRef",
            {"name": "users"},
            "give exactly one of userAccess",
            id="users in both forms",
        ),
        pytest.param(
            "spec.server.userAccess.username",
            "Backup",
            "use lowercase letters, digits",
            id="a user name in capitals",
        ),
        pytest.param(
            "spec.server.userAccess.username",
            "backup@host",
            "Kopia refuses this user name",
            id="a user name with its host",
        ),
        pytest.param(
            "spec.server.userAccess.username",
            "",
            "Kopia refuses this user name",
            id="an empty user name",
        ),
        pytest.param(
            "spec.server.runAsUser",
            -1,
            "should be greater than or equal to 0",
            id="a negative user id",
        ),
        pytest.param(
            "spec.repository.maintenance",
            {"schedule": "CRON_TZ=UTC 0 3 * * *"},
            "this is no schedule of a CronJob",
            id="a schedule with a zone",
        ),
        pytest.param(
            "spec.repository.maintenance",
            {"schedule": "@reboot"},
            "this is no schedule of a CronJob",
            id="a word that no CronJob knows",
        ),
        pytest.param(
            "spec.repository.maintenance",
            {"owner": "a@b"},
            "spec.repository.maintenance.schedule: Required value",
            id="an owner without a schedule",
        ),
        pytest.param(
            "spec.repository.maintenance",
            {"schedule": "@daily", "owner": "admin"},
            "write the owner of the maintenance as user@host",
            id="an owner without a host",
        ),
        pytest.param(
            "spec.repository",
            {
                **SERVER["spec"]["repository"],
                "readOnly": True,
                "maintenance": {"schedule": "@daily"},
            },
            "maintenance writes to the repository",
            id="maintenance of a repository for reading only",
        ),
        pytest.param(
            "spec.publish.kanisterProfile",
            {"user": "backup"},
            "write the user of the Profile as user@host",
            id="the user of a Profile without a host",
        ),
        pytest.param(
            "spec.publish.connection",
            True,
            'must be of type object: "boolean"',
            id="a connection that is true",
        ),
        pytest.param(
            f"{METRICS}.port",
            51515,
            "port 51515 is the one that clients connect to",
            id="metrics where the clients are",
        ),
        pytest.param(
            f"{METRICS}.port",
            1023,
            "should be greater than or equal to 1024",
            id="a port that only root may have",
        ),
        pytest.param(
            f"{METRICS}.from",
            [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}],
            "a peer is either an ipBlock, or a podSelector",
            id="a peer of the metrics that is two",
        ),
        pytest.param(
            "spec.server.fsGroup",
            -2,
            "should be greater than or equal to -1",
            id="a negative group id other than the one that turns it off",
        ),
        pytest.param(
            "spec.server.runAsUser",
            "root",
            'must be of type integer: "string"',
            id="the name of a user",
        ),
        pytest.param(
            f"{NETWORK_POLICY}.from",
            [{}],
            "a peer is either an ipBlock, or a podSelector",
            id="a peer that is nobody",
        ),
        pytest.param(
            f"{NETWORK_POLICY}.from",
            [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}],
            "a peer is either an ipBlock, or a podSelector",
            id="a peer that is pods and addresses",
        ),
        pytest.param(
            f"{NETWORK_POLICY}.from",
            [{"ipBlock": {"cidr": "10.0.0.1"}}],
            "write an address and a prefix length",
            id="an address for a range",
        ),
        pytest.param(
            NETWORK_POLICY,
            {"podSelector": {"matchExpressions": [{"key": "role", "operator": "In"}]}},
            "give values with the operators In and NotIn",
            id="an operator that lacks its values",
        ),
        pytest.param(
            NETWORK_POLICY,
            {
                "podSelector": {
                    "matchExpressions": [{"key": "role", "operator": "Exists", "values": ["a"]}]
                }
            },
            "and only with these",
            id="an operator that takes no values",
        ),
        pytest.param(
            "spec.repository.pointInTime",
            "yesterday",
            "must be of type date-time",
            id="a time in words",
        ),
        pytest.param(
            "spec.repository.pointInTime",
            "2026-01-31T12:00:00",
            "must be of type date-time",
            id="a time without its zone",
        ),
        pytest.param(
            "spec.server.additionalUserAccess",
            [{"userAccessSecretRef": {"name": "users"}}],
            "spec.server.additionalUserAccess[0].username: Required value",
            id="further users without a user name",
        ),
        pytest.param(
            "spec.server.additionalUserAccess",
            [{"username": "A", "userAccessSecretRef": {"name": "users"}}],
            "Kopia refuses this user name",
            id="further users with a user name in capitals",
        ),
        pytest.param(
            "spec.server.drainSeconds",
            -1,
            "should be greater than or equal to 0",
            id="less than no time to drain",
        ),
        pytest.param(
            "spec.server.refreshSeconds",
            1,
            "should be greater than or equal to 10",
            id="looks at the storage that never end",
        ),
        pytest.param(
            "spec.server.resources.limits",
            {"memory": "lots"},
            "write an amount as 2, 500m, 256Mi or 1G",
            id="an amount in words",
        ),
        pytest.param(
            "spec.server.resources",
            {"requests": {"memory": "2Gi"}, "limits": {"memory": "1000Mi"}},
            "a request is above its limit: lower the one or raise the other",
            id="a request above its limit",
        ),
        pytest.param(
            "spec.server.serviceAccountName",
            "Cloud Identity",
            "no service account can have this name",
            id="a name that no service account can have",
        ),
        pytest.param(
            "spec.server.imagePullSecrets",
            ["registry"],
            'must be of type object: "string"',
            id="the bare name of a pull Secret",
        ),
        pytest.param(
            "spec.server.tolerations",
            [{"operator": "In"}],
            'supported values: "Equal", "Exists"',
            id="an operator that tolerations do not have",
        ),
        pytest.param(
            "spec.server.podLabels",
            {"cr.kanister.io/digest": "mine"},
            "the Service and the NetworkPolicy select the pod by them. Choose another key",
            id="a label of the controller's",
        ),
        pytest.param(
            "spec.server.podLabels",
            {"app.kubernetes.io/managed-by": "mine"},
            "are the controller's",
            id="another label of the controller's",
        ),
        pytest.param(
            "spec.server.podLabels",
            {"app.kubernetes.io/name": "repository-server-controller"},
            "selects the controller's own pods: choose another one",
            id="the label of the controller's own pods",
        ),
        *(
            pytest.param(
                "spec.server.serviceAccountToken",
                {"audience": audience},
                "this is the Kubernetes API, which a server needs no token for",
                id=f"a token for {audience}",
            )
            for audience in (
                "kubernetes",
                "https://kubernetes.default.svc",
                "https://kubernetes.default.svc.cluster.local",
                "kubernetes.default.svc:443/",
            )
        ),
        pytest.param(
            "spec.server.serviceAccountToken",
            {"audience": "sts", "expirationSeconds": 60},
            "greater than or equal to 600",
            id="a token that the kubelet could not renew in time",
        ),
        pytest.param(
            "spec.server.podAnnotations",
            {"cr.kanister.io/tls-fingerprint": "mine"},
            "are the controller's: choose another key",
            id="an annotation of the controller's",
        ),
        pytest.param(
            "spec.server.podOverride",
            "hostAliases: []",
            'must be of type object: "string"',
            id="an override as text",
        ),
    ],
)
def test_refuses(
    client: Client,
    namespace: str,
    path: str,
    value: Any,
    message: str,
) -> None:
    with pytest.raises(Invalid) as refusal:
        client.create(REPOSITORY_SERVERS, namespace, changed(SERVER, {path: value}))

    assert message in str(refusal.value)
    assert path.rpartition(".")[0] in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            nested("spec.storage.secretRef.name", "new"),
            "secretRef is immutable: edit the Secret",
            id="location",
        ),
        pytest.param(
            nested("spec.storage.secretRef.namespace", "kanister"),
            "secretRef is immutable: edit the Secret",
            id="namespace of the location",
        ),
        pytest.param(
            nested("spec.repository.rootPath", "new"),
            "rootPath is immutable: create another RepositoryServer",
            id="path",
        ),
        pytest.param(
            nested("spec.server.adminSecretRef.name", "new"),
            "adminSecretRef is immutable: edit the Secret",
            id="administrator",
        ),
        pytest.param(
            nested("spec.server.tlsSecretRef.name", "new"),
            "tlsSecretRef is immutable: edit the Secret",
            id="certificate",
        ),
        pytest.param(
            nested("spec.server.tlsSecretRef", None),
            "give exactly one of tlsSecretRef",
            id="that there is a certificate",
        ),
    ],
)
def test_keeps(
    client: Client, namespace: str, server: Object, change: Object, message: str
) -> None:
    with pytest.raises(Invalid, match=message):
        client.merge_patch(REPOSITORY_SERVERS, namespace, server["metadata"]["name"], change)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            nested("spec.storage.credentialSecretRef.name", "new"), id="storage credentials"
        ),
        pytest.param(
            nested("spec.repository.passwordSecretRef.name", "new"), id="repository password"
        ),
        pytest.param(nested("spec.repository.cacheSizeSettings.content", 1), id="cache size"),
        pytest.param(nested("spec.server.runAsUser", 1000), id="user id"),
        pytest.param(nested("spec.server.fsGroup", -1), id="group of volumes"),
        pytest.param(nested("spec.repository.maintenance", {"schedule": "@daily"}), id="schedule"),
        pytest.param(nested("spec.publish.connection", {}), id="what is published"),
        pytest.param(
            nested("spec.server.userAccess.userAccessSecretRef.name", "new"), id="access Secret"
        ),
        pytest.param(
            {"spec": {"server": {"userAccess": None, "userAccessSecretRef": {"name": "new"}}}},
            id="form of access",
        ),
        pytest.param(nested("spec.server.networkPolicy.from", [{"podSelector": {}}]), id="peers"),
        pytest.param(
            {"spec": {"server": {"tlsSecretRef": None, "tls": {"selfSigned": {}}}}},
            id="who makes the certificate",
        ),
        pytest.param(nested("spec.repository.readOnly", value=True), id="the right to write"),
        pytest.param(
            nested("spec.repository.pointInTime", "2026-01-31T12:00:00Z"), id="the time shown"
        ),
    ],
)
def test_lets_change(client: Client, namespace: str, server: Object, change: Object) -> None:
    updated = client.merge_patch(REPOSITORY_SERVERS, namespace, server["metadata"]["name"], change)

    assert updated["metadata"]["generation"] == server["metadata"]["generation"] + 1


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(LEGACY_STATUS, id="that the removed controller left"),
        pytest.param({"serverInfo": {}}, id="that the removed controller began with"),
        pytest.param(
            {
                "observedGeneration": 1,
                "progress": "Ready",
                "conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}],
                "serverInfo": {
                    "podName": "pod",
                    "serviceName": "service",
                    "networkPolicyName": "policy",
                    "kopiaVersion": "0.23.1",
                    "tlsFingerprint": "0" * 64,
                    "tlsNotAfter": "2027-01-31T12:00:00Z",
                },
                "repositoryUsers": 2,
            },
            id="of this controller",
        ),
    ],
)
def test_stores_a_status(client: Client, namespace: str, server: Object, status: Object) -> None:
    updated = client.merge_patch(
        REPOSITORY_SERVERS,
        namespace,
        server["metadata"]["name"],
        {"status": status},
        subresource="status",
    )

    assert updated["status"] == {**NOT_OBSERVED, **status}
    assert updated["metadata"]["generation"] == server["metadata"]["generation"]


def test_a_status_is_the_controllers(client: Client, namespace: str) -> None:
    created = client.create(
        REPOSITORY_SERVERS, namespace, changed(SERVER, {"status": {"progress": "Ready"}})
    )

    assert created["status"] == NOT_OBSERVED


class TestAnObjectFromBeforeTheRules:
    """Stored with values that a rule refuses by now: it must stay usable."""

    @pytest.fixture
    def old(self, client: Client, namespace: str) -> Iterator[Object]:
        """Store an object under a copy of the schema without rules, then bring the rules in."""
        refused = changed(
            SERVER,
            {
                "apiVersion": COPIES.api_version,
                "spec.repository.rootPath": "../repository",
                "spec.server.userAccess.username": "Backup",
            },
        )
        ruled = changed(
            definition(),
            {"metadata.name": COPIES.full_name, "spec.group": GROUP_OF_COPY},
        )
        ruled["spec"]["names"] = {**ruled["spec"]["names"], "shortNames": []}
        client.apply(DEFINITIONS, "", COPIES.full_name, without_rules(ruled))
        wait_for("the copy", lambda: serves(client, COPIES))
        stored = client.create(COPIES, namespace, refused)

        client.apply(DEFINITIONS, "", COPIES.full_name, ruled)
        probe = changed(refused, {"metadata.name": "probe"})
        wait_for("the rules", lambda: refuses(client, namespace, probe))
        yield stored
        client.delete(DEFINITIONS, "", COPIES.full_name)

    def test_can_be_updated(self, client: Client, namespace: str, old: Object) -> None:
        name = old["metadata"]["name"]

        client.merge_patch(COPIES, namespace, name, {"status": LEGACY_STATUS}, subresource="status")
        client.merge_patch(COPIES, namespace, name, nested("spec.server.runAsUser", 1))
        client.merge_patch(COPIES, namespace, name, nested("metadata.labels.a", "b"))
        with pytest.raises(Invalid, match="Kopia refuses this user name"):
            client.merge_patch(
                COPIES, namespace, name, nested("spec.server.userAccess.username", "BACKUP")
            )
        client.merge_patch(
            COPIES, namespace, name, nested("spec.server.userAccess.username", "backup")
        )


class TestKubectl:
    def test_explains_every_field(self, kubectl: Callable[..., str]) -> None:
        # The copy has the same name, and what the API server says of it goes a moment after it.
        ours = f"--api-version={REPOSITORY_SERVERS.api_version}"
        for path, description in described(schema(definition()), "repositoryservers"):
            explanation = " ".join(kubectl("explain", ours, path).split())

            # The API server has its own words for these.
            if path.split(".")[1] not in ("apiVersion", "kind", "metadata"):
                assert " ".join(description.split()) in explanation
            assert "<empty>" not in explanation

    def test_knows_the_short_name(
        self, kubectl: Callable[..., str], namespace: str, server: Object
    ) -> None:
        found = kubectl("get", "reposerver", "--namespace", namespace, "--output", "name")

        assert found.strip() == f"repositoryserver.cr.kanister.io/{server['metadata']['name']}"

    def test_prints_the_story(
        self, client: Client, kubectl: Callable[..., str], namespace: str, server: Object
    ) -> None:
        ready = {"type": "Ready", "status": "False", "reason": "SecretMissing", "message": "Fix!"}
        available = {"type": "Available", "status": "True", "reason": "Serving", "message": "yes"}
        info = {"podName": "pod", "serviceName": "service", "tlsFingerprint": "f00d"}
        client.merge_patch(
            REPOSITORY_SERVERS,
            namespace,
            server["metadata"]["name"],
            {
                "status": {
                    "progress": "Failed",
                    "conditions": [available, ready],
                    "serverInfo": info,
                }
            },
            subresource="status",
        )

        table = kubectl("get", "reposerver", "--namespace", namespace).splitlines()
        wide = kubectl("get", "reposerver", "--namespace", namespace, "-o", "wide").splitlines()

        assert [line.split()[:3] for line in table] == [
            ["NAME", "READY", "REASON"],
            ["server", "False", "SecretMissing"],
        ]
        assert table[0].split()[3:] == ["AGE"]
        assert [line.split()[4:] for line in wide] == [
            ["AVAILABLE", "SERVICE", "MESSAGE", "POD", "FINGERPRINT"],
            ["True", "service", "Fix!", "pod", "f00d"],
        ]

    def test_lists_it_with_all_of_kanister(
        self, kubectl: Callable[..., str], namespace: str, server: Object, tmp_path: Path
    ) -> None:
        # What kubectl remembers of a server may be of another one that had the same port.
        cache = f"--cache-dir={tmp_path}"

        found = kubectl("get", "kanister", "--namespace", namespace, "-o", "name", cache)

        assert found.split() == [f"repositoryserver.cr.kanister.io/{server['metadata']['name']}"]


class TestKstatus:
    """What Flux waits for."""

    def test_a_resource_that_no_controller_has_seen_is_in_progress(
        self, client: Client, namespace: str, server: Object
    ) -> None:
        found = client.get(REPOSITORY_SERVERS, namespace, server["metadata"]["name"])

        assert found["status"] == NOT_OBSERVED
        assert kstatus.compute(found) == "InProgress"


class TestKubectlWait:
    def test_waits_for_an_edit_that_the_controller_has_not_seen(
        self, client: Client, kubectl: Callable[..., str], namespace: str, server: Object
    ) -> None:
        name = server["metadata"]["name"]
        wait = ("wait", "--namespace", namespace, "--for=condition=Ready", f"reposerver/{name}")

        def report(generation: int) -> None:
            ready = {"type": "Ready", "status": "True", "observedGeneration": generation}
            status = {"observedGeneration": generation, "conditions": [ready]}
            client.merge_patch(
                REPOSITORY_SERVERS, namespace, name, {"status": status}, subresource="status"
            )

        report(server["metadata"]["generation"])
        assert "condition met" in kubectl(*wait, "--timeout=5s")
        change = {"spec": {"server": {"drainSeconds": 7}}}
        edited = client.merge_patch(REPOSITORY_SERVERS, namespace, name, change)

        with pytest.raises(subprocess.CalledProcessError):
            kubectl(*wait, "--timeout=1s")

        report(edited["metadata"]["generation"])
        assert "condition met" in kubectl(*wait, "--timeout=5s")
