"""A node is lost, or a pod does not end: the real controllers of Kubernetes make another pod.

Nothing runs in the pods. That a client connects to such a pod is seen in test/e2e.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import define

from controller.conditions import get_condition
from controller.resource import Resource
from controller.rest.kubeconfig import load_api_client
from e2e.waiting import wait_for
from fakes import objects
from integration import running
from integration.conftest import NAMESPACES, client_of
from integration.plane import LEFT, LEFT_ALONE, NEVER_ENDS, NO, NODES, RIGHT
from integration.running import in_namespace, pods_of, set_status
from integration.test_faults_apiserver import JumpingClock
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.rollout import podstatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.resource import Object
    from controller.rest.client import Client
    from integration.plane import Plane
    from integration.running import Running

pytestmark = pytest.mark.timeout(180)

VOLUMES: Final = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
MANY_NODES: Final = "ReadWriteMany"
ONE_NODE: Final = "ReadWriteOnce"
#: What a kubelet says of a pod that serves. One of them has the address at a time.
SERVING: Final = {**objects.serving(), "podIP": "198.18.0.9", "podIPs": [{"ip": "198.18.0.9"}]}
#: What a server says while its next pod comes up.
WAITS: Final = ("PodPending", "WaitingForAnswer", "LoadingUsers", "WaitingForEndpoints")

#: From a node of which nothing is heard until a pod on another one is Ready.
REPLACED_SECONDS: Final = 60.0


@define
class Site:
    """A namespace with servers on two nodes.

    Args:
        client: Of an administrator.
        namespace: The namespace.
        start: Starts the controller.
        clock: The controller's.
    """

    client: Client
    namespace: str
    start: Callable[[], Running]
    clock: JumpingClock

    def create(self, name: str, mode: str, *, tolerated: int, **annotations: str) -> None:
        """Create a server, on the left node, with a claim.

        Args:
            name: Its name.
            mode: Who may mount its claim.
            tolerated: Seconds for which its pods stay on a node that is not heard of.
            annotations: Of its pods.
        """
        self._create_claim(name, mode)
        location = {"type": "filestore", "prefix": "backups", "claimName": name}
        secret = in_namespace(objects.location_secret(location), self.namespace)
        secret["metadata"]["name"] = f"{name}-volume"
        self.client.create(resources.SECRETS, self.namespace, secret)
        reference = {"name": f"{name}-volume", "namespace": self.namespace}
        tolerations = [
            {
                "key": f"node.kubernetes.io/{key}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": tolerated,
            }
            for key in ("unreachable", "not-ready")
        ]
        settings = {"tolerations": tolerations, "podAnnotations": annotations}
        spec = {"storage": {"secretRef": reference}, "server": settings}
        self._cordon(RIGHT, cordoned=True)
        running.create(self.client, self.namespace, name, {"spec": spec})

    def wait_ready(self, name: str, holds: Callable[[Object], object] = bool) -> Object:
        """Wait until a server is Ready, its pod is as told, and return it."""

        def is_ready(obj: Object) -> bool:
            return running.has(obj, "Ready") and bool(holds(obj))

        found = wait_for(f"{name} to be Ready", lambda: self.get(name), is_ready)
        self._cordon(RIGHT, cordoned=False)
        return found

    def wait_for_reason(self, name: str, reason: str) -> str:
        """Wait until Ready of a server is False with a reason, and return its message."""
        server = wait_for(
            f"{name} to say {reason}",
            lambda: self.get(name),
            lambda found: conditions_of(found)[1:] == ("False", reason),
            seconds=REPLACED_SECONDS,
        )
        ready = get_condition(server["status"]["conditions"], "Ready")
        return "" if ready is None else str(ready["message"])

    def is_now(self, name: str, pod: str, status: Object) -> None:
        """Write the status of a pod in place of its kubelet."""
        set_status(self.client, self.namespace, [self.pods(name)[pod]], status)

    def get(self, name: str) -> Object:
        """Return a server."""
        return self.client.get(api.REPOSITORY_SERVERS, self.namespace, name)

    def pods(self, name: str) -> dict[str, Object]:
        """Return the pods of a server by name."""
        found = pods_of(self.client, self.namespace, name)
        return {pod["metadata"]["name"]: pod for pod in found}

    def pods_on(self, node: str, name: str) -> dict[str, Object]:
        """Return the pods of a server on a node by name."""
        pods = self.pods(name)
        return {key: pod for key, pod in pods.items() if pod["spec"].get("nodeName") == node}

    def wait_for_another(self, name: str, former: str) -> Object:
        """Wait until a server has another pod that is Ready, and return it."""
        return (
            wait_for(
                f"another pod of {name} to be Ready",
                lambda: next(
                    (
                        pod
                        for pod in self.pods(name).values()
                        if pod["metadata"]["name"] != former and podstatus.is_ready(pod)
                    ),
                    None,
                ),
                seconds=REPLACED_SECONDS,
            )
            or {}
        )

    def endpoints(self, name: str) -> list[str]:
        """Return the pods that clients of a server reach, by the real EndpointSlice controller."""
        selector = f"kubernetes.io/service-name=repo-server-{name}"
        slices = self.client.list(
            resources.ENDPOINT_SLICES, self.namespace, label_selector=selector
        )["items"]
        return [
            endpoint["targetRef"]["name"]
            for one in slices
            for endpoint in one.get("endpoints") or ()
            if endpoint["conditions"]["ready"]
        ]

    def history(self, name: str) -> Callable[[], list[tuple[str, str, str]]]:
        """Return a function that returns what a server has said from now on until it is Ready.

        Available, and Ready with its reason.
        """
        version = self.get(name)["metadata"]["resourceVersion"]
        stream = self.client.watch(
            api.REPOSITORY_SERVERS,
            self.namespace,
            resource_version=version,
            timeout_seconds=120,
            read_timeout=120,
            field_selector=f"metadata.name={name}",
        )

        def read() -> list[tuple[str, str, str]]:
            seen: list[tuple[str, str, str]] = []
            with stream:
                for event in stream:
                    if event["type"] == "BOOKMARK":
                        continue
                    said = conditions_of(event["object"])
                    seen += [said] if seen[-1:] != [said] else []
                    if said[1] == "True" and len(seen) > 1:
                        break
            return seen

        return read

    def _create_claim(self, name: str, mode: str) -> None:
        volume = f"{self.namespace}-{name}"
        spec: dict[str, Any] = {
            "accessModes": [mode],
            "storageClassName": "",
            "capacity": {"storage": "1Gi"},
        }
        source = {"nfs": {"server": "store.example", "path": "/"}}
        bound = {"claimRef": {"namespace": self.namespace, "name": name}}
        self.client.create(
            VOLUMES, "", {"metadata": {"name": volume}, "spec": {**spec, **source, **bound}}
        )
        spec["resources"] = {"requests": spec.pop("capacity")}
        self.client.create(
            resources.PERSISTENT_VOLUME_CLAIMS,
            self.namespace,
            {"metadata": {"name": name}, "spec": {**spec, "volumeName": volume}},
        )

    def _cordon(self, node: str, *, cordoned: bool) -> None:
        self.client.merge_patch(NODES, "", node, {"spec": {"unschedulable": cordoned}})


def serves(pod: Object) -> Callable[[Object], bool]:
    """Return a function that returns whether the status of a server names a pod."""
    name = pod["metadata"]["name"]
    return lambda server: bool(server["status"]["serverInfo"].get("podName") == name)


def conditions_of(server: Object) -> tuple[str, str, str]:
    """Return Available, and Ready with its reason."""
    conditions = server.get("status", {}).get("conditions") or []
    available, ready = (get_condition(conditions, type_) for type_ in ("Available", "Ready"))
    if available is None or ready is None:
        return "", "", ""
    return available["status"], ready["status"], ready["reason"]


@pytest.fixture(scope="module")
def nodes(kubernetes: Plane) -> Iterator[Plane]:
    """Give the control plane with two nodes."""
    client = client_of(kubernetes.kubeconfig)
    running.install_definition(client)
    for name in (LEFT, RIGHT):
        kubernetes.add_node(client, name)
    yield kubernetes
    for name in (LEFT, RIGHT):
        kubernetes.lose_node(name)
        client.delete(NODES, "", name)


@pytest.fixture
def site(nodes: Plane) -> Iterator[Site]:
    """Give a namespace of the test's own."""
    client, name = client_of(nodes.kubeconfig), f"test-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    client.create(NAMESPACES, "", body)
    running.create_secrets(client, name)
    clock, started = JumpingClock(), list[running.Running]()

    def start() -> Running:
        made = running.controller(name, load_api_client(nodes.kubeconfig), clock=clock)
        made.start()
        started.append(made)
        return made

    yield Site(client, name, start, clock)
    for one in started:
        one.end()
    client.delete(NAMESPACES, "", name)


