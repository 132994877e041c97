"""What the reconciler does, told by the exact requests it sends and the status it writes."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.clock import Deadline, DeadlineExceeded
from controller.conditions import conditions_of, get_condition, timestamp
from controller.controller import Request, Result
from controller.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    ServerUnavailable,
    WebhookFailed,
)
from controller.mutationcache import MutationCache
from controller.store import Store
from controller.workqueue import LOW_PRIORITY
from fakes import objects
from fakes.apiclient import Action, FakeClient
from fakes.clock import FakeClock
from fakes.kopia import FakeKopia, FakeResult
from reconcilers.repositoryserver import (
    api,
    children,
    endpoints,
    htpasswd,
    podstatus,
    record,
    resources,
    retry,
    rollout,
    secrets,
    status,
)
from reconcilers.repositoryserver.applier import owner_uids
from reconcilers.repositoryserver.catchup import PAUSE_MAX_SECONDS
from reconcilers.repositoryserver.commands import COMMAND_SECONDS
from reconcilers.repositoryserver.context import INDEX_OWNER, INDEX_SERVICE, Caches
from reconcilers.repositoryserver.issuer import RETRY_SECONDS
from reconcilers.repositoryserver.reconciler import (
    LOST_SECONDS,
    NEXT_STAGE_PAUSE_SECONDS,
    POD_FIRST_SECONDS,
    RECORD_PAUSE_SECONDS,
    SECRET_GAP_SECONDS,
    STAGE_PAUSE_SECONDS,
    UNREADY_RECHECK_SECONDS,
)
from reconcilers.repositoryserver.reconciler import RepositoryServerReconciler as Reconciler
from reconcilers.repositoryserver.registration import (
    FORGET_AFTER_SECONDS,
    FORGET_AGAIN_SECONDS,
    TAKE_UP_PAUSE_SECONDS,
)
from reconcilers.repositoryserver.turns import MIN_PAUSE_SECONDS, Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.resource import Object, Resource
    from controller.store import IndexFunction

REQUEST = Request(objects.NAMESPACE, objects.NAME)
SERVICE = f"repo-server-{objects.NAME}"
APPLY_POD = ("apply", "pods")
USERS_SECRET = f"{SERVICE}-users"
USER = "backup@app"
# Those of the tests, so that they can be told from their hashes.
PASSWORDS = (objects.USER_PASSWORD_VALUE, "other", "n", "p")

SECRETS = [
    Action("get", "secrets", name)
    for name in (
        objects.LOCATION,
        objects.REPOSITORY_PASSWORD,
        objects.ADMIN,
        objects.TLS,
    )
]
READ_PASSWORDS = Action("get", "secrets", objects.USERS)
READ_USERS = [Action("get", "secrets", USERS_SECRET), READ_PASSWORDS]
WRITE_STATUS = Action("patch", "repositoryservers/status", objects.NAME)


SLICE_INDEXERS = {INDEX_SERVICE: endpoints.service_of}


@define
class FakeRecorder:
    """Keeps events as `TYPE REASON: note`."""

    events: list[str] = field(factory=list)

    def event(
        self, obj: Mapping[str, Any], type_: str, reason: str, note: str, action: str
    ) -> None:
        self.events.append(f"{type_} {reason}: {note}")


class World:
    """A reconciler with everything around it in memory."""

    def __init__(self) -> None:
        self.api = FakeClient()
        self.kopia = FakeKopia(volume=self.volume)
        self.recorder = FakeRecorder()
        self.clock = FakeClock(objects.NOW)
        self.turns = Turns(5, clock=self.clock)
        self.endpoints_lag = False
        self.restart()
        for secret in objects.all_secrets():
            self.api.put(resources.SECRETS, secret)
        self.api.put(resources.REPOSITORY_SERVERS, objects.repository_server())

    def restart(self, *, secrets: MutationCache | None = None) -> None:
        """Start the controller anew: what it remembered is gone.

        Args:
            secrets: In place of a cache that has all Secrets.
        """
        self.reconciler = Reconciler(
            client=self.api,  # type: ignore[arg-type]  # the fake has what is called
            executor=self.kopia,  # type: ignore[arg-type]
            caches=Caches(
                servers=self._cache(resources.REPOSITORY_SERVERS),
                pods=self._cache(resources.PODS),
                services=self._cache(resources.SERVICES),
                network_policies=self._cache(resources.NETWORK_POLICIES),
                secrets=secrets or self._cache(resources.SECRETS),
                endpoint_slices=self._cache(resources.ENDPOINT_SLICES, SLICE_INDEXERS),
            ),
            recorder=self.recorder,
            clock=self.clock,
            image=objects.IMAGE,
            turns=self.turns,
        )

    def _cache(
        self, resource: Any, indexers: Mapping[str, IndexFunction] | None = None
    ) -> MutationCache:
        indexers = indexers or {INDEX_OWNER: owner_uids}
        store = self.api.store(resource, indexers)
        cache = MutationCache(store, clock=self.clock, indexers=indexers)
        self.api.watchers.append(cache)
        return cache

    def reconcile(self) -> Result:
        """Reconcile, and once more if a new server has got its pod before its Service."""
        result = self.pass_()
        return self.pass_() if result.requeue_after == POD_FIRST_SECONDS else result

    def pass_(self) -> Result:
        """Let the endpoints follow the Service, unless they lag, and reconcile."""
        service = self.api.store(resources.SERVICES).get(objects.NAMESPACE, SERVICE)
        if service is not None and not self.endpoints_lag:
            digest = service["spec"]["selector"].get(children.LABEL_DIGEST)
            for pod in self.pods():
                if children.digest_of(pod) == digest:
                    self.route_to(pod)
        return self.reconciler.reconcile(REQUEST, Deadline.after(self.clock, 120))

    def tell(self) -> None:
        """Reconcile until a stage is told."""
        self.reconcile()
        self.clock.step(STAGE_PAUSE_SECONDS)
        self.reconcile()

    def server(self) -> Object:
        return self._one(resources.REPOSITORY_SERVERS, objects.NAME)

    def volume(self) -> str:
        """Return the users as the kubelet brings them into the pod."""
        data = self._one(resources.SECRETS, USERS_SECRET)["data"]
        return base64.b64decode(data["htpasswd"]).decode()

    def may_connect(self) -> dict[str, str]:
        """Return the users that the running server accepts, with their password."""
        return {
            user: next((word for word in PASSWORDS if htpasswd.verify(word, hash_)), "?")
            for user, hash_ in htpasswd.entries(self.kopia.served or self.volume()).items()
        }

    def pods(self) -> list[Object]:
        return self.api.store(resources.PODS).list()

    def pod(self) -> Object:
        (pod,) = self.pods()
        return pod

    def selected(self) -> str:
        """Return the digest that the Service selects."""
        service = self._one(resources.SERVICES, SERVICE)
        digest: str = service["spec"]["selector"][children.LABEL_DIGEST]
        return digest

    def kubelet(self, pod: Object, status_: Object) -> None:
        """Write a pod's status as the kubelet does."""
        self.api.put(resources.PODS, {**pod, "status": status_})

    def route_to(self, pod: Object) -> None:
        """Write the EndpointSlice of the Service as its controller does."""
        endpoint = {"targetRef": {"uid": pod["metadata"]["uid"]}, "conditions": {"ready": True}}
        labels = {endpoints.LABEL_SERVICE: SERVICE}
        metadata = {"name": f"{SERVICE}-x", "namespace": objects.NAMESPACE, "labels": labels}
        self.api.put(resources.ENDPOINT_SLICES, {"metadata": metadata, "endpoints": [endpoint]})

    @property
    def write_record(self) -> Action:
        """The request that brings the record of the only pod up to date."""
        return Action("patch", "pods", self.pod()["metadata"]["name"])

    def recorded(self, **changes: Any) -> str:
        """Return the record of the only pod, with changes."""
        annotations = self.pod()["metadata"]["annotations"]
        found = record.parse(annotations[children.ANNOTATION_RECORD])
        assert found is not None
        return record.render(evolve(found, **changes))

    def record(self, text: str) -> None:
        """Write the record of the only pod as somebody else."""
        annotations = {children.ANNOTATION_RECORD: text}
        self.api.put(
            resources.PODS, objects.merged(self.pod(), {"metadata": {"annotations": annotations}})
        )

    def condition(self, type_: str) -> tuple[str, str, str]:
        found = get_condition(self.server()["status"]["conditions"], type_)
        assert found is not None, f"no condition {type_}"
        return found["status"], found["reason"], found["message"]

    def progress(self) -> str:
        progress: str = self.server()["status"]["progress"]
        return progress

    def change_secret(self, secret: Object) -> None:
        self.api.put(resources.SECRETS, secret)

    def _one(self, resource: Any, name: str) -> Object:
        obj = self.api.store(resource).get(objects.NAMESPACE, name)
        assert obj is not None
        return obj

    def settle(self) -> None:
        """Bring the server up as the kubelet and the events do, and forget what was needed."""
        self.reconcile()
        for pod in self.pods():
            self.kubelet(pod, objects.serving())
        self.reconcile()
        self.api.taken()
        self.kopia.ran()
        self.recorder.events.clear()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def settled(world: World) -> World:
    world.settle()
    return world


def test_a_new_server_gets_its_children_in_the_order_of_their_need(world: World) -> None:
    world.reconcile()

    pod = world.pod()["metadata"]["name"]
    assert world.api.taken() == [
        Action("apply", "networkpolicies", SERVICE),
        READ_PASSWORDS,
        Action("create", "secrets", USERS_SECRET),
        *SECRETS,
        Action("apply", "secrets", pod),
        Action("apply", "pods", pod),
        Action("apply", "services", SERVICE),
    ]
    assert world.selected() == children.digest_of(world.pod())
    assert world.recorder.events == [f"Normal PodCreated: created pod {pod}"]


def test_a_new_server_lets_the_pods_of_others_go_before_its_service(world: World) -> None:
    result = world.pass_()

    assert world.api.store(resources.SERVICES).list() == []
    assert result == Result(requeue_after=POD_FIRST_SECONDS, priority=0)
    world.api.taken()

    # Whoever comes after, were it a process that was started anew.
    world.pass_()
    assert world.api.taken() == [Action("apply", "services", SERVICE)]


def test_a_pod_that_was_deleted_comes_back_while_its_service_stays(settled: World) -> None:
    name = settled.pod()["metadata"]["name"]
    settled.api.drop(resources.PODS, objects.NAMESPACE, name)

    result = settled.pass_()

    assert Action("apply", "pods", name) in settled.api.taken()
    assert result.requeue_after != POD_FIRST_SECONDS


def test_a_new_server_starts_with_its_users(world: World) -> None:
    world.reconcile()

    world.kubelet(world.pod(), objects.serving())
    world.reconcile()

    assert world.progress() == "Ready"
    assert world.may_connect() == {USER: objects.USER_PASSWORD_VALUE}
    assert world.kopia.ran() == []


def test_a_server_without_users_starts_and_lets_nobody_in(world: World) -> None:
    _without(objects.USERS)(world)
    world.reconcile()
    world.kubelet(world.pod(), objects.serving())

    world.reconcile()

    assert world.may_connect() == {}
    assert world.selected() == children.NO_DIGEST
    assert world.condition("ServerInitialized")[0] == "True"
    assert world.condition("Ready")[:2] == ("False", "SecretMissing")

    world.change_secret(objects.users_secret())
    world.reconcile()

    assert world.kopia.ran() == ["take up"]
    assert world.may_connect() == {USER: objects.USER_PASSWORD_VALUE}
    assert world.selected() == children.digest_of(world.pod())
    world.reconcile()
    assert world.progress() == "Ready"


def test_a_server_that_comes_up_slowly_is_told_stage_by_stage(world: World) -> None:
    world.tell()

    assert world.progress() == "Pending"
    assert world.condition("Ready")[0] == "False"
    assert world.condition("ServerSetup")[0] == "Unknown"


def test_a_pod_that_has_stopped_answering_is_asked_nothing(settled: World) -> None:
    settled.change_secret(objects.users_secret({"app": "other"}))
    settled.kubelet(settled.pod(), objects.started())

    settled.reconcile()

    assert settled.kopia.ran() == []


