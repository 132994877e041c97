"""The RepositoryServer resource, as a real API server takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.errors import Invalid
from integration.running import install_definition
from integration.serverobjects import (
    ABSENT,
    LEGACY_SERVER,
    LEGACY_STATUS,
    METRICS,
    NETWORK_POLICY,
    NOT_OBSERVED,
    REPOSITORY_SERVERS,
    SELF_SIGNED,
    SERVER,
    changed,
    nested,
)

if TYPE_CHECKING:
    from controller.rest.client import Client, Object


@pytest.fixture(scope="module", autouse=True)
def _crd(client: Client) -> None:
    install_definition(client)


@pytest.fixture
def server(client: Client, namespace: str) -> Object:
    return client.create(REPOSITORY_SERVERS, namespace, SERVER)


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