@pytest.fixture
def lost(nodes: Plane) -> Iterator[Callable[[], None]]:
    """Give a function that loses the left node; it is back in the end."""
    yield lambda: nodes.lose_node(LEFT)
    nodes.add_node(client_of(nodes.kubeconfig), LEFT)


def test_without_a_controller_a_pod_on_another_node_takes_the_place_of_a_lost_one(
    site: Site, lost: Callable[[], None]
) -> None:
    site.create("files", MANY_NODES, tolerated=1)
    controller = site.start()
    former = site.wait_ready("files")["status"]["serverInfo"]["podName"]
    wait_for("clients to reach it", lambda: site.endpoints("files"))
    controller.end()

    lost()
    another = site.wait_for_another("files", former)

    assert another["spec"]["nodeName"] == RIGHT
    before = site.pods("files")[former]
    assert before["spec"]["nodeName"] == LEFT
    assert before["metadata"]["deletionTimestamp"]
    assert another["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"]
    wait_for(
        "clients to reach the other one",
        lambda: site.endpoints("files"),
        lambda reached: reached == [another["metadata"]["name"]],
    )


def test_a_lost_node_is_named_until_a_pod_on_another_one_serves(
    site: Site, lost: Callable[[], None]
) -> None:
    site.create("files", MANY_NODES, tolerated=5)
    site.start()
    former = site.wait_ready("files")["status"]["serverInfo"]["podName"]
    history = site.history("files")

    lost()
    named = site.wait_for_reason("files", "NodeLost")
    another = site.wait_for_another("files", former)
    site.wait_ready("files", serves(another))

    assert named.startswith(f"node {LEFT} does not answer, so the state of pod {former} is unknown")
    first, *rest = (one for one in history() if one != ("True", "True", "ServerReady"))
    assert first == ("False", "False", "NodeLost")
    assert {reason for _, _, reason in rest} <= {"NodeLost", *WAITS}