def test_the_stages_of_a_server_that_comes_up_are_told_in_one(world: World) -> None:
    world.reconcile()
    world.kubelet(world.pod(), objects.running())
    world.api.taken()

    result = world.reconcile()

    assert world.api.taken() == []
    assert result.requeue_after == STAGE_PAUSE_SECONDS
    world.clock.step(STAGE_PAUSE_SECONDS)
    world.reconcile()
    assert world.api.taken() == [WRITE_STATUS]
    assert world.condition("RepositoryConnected")[2].startswith("Kopia is opening the repository")


def test_the_stage_after_the_first_is_told_later(world: World) -> None:
    world.tell()
    world.kubelet(world.pod(), objects.running())
    world.api.taken()

    world.clock.step(STAGE_PAUSE_SECONDS)
    world.reconcile()
    assert world.api.taken() == []

    world.clock.step(NEXT_STAGE_PAUSE_SECONDS - STAGE_PAUSE_SECONDS)
    world.reconcile()
    assert world.api.taken() == [WRITE_STATUS]


def test_a_pod_that_is_ready_makes_the_server_ready(world: World) -> None:
    world.settle()

    assert world.progress() == "Ready"
    assert world.server()["status"]["serverInfo"] == {
        "podName": world.pod()["metadata"]["name"],
        "serviceName": SERVICE,
        "networkPolicyName": SERVICE,
        "tlsFingerprint": world.pod()["metadata"]["annotations"][children.ANNOTATION_FINGERPRINT],
        "tlsNotAfter": "2027-01-01T00:00:00Z",
    }
    for step in status.STEPS:
        assert world.condition(step)[0] == "True"


def _fresh(world: World) -> Object:
    """Return the status of a pod that has become Ready this moment."""
    found = objects.serving()
    ready = get_condition(found["conditions"], "Ready")
    assert ready is not None
    ready["lastTransitionTime"] = timestamp(world.clock.now())
    return found


def test_a_server_is_ready_when_the_service_routes_to_it(world: World) -> None:
    world.endpoints_lag = True
    world.reconcile()
    world.kubelet(world.pod(), _fresh(world))

    result = world.reconcile()

    assert result.requeue_after == STAGE_PAUSE_SECONDS
    assert "status" not in world.server()
    world.route_to(world.pod())
    world.reconcile()
    assert world.progress() == "Ready"


def test_where_no_endpoint_is_told_of_nobody_waits_for_ever(world: World) -> None:
    world.endpoints_lag = True
    world.reconcile()
    world.kubelet(world.pod(), _fresh(world))
    world.clock.step(endpoints.LAG_SECONDS)

    world.reconcile()

    assert world.progress() == "Ready"


def test_becoming_ready_is_told_once(world: World) -> None:
    world.reconcile()
    world.kubelet(world.pod(), objects.started())
    world.reconcile()
    world.kubelet(world.pod(), objects.serving())
    world.recorder.events.clear()

    world.reconcile()
    world.reconcile()

    assert world.recorder.events == [
        f"Normal ServerReady: clients can connect to service {SERVICE}"
    ]


def test_a_steady_server_costs_no_request(settled: World) -> None:
    settled.reconcile()

    assert settled.api.taken() == []
    assert settled.kopia.ran() == []
    assert settled.recorder.events == []


def test_a_restarted_controller_sends_no_request(settled: World) -> None:
    settled.restart()

    settled.reconcile()

    assert settled.api.taken() == []
    assert settled.kopia.ran() == []
    assert settled.recorder.events == []


def _label(secret: Object) -> Callable[[World], None]:
    labelled = objects.merged(secret, {"metadata": {"labels": {"a": "b"}}})
    return lambda world: world.change_secret(labelled)


def _touch_users(world: World) -> None:
    stored = world.api.store(resources.SECRETS).get(objects.NAMESPACE, USERS_SECRET)
    assert stored is not None
    world.change_secret(stored)


@pytest.mark.parametrize(
    ("change", "read"),
    [
        pytest.param(_label(objects.tls_secret()), SECRETS, id="an input was written"),
        pytest.param(_label(objects.users_secret()), READ_USERS, id="an access Secret was written"),
        pytest.param(_touch_users, READ_USERS, id="the users were written by another hand"),
        pytest.param(
            lambda world: world.record("{}"), [*READ_USERS, *SECRETS], id="there is no record"
        ),
        pytest.param(
            lambda world: world.record(world.recorded(program="another")),
            [*READ_USERS, *SECRETS],
            id="another program wrote the record",
        ),
    ],
)
def test_what_changed_while_no_controller_ran_is_read_and_recorded_once(
    settled: World, change: Callable[[World], None], read: list[Action]
) -> None:
    """Where nothing comes of it, no pod is replaced; the restart after that is free again."""
    change(settled)
    settled.restart()

    settled.reconcile()
    settled.reconcile()

    assert settled.api.taken() == [*read, settled.write_record]
    assert settled.progress() == "Ready"
    settled.restart()
    settled.reconcile()
    assert settled.api.taken() == []
    assert settled.recorder.events == []


def test_a_resource_that_was_edited_while_no_controller_ran_is_acted_on(settled: World) -> None:
    _edit(settled, {"server": {"podLabels": {"team": "a"}}})
    settled.restart()

    settled.reconcile()

    pod = settled.pod()["metadata"]
    assert settled.api.taken() == [*SECRETS, Action("apply", "pods", pod["name"]), WRITE_STATUS]
    assert pod["labels"]["team"] == "a"
    settled.restart()
    settled.reconcile()
    assert settled.api.taken() == []


def _delete_pods(world: World) -> None:
    for pod in world.pods():
        world.api.drop(resources.PODS, objects.NAMESPACE, pod["metadata"]["name"])


CHANGES: dict[str, Callable[[World], object]] = {
    "label an input": _label(objects.tls_secret()),
    "label an access Secret": _label(objects.users_secret()),
    "change a password": lambda world: world.change_secret(objects.users_secret({"app": "other"})),
    "add a user": lambda world: world.change_secret(objects.users_secret({"app": "n", "b": "p"})),
    "touch the users": _touch_users,
    "renew the certificate": lambda world: world.change_secret(
        objects.tls_secret(objects.key_pair("renewed"))
    ),
    "take the renewal back": lambda world: world.change_secret(objects.tls_secret()),
    "label the pod": lambda world: _edit(world, {"server": {"podLabels": {"team": "a"}}}),
    "drain at once": lambda world: _edit(world, {"server": {"drainSeconds": 0}}),
    "break an input": lambda world: world.change_secret(
        objects.secret(objects.ADMIN, "Opaque", {"username": "a"})
    ),
    "mend it": lambda world: world.change_secret(objects.admin_secret()),
    "delete the users": lambda world: world.api.drop(
        resources.SECRETS, objects.NAMESPACE, USERS_SECRET
    ),
    "delete the pods": _delete_pods,
}


def _outcome(world: World) -> dict[str, Any]:
    """Return what users see of a server, in the end."""
    return {
        "pods": {children.digest_of(pod): pod["metadata"]["labels"] for pod in world.pods()},
        "serves": world.selected(),
        "users": world.may_connect(),
        "registered": world.server()["status"].get("registeredUsers"),
        "conditions": [
            (one["type"], one["status"], one["reason"], one["message"])
            for one in world.server()["status"]["conditions"]
        ],
    }


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(sorted(CHANGES)), st.booleans()), max_size=6))
def test_a_restart_at_any_time_makes_no_difference(steps: list[tuple[str, bool]]) -> None:
    """Two servers see the same changes; the controller of one starts anew after some of them."""
    steady, restarted = World(), World()
    for world in (steady, restarted):
        world.settle()
        for change, restart in steps:
            CHANGES[change](world)
            if restart and world is restarted:
                world.restart()
            world.settle()
        # One that is started anew counts from there.
        for _ in range(2):
            world.clock.step(FORGET_AFTER_SECONDS)
            world.settle()

    assert _outcome(restarted) == _outcome(steady)


def test_a_secret_that_is_written_often_is_recorded_seldom(settled: World) -> None:
    settled.clock.step(FORGET_AFTER_SECONDS)
    settled.reconcile()
    settled.api.taken()
    for _ in range(3):
        _touch_users(settled)
        settled.reconcile()
    assert settled.api.taken() == [*READ_USERS, settled.write_record, *READ_USERS * 2]

    settled.clock.step(RECORD_PAUSE_SECONDS)
    settled.reconcile()

    assert settled.api.taken() == [settled.write_record]


def test_a_secret_that_went_while_no_controller_ran_is_missed(settled: World) -> None:
    settled.api.drop(resources.SECRETS, objects.NAMESPACE, objects.ADMIN)
    settled.restart()

    settled.reconcile()
    settled.clock.step(SECRET_GAP_SECONDS)
    settled.reconcile()

    assert settled.condition("Ready")[:2] == ("False", "SecretMissing")


@pytest.mark.parametrize("lacking", [objects.ADMIN, objects.USERS])
def test_what_was_known_while_the_cache_lacked_a_secret_is_not_recorded(
    world: World, lacking: str
) -> None:
    """Who relied on its lack would not miss it when it is gone."""
    indexers = {INDEX_OWNER: owner_uids}
    store = Store(indexers)
    for secret in objects.all_secrets():
        if secret["metadata"]["name"] != lacking:
            store.add(secret)
    world.restart(secrets=MutationCache(store, clock=world.clock, indexers=indexers))

    world.reconcile()

    assert children.ANNOTATION_RECORD not in world.pod()["metadata"]["annotations"]


def test_a_certificate_that_expired_while_no_controller_ran_is_told(settled: World) -> None:
    settled.clock.step(timedelta(days=366).total_seconds())
    settled.restart()

    settled.reconcile()

    assert settled.condition("Ready")[:2] == ("False", "CertificateExpired")


def test_changed_users_are_recorded_with_what_tells_that_they_were_taken_up(
    settled: World,
) -> None:
    settled.change_secret(objects.users_secret({"app": "other"}))
    settled.reconcile()
    settled.api.taken()
    settled.restart()

    settled.reconcile()

    assert settled.api.taken() == []


@pytest.mark.parametrize(
    ("passwords", "accepted", "event"),
    [
        pytest.param(
            {"app": "other"},
            {USER: "other"},
            f"Normal UsersChanged: changed {USER}",
            id="a changed password replaces the old one",
        ),
        pytest.param(
            {"app": objects.USER_PASSWORD_VALUE, "new": "n"},
            {USER: objects.USER_PASSWORD_VALUE, "backup@new": "n"},
            "Normal UsersChanged: added backup@new",
            id="a new key adds a user",
        ),
        pytest.param(
            {"new": "n"},
            {"backup@new": "n"},
            f"Normal UsersChanged: added backup@new; removed {USER}",
            id="a user that leaves the Secret may connect no more",
        ),
    ],
)
def test_a_changed_access_secret_changes_users_and_restarts_nothing(
    settled: World, passwords: dict[str, str], accepted: dict[str, str], event: str
) -> None:
    pod = settled.pod()
    settled.change_secret(objects.users_secret(passwords))

    settled.reconcile()

    assert settled.may_connect() == accepted
    assert settled.recorder.events == [event]
    assert settled.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
    assert settled.progress() == "Ready"


def test_the_kubelet_is_made_to_look_before_the_server_is_told(settled: World) -> None:
    settled.change_secret(objects.users_secret({"app": "other"}))

    settled.reconcile()

    annotate = Action("patch", "pods", settled.pod()["metadata"]["name"])
    assert settled.api.taken() == [
        *READ_USERS,
        Action("apply", "secrets", USERS_SECRET),
        annotate,
        annotate,
    ]
    settled.reconcile()
    assert settled.api.taken() == []
    assert settled.kopia.ran() == ["take up"]


def test_a_label_on_the_access_secret_changes_nothing(settled: World) -> None:
    labelled = objects.merged(objects.users_secret(), {"metadata": {"labels": {"a": "b"}}})
    settled.change_secret(labelled)

    settled.reconcile()

    assert settled.api.taken() == [*READ_USERS, settled.write_record]
    assert settled.kopia.ran() == []


