"""Wait and WaitV2 with the program that evaluates conditions, as public Blueprints have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from controller.clock import SystemClock
from controller.resource import Resource
from fakes.clock import FakeClock
from fakes.phaseclient import PhaseClient, client_of
from fakes.phaseruns import Phase, phase_run
from reconcilers import resources
from reconcilers.actionset.function import Complete, Running
from reconcilers.actionset.functions.wait import WAIT, WAIT_V2, Wait
from reconcilers.actionset.templates.child import Limits
from reconcilers.actionset.templates.program import ProgramRenderer
from reconcilers.errors import InvalidInput
from testlib import templates

if TYPE_CHECKING:
    from collections.abc import Iterator

SEARCHES = Resource("elasticsearch.k8s.elastic.co", "v1", "elasticsearches", "Elasticsearch")
HEALTHY = (
    '{{ if or (eq "{ $.status.health }" "green") (eq "{ $.status.health }" "yellow") }}true'
    "{{ else }}false{{ end }}"
)
READY = (
    "{{ $ready := false }}{{ range $.status.conditions }}"
    '{{ if and (eq .type "ContainersReady") (eq .status "True") }}{{ $ready = true }}'
    "{{ end }}{{ end }}{{ $ready }}"
)


@pytest.fixture(scope="module")
def renderer() -> Iterator[ProgramRenderer]:
    """Return a renderer that keeps one process."""
    if not templates.program().exists():
        pytest.skip("no template-renderer: `hack/cluster build template-renderer` builds it")
    # A machine that is busy takes its time.
    made = ProgramRenderer.of(templates.program(), SystemClock(), limits=Limits(seconds=60.0))
    yield made
    made.close()


def look(
    renderer: ProgramRenderer, name: str, resource: Resource, status: Any, condition: str
) -> object:
    """Return what Wait says of an object with a status."""
    clock, client = FakeClock(), PhaseClient()
    metadata = {"namespace": "app", "name": "it"}
    client.put(resource, {"metadata": metadata, "status": status})
    reference = {
        "apiVersion": resource.version,
        "group": resource.group,
        "resource": resource.plural,
        **metadata,
    }
    conditions = {"anyOf": [{"condition": condition, "objectReference": reference}]}
    function = Wait(name, client_of(client), renderer, clock)
    given = {"timeout": "60s", "conditions": conditions}
    return Phase(function, clock, given, phase_run(clock)).advance()


@pytest.mark.parametrize(
    ("name", "resource", "condition", "status", "met"),
    [
        pytest.param(WAIT, SEARCHES, HEALTHY, {"health": "green"}, True, id="a path is met"),
        pytest.param(WAIT, SEARCHES, HEALTHY, {"health": "red"}, False, id="a path is not met"),
        pytest.param(WAIT, SEARCHES, HEALTHY, {}, False, id="a path leads nowhere yet"),
        pytest.param(
            WAIT_V2,
            resources.PODS,
            READY,
            {"conditions": [{"type": "ContainersReady", "status": "True"}]},
            True,
            id="a template is met",
        ),
        pytest.param(
            WAIT_V2,
            resources.PODS,
            READY,
            {"conditions": [{"type": "ContainersReady", "status": "False"}]},
            False,
            id="a template is not met",
        ),
        pytest.param(WAIT_V2, resources.PODS, READY, {}, False, id="a template finds nothing yet"),
    ],
)
def test_a_condition_is_evaluated(
    renderer: ProgramRenderer,
    name: str,
    resource: Resource,
    condition: str,
    status: Any,
    *,
    met: bool,
) -> None:
    step = look(renderer, name, resource, status, condition)

    assert isinstance(step, Complete if met else Running)


def test_a_template_that_does_not_parse_fails_at_once_and_says_where(
    renderer: ProgramRenderer,
) -> None:
    with pytest.raises(InvalidInput, match=r"^conditions\.anyOf\[0\]\.condition of phase step: "):
        look(renderer, WAIT_V2, resources.PODS, {}, "{{ if }}")
