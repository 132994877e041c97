"""The whole controller while the API server, the way to it or a right of it fails.

Each time: what an operator sees meanwhile, and that it is over without anybody's doing.
"""

from __future__ import annotations

import functools
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

import pytest
import yaml
from attrs import frozen
from prometheus_client import CollectorRegistry

from controller import builder
from controller.clock import SystemClock
from controller.conditions import conditions_of, get_condition
from controller.controller import Controller
from controller.errors import Forbidden
from controller.events import EVENTS
from controller.metrics import Metrics
from controller.resource import Resource
from controller.rest.client import Client
from controller.rest.kubeconfig import load_api_client
from controller.rest.transport import Transport
from e2e.waiting import wait_for
from fakes import objects
from integration import running
from integration.running import Kubelet, create, pods_of
from reconcilers import resources
from reconcilers.repositoryserver import api, setup
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.reconciler import (
    REASON_PANICKED,
    STATUS_GRACE_SECONDS,
    RepositoryServerReconciler,
)
from reconcilers.repositoryserver.rollout.update import REASON_OUT_OF_TIME, REASON_REFUSED
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status import reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import kubernetes.client

    from controller.clock import Clock, Deadline
    from controller.reconcile import Request, Result
    from controller.resource import Object
    from fakes.tcpproxy import TcpProxy
    from integration.running import Running
    from reconcilers.repositoryserver.context import ReconcileContext

    Start = Callable[..., Running]

ROLE_FILE = Path(__file__).parents[2] / "manifests" / "served-namespace" / "role.yaml"
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
ACCOUNT = "controller"

# For how long the API server is away, and what the pauses between two tries of a reflector may come
# to afterwards.
AWAY_SECONDS = 10.0
BACK_SECONDS = 45.0

SLOW_SECONDS = 0.5

# In which a busy machine writes a thousand changes, within a pass's own deadline of two minutes.
HELD_SECONDS = 100.0

# How many passes a server that comes up may take.
FEW = 20

FIRST, SECOND = "first", "second"

READS_ONLY = {"spec": {"repository": {"readOnly": True}}}


@pytest.fixture(scope="module", autouse=True)
def _definition(client: Client) -> None:
    running.install_definition(client)


@pytest.fixture
def start(namespace: str) -> Iterator[Start]:
    """Give a function that runs the controller over a connection."""
    started: list[Running] = []

    def run(api_client: kubernetes.client.ApiClient, clock: Clock | None = None) -> Running:
        started.append(running.controller(namespace, api_client, clock=clock))
        started[-1].start()
        return started[-1]

    yield run
    for one in started:
        one.end()


@pytest.fixture
def _kubelet(client: Client, namespace: str) -> Iterator[None]:
    with Kubelet(client, namespace):
        yield


def get(client: Client, namespace: str, name: str) -> Object:
    return client.get(api.REPOSITORY_SERVERS, namespace, name)


def wait_ready(
    client: Client, namespace: str, name: str, *, seconds: float = running.STUCK_AFTER
) -> Object:
    """Wait until the present generation of a server is Ready."""
    return wait_for(
        f"{name} to be Ready",
        lambda: get(client, namespace, name),
        is_ready_as_it_is,
        seconds=seconds,
    )


@frozen
class Said:
    """What a condition says, nothing where there is none."""

    reason: str = ""
    message: str = ""


def said(obj: Object, type_: str = status.READY) -> Said:
    found = get_condition(conditions_of(obj), type_)
    return Said() if found is None else Said(found["reason"], found["message"])


def is_ready_as_it_is(obj: Object) -> bool:
    observed = obj.get("status", {}).get("observedGeneration")
    return running.has(obj, status.READY) and observed == obj["metadata"]["generation"]


def events_of(client: Client, namespace: str, reason: str) -> list[Object]:
    """Return the events with a reason; each is written a moment after what it is about."""
    events: list[Object] = client.list(EVENTS, namespace)["items"]
    return [event for event in events if event["reason"] == reason]


