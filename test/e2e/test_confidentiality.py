"""No password and no key of any test stands anywhere but in Secrets.

Runs last: it looks at what all the other tests have left, in this session and in those that ran
side by side before it. With `-k` it sees only what the tests chosen did; alone it fails, since
nothing was there to be seen.
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from e2e import evidence
from e2e.cluster import NAMESPACE
from e2e.confidential import Confidential
from e2e.installation import DEPLOYMENT
from e2e.waiting import wait_for
from e2e.witness import CONFIG_MAPS
from fakes.kopia import unbounded
from reconcilers import resources
from reconcilers.actionset.options import PROGRAM
from reconcilers.repositoryserver import servercommands
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from e2e.cluster import Cluster
    from e2e.evidence import Evidence
    from e2e.installation import Controller
    from e2e.witness import Witness

AUDIT_LOG = "RSC_TEST_AUDIT_LOG"

CREATED = 201

# In the namespace of any session.
CONTROLLER_USER = re.compile(
    r"system:serviceaccount:repository-server-test(-gw\d+)?:repository-server-controller"
)

pytestmark = pytest.mark.alone

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


@pytest.fixture(scope="module")
def seen(cluster: Cluster, witness: Witness, controller: Controller) -> list[Evidence]:
    """Give what this session and those before it have seen."""
    folder = os.environ.get(evidence.FOLDER)
    before = evidence.kept(Path(folder)) if folder else []
    return [*before, evidence.gather(cluster, witness, controller)]


@pytest.fixture(scope="module")
def confidential(seen: list[Evidence]) -> Confidential:
    """Give what is confidential in any of the sessions."""
    found = Confidential()
    for one in seen:
        for what, value in one.confidential.items():
            found.remember(f"{one.namespace}: {what}", value)
    return found


@pytest.fixture
def planted() -> Confidential:
    """Give what is confidential in the tests of the search itself."""
    confidential = Confidential()
    confidential.remember("planted password", PLANTED)
    return confidential


def plant(cluster: Cluster, disguised: str) -> str:
    """Put a password into an object, and return the object's name."""
    url = f"https://host/?password={disguised}&user=somebody"
    body = {"metadata": {"generateName": "planted-"}, "data": {"url": url}}
    name: str = cluster.client.create(CONFIG_MAPS, NAMESPACE, body)["metadata"]["name"]
    return name


@pytest.mark.parametrize("disguised", DISGUISES)
def test_the_search_of_objects_finds_what_is_planted(
    cluster: Cluster, witness: Witness, planted: Confidential, disguised: str
) -> None:
    name = plant(cluster, disguised)

    wait_for(
        "the search to find it",
        lambda: leaks(witness.objects(), planted),
        lambda found: any(leak.startswith(f"ConfigMap {name},") for leak in found),
    )


def test_the_search_of_logs_finds_what_a_pod_said_that_is_gone(
    cluster: Cluster, witness: Witness, planted: Confidential
) -> None:
    container = {
        "name": "talkative",
        "image": cluster.server_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", f"echo the password is {PLANTED}"],
    }
    metadata = {"name": "talkative", "namespace": NAMESPACE}
    spec = {"restartPolicy": "Never", "containers": [container]}
    cluster.kubectl.create(
        [{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}]
    )
    wait_for(
        "the pod to have ended",
        lambda: cluster.client.get(resources.PODS, NAMESPACE, "talkative"),
        lambda pod: pod["status"].get("phase") == "Succeeded",
    )
    cluster.delete(resources.PODS, "talkative")

    found = leaks(witness.logs().items(), planted)

    assert [leak for leak in found if leak.startswith("talkative ")]


@needs_audit_log
def test_the_search_of_requests_finds_what_is_planted(
    cluster: Cluster, planted: Confidential
) -> None:
    plant(cluster, PLANTED)

    # A request is logged behind its answer.
    wait_for(
        "the search to find it",
        lambda: leaks(requests(), planted),
        lambda found: any(leak.startswith("create /api/v1/namespaces") for leak in found),
    )


@needs_audit_log
def test_each_namespace_that_had_a_server_has_been_watched(seen: list[Evidence]) -> None:
    """But for that of the attacker, whose servers never run."""
    had = {
        request["objectRef"]["namespace"]
        for request in map(json.loads, audited())
        if request["verb"] == "create"
        and request.get("objectRef", {}).get("resource") == "repositoryservers"
        and request["responseStatus"]["code"] == CREATED
    }

    watched = {one.namespace for one in seen}
    assert {name for name in had if not name.endswith("-attacker")} <= watched
    assert had & watched


def test_no_object_holds_a_secret(seen: list[Evidence], confidential: Confidential) -> None:
    assert len(confidential) > 0
    for one in seen:
        kinds = {where.split()[0] for where in one.objects}
        assert kinds >= {"RepositoryServer", "Pod", "Service", "NetworkPolicy", "Event"}
        assert leaks(one.objects.items(), confidential) == []
    every = {where.split()[0] for one in seen for where in one.objects}
    assert every >= {"ActionSet", "Blueprint"}


def test_no_log_holds_a_secret(seen: list[Evidence], confidential: Confidential) -> None:
    for one in seen:
        assert any(where.startswith(DEPLOYMENT) for where in one.logs)
        assert any("SERVER ADDRESS" in text for text in one.logs.values())
        assert leaks(one.logs.items(), confidential) == []
    assert any(where.startswith(PROGRAM) for one in seen for where in one.logs)


def test_no_metric_holds_a_secret(seen: list[Evidence], confidential: Confidential) -> None:
    for one in seen:
        assert "controller_runtime_reconcile_total" in one.metrics
        assert leaks([("metrics", one.metrics)], confidential) == []


@needs_audit_log
def test_no_request_to_the_api_server_holds_a_secret(confidential: Confidential) -> None:
    """Addresses of all requests, and the bodies of those that are not about Secrets."""
    assert leaks(requests(), confidential) == []


@needs_audit_log
def test_the_controller_runs_no_other_commands_in_pods_than_these() -> None:
    """What it has to say to them goes over standard input, or is a version that tells nothing."""
    commands = {
        unbounded(parse_qs(urlsplit(request["requestURI"]).query)["command"])
        for request in map(json.loads, audited())
        if CONTROLLER_USER.fullmatch(request["user"]["username"])
        and request.get("objectRef", {}).get("subresource") == "exec"
    }

    assert commands, "the controller ran nothing"
    for command in commands - {
        servercommands.LIST_USERS,
        servercommands.VERSION,
        servercommands.PURGE_USERS,
        servercommands.REFRESH,
        servercommands.MAINTENANCE_INFO,
    }:
        assert command == servercommands.load_users(command[-1])
        assert command[-1] == names.NO_USERS or re.fullmatch("[0-9a-f]{10}", command[-1])


def requests() -> Iterable[tuple[str, str]]:
    """Return each request that was made, with a word for which it is."""
    for line in audited():
        request = json.loads(line)
        yield f"{request['verb']} {request['requestURI']}", line


def audited() -> Iterable[str]:
    """Return the lines of the audit log, but for one that is being written."""
    with Path(os.environ[AUDIT_LOG]).open() as lines:
        yield from (line for line in lines if line.endswith("\n"))
