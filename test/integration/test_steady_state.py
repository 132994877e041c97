"""What servers that are Ready cost the API server: nothing but the watches.

The whole controller runs against a real API server. There is no node: the test is the kubelet, and
Kopia is a fake.
"""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from attrs import define, field

from controller.clock import SystemClock
from controller.events import EVENTS
from controller.kubeconfig import load_api_client
from controller.podexec import ExecResult
from controller.resource import Resource
from e2e.waiting import wait_for
from fakes import objects
from fakes.kopia import FakeKopia
from reconcilers import wiring
from reconcilers.options import parse_options
from reconcilers.repositoryserver import children, resources, status
from reconcilers.repositoryserver.reconciler import RepositoryServerReconciler

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from controller.client import Client
    from controller.clock import Deadline
    from controller.controller import Request, Result
    from controller.manager import Manager
    from controller.resource import Object

DEFINITION = Path(__file__).parents[2] / "manifests" / "crd" / "repositoryservers.yaml"
DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)

SERVERS = ("first", "second", "third")


@define
class Kopias:
    """A Kopia in each pod, as far as its users go."""

    _by_pod: dict[str, FakeKopia] = field(factory=dict)

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        deadline: Deadline,
    ) -> ExecResult:
        kopia = self._by_pod.setdefault(pod, FakeKopia())
        result = kopia.run(namespace, pod, container, command, stdin=stdin, deadline=deadline)
        return ExecResult(result.exit_code, result.stdout, result.stderr)

    @property
    def ran(self) -> int:
        return sum(len(kopia.commands) for kopia in self._by_pod.values())


class Observed(RepositoryServerReconciler):
    """A reconciler whose passes are counted once they are over."""

    passes: Counter[str]

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        result = super().reconcile(request, deadline)
        self.passes[request.name] += 1
        return result


@define
class Running:
    """The controller and what was seen of it."""

    manager: Manager
    kopias: Kopias
    passes: Counter[str]
    #: Method and URL of every request that it has sent.
    requests: list[tuple[str, str]]
    stop: threading.Event = field(factory=threading.Event)
    thread: threading.Thread = field(init=False)

    def start(self) -> None:
        self.thread = threading.Thread(target=self.manager.run, args=(self.stop,), daemon=True)
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(30.0)
        assert not self.thread.is_alive()


@pytest.fixture(scope="module", autouse=True)
def _definition(client: Client) -> None:
    body = yaml.safe_load(DEFINITION.read_text())
    client.apply(DEFINITIONS, "", body["metadata"]["name"], body)

    wait_for(
        "the definition",
        lambda: client.get(DEFINITIONS, "", body["metadata"]["name"]),
        lambda found: has(found, "Established"),
    )


@pytest.fixture
def controller(
    kubeconfig: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    """Run the controller, with a resync at every event that an informer gets."""
    api_client = load_api_client(kubeconfig)
    requests: list[tuple[str, str]] = []
    pool = api_client.rest_client.pool_manager
    send = pool.urlopen

    def counted(method: str, url: str, *arguments: Any, **options: Any) -> Any:
        requests.append((method, url))
        return send(method, url, *arguments, **options)

    monkeypatch.setattr(pool, "urlopen", counted)
    passes: Counter[str] = Counter()
    monkeypatch.setattr(Observed, "passes", passes, raising=False)
    monkeypatch.setattr(wiring, "RepositoryServerReconciler", Observed)
    options = parse_options(["--metrics-bind-address=0", "--health-probe-bind-address=0"], {})
    kopias = Kopias()
    manager = wiring.build(
        options, namespace, api_client, SystemClock(), executor=kopias, resync_period=0.0
    )
    running = Running(manager, kopias, passes, requests)
    running.start()
    yield running
    running.end()


def in_namespace(obj: Object, namespace: str) -> Object:
    """Return an object of `fakes.objects` as one to be created in another namespace."""
    metadata = {"namespace": namespace, "uid": None, "resourceVersion": None}
    moved: Object = objects.merged(obj, {"metadata": metadata})
    return moved


def server(name: str, namespace: str) -> Object:
    found = in_namespace(objects.repository_server({"metadata": {"name": name}}), namespace)
    spec = found["spec"]
    access = spec["server"]["userAccess"]["userAccessSecretRef"]
    references = [spec["storage"]["secretRef"], spec["repository"]["passwordSecretRef"], access]
    references += [spec["server"]["adminSecretRef"], spec["server"]["tlsSecretRef"]]
    for reference in references:
        reference["namespace"] = namespace
    return found


def bystanders(namespace: str) -> dict[Resource, Object]:
    """Return an object of each kind of child that belongs to nobody."""
    metadata = {"name": "bystander", "namespace": namespace}
    container = {"name": "container", "image": "none"}
    return {
        resources.PODS: {"metadata": metadata, "spec": {"containers": [container]}},
        resources.SECRETS: {"metadata": metadata},
        resources.SERVICES: {"metadata": metadata, "spec": {"ports": [{"port": 1}]}},
        resources.NETWORK_POLICIES: {"metadata": metadata, "spec": {"podSelector": {}}},
    }


def bring_up(client: Client, namespace: str) -> None:
    """Create servers, and do what the kubelet does until they are Ready."""
    pair = objects.key_pair(not_after=SystemClock().now() + timedelta(days=300))
    secrets = [
        secret for secret in objects.all_secrets() if secret["metadata"]["name"] != objects.TLS
    ]
    for secret in [*secrets, objects.tls_secret(pair)]:
        client.create(resources.SECRETS, namespace, in_namespace(secret, namespace))
    for name in SERVERS:
        client.create(resources.REPOSITORY_SERVERS, namespace, server(name, namespace))

    def pods() -> list[Object]:
        selector = children.LABEL_INSTANCE
        return list(client.list(resources.PODS, namespace, label_selector=selector)["items"])

    made = wait_for("the pods", pods, lambda found: len(found) == len(SERVERS))
    set_status(client, namespace, made, objects.serving())
    wait_for(
        "Ready servers",
        lambda: client.list(resources.REPOSITORY_SERVERS, namespace)["items"],
        lambda found: all(has(obj, status.READY) for obj in found),
    )
    # The last that is told of each, behind the pass.
    wait_for(
        "the events",
        lambda: client.list(EVENTS, namespace)["items"],
        lambda found: sum(e["reason"] == status.REASON_READY for e in found) == len(SERVERS),
    )


def set_status(client: Client, namespace: str, pods: Collection[Object], value: Object) -> None:
    for pod in pods:
        name = pod["metadata"]["name"]
        change = {"status": value}
        client.merge_patch(resources.PODS, namespace, name, change, subresource="status")


def has(obj: Object, condition: str) -> bool:
    conditions = obj.get("status", {}).get("conditions") or []
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)


def test_a_resync_of_ready_servers_sends_no_request(
    client: Client, namespace: str, controller: Running
) -> None:
    bring_up(client, namespace)
    touched = dict.fromkeys(bystanders(namespace), "bystander")
    touched[resources.REPOSITORY_SERVERS] = SERVERS[0]
    for resource, obj in bystanders(namespace).items():
        client.create(resource, namespace, obj)
    sent, executed = len(controller.requests), controller.kopias.ran

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
    controller.end()

    assert [one for one in controller.requests[sent:] if "watch=true" not in one[1]] == []
    assert controller.kopias.ran == executed