@pytest.mark.usefixtures("_kubelet")
def test_what_happens_while_the_api_server_is_away_is_made_good_when_it_is_back(
    kubeconfig: str,
    client: Client,
    namespace: str,
    network: TcpProxy,
    start: Start,
) -> None:
    running.create_secrets(client, namespace)
    create(client, namespace, FIRST)
    controller = start(running.over(network, kubeconfig))
    wait_ready(client, namespace, FIRST)

    network.refuse()
    network.cut()
    create(client, namespace, SECOND)
    (pod,) = pods_of(client, namespace, FIRST)
    client.delete(resources.PODS, namespace, pod["metadata"]["name"])
    SystemClock().wait_event(threading.Event(), AWAY_SECONDS)
    assert controller.thread.is_alive()
    assert get(client, namespace, SECOND)["status"] == {"observedGeneration": -1}
    network.accept()

    wait_ready(client, namespace, SECOND, seconds=BACK_SECONDS)
    (successor,) = wait_for(
        "the pod to be there again",
        lambda: pods_of(client, namespace, FIRST),
        seconds=BACK_SECONDS,
    )
    assert successor["metadata"]["uid"] != pod["metadata"]["uid"]
    wait_ready(client, namespace, FIRST, seconds=BACK_SECONDS)


@pytest.mark.usefixtures("_kubelet")
def test_a_slow_api_server_only_makes_the_controller_slow(
    kubeconfig: str,
    client: Client,
    namespace: str,
    network: TcpProxy,
    start: Start,
) -> None:
    running.create_secrets(client, namespace)
    network.slow(SLOW_SECONDS)
    start(running.over(network, kubeconfig))
    create(client, namespace, FIRST)

    ready = wait_ready(client, namespace, FIRST)

    assert len(pods_of(client, namespace, FIRST)) == 1
    assert said(ready).reason == reasons.REASON_READY


@pytest.fixture
def account(kubeconfig: str, client: Client, namespace: str) -> kubernetes.client.ApiClient:
    """Give a connection as the controller's own service account, with the role of the manifests."""
    client.create(ACCOUNTS, namespace, {"metadata": {"name": ACCOUNT}})
    client.create(ROLES, namespace, role())
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
    reference = {"apiGroup": ROLES.group, "kind": ROLES.kind, "name": ACCOUNT}
    binding = {"metadata": {"name": ACCOUNT}, "roleRef": reference, "subjects": [subject]}
    client.create(ROLE_BINDINGS, namespace, binding)
    api_client = load_api_client(kubeconfig)
    user = f"system:serviceaccount:{namespace}:{ACCOUNT}"
    api_client.default_headers["Impersonate-User"] = user
    return api_client


def role(*, without: str = "") -> Object:
    """Return the controller's role, but for the rules on a resource."""
    rules = yaml.safe_load(ROLE_FILE.read_text())["rules"]
    kept = [rule for rule in rules if without not in rule["resources"]]
    return {"metadata": {"name": ACCOUNT}, "rules": kept}


def may_read_secrets(api_client: kubernetes.client.ApiClient, namespace: str) -> bool:
    metrics = Metrics(CollectorRegistry())
    transport = Transport(api_client, clock=SystemClock(), metrics=metrics)
    client = Client(transport, field_manager=ACCOUNT)
    try:
        client.list(resources.SECRETS, namespace)
    except Forbidden:
        return False
    return True


