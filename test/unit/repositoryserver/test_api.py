"""A RepositoryServer as users write it becomes the attrs classes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fakes import objects
from fakes.specs import ACCESS_BY_USER, Object, nested, reference
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver import api

TIME = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_resource_of_the_removed_controller_is_read_whole() -> None:
    obj = objects.repository_server(
        {
            "spec": {
                "storage": {
                    "credentialSecretRef": {
                        "name": objects.CREDENTIAL,
                        "namespace": objects.NAMESPACE,
                    }
                },
                "repository": {
                    "username": "server",
                    "hostname": "localhost",
                    "cacheSizeSettings": {"metadata": 200, "content": 100},
                    # Accepted and without effect: the container's paths are fixed.
                    "configuration": {"cacheDirectory": "/tmp/kopia-cache"},  # noqa: S108
                },
            }
        }
    )

    assert api.parse(obj) == api.RepositoryServer(
        namespace=objects.NAMESPACE,
        name=objects.NAME,
        uid=objects.UID,
        generation=1,
        location=reference("spec.storage.secretRef", objects.LOCATION),
        credential=reference("spec.storage.credentialSecretRef", objects.CREDENTIAL),
        root_path="files",
        username="server",
        hostname="localhost",
        content_cache_mb=100,
        metadata_cache_mb=200,
        password=reference("spec.repository.passwordSecretRef", objects.REPOSITORY_PASSWORD),
        admin=reference("spec.server.adminSecretRef", objects.ADMIN),
        tls=reference("spec.server.tlsSecretRef", objects.TLS),
        accesses=(
            api.UserAccess(
                reference("spec.server.userAccess.userAccessSecretRef", objects.USERS), "backup"
            ),
        ),
        run_as_user=None,
        peers=(),
    )


@pytest.mark.parametrize(
    ("change", "attribute", "expected"),
    [
        pytest.param({}, "username", "repository-server", id="no user name: one that owns nothing"),
        pytest.param({}, "hostname", "files.backup", id="no host name: the resource's own"),
        pytest.param({}, "content_cache_mb", 0, id="no content cache limit: the removed default"),
        pytest.param(
            {}, "metadata_cache_mb", 500, id="no metadata cache limit: the removed default"
        ),
        pytest.param(
            nested("spec.repository.cacheSizeSettings.metadata", 0),
            "metadata_cache_mb",
            0,
            id="a limit of 0 is a limit, not the default",
        ),
        pytest.param(
            nested("spec.repository.cacheSizeSettings.content", 7),
            "metadata_cache_mb",
            500,
            id="one limit given: the other keeps its default",
        ),
        pytest.param({}, "credential", None, id="a file store needs no credential"),
        pytest.param(
            nested("spec.storage.credentialSecretRef", {}),
            "credential",
            None,
            id="an empty reference to a credential is none",
        ),
        pytest.param({}, "run_as_user", None, id="no user id: left to the default"),
        pytest.param(
            nested("spec.server.runAsUser", 0), "run_as_user", 0, id="user id 0 is taken as root"
        ),
        pytest.param({}, "maintenance", None, id="no schedule: nothing is ever run"),
        pytest.param(
            {
                "spec": {
                    "repository": {
                        "username": "admin",
                        "hostname": "store",
                        "maintenance": {"schedule": "@daily"},
                    }
                }
            },
            "maintenance",
            api.Maintenance("@daily", "admin@store"),
            id="a schedule without an owner: the server's own identity",
        ),
        pytest.param(
            nested("spec.repository.maintenance", {"schedule": "@daily", "owner": "a@b"}),
            "maintenance",
            api.Maintenance("@daily", "a@b"),
            id="a schedule of another identity",
        ),
        # A YAML block ends in a line end.
        pytest.param(
            nested("spec.repository", {"username": "admin\n", "hostname": "store\n"}),
            "identity",
            "admin@store",
            id="an identity in blocks",
        ),
        pytest.param(
            nested("spec.repository", {"username": "\n", "hostname": " "}),
            "identity",
            "repository-server@files.backup",
            id="an identity of nothing but white space",
        ),
        pytest.param(
            nested("spec.repository.maintenance", {"schedule": "@daily\n", "owner": "a@b\n"}),
            "maintenance",
            api.Maintenance("@daily", "a@b"),
            id="schedule and owner in blocks",
        ),
        pytest.param({}, "fs_group", None, id="no group of a volume: left to the default"),
        pytest.param(nested("spec.server.fsGroup", -1), "fs_group", -1, id="no group at all"),
        pytest.param(
            nested("spec.repository.rootPath", ""), "root_path", "", id="the prefix itself"
        ),
        pytest.param(
            nested("metadata.generation", None), "generation", 0, id="no generation counts as 0"
        ),
        pytest.param({}, "read_only", False, id="a repository may be written to"),
        pytest.param(
            nested("spec.repository.readOnly", value=True), "read_only", True, id="unless told"
        ),
        pytest.param(
            nested("spec.repository.pointInTime", TIME.isoformat()),
            "read_only",
            True,
            id="what is past cannot be written to",
        ),
        pytest.param({}, "point_in_time", None, id="the repository is that of the present"),
        pytest.param({}, "drain_seconds", 300, id="a replaced pod serves on for five minutes"),
        pytest.param(
            nested("spec.server.drainSeconds", 0), "drain_seconds", 0, id="0 is not the default"
        ),
        pytest.param({}, "refresh_seconds", None, id="Kopia looks at its storage when it will"),
        pytest.param(
            nested("spec.server.refreshSeconds", 20), "refresh_seconds", 20, id="or more often"
        ),
        pytest.param({}, "image", "", id="the settings say which image"),
        pytest.param({}, "restart", "", id="no restart is asked for"),
        pytest.param({}, "service_account_name", "", id="the namespace's service account"),
        pytest.param({}, "self_signed", False, id="the certificate is the user's"),
        pytest.param({}, "pod", api.PodSettings(), id="nothing is said of the pod"),
    ],
)
def test_what_is_left_out_gets_its_default(change: Object, attribute: str, expected: Any) -> None:
    server = api.parse(objects.repository_server(change))

    assert getattr(server, attribute) == expected


@pytest.mark.parametrize(
    ("change", "paused"),
    [
        pytest.param({}, False, id="it is not paused"),
        pytest.param({"spec": {"paused": False}}, False, id="nor if it says so"),
        pytest.param({"spec": {"paused": True}}, True, id="unless told"),
    ],
)
def test_a_server_is_paused_if_its_spec_says_so(change: Object, *, paused: bool) -> None:
    assert api.is_paused(objects.repository_server(change)) is paused


def test_the_users_may_be_whole_users_in_place_of_hosts() -> None:
    server = api.parse(objects.repository_server({"spec": {"server": ACCESS_BY_USER}}))

    assert server.access == api.UserAccess(
        reference("spec.server.userAccessSecretRef", objects.USERS), username=""
    )


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("2026-01-31T12:00:00Z", id="UTC"),
        pytest.param("2026-01-31T13:00:00+01:00", id="another zone"),
        pytest.param("2026-01-31t12:00:00.000000000z", id="small letters and nanoseconds"),
    ],
)
def test_a_point_in_time_is_a_time(written: str) -> None:
    obj = objects.repository_server(nested("spec.repository.pointInTime", written))

    assert api.parse(obj).point_in_time == TIME


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("2026-01-31T25:00:00Z", id="an hour that no day has"),
        pytest.param("0001-01-01T00:00:00+01:00", id="a time before the first year"),
        pytest.param("9999-12-31T23:59:59-01:00", id="a time after the last year"),
    ],
)
def test_what_is_no_time_is_refused(written: str) -> None:
    obj = objects.repository_server(nested("spec.repository.pointInTime", written))

    with pytest.raises(InvalidInput, match=r"write one with its zone, as 2026-01-31T12:00:00Z$"):
        api.parse(obj)


def test_without_a_certificate_of_the_users_the_controller_makes_one() -> None:
    change: Object = {"tlsSecretRef": None, "tls": {"selfSigned": {}}}
    server = api.parse(objects.repository_server(nested("spec.server", change)))

    assert server.self_signed
    assert server.tls is None
    assert objects.TLS not in [ref.name for ref in server.inputs]


def test_the_pod_is_as_the_resource_says() -> None:
    toleration = {"key": "backup", "operator": "Exists"}
    change = {
        "resources": {"limits": {"memory": "1Gi"}},
        "serviceAccountName": "cloud",
        "serviceAccountToken": {"audience": "sts.example"},
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"disk": "fast"},
        "tolerations": [toleration],
        "podLabels": {"team": "a"},
        "podAnnotations": {"example.com/note": "b"},
        "podOverride": {"hostAliases": []},
    }
    server = api.parse(objects.repository_server(nested("spec.server", change)))

    assert server.service_account_name == "cloud"
    assert server.token == api.TokenSettings("sts.example", 3600)
    assert server.pod == api.PodSettings(
        resources={"limits": {"memory": "1Gi"}},
        node_selector={"disk": "fast"},
        tolerations=[toleration],
        image_pull_secrets=[{"name": "registry"}],
        labels={"team": "a"},
        annotations={"example.com/note": "b"},
        override={"hostAliases": []},
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(None, api.Publish(), id="left out: nothing"),
        pytest.param({}, api.Publish(), id="empty: nothing"),
        pytest.param(
            {"connection": {}}, api.Publish(connection=True), id="an empty object asks for it"
        ),
        pytest.param(
            {"kanisterProfile": {}}, api.Publish(profile=True), id="and so it does for a Profile"
        ),
        pytest.param(
            {"kanisterProfile": {"user": "a@b"}},
            api.Publish(profile=True, profile_user="a@b"),
            id="a Profile of one of several users",
        ),
        pytest.param(
            {"connection": None, "kanisterProfile": None}, api.Publish(), id="null does not"
        ),
    ],
)
def test_what_is_published(written: Object | None, expected: api.Publish) -> None:
    obj = objects.repository_server()
    obj["spec"]["publish"] = written

    assert api.parse(obj).publish == expected
    assert bool(api.parse(obj).publish) == (expected != api.Publish())


NAMESPACES = {"namespaceSelector": {"matchLabels": {"team": "a"}}}
PODS = {"podSelector": {"matchLabels": {"app": "client"}}}


@pytest.mark.parametrize(
    ("policy", "peers"),
    [
        pytest.param(None, (), id="no policy adds nobody"),
        pytest.param({"from": []}, (), id="an empty list adds nobody"),
        pytest.param({"from": [NAMESPACES, PODS]}, (NAMESPACES, PODS), id="any peer suffices"),
        pytest.param(NAMESPACES, (NAMESPACES,), id="pods of the namespaces with a label"),
        pytest.param(PODS, (PODS,), id="pods with a label, of the own namespace"),
        pytest.param(
            {**NAMESPACES, **PODS},
            ({**NAMESPACES, **PODS},),
            id="both selectors narrow each other, as the fields of one peer do",
        ),
        pytest.param(
            {"from": [PODS], **NAMESPACES},
            (PODS, NAMESPACES),
            id="the list and the selectors add up",
        ),
        pytest.param(
            {"namespaceSelector": {}},
            ({"namespaceSelector": {}},),
            id="an empty selector means every namespace, as in a NetworkPolicy",
        ),
        pytest.param(
            {"namespaceSelector": {}, **PODS},
            ({"namespaceSelector": {}, **PODS},),
            id="pods with a label, of every namespace",
        ),
        pytest.param(
            {
                "from": [
                    {
                        "podSelector": {"matchLabels": {}, "matchExpressions": []},
                        "namespaceSelector": {
                            "matchExpressions": [{"key": "a", "operator": "Exists", "values": []}]
                        },
                    },
                    {"ipBlock": {"cidr": "192.0.2.0/24", "except": []}},
                ]
            },
            (
                {
                    "podSelector": {},
                    "namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
                },
                {"ipBlock": {"cidr": "192.0.2.0/24"}},
            ),
            id="without the empty parts, which the API server drops: no difference for ever",
        ),
    ],
)
def test_peers_are_those_of_the_policy(policy: Object | None, peers: tuple[Object, ...]) -> None:
    obj = objects.repository_server(nested("spec.server.networkPolicy", policy))

    assert api.parse(obj).peers == peers


def test_children_are_deleted_with_the_resource() -> None:
    assert api.parse(objects.repository_server()).owner_reference() == {
        "apiVersion": "cr.kanister.io/v1alpha1",
        "kind": "RepositoryServer",
        "name": objects.NAME,
        "uid": objects.UID,
        "controller": True,
        "blockOwnerDeletion": True,
    }
