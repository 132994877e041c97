"""Why the API server refuses a pod, without a value of a field."""

import pytest

from controller.errors import Forbidden, Invalid, NotFound
from reconcilers.actionset.phases import refusals

RESTRICTED = (
    'pods "dump" is forbidden: violates PodSecurity "restricted:v1.30": allowPrivilegeEscalation '
    '!= false (container "container" must set securityContext.allowPrivilegeEscalation=false)'
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(RESTRICTED, True, id="restricted, of a version"),
        pytest.param(RESTRICTED.replace("v1.30", "latest"), True, id="restricted, the latest"),
        pytest.param(RESTRICTED.replace("restricted", "baseline"), False, id="baseline"),
        pytest.param("exceeded quota: pods", False, id="something else"),
    ],
)
def test_whether_a_namespace_asks_for_the_restricted_profile(
    message: str, *, expected: bool
) -> None:
    assert refusals.asks_for_restricted(Forbidden(403, "Forbidden", message)) is expected


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        pytest.param(
            'Pod "dump" is invalid: [spec.containers[0].image: Required value, '
            'spec.containers[0].env[0].name: Invalid value: "a=hunter2": a valid environment '
            "variable name must consist of letters]",
            "spec.containers[0].image: Required value, "
            "spec.containers[0].env[0].name: Invalid value",
            id="several, one with its value",
        ),
        pytest.param(
            'Pod "dump" is invalid: metadata.labels: Invalid value: "hunter2 "',
            "metadata.labels: Invalid value",
            id="a label",
        ),
        pytest.param("hunter2 is wrong", "its specification is invalid", id="of another form"),
    ],
)
def test_an_invalid_pod_is_explained_by_its_fields(message: str, fields: str) -> None:
    assert refusals.explain(Invalid(422, "Invalid", message), "shop") == (
        f"the API server does not take the pod: {fields}; correct the arguments of the phase, or "
        "podOverride"
    )


@pytest.mark.parametrize(
    ("message", "who"),
    [
        pytest.param(
            "pods \"dump\" is forbidden: ValidatingAdmissionPolicy 'no-root' with binding 'b'"
            " denied request: hunter2",
            "policy no-root",
            id="a policy that says no reason is answered as a wrong field is",
        ),
        pytest.param(
            'admission webhook "a.example" denied the request: hunter2',
            "admission webhook a.example",
            id="a webhook",
        ),
    ],
)
def test_who_refuses_a_pod_is_named(message: str, who: str) -> None:
    assert refusals.explain(Invalid(422, "Invalid", message), "shop") == (
        f"{who} refuses the pod; change it with podOverride"
    )


def test_a_namespace_that_is_not_there_is_named() -> None:
    error = NotFound(404, "NotFound", 'namespaces "shop" not found')

    assert refusals.explain(error, "shop") == (
        "namespace shop does not exist; correct the argument namespace"
    )
