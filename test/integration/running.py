"""The whole controller against a real API server, with nothing behind that.

There is no node and no controller of Kubernetes: the test makes the pods of ReplicaSets and is the
kubelet, and Kopia is a fake.
"""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import yaml
from attrs import define, field

from controller.cache.reflector import READ_TIMEOUT
from controller.clock import SystemClock
from controller.errors import ClientError, NotFound, TooManyRequests
from controller.resource import Resource
from controller.rest.kubeconfig import load_api_client
from controller.rest.podexec import ExecResult
from controller.stop import Stop
from e2e.waiting import wait_for
from fakes import objects
from fakes.kopia import FakeKopia
from reconcilers import main, resources
from reconcilers.options import parse_options
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.status import conditions as status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    import kubernetes.client

    from controller.clock import Clock, Deadline
    from controller.operator import Operator
    from controller.resource import Object
    from controller.rest.client import Client
    from fakes.tcpproxy import TcpProxy

DEFINITION = Path(__file__).parents[2] / "manifests" / "crd" / "repositoryservers.yaml"
DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)

#: Real seconds after which a thread that does not end is stuck, not slow.
STUCK_AFTER = 90.0

KUBELET_SECONDS = 0.2

#: From an API server that is back to work that is done, on a busy machine.
BACK_SECONDS = 60.0


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
        stdin: bytes | Iterable[bytes] = b"",
        deadline: Deadline,
        on_stdout: Callable[[bytes], None] | None = None,
    ) -> ExecResult:
        kopia = self._by_pod.setdefault(pod, FakeKopia())
        result = kopia.run(namespace, pod, container, command, stdin=stdin, deadline=deadline)
        return ExecResult(result.exit_code, result.stdout, result.stderr)

    @property
    def ran(self) -> int:
        return sum(len(kopia.commands) for kopia in self._by_pod.values())


@define
class Running:
    """The controller, in threads of this process."""

    operator: Operator
    kopias: Kopias
    stop: Stop = field(factory=Stop)
    thread: threading.Thread = field(init=False)

    def start(self) -> None:
        self.thread = threading.Thread(target=self.operator.run, args=(self.stop,), daemon=True)
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(STUCK_AFTER)
        assert not self.thread.is_alive()


def controller(
    namespace: str,
    api_client: kubernetes.client.ApiClient,
    *,
    clock: Clock | None = None,
    **options: Any,
) -> Running:
    """Put the controller together, without another replica to agree with; it does not run yet.

    Args:
        namespace: The namespace to serve.
        api_client: How it reaches the API server.
        clock: The time; the machine's unless given.
        options: For `main.build`.
    """
    kopias = Kopias()
    told = parse_options(["--metrics-bind-address=0", "--health-probe-bind-address=0"], {})
    operator = main.build(
        told, [namespace], api_client, clock=clock or SystemClock(), executor=kopias, **options
    )
    return Running(operator, kopias)


def install_definition(client: Client) -> None:
    """Install the CRD, and wait until it is served."""
    body = yaml.safe_load(DEFINITION.read_text())
    name = body["metadata"]["name"]
    client.apply(DEFINITIONS, "", name, body)
    wait_for("the definition", lambda: serves(client, api.REPOSITORY_SERVERS))


def serves(client: Client, resource: Resource) -> bool:
    """Return whether the API server has taken up a definition: it does so behind its condition."""
    try:
        client.list(resource, "default")
    except (NotFound, TooManyRequests):  # not yet known, or its storage is being made
        return False
    return True


def in_namespace(obj: Object, namespace: str) -> Object:
    """Return an object of `fakes.objects` as one to be created in another namespace."""
    metadata = {"namespace": namespace, "uid": None, "resourceVersion": None}
    moved: Object = objects.merged(obj, {"metadata": metadata})
    return moved


def server(name: str, namespace: str, change: Object | None = None) -> Object:
    """Return a RepositoryServer to be created, on a repository of its own.

    Args:
        name: Its name.
        namespace: Where it and its Secrets are.
        change: A merge patch.
    """
    described = objects.repository_server(
        {"metadata": {"name": name}, "spec": {"repository": {"rootPath": name}}}
    )
    found = in_namespace(objects.merged(described, change or {}), namespace)
    spec = found["spec"]
    access = spec["server"]["userAccess"]["userAccessSecretRef"]
    references = [spec["storage"]["secretRef"], spec["repository"]["passwordSecretRef"], access]
    references += [spec["server"]["adminSecretRef"], spec["server"]["tlsSecretRef"]]
    for reference in references:
        reference["namespace"] = namespace
    return found


