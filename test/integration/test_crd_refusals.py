"""What a real API server refuses of a RepositoryServer, and with which words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from controller.errors import Invalid
from integration.running import install_definition
from integration.serverobjects import (
    ABSENT,
    METRICS,
    NETWORK_POLICY,
    REPOSITORY_SERVERS,
    SERVER,
    changed,
)

if TYPE_CHECKING:
    from controller.rest.client import Client


@pytest.fixture(scope="module", autouse=True)
def _crd(client: Client) -> None:
    install_definition(client)


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
