"""KubeOps, Wait and WaitV2 on a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import evolve

from controller.clock import Deadline
from controller.errors import NotFound
from controller.resource import Resource
from e2e.waiting import CLOCK, wait_for
from fakes.clock import FakeClock
from fakes.phaseruns import Phase, phase_run
from fakes.workloads import DEPLOYMENTS
from integration import running
from reconcilers import resources
from reconcilers.actionset.function import Complete, Failed, Running
from reconcilers.actionset.functions.kubeops import KubeOps
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from controller.resource import Object
    from controller.rest.client import Client

THINGS: Final = Resource("example.com", "v1", "things", "Thing")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")

CONFIG_MAP: Final = """\
apiVersion: v1
kind: ConfigMap
metadata: {generateName: made-}
data: {when: 2026-01-01, mode: "0644"}
"""
DEPLOYMENT: Final = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: one}
      - {name: tools, image: two}
"""


@pytest.fixture(scope="module", autouse=True)
def _definition(client: Client) -> None:
    """Have a kind of custom resources."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": THINGS.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    body: Object = {
        "apiVersion": running.DEFINITIONS.api_version,
        "kind": running.DEFINITIONS.kind,
        "metadata": {"name": THINGS.full_name},
        "spec": {
            "group": THINGS.group,
            "names": {"plural": THINGS.plural, "kind": THINGS.kind},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
    client.apply(running.DEFINITIONS, "", THINGS.full_name, body)
    wait_for("the definition", lambda: running.serves(client, THINGS))


def phase(client: Client, namespace: str, given: dict[str, Any]) -> Phase:
    run = phase_run(FakeClock())
    action = evolve(run.action, object=evolve(run.action.object, namespace=namespace))
    run = evolve(run, action=action, started_at=CLOCK.now(), deadline=Deadline.after(CLOCK, 60.0))
    return Phase(KubeOps(client, CLOCK), FakeClock(), given, run)


def create(namespace: str, spec: str) -> dict[str, Any]:
    return {"operation": "create", "namespace": namespace, "spec": spec}


def reference(namespace: str, resource: Resource, name: str) -> dict[str, str]:
    return {
        "apiVersion": resource.version,
        "group": resource.group,
        "resource": resource.plural,
        "name": name,
        "namespace": namespace,
    }


def test_objects_of_several_kinds_are_created(client: Client, namespace: str) -> None:
    step = phase(client, namespace, create(namespace, f"{CONFIG_MAP}---\n{DEPLOYMENT}")).settle()

    assert step == Complete({**reference(namespace, DEPLOYMENTS, "web"), "kind": ""})
    found = client.list(CONFIG_MAPS, namespace)["items"]
    (made,) = [one for one in found if one["metadata"]["name"].startswith("made-")]
    assert made["data"] == {"when": "2026-01-01", "mode": "0644"}
    assert "actionset.cr.kanister.io/phase" in made["metadata"]["annotations"]


def test_what_was_created_is_found_by_another_process(client: Client, namespace: str) -> None:
    run = phase(client, namespace, create(namespace, CONFIG_MAP))
    first = run.settle()
    run.function = KubeOps(client, CLOCK)

    assert run.advance() == first


def test_a_rejected_object_is_named_by_its_fields(client: Client, namespace: str) -> None:
    spec = DEPLOYMENT.replace("name: main", "name: hunter_2").replace("replicas: 0", "replicas: -5")

    with pytest.raises(InvalidInput) as refused:
        phase(client, namespace, create(namespace, spec)).settle()

    assert refused.value.message == (
        "Deployment web is rejected by the API server (Invalid), for its spec.replicas,"
        " spec.template.spec.containers[0].name; correct argument spec"
    )


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(CONFIG_MAP.replace("ConfigMap", "Thing"), id="a kind that is not there"),
        pytest.param(CONFIG_MAP.replace("v1", "v9"), id="a version"),
        pytest.param(CONFIG_MAP.replace("v1", "example.org/v1"), id="a group"),
    ],
)
def test_a_kind_that_is_not_served_is_named(client: Client, namespace: str, spec: str) -> None:
    with pytest.raises(InvalidInput, match="object 1 of argument spec: the API server does not"):
        phase(client, namespace, create(namespace, spec)).settle()


def test_lists_are_merged_by_their_keys_in_a_patch(client: Client, namespace: str) -> None:
    phase(client, namespace, create(namespace, DEPLOYMENT)).settle()
    patch = {
        "operation": "patch",
        "objectReference": reference(namespace, DEPLOYMENTS, "web"),
        "spec": "spec: {template: {spec: {containers: [{name: tools, image: three}]}}}",
    }

    assert isinstance(phase(client, namespace, patch).settle(), Complete)

    found = client.get(DEPLOYMENTS, namespace, "web")
    containers = found["spec"]["template"]["spec"]["containers"]
    assert {one["name"]: one["image"] for one in containers} == {"main": "one", "tools": "three"}


def test_a_custom_resource_is_created_and_patched(client: Client, namespace: str) -> None:
    """Kanister's patch of one fails: it is of a type that custom resources do not know."""
    thing = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: it}\nspec: {a: 1, b: 2}"
    patch = {
        "operation": "patch",
        "objectReference": reference(namespace, THINGS, "it"),
        "spec": "spec: {b: 3}",
    }

    assert isinstance(phase(client, namespace, create(namespace, thing)).settle(), Complete)
    assert isinstance(phase(client, namespace, patch).settle(), Complete)

    assert client.get(THINGS, namespace, "it")["spec"] == {"a": 1, "b": 3}


def test_a_deletion_waits_for_a_finalizer(client: Client, namespace: str) -> None:
    body: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": namespace, "finalizers": ["example.com/held"]},
    }
    client.create(CONFIG_MAPS, namespace, body)
    run = phase(
        client,
        namespace,
        {"operation": "delete", "objectReference": reference(namespace, CONFIG_MAPS, "held")},
    )

    assert isinstance(run.settle(), Running)
    assert isinstance(run.advance(), Running)
    released: Object = {"metadata": {"finalizers": None}}
    client.merge_patch(CONFIG_MAPS, namespace, "held", released)

    assert isinstance(run.advance(), Complete)
    with pytest.raises(NotFound):
        client.get(CONFIG_MAPS, namespace, "held")


def test_an_outcome_that_is_not_known_is_named(client: Client, namespace: str) -> None:
    run = phase(client, namespace, create(namespace, CONFIG_MAP))
    run.advance()
    run.function = KubeOps(client, CLOCK)

    step = run.advance()

    assert isinstance(step, Failed)
    assert step.message.startswith("outcome unknown: actionset-controller was restarted while it")


def test_secrets_of_the_namespace_are_not_in_a_message(client: Client, namespace: str) -> None:
    """The API server repeats a value that it cannot take."""
    spec = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: made}\n"
        "type: kubernetes.io/tls\nstringData: {tls.crt: hunter2}\n"
    )

    with pytest.raises(InvalidInput) as refused:
        phase(client, namespace, create(namespace, spec)).settle()

    assert "hunter2" not in refused.value.message
    assert client.list(resources.SECRETS, namespace)["items"] == []
