"""What is gathered for an action: once when it begins, and for each phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from controller.clock import Deadline
from controller.resource import Resource
from fakes import application, objects
from fakes.apireader import Asked, FakeReader
from fakes.clock import FakeClock
from reconcilers import resources
from reconcilers.actionset.api import Action, ObjectReference
from reconcilers.actionset.parameters import document, lookup
from reconcilers.actionset.parameters.reader import ParameterReader
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver import connection

if TYPE_CHECKING:
    from collections.abc import Mapping

Object = dict[str, Any]

HOME = "kanister"
SHOP = application.NAMESPACE
ACTION = Action(0, "backup", "postgres", ObjectReference("db", SHOP, "StatefulSet"))
#: What there is of every action, as it is without any.
NOTHING: Object = {"ArtifactsIn": {}, "Options": {}, "PodOverride": {}, "PodLabels": {}}
TIME = "2026-01-01T00:00:00Z"
EMPTY: Object = {"Secrets": {}, "ConfigMaps": {}}


@pytest.fixture
def api() -> FakeReader:
    return FakeReader()


@pytest.fixture
def reader(api: FakeReader) -> ParameterReader:
    return ParameterReader(api, FakeClock())


def deadline() -> Deadline:
    return Deadline.after(FakeClock(), 10)


def about(kind: str, name: str = "db", **words: str) -> Action:
    return evolve(ACTION, object=ObjectReference(name, SHOP, kind, **words))


def asked(api: FakeReader) -> list[tuple[str, str]]:
    return [(one.verb, one.resource) for one in api.asked]


@pytest.mark.parametrize(
    ("kind", "requests"),
    [
        pytest.param(
            "StatefulSet",
            [("get", "statefulsets.apps"), ("list", "pods")],
            id="a StatefulSet owns its pods",
        ),
        pytest.param(
            "Deployment",
            [("get", "deployments.apps"), ("list", "replicasets.apps"), ("list", "pods")],
            id="those of a Deployment are of its current ReplicaSet",
        ),
        pytest.param(
            "DeploymentConfig",
            [
                ("get", "deploymentconfigs.apps.openshift.io"),
                ("list", "replicationcontrollers"),
                ("list", "pods"),
            ],
            id="those of a DeploymentConfig of its current ReplicationController",
        ),
    ],
)
def test_a_workload(
    api: FakeReader, reader: ParameterReader, kind: str, requests: list[tuple[str, str]]
) -> None:
    application.application(api, kind)

    frozen = reader.freeze(about(kind), HOME, deadline())

    (record,) = frozen.pop(document.POD_RECORDS)
    assert record["spec"]["nodeName"] == "node-1"
    assert frozen == {
        **NOTHING,
        "PodAnnotations": {},
        "Time": TIME,
        kind: {
            "Name": "db",
            "Namespace": SHOP,
            "Pods": ["db-0"],
            "Containers": [["exporter", "postgres"]],
            "PersistentVolumeClaims": {"db-0": {"data-db-0": "/var/lib/data"}},
        },
        "Object": application.workload(kind),
    }
    assert asked(api) == requests
    assert {one.namespace for one in api.asked} == {SHOP}


@pytest.mark.parametrize("kind", application.KINDS)
def test_a_workload_without_pods(api: FakeReader, reader: ParameterReader, kind: str) -> None:
    application.application(api, kind)
    api.drop(resources.PODS, SHOP, "db-0")

    frozen = reader.freeze(about(kind), HOME, deadline())

    assert frozen[kind] == {
        "Name": "db",
        "Namespace": SHOP,
        "Pods": [],
        "Containers": [],
        "PersistentVolumeClaims": {},
    }
    assert document.POD_RECORDS not in frozen


def test_a_deployment_that_has_never_been_rolled_out(
    api: FakeReader, reader: ParameterReader
) -> None:
    api.put(resources.DEPLOYMENTS, application.workload("Deployment"))

    frozen = reader.freeze(about("Deployment"), HOME, deadline())

    assert frozen["Deployment"]["Pods"] == []


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        pytest.param(
            about("pvc", "data-db-0"), {"PVC": {"Name": "data-db-0", "Namespace": SHOP}}, id="claim"
        ),
        pytest.param(
            about("namespace", SHOP),
            {"Namespace": {"Name": SHOP, "Namespace": SHOP}},
            id="namespace",
        ),
        pytest.param(
            about("ConfigMap", "settings", api_version="v1", resource="configmaps"),
            {},
            id="any other",
        ),
    ],
)
def test_what_is_no_workload(
    api: FakeReader, reader: ParameterReader, action: Action, expected: Object
) -> None:
    application.application(api)
    api.put(resources.CONFIG_MAPS, application.config_map("settings", {"a": "b"}))

    frozen = reader.freeze(action, HOME, deadline())

    known = {key: frozen[key] for key in ("PVC", "Namespace", "StatefulSet") if key in frozen}
    assert known == expected
    assert frozen["Object"]["metadata"]["name"] == action.object.name
    assert document.POD_RECORDS not in frozen
    assert len(api.asked) == 1


def test_one_of_no_namespace(api: FakeReader, reader: ParameterReader) -> None:
    nodes = Resource("", "v1", "nodes", "Node", namespaced=False)
    api.put(nodes, {"metadata": {"name": "node-1"}})
    reference = ObjectReference("node-1", "", "Node", "v1", "", "nodes")

    frozen = reader.freeze(evolve(ACTION, object=reference), HOME, deadline())

    assert frozen["Object"] == {"metadata": {"name": "node-1"}}


def test_a_secret_is_not_kept_but_read_again(api: FakeReader, reader: ParameterReader) -> None:
    secret = application.secret("atlas", {"key": application.PASSWORD})
    api.put(resources.SECRETS, secret)
    action = about("Secret", "atlas", api_version="v1", resource="secrets")

    frozen = reader.freeze(action, HOME, deadline())
    complete = reader.complete(frozen, action, HOME, deadline(), phases={})

    assert "Object" not in frozen
    assert complete["Object"] == secret


@pytest.mark.parametrize(
    ("lacks", "reason"),
    [
        pytest.param(set(), lookup.REASON_MISSING, id="one that is not there"),
        pytest.param(
            {"deploymentconfigs"}, lookup.REASON_NO_RESOURCE, id="no cluster of OpenShift"
        ),
    ],
)
def test_a_deployment_config_that_cannot_be(
    api: FakeReader, reader: ParameterReader, lacks: set[str], reason: str
) -> None:
    api.lacks = lacks

    with pytest.raises(InvalidInput) as raised:
        reader.freeze(about("DeploymentConfig"), HOME, deadline())

    assert raised.value.reason == reason
    assert "spec.actions[0].object" in raised.value.message


def reference(name: str, kind: str = "", namespace: str = HOME) -> ObjectReference:
    return ObjectReference(name, namespace, kind)


def test_nothing_is_asked_for_an_action_that_names_nothing(
    api: FakeReader, reader: ParameterReader
) -> None:
    frozen = {"Time": TIME, document.POD_RECORDS: [{}]}

    complete = reader.complete(frozen, ACTION, HOME, deadline(), phases={"dump": {}})

    assert complete == {"Time": TIME, **EMPTY, "Phases": {"dump": EMPTY}, "DeferPhase": EMPTY}
    assert api.asked == []


def test_what_an_action_names(api: FakeReader, reader: ParameterReader) -> None:
    keys = application.secret("keys", {"id": "1"}, HOME)
    settings = application.config_map("settings", {"bucket": "b"})
    store = application.profile({"credential": {"keyPair": {"secret": {"name": "keys"}}}}, HOME)
    store["credential"]["keyPair"]["secretField"] = "id"
    api.put(resources.SECRETS, keys)
    api.put(resources.CONFIG_MAPS, settings)
    api.put(resources.PROFILES, store)
    action = evolve(
        ACTION,
        secrets={"aws": reference("keys")},
        config_maps={"location": reference("settings", namespace=SHOP)},
        profile=reference("store"),
    )

    complete = reader.complete({}, action, HOME, deadline(), phases={})

    assert complete["Secrets"] == {"aws": keys}
    assert complete["ConfigMaps"] == {"location": settings}
    assert complete["Profile"]["Credential"]["KeyPair"] == {"ID": "1", "Secret": "1"}
    # The Secret that two name is read once.
    assert api.asked == [
        Asked("get", "secrets", HOME, "keys"),
        Asked("get", "configmaps", SHOP, "settings"),
        Asked("get", "profiles.cr.kanister.io", HOME, "store"),
    ]


def test_what_phases_name(api: FakeReader, reader: ParameterReader) -> None:
    keys = application.secret("keys", {"id": "1"}, HOME)
    settings = application.config_map("settings", {"a": "b"})
    api.put(resources.SECRETS, keys)
    api.put(resources.CONFIG_MAPS, settings)
    phases: Mapping[str, Mapping[str, ObjectReference]] = {
        "dump": {
            "db": reference("keys", "Secret", ""),
            "settings": reference("settings", "configmap", SHOP),
            "other": reference("db", "StatefulSet", SHOP),
        },
        "verify": {},
    }
    deferred = {"db": reference("keys", "secret")}

    complete = reader.complete({}, ACTION, HOME, deadline(), phases=phases, deferred=deferred)

    assert complete["Phases"] == {
        "dump": {"Secrets": {"db": keys}, "ConfigMaps": {"settings": settings}},
        "verify": EMPTY,
    }
    assert complete["DeferPhase"] == {"Secrets": {"db": keys}, "ConfigMaps": {}}
    assert asked(api) == [("get", "secrets"), ("get", "configmaps")]


@pytest.mark.parametrize(
    ("action", "field"),
    [
        pytest.param(
            evolve(ACTION, secrets={"aws": reference("keys", namespace="other")}),
            "spec.actions[0].secrets.aws",
            id="a Secret",
        ),
        pytest.param(
            evolve(ACTION, config_maps={"location": reference("keys", namespace="other")}),
            "spec.actions[0].configMaps.location",
            id="a ConfigMap",
        ),
        pytest.param(
            evolve(ACTION, profile=reference("keys", namespace="other")),
            "spec.actions[0].profile",
            id="a Profile",
        ),
        pytest.param(
            evolve(ACTION, repository_server=reference("keys", namespace="other")),
            "spec.actions[0].repositoryServer",
            id="a RepositoryServer",
        ),
    ],
)
def test_nothing_of_another_namespace_is_read(
    api: FakeReader, reader: ParameterReader, action: Action, field: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        reader.complete({}, action, HOME, deadline(), phases={})

    assert raised.value.reason == lookup.REASON_FOREIGN
    assert raised.value.message.startswith(field)
    assert api.asked == []


def test_neither_by_a_phase_nor_by_a_profile(api: FakeReader, reader: ParameterReader) -> None:
    foreign = {"credential": {"keyPair": {"secret": {"namespace": "other"}}}}
    api.put(resources.PROFILES, application.profile(foreign, HOME))
    by_profile = evolve(ACTION, profile=reference("store"))
    by_phase = {"dump": {"db": reference("keys", "Secret", "other")}}

    with pytest.raises(InvalidInput) as of_profile:
        reader.complete({}, by_profile, HOME, deadline(), phases={})
    with pytest.raises(InvalidInput) as of_phase:
        reader.complete({}, ACTION, HOME, deadline(), phases=by_phase)

    assert of_profile.value.message.startswith(
        "credential.keyPair.secret of Profile kanister/store"
    )
    assert of_phase.value.message.startswith("objects of phase dump.db")


STATUS = {"serverInfo": {"serviceName": "repo-server-files"}}
ENDPOINT = f"https://repo-server-files.{objects.NAMESPACE}.svc.cluster.local:51515"


def with_server(api: FakeReader, **words: Any) -> Action:
    """Return an action in the server's namespace, where the server and a Profile are."""
    api.put(connection.RESOURCE, objects.repository_server({"status": STATUS}))
    api.put(resources.SECRETS, objects.tls_secret(), objects.users_secret())
    location = {"type": "kopia", "endpoint": ENDPOINT}
    api.put(resources.PROFILES, application.profile({"location": location}, objects.NAMESPACE))
    return evolve(ACTION, **words)