@pytest.mark.usefixtures("_kubelet")
def test_a_right_that_is_taken_away_is_told_and_over_when_it_is_given_back(
    client: Client,
    namespace: str,
    account: kubernetes.client.ApiClient,
    start: Start,
) -> None:
    running.create_secrets(client, namespace)
    create(client, namespace, FIRST)
    start(account)
    before = wait_ready(client, namespace, FIRST)

    client.merge_patch(ROLES, namespace, ACCOUNT, {"rules": role(without="secrets")["rules"]})
    wait_for("the right to be gone", lambda: not may_read_secrets(account, namespace))
    create(client, namespace, SECOND)

    refused = wait_for(
        "the refusal to be told",
        lambda: get(client, namespace, SECOND),
        lambda obj: said(obj).reason,
    )
    assert said(refused).reason == REASON_REFUSED
    assert 'cannot get resource "secrets"' in said(refused).message
    # Who needs no Secret at the moment goes on.
    assert conditions_of(get(client, namespace, FIRST)) == conditions_of(before)

    client.merge_patch(ROLES, namespace, ACCOUNT, {"rules": role()["rules"]})
    wait_ready(client, namespace, SECOND, seconds=BACK_SECONDS)
    assert conditions_of(get(client, namespace, FIRST)) == conditions_of(before)


class SecondWriter:
    """Changes a RepositoryServer as fast as it can, until it is stopped. A context manager."""

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        self._client, self._namespace, self._name = client, namespace, name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.writes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(running.STUCK_AFTER)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.writes += 1
            change = {"metadata": {"annotations": {"test/number": str(self.writes)}}}
            self._client.merge_patch(api.REPOSITORY_SERVERS, self._namespace, self._name, change)


@pytest.mark.usefixtures("_kubelet")
def test_a_second_writer_of_the_same_resource_does_not_keep_its_status_from_being_told(
    kubeconfig: str,
    client: Client,
    namespace: str,
    start: Start,
) -> None:
    """Every write of the status names the version that it is about, and so meets conflicts."""
    running.create_secrets(client, namespace)
    create(client, namespace, FIRST)
    start(load_api_client(kubeconfig))

    with SecondWriter(client, namespace, FIRST) as writer:
        wait_ready(client, namespace, FIRST)

    assert writer.writes > 1
    assert len(pods_of(client, namespace, FIRST)) == 1


@pytest.mark.usefixtures("_kubelet")
def test_a_resource_that_is_edited_while_it_is_reconciled_ends_as_the_last_edit_has_it(
    kubeconfig: str,
    client: Client,
    namespace: str,
    start: Start,
) -> None:
    running.create_secrets(client, namespace)
    create(client, namespace, FIRST)
    start(load_api_client(kubeconfig))

    for number in range(20):
        edit = {
            "spec": {
                "server": {
                    "runAsUser": 1000 + number,
                    "podLabels": {"test/number": str(number)},
                    "drainSeconds": 0,
                }
            }
        }
        client.merge_patch(api.REPOSITORY_SERVERS, namespace, FIRST, edit)

    wait_ready(client, namespace, FIRST)
    (pod,) = wait_for(
        "the pods of former edits to be gone",
        lambda: pods_of(client, namespace, FIRST),
        lambda pods: len(pods) == 1,
    )
    assert pod["metadata"]["labels"]["test/number"] == "19"
    name = pod["metadata"]["name"]
    wait_for(
        "the pod to be told",
        lambda: get(client, namespace, FIRST)["status"]["serverInfo"]["podName"],
        lambda told: told == name,
    )
    (owner,) = pod["metadata"]["ownerReferences"]
    for resource in (resources.REPLICA_SETS, resources.SECRETS):
        wait_for(
            f"the {resource.plural} of former edits to be gone",
            functools.partial(client.list, resource, namespace, label_selector=names.LABEL_HASH),
            lambda found: [one["metadata"]["name"] for one in found["items"]] == [owner["name"]],
        )


class Held(RepositoryServerReconciler):
    """A reconciler whose passes over one resource can be held up, and are counted."""

    passes: list[str]
    under_way: threading.Event
    released: threading.Event

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        self.passes.append(request.name)
        if request.name == FIRST:
            self.under_way.set()
            assert self.released.wait(HELD_SECONDS)
        return super().reconcile(request, deadline)