def create(client: Client, namespace: str, name: str, change: Object | None = None) -> None:
    """Create a server, as `server` describes it."""
    client.create(api.REPOSITORY_SERVERS, namespace, server(name, namespace, change))


def create_secrets(client: Client, namespace: str) -> None:
    """Create what all the servers refer to."""
    pair = objects.key_pair(not_after=SystemClock().now() + timedelta(days=300))
    secrets = [
        secret for secret in objects.all_secrets() if secret["metadata"]["name"] != objects.TLS
    ]
    for secret in [*secrets, objects.tls_secret(pair)]:
        client.create(resources.SECRETS, namespace, in_namespace(secret, namespace))


def pods_of(client: Client, namespace: str, name: str) -> list[Object]:
    """Return the pods of a server."""
    selector = f"{names.LABEL_INSTANCE}={name}"
    pods: list[Object] = client.list(resources.PODS, namespace, label_selector=selector)["items"]
    return pods


def wait_for_pods(client: Client, namespace: str, count: int) -> list[Object]:
    """Wait until the servers have so many pods, and return them."""

    def pods() -> list[Object]:
        selector = names.LABEL_INSTANCE
        return list(client.list(resources.PODS, namespace, label_selector=selector)["items"])

    return wait_for("the pods", pods, lambda found: len(found) == count)


def wait_for_pod(client: Client, namespace: str, name: str, *, other_than: str = "") -> str:
    """Wait until a server has a pod, be it behind a watch that is half-open; return its uid."""
    (pod,) = wait_for(
        f"the pod of {name}",
        lambda: pods_of(client, namespace, name),
        lambda pods: pods and pods[0]["metadata"]["uid"] != other_than,
        seconds=READ_TIMEOUT + BACK_SECONDS,
    )
    uid: str = pod["metadata"]["uid"]
    return uid


def delete_pod(client: Client, namespace: str, name: str) -> None:
    """Delete the one pod of a server."""
    (pod,) = pods_of(client, namespace, name)
    client.delete(resources.PODS, namespace, pod["metadata"]["name"])


def set_status(client: Client, namespace: str, pods: Collection[Object], value: Object) -> None:
    """Do what the kubelet does: tell how pods are."""
    for pod in pods:
        name = pod["metadata"]["name"]
        change = {"status": value}
        client.merge_patch(resources.PODS, namespace, name, change, subresource="status")


def wait_ready(client: Client, namespace: str, **options: float) -> list[Object]:
    """Wait until all servers are Ready, and return them."""
    return wait_for(
        "Ready servers",
        lambda: list(client.list(api.REPOSITORY_SERVERS, namespace)["items"]),
        lambda found: all(has(obj, status.READY) for obj in found),
        **options,
    )


def has(obj: Object, condition: str) -> bool:
    """Return whether a condition of an object is True."""
    conditions = obj.get("status", {}).get("conditions") or []
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)


class Kubelet:
    """Says of every pod that comes that it serves, until it is stopped. A context manager."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(STUCK_AFTER)

    def _run(self) -> None:
        while not SystemClock().wait_event(self._stop, KUBELET_SECONDS):
            # A pod may be deleted meanwhile, a busy API server refuse: the next round is near.
            with contextlib.suppress(ClientError):
                pods = self._client.list(resources.PODS, self._namespace)["items"]
                new = [pod for pod in pods if "containerStatuses" not in pod["status"]]
                set_status(self._client, self._namespace, new, objects.serving())


def over(network: TcpProxy, kubeconfig: str) -> kubernetes.client.ApiClient:
    """Return a connection to the API server that goes over a network."""
    api_client = load_api_client(kubeconfig)
    server = urlsplit(api_client.configuration.host)
    api_client.configuration.host = f"https://127.0.0.1:{network.port}"
    api_client.configuration.tls_server_name = server.hostname
    return api_client