def test_users_that_are_not_in_the_pod_yet_are_waited_for(settled: World) -> None:
    settled.kopia.failures["take up"] = FakeResult(75)
    settled.change_secret(objects.users_secret({"app": "other"}))

    result = settled.reconcile()

    assert result.requeue_after == TAKE_UP_PAUSE_SECONDS
    assert settled.progress() == "Ready"
    settled.kopia.failures.clear()
    settled.reconcile()
    assert settled.may_connect() == {USER: "other"}


def test_a_controller_that_died_before_the_server_took_up_its_users_does_it_later(
    settled: World,
) -> None:
    settled.kopia.failures["take up"] = FakeResult(1, stderr=b"killed")
    settled.change_secret(objects.users_secret({"app": "other"}))
    settled.reconcile()
    settled.kopia.failures.clear()
    settled.restart()

    settled.reconcile()

    assert settled.may_connect() == {USER: "other"}


def test_a_failed_refresh_is_told_on_its_step_and_tried_again(settled: World) -> None:
    settled.kopia.failures["take up"] = FakeResult(1, stderr=b"connection refused")
    settled.change_secret(objects.users_secret({"app": "other"}))

    settled.reconcile()

    assert settled.condition("ServerRefreshed")[:2] == ("False", "ServerRefreshFailed")
    assert settled.condition("ClientUserInitialized")[0] == "True"
    assert settled.progress() == "Failed"
    settled.kopia.failures.clear()
    settled.clock.step(retry.MAX_SECONDS)
    settled.reconcile()
    assert settled.may_connect() == {USER: "other"}
    assert settled.progress() == "Ready"


def test_a_server_that_does_not_answer_a_refresh_holds_no_worker(settled: World) -> None:
    settled.kopia.silent.add("take up")
    settled.change_secret(objects.users_secret({"app": "other"}))
    before = settled.clock.monotonic()

    settled.reconcile()

    assert settled.clock.monotonic() - before == COMMAND_SECONDS
    assert settled.condition("Ready")[1] == "StorageUnavailable"
    assert "has not answered for 30 s" in settled.condition("ServerRefreshed")[2]
    settled.kopia.silent.clear()
    settled.clock.step(retry.MAX_SECONDS)
    settled.reconcile()
    assert settled.may_connect() == {USER: "other"}
    assert settled.progress() == "Ready"


def test_nor_does_one_that_cannot_be_searched(settled: World) -> None:
    settled.kopia.silent.add("list")
    settled.clock.step(FORGET_AFTER_SECONDS)

    settled.reconcile()

    assert settled.progress() == "Ready"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"data": {"htpasswd": "eDp5Cg=="}}, id="somebody lets a stranger in"),
        pytest.param({"data": None}, id="somebody empties it"),
        pytest.param({"data": {"htpasswd": "/w=="}}, id="somebody writes what is no text"),
    ],
)
def test_the_users_that_somebody_changed_by_hand_are_put_back(
    settled: World, change: Object
) -> None:
    stored = settled.api.store(resources.SECRETS).get(objects.NAMESPACE, USERS_SECRET)
    settled.change_secret(objects.merged(stored, change))

    settled.reconcile()

    assert settled.kopia.ran() == ["take up"]
    assert settled.may_connect() == {USER: objects.USER_PASSWORD_VALUE}
    settled.reconcile()
    assert settled.kopia.ran() == []


def test_users_that_were_deleted_come_back(settled: World) -> None:
    settled.api.drop(resources.SECRETS, objects.NAMESPACE, USERS_SECRET)

    settled.reconcile()

    assert settled.may_connect() == {USER: objects.USER_PASSWORD_VALUE}


def test_entries_of_a_server_of_before_are_removed_from_the_repository(settled: World) -> None:
    settled.kopia.users = {USER, "somebody@else"}
    settled.reconcile()
    assert settled.kopia.ran() == []
    settled.clock.step(FORGET_AFTER_SECONDS)

    settled.reconcile()

    assert settled.kopia.ran() == ["list", "forget"]
    assert settled.kopia.users == {"somebody@else"}
    assert settled.recorder.events == [
        f"Normal UsersForgotten: removed entries of before from the repository: {USER}"
    ]
    settled.reconcile()
    assert settled.kopia.ran() == []


def test_the_search_lets_servers_that_are_not_up_yet_go_first(settled: World) -> None:
    result = settled.reconcile()

    assert result == Result(requeue_after=FORGET_AFTER_SECONDS, priority=LOW_PRIORITY)


def test_the_repository_is_searched_once(settled: World) -> None:
    settled.clock.step(FORGET_AFTER_SECONDS)
    settled.reconcile()
    assert settled.kopia.ran() == ["list"]
    settled.restart()

    settled.reconcile()
    settled.clock.step(FORGET_AFTER_SECONDS)
    settled.reconcile()

    assert settled.kopia.ran() == []


def test_a_user_who_comes_back_is_searched_for_again(settled: World) -> None:
    settled.clock.step(FORGET_AFTER_SECONDS)
    settled.reconcile()
    settled.change_secret(objects.users_secret({"new": "n"}))
    settled.reconcile()
    settled.change_secret(objects.users_secret({"app": "p", "new": "n"}))
    settled.kopia.ran()
    settled.kopia.users = {USER}

    settled.reconcile()

    assert settled.kopia.ran() == ["take up", "list", "forget"]
    assert settled.kopia.users == set()


def test_a_repository_that_cannot_be_searched_keeps_nobody_out(settled: World) -> None:
    settled.kopia.failures["list"] = FakeResult(1, stderr=b"storage is away")
    settled.clock.step(FORGET_AFTER_SECONDS)

    result = settled.reconcile()

    assert settled.progress() == "Ready"
    assert result.requeue_after == FORGET_AGAIN_SECONDS


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(resources.SECRETS, id="a Secret"),
        pytest.param(resources.PODS, id="a pod"),
        pytest.param(resources.SERVICES, id="a Service"),
        pytest.param(resources.NETWORK_POLICIES, id="a NetworkPolicy"),
    ],
)
def test_what_others_let_the_server_own_is_theirs(settled: World, resource: Any) -> None:
    owner = {"apiVersion": "cr.kanister.io/v1alpha1", "kind": "RepositoryServer"}
    metadata = {
        "name": "precious",
        "namespace": objects.NAMESPACE,
        "ownerReferences": [{**owner, "uid": settled.server()["metadata"]["uid"]}],
    }
    settled.api.put(resource, {"metadata": metadata})

    settled.reconcile()

    assert settled.api.taken() == []


def test_a_deleted_pod_comes_back_under_its_name(settled: World) -> None:
    name = settled.pod()["metadata"]["name"]
    settled.api.drop(resources.PODS, objects.NAMESPACE, name)

    settled.reconcile()

    assert settled.pod()["metadata"]["name"] == name
    assert settled.progress() == "Pending"
    assert settled.condition("ServerInitialized")[0] == "Unknown"
    assert settled.condition("ClientUserInitialized")[0] == "True"


def test_a_pod_that_is_going_away_is_waited_for(settled: World) -> None:
    settled.api.put(resources.PODS, objects.terminating(settled.pod()))

    settled.reconcile()

    assert settled.api.taken() == [WRITE_STATUS]
    assert settled.condition("Ready")[2].endswith("is being deleted and will be made again")


def test_an_evicted_pod_is_replaced_and_its_end_explained(settled: World) -> None:
    settled.clock.step(60)
    settled.kubelet(settled.pod(), objects.evicted())
    evicted = settled.pod()["metadata"]["uid"]

    settled.reconcile()

    assert settled.condition("Ready")[1] == "PodEnded"
    assert "low on resource: memory" in settled.condition("Ready")[2]
    settled.reconcile()
    assert settled.pod()["metadata"]["uid"] != evicted


def test_a_pod_that_its_node_refuses_at_once_is_made_again_after_a_pause(world: World) -> None:
    world.reconcile()
    world.kubelet(world.pod(), objects.evicted())
    refused = world.pod()["metadata"]["uid"]

    result = world.reconcile()

    assert world.pod()["metadata"]["uid"] == refused
    assert result.requeue_after == retry.MIN_SECONDS
    world.clock.step(retry.MIN_SECONDS)
    world.reconcile()
    assert world.pods() == []


def _add_port(service: Object) -> None:
    service["spec"]["ports"].append({"name": "x", "port": 1, "protocol": "TCP", "targetPort": 1})


def _widen_selector(service: Object) -> None:
    service["spec"]["selector"]["app"] = "other"


def _open_to_all(policy: Object) -> None:
    policy["spec"]["ingress"] = [{}]


def _drop_labels(obj: Object) -> None:
    del obj["metadata"]["labels"]


@pytest.mark.parametrize(
    ("resource", "change"),
    [
        pytest.param(resources.SERVICES, _add_port, id="a port added to the Service"),
        pytest.param(resources.SERVICES, _widen_selector, id="a label added to its selector"),
        pytest.param(resources.NETWORK_POLICIES, _open_to_all, id="an opened NetworkPolicy"),
        pytest.param(resources.NETWORK_POLICIES, _drop_labels, id="labels taken away"),
    ],
)
def test_what_is_changed_by_hand_is_put_back(
    settled: World, resource: Any, change: Callable[[Object], None]
) -> None:
    store = settled.api.store(resource)
    before = store.list()[0]
    changed = objects.merged(before, {})
    change(changed)
    settled.api.put(resource, changed)

    settled.reconcile()

    assert settled.api.taken() == [Action("apply", resource.plural, SERVICE)]
    assert store.list()[0]["spec"] == before["spec"]
    settled.reconcile()
    assert settled.api.taken() == []


@pytest.mark.parametrize(
    ("resource", "label"),
    [
        pytest.param(
            resources.PODS,
            children.LABEL_DIGEST,
            id="the pod's digest, by which the Service selects it",
        ),
        pytest.param(
            resources.PODS,
            children.LABEL_INSTANCE,
            id="the pod's server, by which Service and NetworkPolicy select it",
        ),
        pytest.param(
            resources.SECRETS,
            children.LABEL_DIGEST,
            id="its Secret's digest, by which that is deleted some day",
        ),
    ],
)
def test_a_label_that_is_taken_away_is_put_back(
    settled: World, resource: Resource, label: str
) -> None:
    name = settled.pod()["metadata"]["name"]
    store = settled.api.store(resource)
    before = store.get(objects.NAMESPACE, name)
    assert before is not None
    changed = objects.merged(before, {"metadata": {"labels": {label: None}}})
    settled.api.put(resource, changed)

    settled.reconcile()

    assert settled.api.taken() == [*SECRETS, Action("apply", resource.plural, name)]
    after = store.get(objects.NAMESPACE, name)
    assert after is not None
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert settled.progress() == "Ready"
    settled.reconcile()
    assert settled.api.taken() == []


def _renewed(world: World) -> tuple[Object, Object]:
    """Renew the certificate of a settled server; return the old pod and the new one."""
    old = world.pod()
    world.change_secret(objects.tls_secret(objects.key_pair("renewed")))
    world.reconcile()
    (new,) = [pod for pod in world.pods() if pod["metadata"]["uid"] != old["metadata"]["uid"]]
    return old, new


def test_a_renewed_certificate_moves_the_service_only_to_a_ready_pod(settled: World) -> None:
    old, new = _renewed(settled)

    assert settled.selected() == children.digest_of(old)
    assert settled.progress() == "Ready"
    fingerprint = new["metadata"]["annotations"][children.ANNOTATION_FINGERPRINT]
    assert settled.server()["status"]["serverInfo"]["tlsFingerprint"] != fingerprint

    settled.kubelet(new, objects.started())
    settled.reconcile()
    assert settled.selected() == children.digest_of(old)

    settled.kubelet(_named(settled, new), objects.serving())
    settled.reconcile()

    assert settled.selected() == children.digest_of(new)
    settled.reconcile()
    assert settled.server()["status"]["serverInfo"]["tlsFingerprint"] == fingerprint