@pytest.mark.usefixtures("_kubelet")
def test_a_thousand_changes_during_a_pass_are_one_more_pass_and_hold_up_nobody(
    kubeconfig: str,
    client: Client,
    namespace: str,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passes: list[str] = []
    under_way, released = threading.Event(), threading.Event()
    monkeypatch.setattr(Held, "passes", passes, raising=False)
    monkeypatch.setattr(Held, "under_way", under_way, raising=False)
    monkeypatch.setattr(Held, "released", released, raising=False)
    monkeypatch.setattr(setup, "RepositoryServerReconciler", Held)
    running.create_secrets(client, namespace)
    start(load_api_client(kubeconfig))
    create(client, namespace, FIRST)
    assert under_way.wait(running.STUCK_AFTER)

    for number in range(1000):
        change = {"metadata": {"annotations": {"test/number": str(number)}}}
        client.merge_patch(api.REPOSITORY_SERVERS, namespace, FIRST, change)
    create(client, namespace, SECOND)
    # What happened to the first was told before what happened to the second.
    wait_ready(client, namespace, SECOND)
    assert passes.count(FIRST) == 1
    seen = len(passes)
    released.set()
    wait_ready(client, namespace, FIRST)

    # One is for the thousand, the others for the children as they come up.
    assert 1 <= passes[seen:].count(FIRST) < FEW


class JumpingClock(SystemClock):
    """The machine's clock, of which somebody sets the time of day."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.mark.usefixtures("_kubelet")
@pytest.mark.parametrize(
    "jump",
    [
        pytest.param(timedelta(days=1), id="ahead"),
        pytest.param(timedelta(hours=-1), id="back"),
    ],
)
def test_nobody_notices_that_the_clock_was_set(
    kubeconfig: str, client: Client, namespace: str, start: Start, jump: timedelta
) -> None:
    clock = JumpingClock()
    running.create_secrets(client, namespace)
    create(client, namespace, FIRST)
    controller = start(load_api_client(kubeconfig), clock)
    wait_ready(client, namespace, FIRST)
    (pod,) = pods_of(client, namespace, FIRST)

    clock.ahead = jump
    create(client, namespace, SECOND)
    wait_ready(client, namespace, SECOND)
    relabelled = {"spec": {"server": {"podLabels": {"test/jumped": "yes"}}}}
    client.merge_patch(api.REPOSITORY_SERVERS, namespace, FIRST, relabelled)
    wait_ready(client, namespace, FIRST)

    (same,) = pods_of(client, namespace, FIRST)
    assert same["metadata"]["uid"] == pod["metadata"]["uid"]
    assert same["metadata"]["labels"]["test/jumped"] == "yes"
    # What would be told late is told.
    controller.end()
    # The API server has warnings of its own, on a Service whose address it has not noted yet.
    events = [
        event
        for event in client.list(EVENTS, namespace)["items"]
        if event["regarding"]["kind"] == api.REPOSITORY_SERVERS.kind
    ]
    assert events
    assert [event["note"] for event in events if event["type"] == "Warning"] == []


def panic(_current: ReconcileContext) -> NoReturn:
    raise KeyError("spec")


def hang(current: ReconcileContext) -> NoReturn:
    SystemClock().wait_event(threading.Event(), current.deadline.remaining())
    current.deadline.check()
    raise AssertionError


def be_refused(_current: ReconcileContext) -> NoReturn:
    raise Forbidden(403, "Forbidden", "exceeded quota: pods")


class Failing(RepositoryServerReconciler):
    """A reconciler whose passes over one resource fail."""

    fail: Callable[[ReconcileContext], NoReturn] | None = None

    def _bring_about(self, current: ReconcileContext) -> status.Outcome:
        if current.request.name == FIRST and Failing.fail is not None:
            Failing.fail(current)
        return super()._bring_about(current)


@pytest.mark.usefixtures("_kubelet")
@pytest.mark.parametrize(
    ("fail", "counter", "told"),
    [
        pytest.param(
            panic,
            "controller_runtime_reconcile_panics_total",
            Said(
                REASON_PANICKED,
                "a bug in the controller ended the reconcile, which will be retried: KeyError; "
                "report the traceback from the controller's log",
            ),
            id="panics",
        ),
        pytest.param(
            hang,
            "controller_runtime_reconcile_timeouts_total",
            Said(
                REASON_OUT_OF_TIME,
                "the reconcile ran out of time and will be retried: the deadline has passed; see "
                "the controller's log",
            ),
            id="hangs past its deadline",
        ),
        pytest.param(
            be_refused,
            "controller_runtime_reconcile_errors_total",
            Said(
                REASON_REFUSED,
                "the API server rejects a request of the controller: exceeded quota: pods; check "
                "the controller's Role, the quotas and the webhooks",
            ),
            id="is refused",
        ),
    ],
)
def test_one_is_told_of_and_others_go_on_while_its_reconcile(
    *,
    kubeconfig: str,
    client: Client,
    namespace: str,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    fail: Callable[[ReconcileContext], NoReturn],
    counter: str,
    told: Said,
) -> None:
    monkeypatch.setattr(setup, "RepositoryServerReconciler", Failing)
    if fail is hang:
        # Its deadline comes soon. That of the others does too, and a busy machine needs some of it.
        soon = functools.partial(Controller, reconcile_timeout=STATUS_GRACE_SECONDS + 5)
        monkeypatch.setattr(builder, "Controller", soon)
    monkeypatch.setattr(Failing, "fail", fail)
    running.create_secrets(client, namespace)
    create(client, namespace, FIRST)
    registry = start(load_api_client(kubeconfig)).operator.registry

    failed = wait_for(
        "the failure to be told",
        lambda: get(client, namespace, FIRST),
        lambda obj: said(obj).reason,
    )
    create(client, namespace, SECOND)
    wait_ready(client, namespace, SECOND)
    assert said(failed) == told
    counted = wait_for(
        "the failure to be counted",
        lambda: registry.get_sample_value(counter, {"controller": setup.NAME}),
    )
    assert counted is not None
    warned = wait_for("the event", lambda: events_of(client, namespace, told.reason))
    assert [event["note"] for event in warned] == [told.message]

    monkeypatch.setattr(Failing, "fail", None)
    wait_ready(client, namespace, FIRST)


def wait_warned(client: Client, namespace: str, name: str) -> Object:
    return wait_for(
        f"{name} to be warned",
        lambda: get(client, namespace, name),
        lambda obj: running.has(obj, status.REPOSITORY_SHARED),
    )


@pytest.mark.usefixtures("_kubelet")
def test_two_servers_on_one_repository_are_both_warned_until_one_is_gone(
    kubeconfig: str, client: Client, namespace: str, start: Start
) -> None:
    running.create_secrets(client, namespace)
    controller = start(load_api_client(kubeconfig))
    shared: Object = {"spec": {"repository": {"rootPath": "shared"}}}
    for name in (FIRST, SECOND):
        create(client, namespace, name, shared)
    create(client, namespace, "third")
    create(client, namespace, "reader", objects.merged(shared, READS_ONLY))

    for name, other in ((FIRST, SECOND), (SECOND, FIRST)):
        server = wait_warned(client, namespace, name)
        message = said(server, status.REPOSITORY_SHARED).message
        assert f"is also served by RepositoryServer {other}, and" in message
        assert message.startswith("the repository at backups/shared/ on PersistentVolumeClaim ")
    for name in ("third", "reader"):
        server = wait_ready(client, namespace, name)
        assert said(server, status.REPOSITORY_SHARED) == Said()

    client.delete(api.REPOSITORY_SERVERS, namespace, SECOND)
    alone = wait_for(
        "the warning to be over",
        lambda: get(client, namespace, FIRST),
        lambda obj: not running.has(obj, status.REPOSITORY_SHARED),
    )

    assert said(alone, status.REPOSITORY_SHARED).reason == status.REASON_NOT_SHARED
    # What would be told late is told.
    controller.end()
    warned = events_of(client, namespace, status.REASON_SHARED)
    assert sorted(event["regarding"]["name"] for event in warned) == [FIRST, SECOND]
    assert {event["type"] for event in warned} == {"Warning"}
