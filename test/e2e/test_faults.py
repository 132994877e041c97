"""What users get wrong is told in their words, once, and is over when they have mended it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from e2e.cluster import NAMESPACE
from e2e.faults import FAULTS
from e2e.server import condition, events_of
from e2e.waiting import CLOCK, wait_for
from fakes.objects import merged

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object
    from e2e.cluster import Cluster
    from e2e.faults import Fault
    from e2e.server import Server

# Within which a server is Ready once its fault is mended.
RECOVERY_SECONDS = 30.0


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.what) for fault in FAULTS])
def test_a_fault_is_told_and_is_over_when_it_is_mended(
    server: Server,
    cluster: Cluster,
    fault: Fault,
    describe: Callable[[Server, str], None],
    record_seconds: Callable[[str, float], None],
) -> None:
    server.make_volume()
    server.make_repository()
    fault.make(server)
    server.create()
    failed = server.wait("to have Failed", has_failed)

    message = fault.message.format(namespace=NAMESPACE, server=server.name)
    step, ready = condition(failed, fault.step), condition(failed, "Ready")
    assert step is not None
    assert ready is not None
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", fault.reason, message)
    assert (step["status"], step["message"]) == ("False", message)
    for seen in (step, ready, failed["status"]):
        assert seen["observedGeneration"] == failed["metadata"]["generation"]
    wait_for("the event", lambda: events_of(cluster.events(failed), fault.reason))
    describe(server, fault.what)

    began = CLOCK.monotonic()
    fault.mend(server)
    server.wait_ready(seconds=RECOVERY_SECONDS)
    record_seconds("Ready after it was mended in", CLOCK.monotonic() - began)

    (event,) = events_of(cluster.events(failed), fault.reason)
    assert (event["type"], event["note"]) == ("Warning", message)
    assert "series" not in event


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(
            {"repository": {"rootPath": 7}},
            'spec.repository.rootPath: Invalid value: "integer"',
            id="a number in place of a path",
        ),
        pytest.param(
            {"repository": {"rootPath": "../another"}},
            'rootPath must not contain ".."',
            id="a path that leaves its prefix",
        ),
        pytest.param(
            {"server": {"runAsUser": "root"}},
            'spec.server.runAsUser: Invalid value: "string"',
            id="a name in place of a number",
        ),
        pytest.param(
            {"storage": {"secretRef": "location"}},
            'spec.storage.secretRef: Invalid value: "string"',
            id="a name in place of a reference",
        ),
    ],
)
def test_what_can_never_work_is_refused_by_the_api_server(
    server: Server, cluster: Cluster, change: Object, complaint: str
) -> None:
    resource = merged(server.resource, {"spec": change})

    refused = cluster.kubectl.attempt("create", "--filename=-", stdin=json.dumps(resource))

    assert refused.code != 0
    assert complaint in refused.complaint


def has_failed(server: Object) -> bool:
    """Return whether the controller says that a fault must be mended."""
    return bool(server.get("status", {}).get("progress") == "Failed")