def test_the_fingerprint_moves_with_the_endpoints_and_ready_stays(settled: World) -> None:
    settled.endpoints_lag = True
    old, new = _renewed(settled)
    settled.route_to(old)
    settled.kubelet(new, _fresh(settled))

    settled.reconcile()

    assert settled.selected() == children.digest_of(new)
    info = settled.server()["status"]["serverInfo"]
    assert info["podName"] == old["metadata"]["name"]
    assert settled.progress() == "Ready"

    settled.route_to(new)
    settled.reconcile()

    info = settled.server()["status"]["serverInfo"]
    assert info["podName"] == new["metadata"]["name"]
    assert info["tlsFingerprint"] == new["metadata"]["annotations"][children.ANNOTATION_FINGERPRINT]
    assert settled.progress() == "Ready"


def test_the_former_pod_drains_and_goes(settled: World) -> None:
    settled.clock.step(FORGET_AFTER_SECONDS)
    settled.reconcile()
    old, new = _renewed(settled)
    settled.kubelet(new, objects.serving())
    settled.api.taken()

    result = settled.reconcile()

    # It is marked before the Service leaves it: nobody may take it for one that never served.
    assert settled.api.taken() == [
        Action("patch", "pods", old["metadata"]["name"]),
        Action("apply", "services", SERVICE),
    ]
    assert result.requeue_after == endpoints.LAG_SECONDS
    settled.reconcile()
    assert settled.api.taken() == [WRITE_STATUS]
    settled.clock.step(299)
    settled.reconcile()
    assert len(settled.pods()) == 2
    # Its container may start again until then.
    stored = settled.api.store(resources.SECRETS)
    assert stored.get(objects.NAMESPACE, old["metadata"]["name"]) is not None

    settled.clock.step(1)
    settled.reconcile()

    assert settled.pod()["metadata"]["uid"] == new["metadata"]["uid"]
    snapshots = [
        secret["metadata"]["name"]
        for secret in settled.api.store(resources.SECRETS).list()
        if children.digest_of(secret)
    ]
    assert snapshots == [new["metadata"]["name"]]


def test_what_the_former_pod_writes_becomes_known_to_its_successor(settled: World) -> None:
    settled.clock.step(FORGET_AFTER_SECONDS)
    settled.reconcile()
    _, new = _renewed(settled)
    settled.kubelet(new, objects.serving())
    settled.reconcile()
    settled.reconcile()
    settled.kopia.ran()

    for _ in range(3):
        settled.clock.step(PAUSE_MAX_SECONDS)
        result = settled.reconcile()
        assert settled.kopia.ran() == ["refresh"]
        assert result.requeue_after == PAUSE_MAX_SECONDS

    # Once more when it can write no more, and then never again.
    settled.clock.step(300)
    settled.reconcile()
    assert len(settled.pods()) == 1
    assert settled.kopia.ran() == ["refresh"]
    settled.clock.step(PAUSE_MAX_SECONDS)
    settled.reconcile()
    assert settled.kopia.ran() == []


@pytest.mark.parametrize(
    ("failures", "silent"),
    [
        pytest.param({"refresh": FakeResult(1, stderr=b"no")}, set[str](), id="Kopia refuses"),
        pytest.param(dict[str, FakeResult](), {"refresh"}, id="Kopia does not answer"),
    ],
)
def test_a_refresh_that_fails_is_tried_again_and_keeps_nobody_out(
    settled: World, failures: dict[str, FakeResult], silent: set[str]
) -> None:
    settled.clock.step(FORGET_AFTER_SECONDS)
    settled.reconcile()
    _, new = _renewed(settled)
    settled.kubelet(new, objects.serving())
    settled.reconcile()
    settled.reconcile()
    settled.kopia.failures, settled.kopia.silent = failures, silent
    settled.kopia.ran()

    settled.clock.step(PAUSE_MAX_SECONDS)
    settled.reconcile()
    assert settled.kopia.ran() == ["refresh"]
    assert settled.progress() == "Ready"

    # The former pod is gone by then, and without the failure there would be no more.
    settled.clock.step(300)
    settled.reconcile()
    settled.clock.step(PAUSE_MAX_SECONDS)
    settled.reconcile()
    settled.kopia.failures, settled.kopia.silent = {}, set()
    settled.kopia.ran()
    settled.clock.step(PAUSE_MAX_SECONDS)
    settled.reconcile()
    assert settled.kopia.ran() == ["refresh"]
    settled.clock.step(PAUSE_MAX_SECONDS)
    settled.reconcile()
    assert settled.kopia.ran() == []


def test_the_former_pod_is_not_given_up_while_its_successor_is_not_up(settled: World) -> None:
    old, _ = _renewed(settled)
    settled.kubelet(old, objects.started())

    settled.reconcile()

    assert len(settled.pods()) == 2
    assert settled.selected() == children.digest_of(old)
    assert settled.progress() == "Pending"


def test_users_change_in_the_former_pod_while_its_successor_is_not_up(settled: World) -> None:
    _renewed(settled)
    settled.change_secret(objects.users_secret({"new": "n"}))

    settled.reconcile()

    assert settled.may_connect() == {"backup@new": "n"}


def test_a_wrong_access_secret_tells_that_all_users_stay_as_they_are(settled: World) -> None:
    before = settled.may_connect()
    settled.change_secret(objects.users_secret({"App": "x"}))

    settled.reconcile()

    _, reason, message = settled.condition("Ready")
    assert reason == "UserNameInvalid"
    assert message.startswith(f"key App of Secret {objects.NAMESPACE}/{objects.USERS}, ")
    assert "; until that is mended no user is added, changed or removed" in message
    assert settled.may_connect() == before


def test_more_users_than_the_server_can_read_are_told_and_nobody_is_shut_out(
    settled: World,
) -> None:
    """The API server would refuse their Secret: it is not asked, and so not asked again."""
    before = settled.may_connect()
    settled.change_secret(objects.users_secret({f"host-{n}": "p" for n in range(20_000)}))

    result = settled.reconcile()

    assert settled.condition("ClientUserInitialized")[:2] == (
        "False",
        status.STEPS[status.CLIENT_USER_INITIALIZED][1],
    )
    _, reason, message = settled.condition("Ready")
    assert reason == "TooManyUsers"
    assert "20000 users are too many" in message
    assert f"take users out of Secret {objects.NAMESPACE}/{objects.USERS}, named by " in message
    assert "until that is mended no user is added, changed or removed" in message
    assert "serves as before" in message
    assert settled.api.taken() == [*READ_USERS, WRITE_STATUS]
    assert result.requeue_after == UNREADY_RECHECK_SECONDS
    assert settled.may_connect() == before


def test_users_change_while_another_secret_is_wrong(settled: World) -> None:
    _without(objects.TLS)(settled)
    settled.reconcile()
    settled.change_secret(objects.users_secret({"new": "n"}))

    settled.reconcile()

    assert settled.may_connect() == {"backup@new": "n"}


def test_a_pod_that_waits_for_the_claim_of_the_former_one_takes_its_place(
    settled: World,
) -> None:
    old, new = _renewed(settled)
    settled.kubelet({**new, "spec": {**new["spec"], "nodeName": "other"}}, objects.creating())
    claim = {
        "metadata": {"name": objects.CLAIM, "namespace": objects.NAMESPACE},
        "spec": {"accessModes": ["ReadWriteOnce"]},
    }
    settled.api.put(resources.PERSISTENT_VOLUME_CLAIMS, claim)
    settled.reconcile()
    assert len(settled.pods()) == 2
    settled.clock.step(rollout.IN_PLACE_AFTER_SECONDS)

    settled.reconcile()

    assert settled.pod()["metadata"]["name"] == new["metadata"]["name"]
    told = [event for event in settled.recorder.events if "ReplacedInPlace" in event]
    assert len(told) == 1
    assert old["metadata"]["name"] in told[0]


@pytest.mark.parametrize(
    ("mode", "left"),
    [
        pytest.param("ReadWriteOnce", 1, id="on one node only: it takes its place"),
        pytest.param("ReadWriteMany", 2, id="on any node: it waits for something else"),
    ],
)
def test_a_pod_that_waits_for_the_claim_of_the_removed_controllers(
    world: World, mode: str, left: int
) -> None:
    world.api.put(resources.PODS, _legacy_pod())
    world.reconcile()
    (new,) = [pod for pod in world.pods() if children.digest_of(pod)]
    world.kubelet({**new, "spec": {**new["spec"], "nodeName": "other"}}, objects.creating())
    claim = {
        "metadata": {"name": objects.CLAIM, "namespace": objects.NAMESPACE},
        "spec": {"accessModes": [mode]},
    }
    world.api.put(resources.PERSISTENT_VOLUME_CLAIMS, claim)
    world.clock.step(rollout.IN_PLACE_AFTER_SECONDS)

    world.reconcile()

    assert len(world.pods()) == left
    assert new["metadata"]["name"] in [pod["metadata"]["name"] for pod in world.pods()]


def test_no_more_servers_are_replaced_at_once_than_have_a_turn(settled: World) -> None:
    others = [Request(objects.NAMESPACE, f"other-{number}") for number in range(5)]
    for other in others:
        settled.turns.take(other)
    settled.change_secret(objects.tls_secret(objects.key_pair("renewed")))

    settled.reconcile()

    assert len(settled.pods()) == 1
    assert settled.progress() == "Ready"

    settled.turns.give_back(others[0])
    settled.reconcile()

    assert len(settled.pods()) == 2


def _named(world: World, pod: Object) -> Object:
    (found,) = [p for p in world.pods() if p["metadata"]["name"] == pod["metadata"]["name"]]
    return found


def _edit(world: World, spec: Object) -> None:
    """Change the resource as its user does."""
    generation = world.server()["metadata"]["generation"] + 1
    change = {"metadata": {"generation": generation}, "spec": spec}
    world.api.put(resources.REPOSITORY_SERVERS, objects.merged(world.server(), change))


def test_a_label_for_the_pod_reaches_it_without_a_restart(settled: World) -> None:
    before = settled.pod()

    _edit(settled, {"server": {"podLabels": {"team": "a"}}})
    settled.reconcile()

    after = settled.pod()
    assert after["metadata"]["labels"] == {**before["metadata"]["labels"], "team": "a"}
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"] == before["spec"]
    assert settled.recorder.events == []


def test_an_override_that_cannot_be_is_told_and_leaves_the_running_server_alone(
    settled: World,
) -> None:
    before = settled.pod()

    _edit(settled, {"server": {"podOverride": {"hostNetwork": True}}})
    settled.reconcile()

    assert settled.condition("Ready")[:2] == ("False", "InvalidPodOverride")
    assert "spec.server.podOverride.hostNetwork must not" in settled.condition("ServerSetup")[2]
    assert settled.pod() == before
    assert settled.selected() == children.digest_of(before)

    _edit(settled, {"server": {"podOverride": None}})
    settled.reconcile()

    assert settled.progress() == "Ready"
    assert settled.pod()["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        pytest.param(
            {"podOverride": {"restartPolice": "Always"}},
            Invalid(422, "Invalid", "spec: no such field"),
            id="in a new pod",
        ),
        pytest.param(
            {"podLabels": {"team": "not a value"}},
            Invalid(422, "Invalid", "a label's value has no spaces"),
            id="on the running pod",
        ),
        pytest.param(
            {"podLabels": {"team": "b"}},
            BadRequest(400, "", 'admission webhook "teams.example" denied the request: no team b'),
            id="by a webhook that denies without a code",
        ),
    ],
)
def test_what_the_api_server_refuses_of_a_pod_is_told_and_the_running_one_serves(
    settled: World, settings: Object, refusal: Invalid | BadRequest
) -> None:
    before = settled.pod()
    trial = World()
    trial.settle()
    _edit(trial, {"server": settings})
    trial.reconcile()
    (refused,) = [
        action for action in trial.api.taken() if (action.verb, action.resource) == APPLY_POD
    ]
    settled.api.failures[refused] = refusal

    _edit(settled, {"server": settings})
    settled.change_secret(objects.users_secret({"other": "p"}))
    settled.reconcile()

    assert settled.condition("Ready")[:2] == ("False", "PodRefused")
    assert settled.condition("Ready")[2].startswith(
        f"the API server refuses pod {refused.name}: {refusal.message}; correct what spec.server "
        "says of the pod, in podOverride for one"
    )
    assert settled.pod()["spec"] == before["spec"]
    assert settled.selected() == children.digest_of(before)
    assert settled.may_connect() == {"backup@other": "p"}


