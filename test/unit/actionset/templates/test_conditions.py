"""Conditions of Wait and WaitV2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconcilers.actionset.templates.errors import TemplateError
from reconcilers.actionset.templates.renderer import ConditionKind

if TYPE_CHECKING:
    from reconcilers.actionset.templates.renderer import Renderer

JSONPATH, GOTEMPLATE = ConditionKind.JSONPATH, ConditionKind.GOTEMPLATE

POD: dict[str, Any] = {
    "metadata": {"name": "p", "labels": {"app.kubernetes.io/name": "db"}},
    "spec": {"replicas": 3000000, "containers": [{"name": "a"}, {"name": "b"}]},
    "status": {
        "phase": "Running",
        "quoted": '"',
        "encoded": "dHJ1ZQ==",
        "conditions": [
            {"type": "Ready", "status": "False"},
            {"type": "ContainersReady", "status": "True"},
        ],
    },
}


@pytest.mark.parametrize(
    ("kind", "condition", "met"),
    [
        pytest.param(
            JSONPATH,
            '{{ if eq "{ $.status.phase }" "Running" }}true{{ else }}false{{ end }}',
            True,
            id="a path is replaced by its value, the whole is a template",
        ),
        pytest.param(JSONPATH, '{{ eq "{ $.status.phase }" "Failed" }}', False, id="not met"),
        pytest.param(JSONPATH, ' \n{{ eq "{$.spec.replicas}" "3000000" }} ', True, id="trimmed"),
        pytest.param(
            JSONPATH,
            "{{ eq { $.spec.replicas } 3000000 }}",
            True,
            id="without quotes a value is Go's: a whole number",
        ),
        pytest.param(
            JSONPATH,
            '{{ eq "{ $.status.conditions[?(@.type==\'Ready\')].status }" "False" }}',
            True,
            id="a filter",
        ),
        pytest.param(
            JSONPATH,
            '{{ eq "{ $.spec.containers[*].name }" "a b" }}',
            True,
            id="several values are apart by a space",
        ),
        pytest.param(
            JSONPATH,
            '{{ eq "{ $.metadata.labels.app\\.kubernetes\\.io/name }" "db" }}',
            True,
            id="points in a name are escaped",
        ),
        pytest.param(
            JSONPATH, '{{ hasPrefix "Run" "{ $.status.phase }" }}', True, id="sprig's functions"
        ),
        pytest.param(JSONPATH, "True", False, id="only `true` is true"),
        pytest.param(
            GOTEMPLATE,
            "{{ $met := false }}{{ range $c := $.status.conditions }}"
            '{{ if and (eq .type "ContainersReady") (eq .status "True") }}{{ $met = true }}'
            "{{ break }}{{ end }}{{ end }}{{ $met }}",
            True,
            id="kubectl's go-template, with the object as root",
        ),
        pytest.param(
            GOTEMPLATE, "{{ eq .spec.replicas 3000000 }}", True, id="whole numbers are whole"
        ),
        pytest.param(
            GOTEMPLATE, '{{ exists .status "conditions" 1 "type" }}', True, id="exists: it does"
        ),
        pytest.param(
            GOTEMPLATE,
            '{{ exists .status "conditions" 2 "type" }}',
            False,
            id="exists: it does not",
        ),
        pytest.param(
            GOTEMPLATE, '{{ exists .status "phase" 0 }}', True, id="exists: a letter of a text"
        ),
        pytest.param(GOTEMPLATE, "{{ base64decode .status.encoded }}", True, id="base64decode"),
        pytest.param(GOTEMPLATE, "{{ .status.lacking }}", False, id="a lacking key is no fault"),
    ],
)
def test_a_condition_is_met(
    renderer: Renderer, kind: ConditionKind, condition: str, met: object
) -> None:
    assert renderer.evaluate_wait(kind, condition, POD, place="condition") is met


@pytest.mark.parametrize(
    ("kind", "condition", "permanent", "message"),
    [
        pytest.param(
            JSONPATH,
            '{{ eq "{ $.status.ready }" "1" }}',
            False,
            "$.status.ready: ready is not found",
            id="a field that the object does not have yet",
        ),
        pytest.param(
            JSONPATH,
            '{{ eq "{ $.status[ }" "1" }}',
            True,
            "$.status[ is no JSONPath",
            id="what is no path, which Kanister takes for an empty text",
        ),
        pytest.param(
            JSONPATH,
            '{{ eq "{ $.status.quoted }" "1" }}',
            False,
            "it is no template of Go; put the paths in quotes",
            id="what is no template with these values in it",
        ),
        pytest.param(
            GOTEMPLATE,
            "{{ if }}",
            True,
            "missing value for if",
            id="what is no template, which Kanister waits for until the time is over",
        ),
        pytest.param(
            GOTEMPLATE,
            "{{ quote .status.phase }}",
            True,
            'function "quote" not defined',
            id="sprig is not kubectl's",
        ),
        pytest.param(
            GOTEMPLATE, "{{ len .status.lacking }}", False, "on zero Value", id="of nothing"
        ),
    ],
)
def test_a_condition_that_cannot_be_evaluated_says_whether_it_ever_can(
    renderer: Renderer, kind: ConditionKind, condition: str, permanent: object, message: str
) -> None:
    with pytest.raises(TemplateError) as refused:
        renderer.evaluate_wait(kind, condition, POD, place="condition allOf[0]")

    assert refused.value.message.startswith("condition allOf[0]: ")
    assert message in refused.value.message
    assert refused.value.permanent is permanent
