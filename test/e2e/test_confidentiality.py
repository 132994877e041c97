"""No password and no key of the session stands anywhere but in Secrets.

Runs last: it looks at what all the other tests have left. With `-k` it sees only what the tests
chosen did; alone it fails, since nothing was there to be seen.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from e2e.cluster import NAMESPACE
from e2e.confidential import Confidential
from e2e.waiting import wait_for
from e2e.witness import CONFIG_MAPS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from e2e.cluster import Cluster
    from e2e.installation import Controller
    from e2e.witness import Witness

AUDIT_LOG = "RSC_TEST_AUDIT_LOG"

CONTROLLER_USER = f"system:serviceaccount:{NAMESPACE}:repository-server-controller"

needs_audit_log = pytest.mark.skipif(
    AUDIT_LOG not in os.environ, reason="only a cluster of hack/cluster has its requests logged"
)

# A password or key, and how it may be written.
PLANTED = "planted/password+1234"
DISGUISES = [
    pytest.param(PLANTED, id="as it is"),
    pytest.param(quote(PLANTED, safe=""), id="in a URL"),
    pytest.param(base64.b64encode(PLANTED.encode()).decode(), id="in base64"),
    pytest.param(base64.b64encode(f"user:{PLANTED}\n".encode()).decode(), id="within base64"),
]


def leaks(texts: Iterable[tuple[str, str]], confidential: Confidential) -> list[str]:
    """Return where something confidential stands and what it is."""
    return [f"{where}: {what}" for where, text in texts for what in confidential.found_in(text)]


@pytest.mark.parametrize("disguised", DISGUISES)
def test_the_search_finds_what_is_planted(
    cluster: Cluster, witness: Witness, disguised: str
) -> None:
    planted = Confidential()
    planted.remember("planted password", PLANTED)
    body = {
        "metadata": {"generateName": "planted-"},
        "data": {"url": f"https://host/?q={disguised}&x"},
    }
    before = leaks(witness.objects(), planted)

    created = cluster.client.create(CONFIG_MAPS, NAMESPACE, body)

    (found,) = wait_for(
        "the search to find it",
        lambda: [leak for leak in leaks(witness.objects(), planted) if leak not in before],
    )
    assert found.startswith(f"ConfigMap {created['metadata']['name']},")
    assert "planted password" in found


def test_no_object_holds_a_secret(cluster: Cluster, witness: Witness) -> None:
    objects = dict(witness.objects())

    kinds = {where.split()[0] for where in objects}
    assert kinds >= {"RepositoryServer", "Pod", "Service", "NetworkPolicy", "Event"}
    assert len(cluster.confidential) > 0
    assert leaks(objects.items(), cluster.confidential) == []


def test_no_log_holds_a_secret(cluster: Cluster, witness: Witness, controller: Controller) -> None:
    logs = witness.logs()

    assert any(where.startswith(controller.pod()["metadata"]["name"]) for where in logs)
    assert any("SERVER ADDRESS" in text for text in logs.values())
    assert leaks(logs.items(), cluster.confidential) == []


def test_no_metric_holds_a_secret(cluster: Cluster, controller: Controller) -> None:
    metrics = controller.metrics()

    assert "controller_runtime_reconcile_total" in metrics
    assert leaks([("metrics", metrics)], cluster.confidential) == []


@needs_audit_log
def test_no_request_to_the_api_server_holds_a_secret(cluster: Cluster) -> None:
    """Addresses of all requests, and the bodies of those that are not about Secrets."""
    requests = list(audited())

    assert requests
    texts = ((f"{request['verb']} {request['requestURI']}", line) for request, line in requests)
    assert leaks(texts, cluster.confidential) == []


@needs_audit_log
def test_the_controller_runs_the_same_two_commands_in_every_pod() -> None:
    commands = {
        tuple(parse_qs(urlsplit(request["requestURI"]).query)["command"])
        for request, _ in audited()
        if request["user"]["username"] == CONTROLLER_USER
        and request.get("objectRef", {}).get("subresource") == "exec"
    }

    assert len(commands) == 2, commands


def audited() -> Iterable[tuple[dict[str, Any], str]]:
    """Return each request of the audit log, and the line that it stands in."""
    with Path(os.environ[AUDIT_LOG]).open() as lines:
        for line in lines:
            yield json.loads(line), line