QUOTA = Forbidden(403, "Forbidden", "exceeded quota: pods, used: pods=2, limited: pods=2")
WEBHOOK = WebhookFailed(500, "InternalError", "failed calling webhook: connection refused")


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(QUOTA, id="a quota is full"),
        pytest.param(WEBHOOK, id="a webhook does not answer"),
    ],
)
def test_a_pod_that_may_not_be_made_now_keeps_neither_users_nor_drained_pods_waiting(
    settled: World, refusal: Forbidden | WebhookFailed
) -> None:
    """A quota that is full of pods that drain would never be free again."""
    first, second = _renewed(settled)
    settled.kubelet(second, objects.serving())
    settled.reconcile()
    assert rollout.drain_until(_named(settled, first)) is not None
    there = {pod["metadata"]["name"] for pod in settled.pods()}

    def refuse(resource: Resource, obj: Object) -> None:
        if resource == resources.PODS and obj["metadata"]["name"] not in there:
            raise refusal

    settled.api.admission = refuse
    _edit(settled, {"server": {"resources": {"limits": {"memory": "2Gi"}}}})
    settled.change_secret(objects.users_secret({"other": "p"}))

    settled.clock.step(300)
    settled.reconcile()

    value, reason, message = settled.condition("Ready")
    assert (value, reason) == ("False", "ApiRequestRefused")
    assert refusal.message in message
    assert f"pod {second['metadata']['name']} serves as before" in message
    assert settled.may_connect() == {"backup@other": "p"}
    assert [pod["metadata"]["name"] for pod in settled.pods()] == [second["metadata"]["name"]]
    settled.api.admission = lambda *_: None
    settled.reconcile()
    assert len(settled.pods()) == 2


def test_a_webhook_that_does_not_answer_is_told(world: World) -> None:
    world.api.failures[Action("apply", "networkpolicies", SERVICE)] = WEBHOOK

    with pytest.raises(WebhookFailed):
        world.reconcile()

    assert world.condition("Ready")[:2] == ("False", "ApiRequestRefused")


def test_a_label_on_a_secret_restarts_nothing(settled: World) -> None:
    labelled = objects.merged(objects.tls_secret(), {"metadata": {"labels": {"a": "b"}}})
    settled.change_secret(labelled)

    settled.reconcile()

    assert settled.api.taken() == [*SECRETS, settled.write_record]
    settled.reconcile()
    assert settled.api.taken() == []


def _legacy_pod() -> Object:
    """Return a pod that the removed controller has left at work."""
    owner = objects.repository_server()["metadata"]["uid"]
    return {
        "metadata": {
            "name": "repo-server-pod-x7k2p",
            "namespace": objects.NAMESPACE,
            "ownerReferences": [
                {"apiVersion": "cr.kanister.io/v1alpha1", "kind": "RepositoryServer", "uid": owner}
            ],
        },
        "spec": {"nodeName": "node"},
        "status": objects.serving(),
    }


def test_the_pods_of_the_removed_controller_drain_when_the_new_one_serves(world: World) -> None:
    legacy = _legacy_pod()
    world.api.put(resources.PODS, legacy)
    world.reconcile()
    (new,) = [pod for pod in world.pods() if pod["metadata"]["name"] != "repo-server-pod-x7k2p"]
    # Where else should its clients go?
    assert rollout.drain_until(_named(world, legacy)) is None
    former = {"metadata": {**legacy["metadata"], "name": "repo-server-service-x7k2p"}, "spec": {}}
    world.api.put(resources.SERVICES, former)
    world.kubelet(new, objects.serving())
    world.reconcile()
    assert len(world.pods()) == 2
    assert len(world.api.store(resources.SERVICES).list()) == 2
    # Its clients' backups have to be known as well.
    world.clock.step(PAUSE_MAX_SECONDS)
    world.reconcile()
    assert "refresh" in world.kopia.ran()

    world.clock.step(300)
    world.reconcile()
    world.reconcile()

    assert [pod["metadata"]["name"] for pod in world.pods()] == [new["metadata"]["name"]]
    assert len(world.api.store(resources.SERVICES).list()) == 1


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("service-1", id="its Service is called as one of the removed controller's"),
        pytest.param("repo-server-pod-1", id="its pod is"),
    ],
)
def test_a_child_of_ours_is_none_of_the_removed_controllers(world: World, name: str) -> None:
    request = Request(objects.NAMESPACE, name)
    world.api.put(
        resources.REPOSITORY_SERVERS, objects.repository_server({"metadata": {"name": name}})
    )
    world.reconciler.reconcile(request, Deadline.after(world.clock, 120))
    world.kubelet(world.pod(), objects.serving())

    for _ in range(2):
        world.reconciler.reconcile(request, Deadline.after(world.clock, 120))

    assert [action for action in world.api.taken() if action.verb == "delete"] == []
    assert rollout.drain_until(world.pod()) is None


def test_a_kill_of_the_server_is_noticed_and_is_no_failure(settled: World) -> None:
    settled.kubelet(settled.pod(), objects.killed())

    settled.reconcile()

    assert settled.progress() == "Pending"
    assert settled.condition("Ready")[:2] == ("False", "Pending")
    assert "exit code 137" in settled.condition("Ready")[2]
    assert settled.condition("ClientUserInitialized")[0] == "True"

    settled.kubelet(settled.pod(), objects.serving())
    settled.reconcile()

    assert settled.progress() == "Ready"


def test_a_crashing_server_is_explained_and_tried_again(world: World) -> None:
    world.reconcile()
    message = "ERROR unable to open repository: invalid repository password"
    world.kubelet(world.pod(), objects.crash_looping(message))
    first = world.pod()["metadata"]["uid"]
    world.recorder.events.clear()

    # The container ended ten seconds before; five are enough.
    world.reconcile()

    assert world.condition("RepositoryConnected")[:2] == (
        "False",
        "KopiaRepositoryConnectionFailed",
    )
    assert world.condition("Ready")[1] == "RepositoryPasswordWrong"
    assert world.progress() == "Failed"
    world.reconcile()
    assert world.pod()["metadata"]["uid"] != first


def test_a_failure_is_told_once_however_often_it_is_tried_again(world: World) -> None:
    world.reconcile()
    message = "ERROR unable to open repository: invalid repository password"
    world.recorder.events.clear()
    for _ in range(3):
        world.kubelet(world.pod(), objects.crash_looping(message))
        world.reconcile()
        # The pod was deleted; it is made anew and starts.
        world.reconcile()
        assert world.progress() == "Failed"
        world.kubelet(world.pod(), objects.running())
        world.reconcile()
        assert world.progress() == "Failed"

    warnings = [event for event in world.recorder.events if event.startswith("Warning")]
    assert len(warnings) == 1


def test_a_failure_ends_when_its_step_is_passed(world: World) -> None:
    world.reconcile()
    world.kubelet(world.pod(), objects.crash_looping("repository not initialized"))
    world.reconcile()
    world.reconcile()
    world.kubelet(world.pod(), objects.started())

    world.reconcile()

    assert world.progress() == "Pending"
    assert world.condition("RepositoryConnected")[0] == "True"


def test_a_crashing_server_is_tried_less_often_the_longer_it_fails(world: World) -> None:
    world.tell()
    world.kubelet(world.pod(), objects.crash_looping("repository not initialized"))
    first = world.pod()["metadata"]["uid"]
    world.clock.step(3600)
    ended = objects.NOW + timedelta(seconds=3600 - 20)
    pod = world.pod()
    last = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]
    last["finishedAt"] = ended.isoformat()

    result = world.reconcile()

    assert world.pod()["metadata"]["uid"] == first
    assert result.requeue_after == UNREADY_RECHECK_SECONDS


def test_a_pod_that_crashes_beside_one_that_was_ready_for_long_is_tried_again_soon(
    settled: World,
) -> None:
    """The time that it has been failing counts, and not the time since Ready changed."""
    settled.clock.step(timedelta(days=1).total_seconds())
    _, new = _renewed(settled)
    crashed = objects.crash_looping("repository not initialized")
    crashed["containerStatuses"][0]["lastState"]["terminated"]["finishedAt"] = timestamp(
        settled.clock.now()
    )
    settled.kubelet(new, crashed)

    result = settled.reconcile()

    assert result.requeue_after == retry.MIN_SECONDS


def test_a_clock_that_was_set_back_keeps_no_crashing_server_from_being_tried(world: World) -> None:
    world.tell()
    world.kubelet(world.pod(), objects.crash_looping("repository not initialized"))
    first = world.pod()
    last = first["status"]["containerStatuses"][0]["lastState"]["terminated"]
    last["finishedAt"] = (world.clock.now() + timedelta(hours=1)).isoformat()

    world.reconcile()

    assert [pod["metadata"]["uid"] for pod in world.pods()] != [first["metadata"]["uid"]]


def _without(name: str) -> Callable[[World], None]:
    return lambda world: world.api.drop(resources.SECRETS, objects.NAMESPACE, name)


def _with(secret: Object) -> Callable[[World], None]:
    return lambda world: world.change_secret(secret)


def _retyped(secret: Object) -> Callable[[World], None]:
    return _with({**secret, "type": "example.com/other"})


EXPIRED = objects.NOW - timedelta(days=1)


@pytest.mark.parametrize(
    ("spoil", "step", "reason", "words"),
    [
        pytest.param(
            _without(objects.ADMIN),
            "ServerSetup",
            "SecretMissing",
            (f"{objects.NAMESPACE}/{objects.ADMIN}", "spec.server.adminSecretRef", "create it"),
            id="a Secret that is missing is named with the field that names it",
        ),
        pytest.param(
            _retyped(objects.password_secret()),
            "ServerSetup",
            "SecretTypeWrong",
            (objects.REPOSITORY_PASSWORD, "secrets.kanister.io/kopia-repository/password"),
            id="a Secret of another type is named with the type it should have",
        ),
        pytest.param(
            _with(objects.location_secret({"type": "filestore"})),
            "ServerSetup",
            "SecretKeyMissing",
            (objects.LOCATION, "claimName", "add it"),
            id="a missing key is named",
        ),
        pytest.param(
            _with(objects.password_secret("")),
            "ServerSetup",
            "SecretKeyMissing",
            (objects.REPOSITORY_PASSWORD, "repo-password", "is empty"),
            id="an empty key is named",
        ),
        pytest.param(
            _with(objects.location_secret({"type": "ftp", "claimName": "c"})),
            "ServerSetup",
            "LocationTypeUnknown",
            (objects.LOCATION, "key type", "filestore"),
            id="an unknown location type is named with those that are known",
        ),
        pytest.param(
            _with(objects.location_secret({"type": "azure", "bucket": "backups"})),
            "ServerSetup",
            "CredentialMissing",
            ("spec.storage.credentialSecretRef is missing", "azure_storage_key"),
            id="a storage that needs a credential has none",
        ),
        pytest.param(
            _with(objects.tls_secret(objects.key_pair(not_after=EXPIRED))),
            "ServerSetup",
            "CertificateExpired",
            (objects.TLS, "expired at"),
            id="an expired certificate is named with its date",
        ),
        pytest.param(
            _without(objects.USERS),
            "ClientUserInitialized",
            "SecretMissing",
            (objects.USERS, "spec.server.userAccess.userAccessSecretRef"),
            id="a missing access Secret fails the users, not the server",
        ),
        pytest.param(
            _with(objects.users_secret({"App": "x"})),
            "ClientUserInitialized",
            "UserNameInvalid",
            ("backup@App", "lower-case"),
            id="a host that Kopia refuses is named with what it takes",
        ),
    ],
)
def test_bad_input_is_told_once_and_mends_itself(
    world: World,
    spoil: Callable[[World], None],
    step: str,
    reason: str,
    words: tuple[str, ...],
) -> None:
    spoil(world)

    world.reconcile()
    world.reconcile()

    assert world.progress() == "Failed"
    assert world.condition("Ready")[:2] == ("False", reason)
    assert world.condition(step)[:2] == ("False", status.STEPS[step][1])
    for word in words:
        assert word in world.condition(step)[2]
    warnings = [event for event in world.recorder.events if event.startswith("Warning")]
    assert warnings == [f"Warning {reason}: {world.condition('Ready')[2]}"]

    for secret in objects.all_secrets():
        world.change_secret(secret)
    world.settle()
    world.reconcile()
    assert world.progress() == "Ready"


