"""What servers that are Ready cost the API server: nothing but the watches.

The whole controller runs against a real API server. There is no node: the test is the kubelet, and
Kopia is a fake.
"""

from __future__ import annotations

import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define

from controller.events import EVENTS
from controller.rest.connections import Connections
from controller.rest.kubeconfig import load_api_client
from e2e.waiting import wait_for
from fakes import objects
from integration import running
from reconcilers import resources
from reconcilers.repositoryserver import api, setup
from reconcilers.repositoryserver.reconciler import RepositoryServerReconciler
from reconcilers.repositoryserver.status import reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.clock import Deadline
    from controller.reconcile import Request, Result
    from controller.resource import Object, Resource
    from controller.rest.client import Client
    from integration.running import Running

LOOK_AT_THE_CRD = ("GET", "/openapi/v3/apis/cr.kanister.io/v1alpha1")
SERVERS = ("first", "second", "third")
#: The one whose repository is maintained.
MAINTAINED = "second"


class Observed(RepositoryServerReconciler):
    """A reconciler whose passes are counted once they are over."""

    passes: Counter[str]

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        result = super().reconcile(request, deadline)
        self.passes[request.name] += 1
        return result


@define
class Seen:
    """The controller and what was seen of it."""

    running: Running
    passes: Counter[str]
    #: Method and URL of every request that it has sent.
    requests: list[tuple[str, str]]


@pytest.fixture(scope="module", autouse=True)
def _definition(client: Client) -> None:
    running.install_definition(client)


@pytest.fixture
def start(
    kubeconfig: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Seen]]:
    """Start controllers, one after the other, with a resync at every event of an informer."""
    started: list[Seen] = []

    def start_one() -> Seen:
        started.append(_start(kubeconfig, namespace, monkeypatch))
        return started[-1]

    yield start_one
    for seen in started:
        seen.running.end()


def _start(kubeconfig: str, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Seen:
    # Tells its requests from those of others in this process.
    agent = f"controller-{uuid.uuid4()}"
    api_client = load_api_client(kubeconfig, user_agent=agent)
    requests: list[tuple[str, str]] = []
    send = Connections.request

    def counted(self: Connections, method: str, target: str, **options: Any) -> Any:
        if options["headers"]["User-Agent"] == agent:
            requests.append((method, target))
        return send(self, method, target, **options)

    monkeypatch.setattr(Connections, "request", counted)
    passes: Counter[str] = Counter()
    monkeypatch.setattr(Observed, "passes", passes, raising=False)
    monkeypatch.setattr(setup, "RepositoryServerReconciler", Observed)
    seen = Seen(running.controller(namespace, api_client, resync_period=0.0), passes, requests)
    seen.running.start()
    return seen


def bystanders(namespace: str) -> dict[Resource, Object]:
    """Return an object of each kind of child that belongs to nobody."""
    metadata = {"name": "bystander", "namespace": namespace}
    container = {"name": "container", "image": "none"}
    return {
        resources.PODS: {"metadata": metadata, "spec": {"containers": [container]}},
        resources.REPLICA_SETS: {
            "metadata": metadata,
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "other"}},
                "template": {
                    "metadata": {"labels": {"app": "other"}},
                    "spec": {"containers": [container]},
                },
            },
        },
        resources.SECRETS: {"metadata": metadata},
        resources.SERVICES: {"metadata": metadata, "spec": {"ports": [{"port": 1}]}},
        resources.NETWORK_POLICIES: {"metadata": metadata, "spec": {"podSelector": {}}},
    }


def bring_up(client: Client, namespace: str) -> None:
    """Create servers, and do what the kubelet does until they are Ready."""
    running.create_secrets(client, namespace)
    maintained: Object = {"spec": {"repository": {"maintenance": {"schedule": "0 3 * * *"}}}}
    for name in SERVERS:
        running.create(client, namespace, name, maintained if name == MAINTAINED else None)
    pods = running.wait_for_pods(client, namespace, len(SERVERS))
    running.set_status(client, namespace, pods, objects.serving())
    running.wait_ready(client, namespace)
    wait_for("the CronJob", lambda: client.list(resources.CRON_JOBS, namespace)["items"], bool)
    # The last that is told of each, behind the pass.
    wait_for(
        "the events",
        lambda: client.list(EVENTS, namespace)["items"],
        lambda found: sum(e["reason"] == reasons.REASON_READY for e in found) == len(SERVERS),
    )


def test_a_resync_of_ready_servers_sends_no_request(
    client: Client, namespace: str, start: Callable[[], Seen]
) -> None:
    controller = start()
    bring_up(client, namespace)
    touched = dict.fromkeys(bystanders(namespace), "bystander")
    touched[api.REPOSITORY_SERVERS] = SERVERS[0]
    for resource, obj in bystanders(namespace).items():
        client.create(resource, namespace, obj)
    sent, executed = len(controller.requests), controller.running.kopias.ran

    for number, (resource, name) in enumerate(touched.items()):
        controller.passes.clear()
        change = {"metadata": {"annotations": {"test/touched": str(number)}}}
        client.merge_patch(resource, namespace, name, change)
        wait_for(
            f"a pass over each server after a resync of {resource.plural}",
            lambda: dict(controller.passes),
            lambda passes: set(passes) == set(SERVERS),
        )
    # What is still under way ends, and what would be sent late is sent.
    controller.running.end()

    assert [one for one in controller.requests[sent:] if "watch=true" not in one[1]] == []
    assert controller.running.kopias.ran == executed


def test_a_restart_with_ready_servers_sends_no_request(
    client: Client, namespace: str, start: Callable[[], Seen]
) -> None:
    """The labels of the pod are applied anew in between: the record must outlive that."""
    former = start()
    bring_up(client, namespace)
    labels = {"spec": {"server": {"podLabels": {"team": "a"}}}}
    client.merge_patch(api.REPOSITORY_SERVERS, namespace, SERVERS[0], labels)
    wait_for(
        "the label on the pod",
        lambda: client.list(resources.PODS, namespace, label_selector="team=a")["items"],
        lambda pods: len(pods) == 1,
    )
    former.running.end()
    pods = client.list(resources.PODS, namespace)["items"]

    controller = start()
    wait_for(
        "a pass over each server",
        lambda: dict(controller.passes),
        lambda passes: set(passes) == set(SERVERS),
    )
    controller.running.end()

    # A leader looks once at the CRD that is served.
    sent = [one for one in controller.requests if "watch=true" not in one[1]]
    assert [one for one in sent if one != LOOK_AT_THE_CRD] == []
    assert len(sent) <= 1
    assert controller.running.kopias.ran == 0
    assert client.list(resources.PODS, namespace)["items"] == pods
