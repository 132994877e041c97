"""What an action is about."""

from __future__ import annotations

import pytest

from controller.resource import Resource
from reconcilers import resources
from reconcilers.actionset.api import Action, ObjectReference
from reconcilers.actionset.parameters import targets
from reconcilers.actionset.parameters.targets import Known, Target, target_of
from reconcilers.errors import InvalidInput

FIELD = "spec.actions[0].object"
CERTIFICATES = Resource("cert-manager.io", "v1", "certificates", "Certificate")


def action(reference: ObjectReference) -> Action:
    return Action(0, "backup", "postgres", reference)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        pytest.param(
            ObjectReference("db", "shop", "StatefulSet"),
            Target(Known.STATEFUL_SET, resources.STATEFUL_SETS, "shop", "db", FIELD),
            id="a kind is known in any letters",
        ),
        pytest.param(
            ObjectReference("data", "shop", "pvc", "v1", "", "anything"),
            Target(Known.CLAIM, resources.PERSISTENT_VOLUME_CLAIMS, "shop", "data", FIELD),
            id="a known kind is found whatever stands beside it",
        ),
        pytest.param(
            ObjectReference("shop", "shop", "namespace"),
            Target(Known.NAMESPACE, resources.NAMESPACES, "shop", "shop", FIELD),
            id="a Namespace as kanctl writes it, by both",
        ),
        pytest.param(
            ObjectReference("tls", "shop", "", "v1", "cert-manager.io", "certificates"),
            Target(
                Known.OTHER,
                Resource("cert-manager.io", "v1", "certificates", "certificates"),
                "shop",
                "tls",
                FIELD,
            ),
            id="any other object by version, group and resource, without a kind",
        ),
        pytest.param(
            ObjectReference("tls", "shop", "Certificate", "v1", "cert-manager.io", "certificates"),
            Target(Known.OTHER, CERTIFICATES, "shop", "tls", FIELD),
            id="its kind is for messages",
        ),
        pytest.param(
            ObjectReference("node", "", "Node", "v1", "", "nodes"),
            Target(
                Known.OTHER,
                Resource("", "v1", "nodes", "Node", namespaced=False),
                "kanister",
                "node",
                FIELD,
            ),
            id="one of no namespace: the action is about that of the ActionSet",
        ),
    ],
)
def test_which_object_it_is(reference: ObjectReference, expected: Target) -> None:
    assert target_of(action(reference), "kanister") == expected


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        pytest.param(
            ObjectReference("other", "shop", "Namespace"),
            targets.OTHER_NAMESPACE.format(field=FIELD, name="other", namespace="shop"),
            id="an action acts in one namespace",
        ),
        pytest.param(
            ObjectReference("victim", "", "Any", "v1", "", "namespaces"),
            targets.BY_KIND.format(field=FIELD),
            id="a Namespace is named by its kind, so that nobody looks at it from another one",
        ),
        pytest.param(
            ObjectReference("x", "shop", "Secret", "v1", "", "pods/../../kube-system/secrets"),
            targets.NOT_A_NAME.format(
                field=FIELD,
                part="resource",
                value="pods/../../kube-system/secrets",
                expected="the plural in small letters",
                example="statefulsets",
            ),
            id="a resource is no way into another namespace",
        ),
        pytest.param(
            ObjectReference("x", "shop", "Deployment2", "apps/v1", "", "deployments"),
            targets.NOT_A_NAME.format(
                field=FIELD,
                part="apiVersion",
                value="apps/v1",
                expected="the version without its group",
                example="v1",
            ),
            id="neither is a version, which has no group",
        ),
        pytest.param(
            ObjectReference("x", "shop", "Any", "v1", "a/b", "things"),
            targets.NOT_A_NAME.format(
                field=FIELD,
                part="group",
                value="a/b",
                expected="the group alone",
                example="apps",
            ),
            id="nor a group",
        ),
    ],
)
def test_what_no_object_can_be(reference: ObjectReference, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        target_of(action(reference), "kanister")

    assert raised.value.message == message


@pytest.mark.parametrize(
    ("reference", "is_secret"),
    [
        pytest.param(
            ObjectReference("x", "shop", "anything", "v1", "", "secrets"),
            True,
            id="a Secret is one by its resource, whatever it calls its kind",
        ),
        pytest.param(
            ObjectReference("x", "shop", "Secret", "v1", "example.com", "secrets"),
            False,
            id="that of another group is none",
        ),
        pytest.param(ObjectReference("x", "shop", "pvc"), False, id="nothing else is one"),
    ],
)
def test_whether_it_is_a_secret(reference: ObjectReference, *, is_secret: bool) -> None:
    assert target_of(action(reference), "kanister").is_secret is is_secret