def test_a_secret_that_the_cache_does_not_have_yet_is_not_called_missing(world: World) -> None:
    indexers = {INDEX_OWNER: owner_uids}
    world.restart(secrets=MutationCache(Store(indexers), clock=world.clock, indexers=indexers))

    world.tell()

    assert world.progress() == "Pending"
    assert not [event for event in world.recorder.events if event.startswith("Warning")]


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(objects.users_secret(), id="with users"),
        pytest.param(objects.admin_secret(), id="that the server was started with"),
    ],
)
def test_a_secret_that_is_deleted_and_made_again_is_not_told_of(
    settled: World, secret: Object
) -> None:
    """As `kubectl replace --force` does it: nobody is to be woken by that at night."""
    settled.clock.step(FORGET_AFTER_SECONDS)
    settled.reconcile()
    settled.api.taken()
    before = settled.server()["status"]
    _without(secret["metadata"]["name"])(settled)

    result = settled.reconcile()

    assert result.requeue_after == SECRET_GAP_SECONDS
    settled.clock.step(SECRET_GAP_SECONDS - 1)
    assert settled.reconcile().requeue_after == 1
    settled.change_secret(secret)
    settled.reconcile()
    assert settled.server()["status"] == before
    assert settled.recorder.events == []


def test_each_gap_of_a_secret_has_its_time(settled: World) -> None:
    for _ in range(2):
        _without(objects.USERS)(settled)
        settled.reconcile()
        settled.clock.step(SECRET_GAP_SECONDS - 1)
        settled.reconcile()
        settled.change_secret(objects.users_secret())
        settled.reconcile()

    assert settled.progress() == "Ready"


def test_a_secret_that_stays_away_is_told_of(settled: World) -> None:
    _without(objects.USERS)(settled)
    settled.reconcile()
    settled.clock.step(SECRET_GAP_SECONDS)

    settled.reconcile()

    assert settled.condition("Ready")[:2] == ("False", "SecretMissing")


def test_a_server_that_serves_nobody_gets_no_time_for_it(settled: World) -> None:
    settled.kubelet(settled.pod(), objects.started())
    settled.reconcile()
    _without(objects.USERS)(settled)

    settled.reconcile()

    assert settled.condition("Ready")[:2] == ("False", "SecretMissing")


def test_bad_input_leaves_a_running_server_alone(settled: World) -> None:
    pod = settled.pod()
    settled.change_secret(objects.password_secret(""))

    settled.reconcile()

    assert settled.progress() == "Failed"
    assert settled.pod() == pod
    assert settled.condition("ServerInitialized")[0] == "True"
    assert settled.selected() == pod["metadata"]["labels"][children.LABEL_DIGEST]


def test_a_pod_that_goes_while_an_input_is_wrong_is_made_again_when_that_is_mended(
    settled: World,
) -> None:
    pod = settled.pod()
    settled.change_secret(objects.password_secret(""))
    settled.reconcile()
    settled.api.drop(resources.PODS, objects.NAMESPACE, pod["metadata"]["name"])

    settled.reconcile()

    assert settled.pods() == []
    assert settled.condition("Ready")[1] == "SecretKeyMissing"
    assert "serves as before" not in settled.condition("Ready")[2]
    settled.change_secret(objects.password_secret())
    settled.reconcile()
    assert settled.pod()["metadata"]["name"] == pod["metadata"]["name"]


def test_a_reference_into_another_namespace_is_refused(world: World) -> None:
    elsewhere = {"spec": {"server": {"tlsSecretRef": {"namespace": "other"}}}}
    world.api.put(resources.REPOSITORY_SERVERS, objects.repository_server(elsewhere))

    world.reconcile()

    assert world.api.taken() == [WRITE_STATUS]
    assert world.condition("Ready")[1] == "ReferenceInOtherNamespace"
    assert "spec.server.tlsSecretRef" in world.condition("Ready")[2]


def test_a_name_that_is_taken_is_not_taken_over(world: World) -> None:
    strange = {
        "metadata": {"name": SERVICE, "namespace": objects.NAMESPACE},
        "spec": {"selector": {"app": "other"}},
    }
    world.api.put(resources.SERVICES, strange)

    world.reconcile()

    assert world.condition("Ready")[1] == "NameTaken"
    assert Action("apply", "services", SERVICE) not in world.api.taken()


def test_what_a_deleted_namesake_has_left_is_waited_for(world: World) -> None:
    former = api.parse(objects.repository_server({"metadata": {"uid": "uid-of-a-namesake"}}))
    left = children.network_policy(former)
    world.api.put(resources.NETWORK_POLICIES, left)

    world.reconcile()

    assert world.progress() == "Pending"
    assert not [event for event in world.recorder.events if event.startswith("Warning")]
    world.api.drop(resources.NETWORK_POLICIES, objects.NAMESPACE, SERVICE)
    world.settle()
    assert world.progress() == "Ready"


def test_a_status_for_a_server_that_is_gone_is_no_error(world: World) -> None:
    world.reconcile()
    world.clock.step(STAGE_PAUSE_SECONDS)
    world.api.failures[WRITE_STATUS] = NotFound(404, "NotFound", "not found")

    assert world.reconcile().requeue_after == UNREADY_RECHECK_SECONDS


def test_a_refused_request_is_told_and_tried_again_by_the_queue(world: World) -> None:
    refused = Action("apply", "networkpolicies", SERVICE)
    world.api.failures[refused] = Forbidden(403, "Forbidden", "networkpolicies is forbidden")

    with pytest.raises(Forbidden):
        world.reconcile()

    assert world.condition("Ready")[1] == "ApiRequestRefused"


def test_a_reconcile_that_ran_out_of_time_still_tells_so(world: World) -> None:
    slow = Action("apply", "networkpolicies", SERVICE)
    world.api.failures[slow] = DeadlineExceeded("patch networkpolicies: no answer in 110 s")

    with pytest.raises(DeadlineExceeded):
        world.reconcile()

    assert world.condition("Ready")[1] == "ReconcileOutOfTime"


def test_a_bug_is_told_without_what_it_met_and_is_over_when_it_does_not_come_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def panic(*_: object) -> None:
        raise KeyError(objects.REPOSITORY_PASSWORD_VALUE)

    with monkeypatch.context() as patch:
        patch.setattr(children, "network_policy", panic)
        with pytest.raises(KeyError):
            world.reconcile()
    assert world.condition("Ready") == (
        "False",
        "ReconcilePanicked",
        "a bug of the controller ended a reconcile, which is tried again: KeyError; see its log",
    )

    world.settle()
    assert world.condition("Ready")[0] == "True"


def test_a_conflict_is_no_error(world: World) -> None:
    world.reconcile()
    world.clock.step(STAGE_PAUSE_SECONDS)
    world.api.failures[WRITE_STATUS] = Conflict(409, "Conflict", "the object has been modified")

    assert world.reconcile() == Result(requeue=True)


def test_a_status_is_only_written_on_the_very_version_that_it_was_decided_on(world: World) -> None:
    world.settle()

    versions = [body["metadata"] for body in world.api.bodies if "status" in body]

    assert versions
    assert all(metadata["resourceVersion"] for metadata in versions)


def test_a_new_server_needs_no_turn(world: World) -> None:
    while world.turns.take(Request(objects.NAMESPACE, f"other-{world.clock.monotonic()}")):
        world.clock.step(1)

    world.reconcile()

    assert world.pod()


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(
            lambda world, _: world.api.drop(
                resources.REPOSITORY_SERVERS, objects.NAMESPACE, objects.NAME
            ),
            id="it is deleted",
        ),
        pytest.param(
            lambda world, new: world.kubelet(new, objects.image_pull_failed()),
            id="its new pod does not come up",
        ),
        pytest.param(
            lambda world, new: world.kubelet(new, objects.serving()),
            id="its new pod is Ready",
        ),
    ],
)
def test_a_server_gives_its_turn_to_another_when(
    settled: World, end: Callable[[World, Object], None]
) -> None:
    _, new = _renewed(settled)
    assert all(settled.turns.take(Request(objects.NAMESPACE, f"other-{n}")) for n in range(4))
    waiting = Request(objects.NAMESPACE, "waiting")
    assert not settled.turns.take(waiting)

    end(settled, new)
    settled.reconcile()

    assert settled.turns.take(waiting)


def test_a_deleted_server_is_left_to_the_garbage_collector(settled: World) -> None:
    settled.api.drop(resources.REPOSITORY_SERVERS, objects.NAMESPACE, objects.NAME)

    assert settled.reconcile() == Result()
    assert settled.api.taken() == []


def test_no_secret_value_is_written_anywhere_but_into_the_snapshot(world: World) -> None:
    world.settle()
    world.change_secret(objects.users_secret({"app": "another-pass-9b"}))
    world.reconcile()
    values = (
        objects.REPOSITORY_PASSWORD_VALUE,
        objects.ADMIN_PASSWORD_VALUE,
        objects.USER_PASSWORD_VALUE,
        "another-pass-9b",
    )

    written = [body for body in world.api.bodies if body.get("kind") != "Secret"]

    assert written
    for value in values:
        assert value not in repr(written)
        assert value not in repr(world.recorder.events)
        assert value not in repr(world.server())


class TestCertificateThatExpires:
    """One of the user's, 31 days before its end."""

    NOT_AFTER = objects.NOW + timedelta(days=31)
    SOON = (
        "the certificate in key tls.crt of Secret backup/files-tls, named by "
        "spec.server.tlsSecretRef, expires at 2026-02-01T00:00:00Z; put a renewed one and its key "
        "into the Secret before then"
    )

    @pytest.fixture
    def expiring(self, world: World) -> World:
        world.change_secret(objects.tls_secret(objects.key_pair(not_after=self.NOT_AFTER)))
        world.settle()
        return world

    def test_is_no_matter_before(self, expiring: World) -> None:
        expiring.clock.step(FORGET_AFTER_SECONDS)
        expiring.reconcile()

        result = expiring.reconcile()

        assert get_condition(conditions_of(expiring.server()), "CertificateExpiring") is None
        assert result.requeue_after == timedelta(days=1).total_seconds() - FORGET_AFTER_SECONDS

    def test_is_told_from_30_days_before_on_in_one_event(self, expiring: World) -> None:
        expiring.clock.step(timedelta(days=1).total_seconds())
        expiring.reconcile()
        expiring.restart()
        expiring.clock.step(timedelta(days=1).total_seconds())
        expiring.reconcile()

        assert expiring.condition("CertificateExpiring") == (
            "True",
            "CertificateExpiring",
            self.SOON,
        )
        assert expiring.recorder.events == [f"Warning CertificateExpiring: {self.SOON}"]
        assert expiring.progress() == "Ready"

    def test_is_over_when_it_is_replaced(self, expiring: World) -> None:
        expiring.clock.step(timedelta(days=1).total_seconds())
        expiring.reconcile()

        expiring.change_secret(objects.tls_secret())
        expiring.reconcile()

        assert expiring.condition("CertificateExpiring")[:2] == ("False", "CertificateRenewed")