SERVER = reference("files", namespace=objects.NAMESPACE)
PROFILE = reference("store", namespace=objects.NAMESPACE)


def test_a_repository_server(api: FakeReader, reader: ParameterReader) -> None:
    action = with_server(api, repository_server=SERVER)

    complete = reader.complete({}, action, objects.NAMESPACE, deadline(), phases={})

    found = complete["RepositoryServer"]
    assert found["Address"] == f"https://repo-server-files.{objects.NAMESPACE}.svc:51515"
    assert found["Credentials"]["ServerUserAccess"] == objects.users_secret()
    assert asked(api) == [
        ("get", "repositoryservers.cr.kanister.io"),
        ("get", "secrets"),
        ("get", "secrets"),
    ]


@pytest.mark.parametrize(
    ("words", "requests", "found"),
    [
        pytest.param(
            {"repository_server": SERVER, "profile": PROFILE},
            [("get", "repositoryservers.cr.kanister.io")],
            True,
            id="the one that the action names comes first",
        ),
        pytest.param(
            {"profile": PROFILE},
            [("get", "profiles.cr.kanister.io"), ("list", "repositoryservers.cr.kanister.io")],
            True,
            id="then the one whose Service the Profile has",
        ),
        pytest.param({}, [], False, id="without either there is none"),
    ],
)
def test_which_server_data_functions_use(
    api: FakeReader,
    reader: ParameterReader,
    words: Object,
    requests: list[tuple[str, str]],
    *,
    found: bool,
) -> None:
    action = with_server(api, **words)

    server = reader.server(action, objects.NAMESPACE, deadline())

    assert (server is not None) is found
    assert asked(api) == requests


def test_a_profile_of_a_store_names_no_server(api: FakeReader, reader: ParameterReader) -> None:
    api.put(resources.PROFILES, application.profile(namespace=HOME))

    server = reader.server(evolve(ACTION, profile=reference("store")), HOME, deadline())

    assert server is None
    assert asked(api) == [("get", "profiles.cr.kanister.io")]
