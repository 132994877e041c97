"""The pods of phases against a real API server, which has no node: the test is the kubelet."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, evolve, field

from controller.clock import Deadline, SystemClock
from controller.errors import Forbidden
from controller.operator import Operator
from controller.reconcile import Request
from controller.resource import Resource
from controller.rest.kubeconfig import load_api_client
from controller.stop import Stop
from e2e.waiting import wait_for
from fakes.clock import STUCK_AFTER
from fakes.phases import exited, phase_run, state, wanted
from fakes.phaseworld import OUTPUT
from fakes.podlogs import FakeLogs, stamped
from reconcilers import resources
from reconcilers.actionset.api import ObjectReference
from reconcilers.actionset.function import Complete, Failed, PhaseRun, Running
from reconcilers.actionset.phases import cache
from reconcilers.actionset.phases.builder import Policy
from reconcilers.actionset.phases.follower import Follower
from reconcilers.actionset.phases.pods import PhasePods
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from controller.rest.client import Client
    from reconcilers.actionset.function import Step
    from reconcilers.actionset.phases.model import PhasePod

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
CLOCK = SystemClock()


@define
class World:
    """Runs phases in a namespace, as the engine does.

    Attributes:
        namespace: The namespace.
        client: The test's own.
        pods: Runs the pods.
        logs: What kubelets would show.
    """

    namespace: str
    client: Client
    pods: PhasePods
    logs: FakeLogs
    memo: Object = field(factory=dict)

    def run(self, **changes: Any) -> PhaseRun:
        """Return the phase."""
        run = phase_run(
            # Of another namespace than its pod's, which so has no owner that is not there.
            request=Request("actionsets", "backup-1"),
            object=ObjectReference("db", self.namespace, "statefulset"),
        )
        return evolve(run, memo=self.memo, deadline=Deadline.after(CLOCK, 60.0), **changes)

    def advance(self, pod: PhasePod | None = None, **changes: Any) -> Step:
        """Reconcile once, and store the memo."""
        made = pod or wanted(namespace=self.namespace)
        step = self.pods.advance(self.run(**changes), lambda: made)
        if isinstance(step, Running) and step.memo is not None:
            self.memo = dict(step.memo)
        return step

    def pod(self) -> Object:
        """Return the pod as the API server has it."""
        return self.client.get(resources.PODS, self.namespace, self.memo["pod"])

    def set_status(self, **status: Any) -> None:
        """Set its status, as a kubelet does."""
        body = {"status": status}
        name = self.memo["pod"]
        self.client.merge_patch(resources.PODS, self.namespace, name, body, subresource="status")

    def wait_for(self, *kinds: type[Step]) -> Step:
        """Reconcile until something has come of it."""
        return wait_for("the result", self.advance, lambda step: isinstance(step, kinds))

    def is_gone(self) -> bool:
        """Return whether no pod is left."""
        return not self.client.list(resources.PODS, self.namespace)["items"]


@pytest.fixture
def world(kubeconfig: str, client: Client, namespace: str) -> Iterator[World]:
    operator = Operator(load_api_client(kubeconfig), "phases", namespaces=(namespace,))
    informer = operator.informer(
        resources.PODS,
        cache.SELECTION,
        name="pods of phases",
        indexers=cache.INDEXERS,
        trim=cache.trimmed,
    )
    logs, stop = FakeLogs(), Stop()
    follower = Follower("logs", logs, clock=CLOCK)
    operator.add(follower)
    pods = PhasePods(
        client=operator.client,
        pods=informer,
        follow=lambda _namespace: None,
        follower=follower,
        policy=Policy("actionsets", "engine"),
        clock=CLOCK,
    )
    thread = threading.Thread(target=operator.run, args=(stop,), daemon=True)
    thread.start()
    wait_for("the informer", informer.has_synced)
    yield World(namespace, client, pods, logs)
    stop.set()
    thread.join(STUCK_AFTER)
    assert not thread.is_alive()


def test_a_phase_from_its_beginning_to_its_end(world: World) -> None:
    world.advance()
    first = dict(world.memo)
    world.memo = {}
    world.advance()
    assert world.memo == first, "the pod that is there is taken over"
    world.logs.expect(stamped(OUTPUT))
    world.set_status(phase="Running", containerStatuses=[_status(state(running={}))])
    world.advance()
    world.set_status(phase="Succeeded", containerStatuses=[_status(exited())])

    assert world.wait_for(Complete, Failed) == Complete({"size": "5"})
    assert world.pod()["metadata"]["finalizers"] == ["actionset.cr.kanister.io/result"]
    assert world.pods.release(world.run(), failed=False)
    assert world.is_gone()


def test_one_that_somebody_deletes_stays_until_its_end_is_known(world: World) -> None:
    world.advance()
    world.client.delete(resources.PODS, world.namespace, world.memo["pod"])

    step = world.wait_for(Complete, Failed)

    assert isinstance(step, Failed)
    assert step.message.endswith("is starting, after somebody has deleted the pod")
    world.pods.release(world.run(), failed=True)
    assert world.is_gone()


def test_one_that_is_gone_is_not_made_again(world: World) -> None:
    world.advance()
    name = world.memo["pod"]
    world.client.merge_patch(
        resources.PODS, world.namespace, name, {"metadata": {"finalizers": None}}
    )
    world.client.delete(resources.PODS, world.namespace, name, grace_seconds=0)
    wait_for("the news", lambda: world.pods.pods.get(world.namespace, name) is None)

    step = world.wait_for(Complete, Failed)

    assert isinstance(step, Failed)
    assert step.message.startswith("outcome unknown")
    assert world.is_gone()


def test_it_is_cancelled(world: World) -> None:
    world.advance()

    wait_for(
        "the end", lambda: world.pods.cancel(world.run()), lambda step: isinstance(step, Failed)
    )

    world.pods.release(world.run(), failed=True)
    assert world.is_gone()


def test_its_secret(world: World) -> None:
    pod = wanted(namespace=world.namespace, secret={"password": b"\x00\xff"})
    world.advance(pod)

    secret = world.client.get(resources.SECRETS, world.namespace, world.memo["pod"])

    assert secret["immutable"] is True
    assert secret["data"] == {"password": "AP8="}
    (owner,) = secret["metadata"]["ownerReferences"]
    assert owner["uid"] == world.pod()["metadata"]["uid"]
    world.pods.release(world.run(), failed=False)


def test_a_quota_for_requests_admits_it(world: World) -> None:
    quota = {
        "metadata": {"name": "requests"},
        "spec": {"hard": {"requests.cpu": "1", "requests.memory": "1Gi"}},
    }
    world.client.create(QUOTAS, world.namespace, quota)

    # Until the quota is known, it refuses everything.
    wait_for("the pod", lambda: _made(world))

    world.pods.release(world.run(), failed=False)


def test_a_restricted_namespace_admits_it(world: World) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    world.client.merge_patch(NAMESPACES, "", world.namespace, {"metadata": {"labels": labels}})

    wait_for("the label", lambda: _is_hardened(world))

    assert world.pod()["spec"]["securityContext"]["runAsNonRoot"] is True
    world.pods.release(world.run(), failed=False)


def test_what_the_server_does_not_take_is_named_without_its_value(world: World) -> None:
    container = {"name": "container", "image": "a", "env": [{"name": "hunter=2", "value": "x"}]}
    broken = {
        "containers": [{**container, "volumeMounts": [{"name": "none", "mountPath": "/x"}]}],
        "volumes": [{"name": "Hunter2", "emptyDir": {}}],
    }

    with pytest.raises(InvalidInput) as refusal:
        world.advance(wanted(namespace=world.namespace, spec=broken))

    assert refusal.value.message == (
        "the API server does not take the pod: spec.volumes[0].name: Invalid value, "
        "spec.containers[0].env[0].name: Invalid value, "
        "spec.containers[0].volumeMounts[0].name: Not found; correct the arguments of the phase, "
        "or podOverride"
    )


def test_a_namespace_that_is_not_there(world: World) -> None:
    run = evolve(world.run(), action=evolve(world.run().action, object=ObjectReference("db", "no")))

    with pytest.raises(InvalidInput, match="namespace no does not exist"):
        world.pods.advance(run, lambda: wanted(namespace="no"))


def _status(status: Object) -> Object:
    return {**status, "image": "a", "imageID": "", "ready": False, "restartCount": 0}


def _made(world: World) -> bool:
    try:
        world.advance()
    except Forbidden as error:
        if "quota" not in error.message:
            raise
        return False
    return True


def _is_hardened(world: World) -> bool:
    """Make the pod anew until the admission plugin knows the label."""
    world.memo = {}
    world.advance()
    if world.pod()["spec"]["securityContext"].get("runAsNonRoot"):
        return True
    world.pods.release(world.run(), failed=False)
    return False