class TestCertificateOfTheControllersOwn:
    """`spec.server.tls.selfSigned`."""

    SECRET = f"{SERVICE}-tls"
    READ = Action("get", "secrets", SECRET)
    CREATE = Action("create", "secrets", SECRET)
    RENEW = Action("patch", "secrets", SECRET)
    # A third of a year is left then.
    DUE_SECONDS = timedelta(days=243, hours=8).total_seconds()
    SELF_SIGNED: ClassVar[Object] = {
        "spec": {"server": {"tlsSecretRef": None, "tls": {"selfSigned": {}}}}
    }

    @pytest.fixture
    def signed(self) -> World:
        """Give a world with a server that is new."""
        world = World()
        world.api.drop(resources.SECRETS, objects.NAMESPACE, objects.TLS)
        world.api.put(resources.REPOSITORY_SERVERS, objects.repository_server(self.SELF_SIGNED))
        return world

    @pytest.fixture
    def settled(self, signed: World) -> World:
        signed.settle()
        return signed

    def secret(self, world: World) -> Object:
        found = world.api.store(resources.SECRETS).get(objects.NAMESPACE, self.SECRET)
        assert found is not None
        return found

    def of_certificate(self, world: World) -> list[Action]:
        """Return the requests about the Secret since the last call."""
        return [action for action in world.api.taken() if action.name == self.SECRET]

    def test_is_made_once_and_served(self, signed: World) -> None:
        signed.reconcile()

        assert self.of_certificate(signed) == [self.READ, self.CREATE, self.READ]
        secret = self.secret(signed)
        assert secret["type"] == "kubernetes.io/tls"
        assert owner_uids(secret) == [objects.UID]
        name = signed.pod()["metadata"]["name"]
        snapshot = signed.api.store(resources.SECRETS).get(objects.NAMESPACE, name)
        assert snapshot is not None
        assert secret["data"].items() <= snapshot["data"].items()
        assert signed.recorder.events[0] == (
            "Normal CertificateIssued: made a certificate that is valid until "
            "2027-01-01T00:00:00Z, in Secret repo-server-files-tls: there was none"
        )

    def test_costs_a_steady_server_no_request(self, settled: World) -> None:
        settled.reconcile()

        assert settled.api.taken() == []

    def test_is_looked_at_when_it_is_due(self, settled: World) -> None:
        settled.clock.step(FORGET_AFTER_SECONDS)
        settled.reconcile()

        assert settled.reconcile().requeue_after == self.DUE_SECONDS - FORGET_AFTER_SECONDS

    def test_stays_when_the_controller_starts_anew(self, settled: World) -> None:
        before = self.secret(settled)
        settled.restart()

        settled.reconcile()

        assert settled.api.taken() == []
        assert self.secret(settled) == before
        assert len(settled.pods()) == 1

    def test_stays_when_another_program_starts(self, settled: World) -> None:
        before = self.secret(settled)
        settled.record("")
        settled.restart()

        settled.reconcile()

        assert self.of_certificate(settled) == [self.READ, self.READ]
        assert self.secret(settled) == before
        assert len(settled.pods()) == 1

    def test_stays_when_the_cache_does_not_show_it(self, settled: World) -> None:
        indexers = {INDEX_OWNER: owner_uids}
        cache = MutationCache(Store(indexers), clock=settled.clock, indexers=indexers)
        settled.restart(secrets=cache)

        settled.reconcile()

        assert self.CREATE not in settled.api.taken()

    def test_is_that_of_another_controller_which_was_faster(
        self, settled: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs = self.secret(settled)
        settled.api.drop(resources.SECRETS, objects.NAMESPACE, self.SECRET)
        create = FakeClient.create

        def late(api: FakeClient, *arguments: Any, **options: Any) -> Object:
            api.put(resources.SECRETS, theirs)
            return create(api, *arguments, **options)

        monkeypatch.setattr(FakeClient, "create", late)
        settled.reconcile()

        assert self.of_certificate(settled) == [self.READ, self.CREATE, self.READ, self.READ]
        assert self.secret(settled)["data"] == theirs["data"]

    def test_comes_back_as_another_one_when_it_is_deleted(self, settled: World) -> None:
        former, pod = self.secret(settled), settled.pod()
        settled.api.drop(resources.SECRETS, objects.NAMESPACE, self.SECRET)

        settled.reconcile()

        assert self.secret(settled)["data"] != former["data"]
        assert len(settled.pods()) == 2
        assert settled.selected() == children.digest_of(pod)

    def test_is_renewed_when_a_third_of_its_life_is_left(self, settled: World) -> None:
        before = settled.server()["status"]["serverInfo"]
        settled.clock.step(self.DUE_SECONDS)

        settled.reconcile()

        assert self.of_certificate(settled) == [self.READ, self.RENEW, self.READ]
        # Until the new pod serves, clients see the former certificate.
        assert settled.server()["status"]["serverInfo"] == before
        (new,) = (pod for pod in settled.pods() if pod["metadata"]["name"] != before["podName"])
        settled.kubelet(new, objects.serving())
        settled.reconcile()
        settled.reconcile()
        after = settled.server()["status"]["serverInfo"]
        assert after["tlsFingerprint"] != before["tlsFingerprint"]
        assert after["tlsNotAfter"] == "2027-09-01T08:00:00Z"
        assert get_condition(conditions_of(settled.server()), "CertificateExpiring") is None

    def test_is_renewed_once(self, settled: World) -> None:
        settled.clock.step(self.DUE_SECONDS)
        settled.reconcile()
        settled.api.taken()

        settled.reconcile()

        assert self.of_certificate(settled) == []

    def test_is_not_renewed_over_the_renewal_of_another_controller(self, settled: World) -> None:
        settled.clock.step(self.DUE_SECONDS)
        settled.api.failures[self.RENEW] = Conflict(409, "Conflict", "modified")

        assert settled.reconcile() == Result(requeue=True)

    def test_goes_on_while_its_renewal_is_refused_and_is_told_a_month_before(
        self, settled: World
    ) -> None:
        settled.api.failures[self.RENEW] = Forbidden(403, "Forbidden", "no")
        settled.clock.step(self.DUE_SECONDS)

        result = settled.reconcile()

        assert result.requeue_after == RETRY_SECONDS
        assert settled.progress() == "Ready"
        assert settled.recorder.events == []

        settled.clock.step(timedelta(days=92).total_seconds())
        settled.reconcile()

        told = (
            "the certificate in Secret backup/repo-server-files-tls, made for "
            "spec.server.tls.selfSigned, expires at 2027-01-01T00:00:00Z and could not be renewed; "
            "the controller's log says why it tries in vain"
        )
        assert settled.condition("CertificateExpiring")[2] == told
        assert settled.recorder.events == [f"Warning CertificateExpiring: {told}"]

        settled.api.failures.clear()
        settled.reconcile()

        assert settled.condition("CertificateExpiring")[0] == "False"

    def test_is_not_written_into_a_secret_of_others(self, signed: World) -> None:
        theirs = objects.secret(self.SECRET, "kubernetes.io/tls", {"tls.crt": "", "tls.key": ""})
        signed.api.put(resources.SECRETS, theirs)

        signed.reconcile()

        assert signed.condition("Ready")[:2] == ("False", "NameTaken")
        assert self.of_certificate(signed) == [self.READ]

    def test_goes_when_the_resource_names_another_one_and_that_is_served(
        self, settled: World
    ) -> None:
        settled.change_secret(objects.tls_secret())
        changed = objects.repository_server({"metadata": {"generation": 2}})
        settled.api.put(
            resources.REPOSITORY_SERVERS, {**changed, "status": settled.server()["status"]}
        )
        settled.reconcile()
        assert self.secret(settled)

        (new,) = (pod for pod in settled.pods() if not podstatus.is_ready(pod))
        settled.kubelet(new, objects.serving())
        settled.reconcile()

        secrets = settled.api.store(resources.SECRETS)
        assert secrets.get(objects.NAMESPACE, self.SECRET) is None
        assert secrets.get(objects.NAMESPACE, objects.TLS) is not None

    def test_stays_when_the_resource_names_it_as_if_it_were_the_users(self, settled: World) -> None:
        named = {"tlsSecretRef": {"name": self.SECRET}, "tls": None}
        _edit(settled, {"server": named})
        settled.reconcile()
        settled.reconcile()

        assert settled.progress() == "Ready"
        assert self.secret(settled)

    def test_shows_its_key_nowhere_but_in_secrets(
        self, settled: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        settled.clock.step(self.DUE_SECONDS)
        settled.reconcile()
        line = base64.b64decode(self.secret(settled)["data"]["tls.key"]).decode().splitlines()[1]

        printed = capsys.readouterr()

        assert "CertificateIssued" in printed.out
        assert line not in printed.out + printed.err + str(settled.recorder.events)
        assert line not in str(settled.server()) + str(settled.pods())


class TestStorageCredential:
    S3: ClassVar[dict[str, str | bytes]] = {"type": "s3", "bucket": "backups"}
    NAMED: ClassVar[Object] = {
        "spec": {
            "storage": {
                "credentialSecretRef": {"name": objects.CREDENTIAL, "namespace": objects.NAMESPACE}
            }
        }
    }

    @staticmethod
    def keys(secret_key: str) -> Object:
        values = {"aws_access_key_id": "AKIA1", "aws_secret_access_key": secret_key}
        return objects.secret(objects.CREDENTIAL, secrets.TYPE_AWS, values)

    @pytest.fixture
    def named(self, world: World) -> World:
        """Give a server in S3 whose credential is named and does not exist yet."""
        world.api.put(resources.REPOSITORY_SERVERS, objects.repository_server(self.NAMED))
        world.change_secret(objects.location_secret(self.S3))
        return world

    def test_it_is_part_of_the_snapshot_and_of_nothing_else(self, named: World) -> None:
        named.change_secret(self.keys("secret-key-b7d1"))

        named.reconcile()

        snapshot = named.api.store(resources.SECRETS).get(
            objects.NAMESPACE, named.pod()["metadata"]["name"]
        )
        assert snapshot is not None
        config = base64.b64decode(snapshot["data"]["repository.config"]).decode()
        assert json.loads(config)["storage"]["config"]["secretAccessKey"] == "secret-key-b7d1"
        assert "secret-key-b7d1" not in json.dumps(named.pod())

    def test_a_renewed_one_makes_a_new_pod(self, named: World) -> None:
        named.change_secret(self.keys("secret-key-b7d1"))
        named.settle()
        former = named.pod()["metadata"]["name"]

        named.change_secret(
            objects.merged(self.keys("secret-key-0c55"), {"metadata": {"resourceVersion": "51"}})
        )
        named.reconcile()

        assert [pod["metadata"]["name"] for pod in named.pods()] != [former]

    def test_a_missing_one_is_told(self, named: World) -> None:
        named.reconcile()

        _, reason, message = named.condition("Ready")
        assert reason == "SecretMissing"
        assert f"{objects.CREDENTIAL}, named by spec.storage.credentialSecretRef" in message

    def test_one_of_another_store_is_told(self, named: World) -> None:
        named.change_secret({**self.keys("secret-key-b7d1"), "type": secrets.TYPE_GCP})

        named.reconcile()

        _, reason, message = named.condition("Ready")
        assert reason == "SecretTypeWrong"
        assert "expected secrets.kanister.io/aws" in message

    def test_a_file_store_needs_none_though_one_is_named(self, world: World) -> None:
        world.api.put(resources.REPOSITORY_SERVERS, objects.repository_server(self.NAMED))

        world.settle()

        assert world.progress() == "Ready"


class TestWebhook:
    """What a mutating webhook makes of the children is not fought over."""

    @staticmethod
    def mirror(resource: Resource, obj: Object) -> None:
        if resource == resources.PODS:
            for container in obj["spec"]["initContainers"] + obj["spec"]["containers"]:
                container["image"] = f"mirror.example/{container['image']}"

    @staticmethod
    def images(world: World) -> list[str]:
        spec = world.pod()["spec"]
        return [container["image"] for container in spec["initContainers"] + spec["containers"]]

    def test_the_images_of_a_running_pod_are_let_be(self, world: World) -> None:
        proxy = {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}
        _edit(world, {"server": {"podOverride": {"initContainers": [proxy]}}})
        world.api.admission = self.mirror
        world.settle()
        mirrored = ["mirror.example/proxy:1", f"mirror.example/{objects.IMAGE}"]
        assert self.images(world) == mirrored
        # Of a pod that is there it changes nothing.
        world.api.admission = lambda *_: None
        world.record("")
        world.restart()

        world.reconcile()

        assert world.api.taken() == [*READ_USERS, *SECRETS, world.write_record]
        _edit(world, {"server": {"podLabels": {"team": "a"}}})
        world.reconcile()
        assert world.pod()["metadata"]["labels"]["team"] == "a"
        assert self.images(world) == mirrored

    def test_a_label_of_its_own_on_a_child_keeps_nobody_out(self, world: World) -> None:
        def label(_: Resource, obj: Object) -> None:
            if labels := obj["metadata"].get("labels"):
                labels[children.LABEL_MANAGED_BY] = "webhook"

        world.api.admission = label

        world.reconcile()
        world.kubelet(world.pod(), objects.serving())
        world.reconcile()

        assert world.progress() == "Ready"
        assert [action for action in world.api.taken() if action.verb == "patch"] == [WRITE_STATUS]


class TestCommandsThatCannotBeRun:
    """A node that is away keeps a command from being run, and nothing else."""

    AWAY = ServerUnavailable(500, "InternalError", "error dialing backend: connection refused")

    def test_users_that_cannot_be_told_leave_the_rest_of_the_pass(self, settled: World) -> None:
        settled.kopia.errors["take up"] = self.AWAY
        settled.change_secret(objects.users_secret({"app": "other"}))
        settled.kubelet(settled.pod(), objects.serving())

        settled.reconcile()

        assert settled.condition("ServerRefreshed")[0] == "True"
        settled.kubelet(settled.pod(), {**objects.started(), "conditions": []})
        settled.reconcile()
        assert settled.progress() == "Pending"

    def test_a_repository_that_cannot_be_searched_leaves_it_too(self, settled: World) -> None:
        settled.kopia.errors["list"] = self.AWAY
        settled.clock.step(FORGET_AFTER_SECONDS)

        settled.reconcile()

        settled.kubelet(settled.pod(), objects.started())
        settled.reconcile()
        assert settled.progress() == "Pending"

    def test_what_failed_is_tried_again_after_a_pause_and_not_before(self, settled: World) -> None:
        settled.kopia.failures["take up"] = FakeResult(1, stderr=b"connection refused")
        settled.change_secret(objects.users_secret({"app": "other"}))
        settled.reconcile()
        settled.kopia.ran()
        settled.api.taken()

        # The event of its own annotation wakes it at once.
        settled.reconcile()

        assert settled.kopia.ran() == []
        assert settled.api.taken() == []
        settled.clock.step(retry.MIN_SECONDS)
        settled.reconcile()
        assert settled.kopia.ran() == ["take up"]

    @pytest.mark.parametrize(
        ("errors", "failures"),
        [
            pytest.param({"take up": AWAY}, {}, id="its node cannot be reached: it stays Ready"),
            pytest.param({}, {"take up": FakeResult(1)}, id="Kopia refuses: it does not"),
        ],
    )
    def test_a_server_that_was_ready_for_long_waits_no_longer_for_a_second_try(
        self, settled: World, errors: dict[str, Exception], failures: dict[str, FakeResult]
    ) -> None:
        """The time that it has been failing counts, and not the time since Ready changed."""
        settled.clock.step(timedelta(days=1).total_seconds())
        settled.reconcile()
        settled.kopia.errors, settled.kopia.failures = errors, failures
        settled.change_secret(objects.users_secret({"app": "other"}))
        settled.reconcile()
        settled.kopia.ran()

        settled.clock.step(retry.MIN_SECONDS)
        settled.reconcile()

        assert settled.kopia.ran() == ["take up"]

    def test_what_goes_on_failing_is_tried_less_and_less_often(self, settled: World) -> None:
        settled.kopia.errors["take up"] = self.AWAY
        settled.change_secret(objects.users_secret({"app": "other"}))
        settled.reconcile()
        settled.clock.step(300)
        settled.reconcile()
        settled.kopia.ran()

        settled.clock.step(29)
        settled.reconcile()
        assert settled.kopia.ran() == []

        settled.clock.step(1)
        settled.reconcile()
        assert settled.kopia.ran() == ["take up"]

    def test_the_pause_of_one_pod_is_not_that_of_another(self, settled: World) -> None:
        _, new = _renewed(settled)
        settled.kubelet(new, objects.serving())
        settled.kopia.failures["take up"] = FakeResult(1, stderr=b"connection refused")
        settled.change_secret(objects.users_secret({"app": "other"}))
        settled.reconcile()
        assert settled.kopia.ran() == ["take up", "take up"]

        settled.reconcile()

        assert settled.kopia.ran() == []


class TestWhoMayConnectNoMore:
    """Every way by which a user leaves ends in a server that refuses the user."""

    def test_is_told_of_though_another_input_is_wrong_since_the_start(self, settled: World) -> None:
        _without(objects.TLS)(settled)
        settled.restart()
        settled.change_secret(objects.users_secret({"new": "n"}))

        settled.reconcile()

        assert settled.may_connect() == {"backup@new": "n"}

    def test_is_told_of_though_an_access_secret_is_wrong_since(self, settled: World) -> None:
        settled.kopia.failures["take up"] = FakeResult(75)
        settled.change_secret(objects.users_secret({"new": "n"}))
        settled.reconcile()
        settled.kopia.failures.clear()
        settled.change_secret(objects.users_secret({"App": "x"}))
        settled.clock.step(TAKE_UP_PAUSE_SECONDS)

        settled.reconcile()

        assert settled.may_connect() == {"backup@new": "n"}

    def test_leaves_the_repository_even_when_gone_before_it_was_searched(
        self, settled: World
    ) -> None:
        settled.kopia.users = {USER}
        settled.change_secret(objects.users_secret({"new": "n"}))
        settled.reconcile()
        settled.clock.step(FORGET_AFTER_SECONDS)

        settled.reconcile()

        assert settled.kopia.users == set()

    def test_is_not_let_in_by_a_pod_that_a_change_taken_back_brings_back(
        self, settled: World
    ) -> None:
        old, new = _renewed(settled)
        settled.kubelet(new, objects.serving())
        settled.reconcile()
        settled.change_secret(objects.users_secret({"new": "n"}))
        settled.reconcile()
        settled.kopia.failures["take up"] = FakeResult(75)
        settled.change_secret(objects.tls_secret())

        settled.reconcile()

        assert settled.selected() == children.digest_of(new)
        settled.kopia.failures.clear()
        settled.clock.step(TAKE_UP_PAUSE_SECONDS)
        settled.reconcile()
        assert settled.selected() == children.digest_of(old)


class TestUsersSecretOfAnotherHand:
    """What the cache does not show, or somebody has spoilt, is not written over blindly."""

    def test_one_that_the_cache_does_not_show_is_left_alone(self, settled: World) -> None:
        indexers = {INDEX_OWNER: owner_uids}
        lagging = MutationCache(Store(indexers), clock=settled.clock, indexers=indexers)
        settled.restart(secrets=lagging)
        before = settled.volume()

        assert settled.reconcile() == Result(requeue=True)

        assert settled.volume() == before

    def test_a_version_that_is_none_is_replaced(self, settled: World) -> None:
        stored = settled.api.store(resources.SECRETS).get(objects.NAMESPACE, USERS_SECRET)
        settled.change_secret(objects.merged(stored, {"data": {"version": ""}}))

        settled.reconcile()

        assert children.users_of(settled.pod()) not in ("", children.NO_USERS)
        assert settled.kopia.ran() == ["take up"]

    def test_a_pod_that_starts_while_its_users_change_is_told_of_them(self, settled: World) -> None:
        settled.change_secret(objects.users_secret({"new": "n"}))
        old, new = _renewed(settled)

        assert children.users_of(new) == ""
        settled.kubelet(new, objects.serving())
        settled.reconcile()
        assert settled.kopia.ran().count("take up") == 2
        assert children.users_of(_named(settled, new)) == children.users_of(_named(settled, old))


class TestTurns:
    """Servers that wait for their turn, and turns of servers that cannot use them."""

    def test_who_waits_reads_nothing(self, settled: World) -> None:
        for number in range(5):
            settled.turns.take(Request(objects.NAMESPACE, f"other-{number}"))
        settled.change_secret(objects.tls_secret(objects.key_pair("renewed")))
        settled.reconcile()
        settled.api.taken()

        result = settled.reconcile()

        assert settled.api.taken() == []
        assert result.requeue_after == MIN_PAUSE_SECONDS

    def test_one_that_is_refused_gives_its_turn_back(self, settled: World) -> None:
        _renewed(settled)
        elsewhere = {"spec": {"server": {"tlsSecretRef": {"namespace": "other"}}}}
        settled.api.put(resources.REPOSITORY_SERVERS, objects.repository_server(elsewhere))

        settled.reconcile()

        others = [Request(objects.NAMESPACE, f"other-{number}") for number in range(5)]
        assert all(settled.turns.take(other) for other in others)


class TestLostNode:
    """A pod whose node does not confirm its end holds its name."""

    def test_it_is_given_up_where_no_claim_can_be_mounted_twice(self, world: World) -> None:
        change = {"spec": {"storage": {"credentialSecretRef": {"name": objects.CREDENTIAL}}}}
        world.api.put(resources.REPOSITORY_SERVERS, objects.repository_server(change))
        values = {"type": "s3", "bucket": "b", "region": "r"}
        world.change_secret(objects.location_secret(values))
        keys = {"aws_access_key_id": "id", "aws_secret_access_key": "key"}
        world.change_secret(objects.secret(objects.CREDENTIAL, "secrets.kanister.io/aws", keys))
        world.settle()
        world.api.put(resources.PODS, objects.terminating(world.pod()))
        world.reconcile()
        assert len(world.pods()) == 1
        world.clock.step(30 + LOST_SECONDS)

        world.reconcile()

        assert world.pods() == []

    def test_with_a_claim_it_is_an_operators_choice(self, settled: World) -> None:
        settled.api.put(resources.PODS, objects.terminating(settled.pod()))
        settled.clock.step(3600)

        settled.reconcile()

        assert len(settled.pods()) == 1


def test_a_request_that_an_admission_webhook_denies_is_told(world: World) -> None:
    denied = Action("apply", "networkpolicies", SERVICE)
    world.api.failures[denied] = BadRequest(400, "BadRequest", "admission webhook denied it")

    with pytest.raises(BadRequest):
        world.reconcile()

    assert world.condition("Ready")[1] == "ApiRequestRefused"


class TestSharedRepository:
    """Two servers that write to one repository are told of each other."""

    SECOND = Request(objects.NAMESPACE, "second")

    @pytest.fixture
    def shared(self, settled: World) -> World:
        """Give a world with a second server on the repository, of which nobody has been told."""
        metadata = {"name": self.SECOND.name, "uid": "uid-of-second"}
        second = objects.repository_server({"metadata": metadata})
        settled.api.put(resources.REPOSITORY_SERVERS, second)
        return settled

    def reconcile_second(self, world: World) -> Result:
        return world.reconciler.reconcile(self.SECOND, Deadline.after(world.clock, 120))

    def test_each_names_the_other_in_one_event(self, shared: World) -> None:
        self.reconcile_second(shared)
        for _ in range(2):
            shared.reconcile()

        value, reason, message = shared.condition("RepositoryShared")
        assert (value, reason) == ("True", "RepositoryShared")
        assert message == (
            "the repository at backups/files/ on PersistentVolumeClaim backup/files-data is served "
            "by RepositoryServer second as well, and what is backed up through one is not seen at "
            "once through another; have one of them serve it, or set spec.repository.readOnly on "
            "all but one"
        )
        assert shared.recorder.events.count(f"Warning RepositoryShared: {message}") == 1
        assert shared.progress() == "Ready"

    def test_it_is_over_when_the_other_is_deleted(self, shared: World) -> None:
        self.reconcile_second(shared)
        shared.reconcile()
        shared.api.drop(resources.REPOSITORY_SERVERS, objects.NAMESPACE, self.SECOND.name)

        shared.reconcile()

        assert shared.condition("RepositoryShared")[:2] == ("False", "RepositoryNotShared")

    def test_after_a_restart_it_stands_until_the_other_was_examined(self, shared: World) -> None:
        self.reconcile_second(shared)
        shared.reconcile()
        told = shared.condition("RepositoryShared")
        shared.restart()

        result = shared.reconcile()

        assert shared.condition("RepositoryShared") == told
        assert result.requeue_after == UNREADY_RECHECK_SECONDS
        self.reconcile_second(shared)
        shared.reconcile()
        assert shared.condition("RepositoryShared") == told

    def test_nothing_is_said_of_a_server_that_is_alone(self, settled: World) -> None:
        settled.reconcile()

        assert get_condition(conditions_of(settled.server()), "RepositoryShared") is None