def test_a_claim_of_one_node_is_waited_for_and_what_to_do_is_said(
    site: Site, lost: Callable[[], None]
) -> None:
    site.create("files", ONE_NODE, tolerated=1, **{LEFT_ALONE: NO})
    site.start()
    (former,) = wait_for("a pod", lambda: site.pods_on(LEFT, "files"))
    site.is_now("files", former, SERVING)
    site.wait_ready("files")

    lost()
    (another,) = wait_for(
        "another pod", lambda: site.pods_on(RIGHT, "files"), seconds=REPLACED_SECONDS
    )
    # The node cannot attach the volume, which the lost one has.
    site.is_now("files", another, objects.creating())
    assert f"node {LEFT} does not answer" in site.wait_for_reason("files", "NodeLost")
    site.clock.ahead = timedelta(minutes=5)
    site.is_now("files", another, objects.creating(message="another look"))
    stuck = site.wait_for_reason("files", "PodStuckTerminating")

    assert f"pod {former} on node {LEFT} should have ended" in stuck
    assert "may still hold PersistentVolumeClaim files" in stuck
    command = f"kubectl -n {site.namespace} delete pod {former} --force --grace-period=0"
    assert stuck.endswith(command)
    site.client.delete(resources.PODS, site.namespace, former, grace_seconds=0)
    site.is_now("files", another, SERVING)
    site.wait_ready("files", serves(site.pods("files")[another]))


def test_a_pod_that_never_ends_on_a_node_that_lives_has_another_one_beside_it(site: Site) -> None:
    """As on a file server that hangs: the kubelet cannot unmount the volume."""
    site.create("files", MANY_NODES, tolerated=300)
    site.start()
    former = site.wait_ready("files")["status"]["serverInfo"]["podName"]
    stays = {"metadata": {"annotations": {NEVER_ENDS: NO}}}
    site.client.merge_patch(resources.PODS, site.namespace, former, stays)

    site.client.delete(resources.PODS, site.namespace, former)
    another = site.wait_for_another("files", former)
    site.wait_ready("files", serves(another))

    assert site.pods("files")[former]["metadata"]["deletionTimestamp"]
    assert site.endpoints("files") == [another["metadata"]["name"]]
