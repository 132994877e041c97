"""What KubeOps does not do, since it acts with the rights of the engine."""

from __future__ import annotations

from typing import Any

import pytest

from controller.resource import Resource
from fakes.clock import FakeClock
from fakes.kubeops import CREATE, DELETE, PATCH, REFERENCE, SERVED, existing, manifest, phase
from fakes.phaseclient import PhaseClient
from reconcilers import resources
from reconcilers.actionset.function import Complete
from reconcilers.errors import InvalidInput


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client() -> PhaseClient:
    return PhaseClient(served=SERVED)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            CREATE | {"operation": "apply"},
            "argument operation is none of create, delete and patch; set it to one",
            id="another operation",
        ),
        pytest.param(
            CREATE | {"spec": " \n"},
            "argument spec is missing or empty; set it to what to create, as YAML",
            id="nothing to create",
        ),
        pytest.param(
            PATCH,
            "configmaps app/made does not exist; check argument objectReference",
            id="no patch",
        ),
        pytest.param(
            DELETE,
            "configmaps app/made does not exist; check argument objectReference",
            id="nothing to delete, as for Kanister",
        ),
        pytest.param(
            CREATE | {"spec": manifest("ActionSet", version="cr.kanister.io/v1alpha1")},
            "KubeOps does not touch objects of the group cr.kanister.io, since it would do so with"
            " the rights of actionset-controller; have somebody with the rights do it",
            id="an ActionSet for a namespace in which the author may do nothing",
        ),
        pytest.param(
            CREATE | {"spec": manifest("RoleBinding", version="rbac.authorization.k8s.io/v1")},
            "KubeOps does not touch objects of the group rbac.authorization.k8s.io, since it would"
            " do so with the rights of actionset-controller; have somebody with the rights do it",
            id="a binding to the engine's Role",
        ),
        pytest.param(
            CREATE | {"spec": manifest("Namespace")},
            "KubeOps does not touch cluster-scoped objects, such as namespaces; have somebody with"
            " the rights do it",
            id="cluster-scoped",
        ),
        pytest.param(
            DELETE | {"objectReference": {**REFERENCE, "resource": "namespaces", "name": "app"}},
            "KubeOps does not touch cluster-scoped objects, such as namespaces; have somebody with"
            " the rights do it",
            id="the namespace itself, which may be waited for",
        ),
        pytest.param(
            CREATE | {"spec": manifest("Secret", rest="type: kubernetes.io/service-account-token")},
            "KubeOps does not create Secrets of type kubernetes.io/service-account-token, which the"
            " cluster fills with an account's token; use another type",
            id="a token of the engine",
        ),
        pytest.param(
            CREATE
            | {
                "spec": manifest().replace(
                    "{name", "{labels: {actionset.cr.kanister.io/uid: x}, name"
                )
            },
            "object 1 of argument spec has a label, an annotation or a finalizer that begins with"
            " actionset.cr.kanister.io/, as what ActionSets work with; remove it",
            id="what would pass for a phase's pod",
        ),
        pytest.param(
            CREATE
            | {
                "namespace": "kanister",
                "spec": manifest(
                    "Deployment",
                    version="apps/v1",
                    rest="spec: {template: {spec: {serviceAccountName: engine}}}",
                ),
            },
            "object 1 of argument spec would run with the service account of an operator;"
            " name another one in serviceAccountName",
            id="the engine's account, in a template of pods",
        ),
        pytest.param(
            CREATE
            | {
                "namespace": "kanister",
                "spec": manifest("Pod", rest="spec: {serviceAccount: engine}"),
            },
            "object 1 of argument spec would run with the service account of an operator;"
            " name another one in serviceAccountName",
            id="the engine's account, by the field's old name",
        ),
        pytest.param(
            CREATE
            | {
                "namespace": "kanister",
                "spec": manifest("Pod", rest="spec: {serviceAccountName: a-kanister-operator}"),
            },
            "object 1 of argument spec would run with the service account of an operator;"
            " name another one in serviceAccountName",
            id="another operator's account, as Helm calls it",
        ),
    ],
)
def test_what_must_not_be_done_is_refused(
    client: PhaseClient, clock: FakeClock, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        phase(client, clock, given).settle()

    assert refused.value.message == message
    assert {one.verb for one in client.taken()} <= {"get"}


def test_an_account_of_that_name_elsewhere_is_another_one(
    client: PhaseClient, clock: FakeClock
) -> None:
    spec = manifest("Pod", rest="spec: {serviceAccountName: engine}")

    assert isinstance(phase(client, clock, CREATE | {"spec": spec}).settle(), Complete)


@pytest.mark.parametrize("given", [PATCH, DELETE])
def test_what_action_sets_work_with_is_left_alone(
    client: PhaseClient, clock: FakeClock, given: dict[str, Any]
) -> None:
    client.put(resources.PODS, existing(labels={"actionset.cr.kanister.io/uid": "another"}))
    reference = {**REFERENCE, "resource": "pods"}

    with pytest.raises(InvalidInput, match="pods app/made belongs to an ActionSet; KubeOps leaves"):
        phase(client, clock, given | {"objectReference": reference}).settle()


@pytest.mark.parametrize(
    ("reference", "labels", "message"),
    [
        pytest.param(
            {**REFERENCE, "group": "cr.kanister.io", "apiVersion": "v1alpha1"},
            {},
            "KubeOps does not touch objects of the group cr.kanister.io",
            id="an ActionSet of somebody else",
        ),
        pytest.param(
            {**REFERENCE, "apiVersion": "v1", "resource": "namespaces", "name": "app"},
            {},
            "KubeOps does not touch cluster-scoped objects",
            id="a namespace",
        ),
        pytest.param(
            REFERENCE,
            {"actionset.cr.kanister.io/uid": "another"},
            "configmaps app/made belongs to an ActionSet",
            id="what another ActionSet works with",
        ),
    ],
)
def test_a_memo_that_was_changed_by_hand_leads_to_nothing_else(
    client: PhaseClient,
    clock: FakeClock,
    reference: dict[str, str],
    labels: dict[str, str],
    message: str,
) -> None:
    """Whoever may annotate an ActionSet may not delete with the rights of the engine."""
    group, version = reference.get("group", ""), reference["apiVersion"]
    api = Resource(group, version, reference["resource"], "")
    found = existing(reference["name"], labels=labels)
    found["metadata"]["namespace"] = "" if api.plural == "namespaces" else "app"
    client.put(api, found)
    memo = {"operation": "delete", "uid": "uid-1", "reference": reference}

    with pytest.raises(InvalidInput, match=message):
        phase(client, clock, DELETE, memo=memo).settle()

    assert "delete" not in {one.verb for one in client.taken()}
